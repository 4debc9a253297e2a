// RFC 6749, The OAuth 2.0 Authorization Framework, and RFC 6750, Bearer Token Usage.
import { describe, expect, it } from 'vitest'
import { newWorld } from '../../support/world.ts'
import { settled, TOKEN } from './support.ts'

describe('RFC 6749', () => {
  it('[6749-2] ignores unknown fields of a token response', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, unknown: { a: [1] }, __proto__x: 1 }) })
    await expect(client.call('refresh')).resolves.toMatchObject({ headers: {} })
  })
})

describe('RFC 6750', () => {
  it('[6750-1] hands out Bearer, a space and a b64token, and refuses any other access token', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    expect((await client.call('getAuthHeader')).headers.Authorization).toMatch(/^Bearer [\w.~+/-]+=*$/)
    for (const access_token of ['a b', 'a\0', 'ü', '', 'a"b', 'a,b']) {
      sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, access_token }) })
      await expect(client.call('refresh'), access_token).rejects.toMatchObject({ code: 1003 })
      sandbox.script(TOKEN, { kind: 'pass' })
      // The refresh token is spent: a strict provider ends the grant when it is sent again.
      if ((await settled(client.call('refresh'))) instanceof Error) await signIn()
    }
  })
})
