// RFC 9449, Demonstrating Proof of Possession: not used, and harmless if a provider asks for it.
import { describe, expect, it } from 'vitest'
import { newWorld } from '../../support/world.ts'
import { json, TOKEN } from './support.ts'

describe('RFC 9449', () => {
  it('[9449-1] sends a provider that advertises DPoP the same requests', async () => {
    const { client, sandbox, signIn } = await newWorld({ metadata: { dpop_signing_alg_values_supported: ['ES256'] } })
    await signIn()
    await client.call('refresh')
    expect(sandbox.count(TOKEN)).toBe(2)
  })

  it('[9449-2] does not repeat a refresh and stays signed in if the provider asks for a DPoP nonce', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    const before = sandbox.count(TOKEN)
    sandbox.script(TOKEN, json(400, { error: 'use_dpop_nonce' }))
    await expect(client.call('refresh')).rejects.toMatchObject({ code: 1004 })
    expect(sandbox.count(TOKEN) - before).toBe(1)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('[9449-3] does not hand out a token of another type than Bearer', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, token_type: 'DPoP' }) })
    await expect(client.call('refresh')).rejects.toMatchObject({ code: 1003, data: { reason: 'server' } })
    expect((await client.call('getAuthHeader')).headers.Authorization).toMatch(/^Bearer /)
  })

  it('[9449-4] refuses the params that a bound token would need', async () => {
    const { client } = await newWorld()
    const call = client.callAny('getAuthHeader', { method: 'GET', url: 'https://api.example.com' })
    await expect(call).rejects.toMatchObject({ code: -32602 })
  })
})
