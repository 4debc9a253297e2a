// Logout at the broker: revokes the session at Clerk by the broker's own refresh token.
import { describe, expect, it } from 'vitest'
import { invalidGrant, newBroker, newBrokerWorld, sessionPath } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

describe('a logout', () => {
  it('revokes the session at Clerk', async () => {
    const { backend, sessionId, newRefreshToken, logout, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    expect(await logout(refreshToken)).toMatchObject({ status: 200, body: { revoked: true } })
    expect(backend.status(sessionId)).toBe('revoked')
    expect(await refresh(refreshToken)).toMatchObject(invalidGrant)
  })

  it('succeeds again if the session is revoked already', async () => {
    const { newRefreshToken, logout } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    await logout(refreshToken)
    expect(await logout(refreshToken)).toMatchObject({ status: 200, body: { revoked: true } })
  })

  it('succeeds if Clerk no longer knows the session', async () => {
    const { sandbox, sessionId, newRefreshToken, logout } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const headers = { 'content-type': 'application/json' }
    const body = '{"errors":[{"code":"resource_not_found","message":"Session not found"}]}'
    sandbox.script(`${sessionPath(sessionId)}/revoke`, { kind: 'respond', status: 404, headers, body })
    expect(await logout(refreshToken)).toMatchObject({ status: 200, body: { revoked: true } })
  })

  it('accepts an expired refresh token', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { backend, sessionId, newRefreshToken, logout } = await newBrokerWorld({ clock, refreshTokenSeconds: 60 })
    const refreshToken = await newRefreshToken()
    clock.advance(120)
    expect(await logout(refreshToken)).toMatchObject({ status: 200, body: { revoked: true } })
    expect(backend.status(sessionId)).toBe('revoked')
  })

  it('by a bearer token of version 1.0 is refused from the day that the operator has set', async () => {
    const world = await newBrokerWorld({ sessionTokens: 'unbound' })
    const { sandbox, backend, sessionId, exchange, options } = world
    const { body } = await exchange(sessionId, await backend.sessionToken(sessionId), { dpop: null })
    const yesterday = Math.floor(Date.now() / 1000) - 86_400
    const later = newBroker(sandbox, { ...options, sessionTokens: 'bound', unboundUntil: yesterday })
    expect(await later.logout(body.refresh_token, { dpop: null })).toMatchObject(invalidGrant)
    expect(await later.logout(body.refresh_token)).toMatchObject(invalidGrant)
    expect(backend.status(sessionId)).toBe('active')
  })

  it('refuses a made-up refresh token, and a session token', async () => {
    const { backend, sessionId, logout, post } = await newBrokerWorld()
    expect(await logout('made.up')).toMatchObject(invalidGrant)
    const token = await backend.sessionToken(sessionId)
    const answer = await post('/api/auth/logout', { session_id: sessionId }, { token })
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    expect(await logout(token)).toMatchObject(invalidGrant)
    expect(backend.status(sessionId)).toBe('active')
  })

  it('answers 503 if Clerk is unavailable', async () => {
    const { sandbox, backend, sessionId, newRefreshToken, logout } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    sandbox.script(`${sessionPath(sessionId)}/revoke`, { kind: 'drop' }, { kind: 'drop' }) // sent again on a new connection
    expect(await logout(refreshToken)).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
    expect(backend.status(sessionId)).toBe('active')
  })

  it('counts against the rate limit of its user', async () => {
    const { sandbox, sessionId, newRefreshToken, logout } = await newBrokerWorld({ requestsPerMinute: 3 })
    const refreshToken = await newRefreshToken()
    expect([(await logout(refreshToken)).status, (await logout(refreshToken)).status]).toEqual([200, 200])
    const refused = await logout(refreshToken)
    expect(refused).toMatchObject({ status: 429, body: { error: 'temporarily_unavailable' } })
    expect(refused.headers.get('retry-after')).toMatch(/^(59|60)$/)
    expect(sandbox.count(`${sessionPath(sessionId)}/revoke`)).toBe(2)
  })
})
