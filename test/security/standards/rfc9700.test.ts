// RFC 9700, Best Current Practice for OAuth 2.0 Security, and what FAPI 2.0 says about rotation.
import { describe, expect, it } from 'vitest'
import type { RpcError } from '../../../src/rpc/contract.ts'
import { newWorld, waitUntil } from '../../support/world.ts'
import { settled, TOKEN } from './support.ts'

describe('RFC 9700', () => {
  it('[9700-5] uses the authorization code grant and the refresh token grant only', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    await client.call('refresh')
    const grants = new Set(sandbox.requests.map(({ grantType }) => grantType).filter((grant) => grant !== null))
    expect([...grants].sort()).toEqual(['authorization_code', 'refresh_token'])
    expect(sandbox.requests.find(({ path }) => path === '/oauth/authorize')?.query.response_type).toBe('code')
  })

  it('[9700-8 6750-2 OWASP-query-strings] sends no token, code or verifier in a URL', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    await client.call('refresh')
    await client.call('logout')
    expect(sandbox.requests.length).toBeGreaterThan(3)
    for (const { path, query } of sandbox.requests) {
      const names = Object.keys(query).filter((name) => /token|code$|verifier|secret/.test(name))
      expect(names, path).toEqual([])
    }
  })

  it('[9700-10] refuses an issuer without TLS', async () => {
    const { client } = await newWorld({ env: { CADZERO_AUTH_ISSUER: 'http://clerk.example.com' } })
    await expect(client.call('login')).rejects.toMatchObject({ code: 1007 })
  })

  it.each(['forgiving', 'strict'] as const)(
    '[FAPI2] retries once with the same refresh token after a lost response: a %s provider',
    async (refreshReuse) => {
      const { client, sandbox, signIn } = await newWorld({ refreshReuse })
      await signIn()
      sandbox.script(TOKEN, { kind: 'dropAfter' })
      const lost = (await settled(client.call('refresh'))) as RpcError
      expect(lost).toMatchObject({ code: 1003, data: { reason: 'network' } })
      await waitUntil(Date.now() / 1000 + Number(lost.data?.retryAfterSeconds))
      const second = await settled(client.call('refresh'))
      if (refreshReuse === 'forgiving') expect(second).toMatchObject({ headers: {} })
      else expect(second).toMatchObject({ code: 1001, data: { reason: 'session_revoked' } })
      expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
    },
  )
})
