// The repair of a token response: a useless field must not spoil a refresh.
import { expect, test } from 'vitest'
import { withoutIdToken, withValidLifetime } from '../../src/clerk/token-response.ts'

const URL = 'https://clerk.example.com/token'
const respond =
  (body: unknown, status = 200) =>
  async () =>
    new Response(typeof body === 'string' ? body : JSON.stringify(body), { status })

test('a refresh response keeps its tokens and loses the ID token and the scope', async () => {
  const body = { access_token: 'a', refresh_token: 'r', expires_in: 60, id_token: 'x.y.z', scope: 'email' }
  const leftOut: unknown[] = []
  const response = await withoutIdToken(respond(body), (idToken) => leftOut.push(idToken))(URL)
  expect(await response.json()).toEqual({ access_token: 'a', refresh_token: 'r', expires_in: 60 })
  expect(leftOut).toEqual(['x.y.z'])
})

test.each([
  [60, 60],
  [0, 0],
  ['3600', 3600],
  [1e12, 1e12],
  [-1, undefined],
  ['soon', undefined],
  ['Infinity', undefined],
  [[60], undefined],
  [null, undefined],
  [{}, undefined],
  [undefined, undefined],
])('expires_in %j becomes %s', async (expires_in, expected) => {
  const response = await withValidLifetime(respond({ access_token: 'a', expires_in }))(URL)
  expect(await response.json()).toEqual({
    access_token: 'a',
    ...(expected === undefined ? {} : { expires_in: expected }),
  })
})

test('keeps the status of the response', async () => {
  expect((await withoutIdToken(respond({ access_token: 'a' }, 201), () => undefined)(URL)).status).toBe(201)
})

test.each([
  ['HTML', '<html>', 200],
  ['an array', '[1]', 200],
  ['null', 'null', 200],
  ['an error', '{"error":"invalid_grant","expires_in":"soon"}', 400],
])('passes %s unchanged', async (_name, body, status) => {
  const response = await withoutIdToken(respond(body, status), () => undefined)(URL)
  expect([response.status, await response.text()]).toEqual([status, body])
})
