// RFC 7009, OAuth 2.0 Token Revocation.
import { describe, expect, it } from 'vitest'
import { newWorld } from '../../support/world.ts'
import { json, REVOKE } from './support.ts'

describe('RFC 7009', () => {
  it('[7009-1] revokes by a form with the token, its hint and the client', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    await client.call('logout')
    const request = sandbox.requests.find(({ path }) => path === REVOKE)
    expect(request).toMatchObject({
      method: 'POST',
      form: { token_type_hint: 'refresh_token', client_id: sandbox.clientId },
    })
    expect(request?.form.token).toBeTruthy()
  })

  it.each([
    ['reports a revocation as confirmed after 200', { kind: 'pass' } as const, true],
    ['reports a revocation as not confirmed after 503', json(503, {}), false],
  ] as const)('[7009-2] %s, and deletes the session', async (_title, fault, revoked) => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    sandbox.script(REVOKE, fault)
    expect(await client.call('logout')).toMatchObject({ revoked })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
  })
})
