// Requests that the broker refuses before it asks Clerk anything.
import { describe, expect, it } from 'vitest'
import { newBrokerWorld } from '../support/broker.ts'

const REFRESH = '/api/auth/refresh'
const JSON_TYPE = { 'content-type': 'application/json' }
const bearer = { authorization: 'Bearer a.b.c' }
const post = (body: string, headers = {}): RequestInit => ({
  method: 'POST',
  headers: { ...JSON_TYPE, ...headers },
  body,
})

const refused: readonly [string, string, RequestInit, number][] = [
  ['an unknown path', '/api/auth/other', post('{}'), 404],
  ['the method GET', REFRESH, { method: 'GET' }, 405],
  ['a CORS preflight', REFRESH, { method: 'OPTIONS', headers: { origin: 'https://evil.example' } }, 405],
  ['a form', REFRESH, { method: 'POST', body: new URLSearchParams({ refresh_token: 'x' }) }, 415],
  ['a truncated JSON text', REFRESH, post('{"refresh'), 400],
  ['an array', REFRESH, post('[]'), 400],
  ['null', REFRESH, post('null'), 400],
  ['an empty object', REFRESH, post('{}'), 400],
  ['a refresh token that is a number', REFRESH, post('{"refresh_token":1}'), 400],
  ['an empty refresh token', REFRESH, post('{"refresh_token":""}'), 400],
  ['a session id without a session token', REFRESH, post('{"session_id":"sess_2a"}'), 400],
  ['a session token without a session id', REFRESH, post('{}', bearer), 400],
  ['a path as session id', REFRESH, post('{"session_id":"../users"}', bearer), 400],
  ['a session id of 65 characters', REFRESH, post(`{"session_id":"sess_${'a'.repeat(65)}"}`, bearer), 400],
  ['the authorization scheme Basic', REFRESH, post('{"session_id":"sess_2a"}', { authorization: 'Basic a.b.c' }), 400],
  ['a body of 20 KB', REFRESH, post(JSON.stringify({ a: 'x'.repeat(20_000) })), 413],
]

describe('the broker', () => {
  it.each(refused)('refuses %s without a request to Clerk', async (_name, path, init, status) => {
    const { send, sandbox } = await newBrokerWorld()
    const answer = await send(path, init)
    expect(answer).toMatchObject({ status, body: { error: 'invalid_request', error_description: expect.any(String) } })
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
    expect(answer.headers.get('allow')).toBe(status === 405 ? 'POST' : null)
    expect(sandbox.requests).toEqual([])
  })

  it('does not log a failure if the client disconnects in the middle of a request', async () => {
    const { broker, logLines } = await newBrokerWorld()
    const body = new ReadableStream({ pull: (stream) => stream.error(new Error('disconnected')) })
    const init = { method: 'POST', headers: JSON_TYPE, body, duplex: 'half' }
    const response = await broker(new Request(`http://broker${REFRESH}`, init as RequestInit))
    expect(response.status).toBe(400)
    expect(logLines).toMatchObject([{ event: 'refused', status: 400, reason: 'request_aborted' }])
  })
})
