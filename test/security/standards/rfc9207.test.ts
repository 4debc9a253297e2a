// RFC 9207, OAuth 2.0 Authorization Server Issuer Identification, and RFC 6749 section 3.1: parameters do not repeat.
import { describe, expect, it } from 'vitest'
import { newWorld } from '../../support/world.ts'
import { settled, startSignIn, TOKEN } from './support.ts'

describe('RFC 9207', () => {
  it('[9207-3] does not believe an error of another issuer', async () => {
    const { client } = await newWorld()
    const login = settled(client.call('login', { openBrowser: false }))
    const { url, redirectUri } = await startSignIn(client)
    const state = String(new URL(url).searchParams.get('state'))
    const query = new URLSearchParams({ error: 'access_denied', state, iss: 'https://evil.example' })
    await fetch(`${redirectUri}?${query}`)
    expect(await login).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
  })

  it('[9207-4] refuses a callback with a repeated code, iss or state, and keeps waiting', async () => {
    const { client, sandbox } = await newWorld()
    const { url } = await startSignIn(client)
    const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
    for (const name of ['code', 'iss', 'state']) {
      const value = String(new URL(callbackUrl).searchParams.get(name))
      for (const other of [value, 'x']) expect((await fetch(`${callbackUrl}&${name}=${other}`)).status, name).toBe(400)
    }
    expect(sandbox.count(TOKEN)).toBe(0)
    expect((await fetch(callbackUrl)).status).toBe(200)
  })
})
