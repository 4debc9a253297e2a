// Failures of Clerk, of the network and of the operator's settings: each has an answer that ends no session.
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/host/clock.ts'
import type { Fault } from '../sandbox/faults.ts'
import { newBroker, newBrokerWorld, sessionPath, tokensPath } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

const rejection = (status: number, code: string, headers = {}): Fault => {
  const body = JSON.stringify({ errors: [{ message: code, long_message: code, code }] })
  return { kind: 'respond', status, headers: { ...JSON_TYPE, ...headers }, body }
}
const text = (status: number, body: string, headers = {}): Fault => ({ kind: 'respond', status, headers, body })

interface Row {
  readonly name: string
  readonly fault: Fault
  readonly status: number
  readonly error: 'temporarily_unavailable' | 'server_error'
  readonly reason: string
}

const unavailable = (status: 429 | 503, name: string, reason: string, fault: Fault): Row => ({
  name,
  fault,
  status,
  error: 'temporarily_unavailable',
  reason,
})
const serverError = (status: 500 | 502, name: string, reason: string, fault: Fault): Row => ({
  name,
  fault,
  status,
  error: 'server_error',
  reason,
})

const rows: readonly Row[] = [
  unavailable(503, 'Clerk drops the connection', 'network', { kind: 'drop' }),
  unavailable(503, 'Clerk never answers', 'timeout', { kind: 'hang' }),
  unavailable(429, 'Clerk answers 429', 'clerk_429', rejection(429, 'too_many_requests', { 'retry-after': '7' })),
  unavailable(503, 'Clerk answers 408', 'clerk_5xx', rejection(408, 'request_timeout')),
  unavailable(503, 'Clerk answers 500', 'clerk_5xx', rejection(500, 'internal_clerk_error')),
  unavailable(503, 'Clerk answers 503', 'clerk_5xx', rejection(503, 'service_unavailable')),
  unavailable(503, 'a proxy answers 502 in HTML', 'clerk_5xx', text(502, '<html>')),
  unavailable(503, 'the answer is cut in half', 'network', { kind: 'truncate' }),
  unavailable(503, 'wrong passwords have locked the user', 'user_locked', rejection(403, 'user_locked')),
  serverError(502, 'the answer is null', 'invalid_response', text(200, 'null', JSON_TYPE)),
  serverError(502, 'a proxy answers 200 in HTML', 'invalid_response', text(200, '<html>')),
  serverError(502, 'the answer is 204', 'invalid_response', { kind: 'respond', status: 204 }),
  serverError(502, 'the answer is another object', 'invalid_response', text(200, '{"object":"other"}', JSON_TYPE)),
  serverError(500, 'the secret key is invalid', 'secret_key_rejected', rejection(401, 'clerk_key_invalid')),
  serverError(500, 'the plan lacks the feature', 'clerk_4xx', rejection(402, 'unsupported_subscription_plan_features')),
]

/** The system's clock, with a monotonic clock that a test can put forward: past the time that Clerk asked for. */
function skippingClock() {
  let skipped = 0 // s
  return {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + skipped,
    skip(seconds: number) {
      skipped += seconds
    },
  }
}

/** A request on a kept connection that the server has just closed is sent once more. */
const faultsOf = (fault: Fault) => (fault.kind === 'drop' ? [fault, fault] : [fault])

describe('a refresh keeps the session if', () => {
  it.each(rows.map((row) => [row.name, row] as const))('%s', async (_name, row) => {
    const { fault, status, error, reason } = row
    const clock = skippingClock()
    const world = await newBrokerWorld({ deadlineSeconds: 1, clock })
    const { sandbox, sessionId, newRefreshToken, refresh, logLines } = world
    const refreshToken = await newRefreshToken()
    sandbox.script(tokensPath(sessionId), ...faultsOf(fault))
    const answer = await refresh(refreshToken)
    expect(answer).toMatchObject({ status, body: { error } })
    expect(answer.headers.get('retry-after')).toBe({ 429: '7', 503: '5' }[status] ?? null)
    expect(logLines.at(-1)).toMatchObject({ event: status >= 500 ? 'failed' : 'refused', status, reason })
    clock.skip(7)
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('the configured template is missing, although Clerk answers as for a missing session', async () => {
    const { newRefreshToken, sandbox, options, logLines, key } = await newBrokerWorld()
    const misconfigured = newBroker(sandbox, { ...options, template: 'misspelt' }, key)
    const answer = await misconfigured.refresh(await newRefreshToken())
    expect(answer).toMatchObject({ status: 500, body: { error: 'server_error' } })
    expect(logLines.at(-1)).toMatchObject({ event: 'failed', reason: 'template_not_found' })
  })

  it.each([
    ['in HTML', text(404, '<html>not found')],
    ['in JSON', text(404, '{"error":"not_found"}', JSON_TYPE)],
    ['without a body', { kind: 'respond', status: 404 } as const],
  ])(
    'a proxy answers 404 %s to every request, although Clerk answers so for a missing session',
    async (_name, fault) => {
      const { sandbox, sessionId, newRefreshToken, refresh, logout, logLines } = await newBrokerWorld()
      const refreshToken = await newRefreshToken()
      for (const path of [tokensPath(sessionId), sessionPath(sessionId), `${sessionPath(sessionId)}/revoke`]) {
        sandbox.script(path, fault)
      }
      expect(await refresh(refreshToken)).toMatchObject({ status: 502, body: { error: 'server_error' } })
      expect(logLines.at(-1)).toMatchObject({ event: 'failed', reason: 'not_from_clerk' })
      expect((await logout(refreshToken)).status).toBe(502) // and it does not claim that the session is revoked
      expect((await refresh(refreshToken)).status).toBe(200)
    },
  )

  it('Clerk issues a token for another user', async () => {
    const { sandbox, backend, sessionId, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const jwt = await backend.sessionToken(sessionId, { claims: { sub: 'user_2other' } })
    sandbox.script(tokensPath(sessionId), text(200, JSON.stringify({ object: 'token', jwt }), JSON_TYPE))
    expect(await refresh(refreshToken)).toMatchObject({ status: 502, body: { error: 'server_error' } })
    expect((await refresh(refreshToken)).status).toBe(200)
  })
})

describe('the first exchange keeps the code if', () => {
  it.each(rows.filter(({ fault }) => fault.kind !== 'drop').map((row) => [row.name, row] as const))(
    '%s',
    async (_name, row) => {
      const { fault, status, error, reason } = row
      const clock = skippingClock()
      const { sandbox, sessionId, newCode, redeem, logLines } = await newBrokerWorld({ deadlineSeconds: 1, clock })
      const { code, codeVerifier } = await newCode()
      for (const path of [sessionPath(sessionId), tokensPath(sessionId), `/v1/users/${sandbox.user.id}`]) {
        sandbox.script(path, fault)
        expect(await redeem(code, codeVerifier), path).toMatchObject({ status, body: { error } })
        expect(logLines.at(-1), path).toMatchObject({ status, reason })
        clock.skip(7)
      }
      expect((await redeem(code, codeVerifier)).status).toBe(200)
    },
  )
})

it('keeps the code if a proxy answers 404 for the session or the user', async () => {
  const { sandbox, sessionId, newCode, redeem } = await newBrokerWorld()
  const { code, codeVerifier } = await newCode()
  for (const path of [sessionPath(sessionId), `/v1/users/${sandbox.user.id}`]) {
    sandbox.script(path, text(404, '<html>not found'))
    expect((await redeem(code, codeVerifier)).status, path).toBe(502)
  }
  expect((await redeem(code, codeVerifier)).status).toBe(200)
})

describe('a handed-over session', () => {
  it.each<[string, Fault, number, string]>([
    [
      'temporarily_unavailable while Clerk’s JWKS cannot be fetched',
      { kind: 'respond', status: 500 },
      503,
      'clerk_5xx',
    ],
    [
      'server_error if Clerk rejects the secret key in the request for its JWKS',
      rejection(401, 'clerk_key_invalid'),
      500,
      'secret_key_rejected',
    ],
  ])('is answered with %s, and accepted afterwards', async (_name, fault, status, reason) => {
    const clock = new TestClock(Date.now() / 1000)
    const { sandbox, backend, sessionId, authorize, logLines } = await newBrokerWorld({ clock })
    sandbox.script('/v1/jwks', fault)
    const token = await backend.sessionToken(sessionId)
    expect((await authorize(sessionId, token)).status).toBe(status)
    expect(logLines.at(-1)).toMatchObject({ event: 'failed', reason })
    clock.advance(1)
    expect((await authorize(sessionId, token)).status).toBe(200)
  })
})
