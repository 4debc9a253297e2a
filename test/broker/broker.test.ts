// The broker's handler: the instances that it serves, and its log.
import { describe, expect, it } from 'vitest'
import { newBroker, newBrokerWorld } from '../support/broker.ts'

const serverError = { status: 500, body: { error: 'server_error' } }

describe('the broker', () => {
  it('refuses a refresh token of an instance that it no longer serves, and ends no session', async () => {
    const { sandbox, newRefreshToken, options, key } = await newBrokerWorld()
    const other = newBroker(sandbox, { ...options, issuers: ['https://clerk.other.example'] }, key)
    expect(await other.refresh(await newRefreshToken())).toMatchObject(serverError)
  })

  it('logs the event, the status, the reason and the session of each request', async () => {
    const { sandbox, sessionId, newCode, redeem, newRefreshToken, refresh, logout, logLines } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    await redeem(code, codeVerifier)
    const refreshToken = await newRefreshToken()
    await refresh('made-up')
    await logout(refreshToken)
    const known = { sessionId, userId: sandbox.user.id, ms: expect.any(Number) }
    expect(logLines).toEqual([
      { event: 'code_issued', route: 'code', status: 200, ...known },
      { event: 'token_issued', route: 'token', status: 200, ...known },
      { event: 'refreshed', route: 'refresh', status: 200, ...known },
      { event: 'refused', route: 'refresh', status: 400, reason: 'sealed_malformed', ms: expect.any(Number) },
      { event: 'logged_out', route: 'logout', status: 200, ...known },
    ])
  })

  it('logs the address and the request id that the server tells', async () => {
    const { broker, logLines } = await newBrokerWorld()
    const request = new Request('https://api.example.com/api/auth/refresh', { method: 'POST' })
    await broker(request, { address: '192.0.2.7', requestId: 'a1b2' })
    expect(logLines).toMatchObject([{ event: 'refused', status: 415, address: '192.0.2.7', requestId: 'a1b2' }])
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
