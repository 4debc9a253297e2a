// The broker's handler: the instances that it serves, and its log.
import { describe, expect, it } from 'vitest'
import { invalidGrant, newBroker, newBrokerWorld } from '../support/broker.ts'

describe('the broker', () => {
  it('refuses a refresh token of an instance that it no longer serves', async () => {
    const { sandbox, newRefreshToken, options } = await newBrokerWorld()
    const other = newBroker(sandbox, { ...options, issuers: ['https://clerk.other.example'] })
    expect(await other.refresh(await newRefreshToken())).toMatchObject(invalidGrant)
  })

  it('logs the event, the status, the reason and the session of each request', async () => {
    const { sessionId, newRefreshToken, refresh, logout, logLines } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    await refresh('made-up')
    await logout(refreshToken)
    const ms = expect.any(Number)
    expect(logLines).toEqual([
      { event: 'refreshed', status: 200, sessionId, ms },
      { event: 'refused', status: 400, reason: 'refresh_token_invalid', ms },
      { event: 'logged_out', status: 200, sessionId, ms },
    ])
  })

  it('logs no token and no key', async () => {
    const world = await newBrokerWorld()
    const { backend, sessionId, newRefreshToken, refresh, logout, exchange, logLines, options } = world
    const token = await backend.sessionToken(sessionId)
    const refreshToken = await newRefreshToken()
    await exchange(sessionId, token)
    await exchange(sessionId, `${token}x`)
    await refresh(refreshToken)
    await refresh(`${refreshToken}x`)
    await logout(refreshToken)
    expect(logLines).toHaveLength(6)
    const keys = options.keys.map((key) => Buffer.from(key).toString('base64url'))
    const log = JSON.stringify(logLines)
    for (const secret of [token, refreshToken, options.secretKey, ...keys]) expect(log).not.toContain(secret)
  })
})
