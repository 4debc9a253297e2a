// The envelope of a session: what is in its header, and which changes keep it from opening.

import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/host/random.ts'
import { readHeader, seal, unseal } from '../../src/store/envelope.ts'
import type { StoreKey } from '../../src/store/key.ts'
import { newSession } from '../support/session.ts'
import { binding, ownInstallation } from '../support/store.ts'

const newKey = (id = 'key-1'): StoreKey => ({ id, secret: systemRandom(32) })
const HEADER = {
  alg: 'dir',
  enc: 'A256GCM',
  typ: 'cadzero-session+jwe',
  version: 1,
  kid: 'key-1',
  profile: 'production',
  iss: 'https://clerk.example.com',
  client_id: 'client_1',
  installation: ownInstallation.id,
  installation_place: ownInstallation.place,
  broker: null as string | null | undefined,
}

/** An envelope as `seal` makes it, but for a change of its header or its content. */
async function sealed(key: StoreKey, change: Partial<typeof HEADER> = {}, content: unknown = newSession()) {
  return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(content)))
    .setProtectedHeader({ ...HEADER, ...change })
    .encrypt(key.secret)
}

describe('seal', () => {
  it('makes a compact JWE with version, profile, issuer, client, broker, key id and installation in its header', async () => {
    const key = newKey()
    const session = newSession()
    const envelope = await seal(session, key, binding, ownInstallation)
    expect(decodeProtectedHeader(envelope)).toEqual(HEADER)
    expect(readHeader(envelope)).toMatchObject({ version: 1, keyId: 'key-1' })
    const { plaintext } = await compactDecrypt(envelope, key.secret)
    expect(JSON.parse(new TextDecoder().decode(plaintext))).toEqual(session)
  })

  it('uses a new initialization vector for each envelope', async () => {
    const key = newKey()
    const session = newSession()
    const vectors = await Promise.all(
      Array.from({ length: 100 }, async () => (await seal(session, key, binding, ownInstallation)).split('.')[2]),
    )
    expect(new Set(vectors).size).toBe(100)
  })

  it('leaves nothing readable in the envelope', async () => {
    const session = newSession()
    const envelope = await seal(session, newKey(), binding, ownInstallation)
    for (const secret of [session.refreshToken, session.accessToken.value, 'ada@example.com']) {
      expect(envelope).not.toContain(String(secret))
      for (const part of envelope.split('.'))
        expect(Buffer.from(part, 'base64url').toString('latin1')).not.toContain(String(secret))
    }
  })
})

describe('unseal', () => {
  it('returns the session that was sealed', async () => {
    const key = newKey()
    const session = newSession({ refreshing: true, refreshToken: null, sessionId: 'sess_1' })
    expect(await unseal(await seal(session, key, binding, ownInstallation), key, binding)).toEqual(session)
    expect(await unseal(await sealed(key, {}, session), key, binding)).toEqual(session)
  })

  it('[D8] throws if any one character was changed', async () => {
    const key = newKey()
    const envelope = await seal(newSession(), key, binding, ownInstallation)
    for (let at = 0; at < envelope.length; at++) {
      const character = envelope[at] === 'A' ? 'B' : 'A'
      const changed = envelope.slice(0, at) + character + envelope.slice(at + 1)
      // The last character of a part may carry unused bits, which decode to the same bytes.
      const isSame = changed.split('.').every((part, i) => sameBytes(part, envelope.split('.')[i]))
      if (!isSame || at < envelope.indexOf('.')) {
        await expect(unseal(changed, key, binding), `character ${at}`).rejects.toThrow()
      }
    }
  })

  it('throws for another key with the same id', async () => {
    const envelope = await seal(newSession(), newKey(), binding, ownInstallation)
    await expect(unseal(envelope, newKey(), binding)).rejects.toThrow()
  })

  it.each([
    ['profile', { profile: 'staging' }],
    ['issuer', { issuer: 'https://clerk.example.org' }],
    ['client', { clientId: 'client_2' }],
    ['sign-in method', { clientId: null }],
  ])('[D8] throws for the envelope of another %s', async (_name, change) => {
    const key = newKey()
    const envelope = await seal(newSession(), key, binding, ownInstallation)
    await expect(unseal(envelope, key, { ...binding, ...change })).rejects.toThrow('another profile, issuer or client')
  })

  const withBroker = (broker: string | null) => ({ ...binding, broker })

  it('throws for the envelope of another broker, and names the setting and the broker', async () => {
    const key = newKey()
    const envelope = await seal(newSession(), key, withBroker('https://api.example.com'), ownInstallation)
    for (const other of ['https://evil.example', null]) {
      await expect(unseal(envelope, key, withBroker(other))).rejects.toMatchObject({
        code: 'other_broker',
        setting: 'profiles.production.brokerUrl',
        expected: expect.stringContaining('https://api.example.com'),
      })
    }
    expect(await unseal(envelope, key, withBroker('https://api.example.com'))).toMatchObject({ generation: 1 })
  })

  it.each([
    ['of version 1.0', undefined],
    ['without a broker', null],
  ])('opens an envelope %s for every broker', async (_name, broker) => {
    const key = newKey()
    const envelope = await sealed(key, { broker })
    expect(await unseal(envelope, key, withBroker('https://api.example.com'))).toMatchObject({ generation: 1 })
  })

  it.each([
    ['type', { typ: 'JWE' }],
    ['version', { version: 2 }],
  ])('throws for another %s', async (_name, change) => {
    const key = newKey()
    await expect(unseal(await sealed(key, change), key, binding)).rejects.toThrow('not a session envelope')
  })

  it('throws for another content encryption, although the key fits', async () => {
    const key: StoreKey = { id: 'key-1', secret: systemRandom(32) }
    const envelope = await sealed(key, { enc: 'A128CBC-HS256' })
    await expect(unseal(envelope, key, binding)).rejects.toMatchObject({
      code: 'ERR_JOSE_ALG_NOT_ALLOWED',
    })
  })

  it('throws for another key management algorithm, although the key fits', async () => {
    const key: StoreKey = { id: 'key-1', secret: systemRandom(32) }
    const envelope = await sealed(key, { alg: 'A256KW' })
    await expect(unseal(envelope, key, binding)).rejects.toMatchObject({
      code: 'ERR_JOSE_ALG_NOT_ALLOWED',
    })
  })

  it.each([
    ['an empty object', {}],
    ['a session without a user', { ...newSession(), user: undefined }],
    ['a session of generation 0', newSession({ generation: 0 })],
    ['a session with an empty refresh token', newSession({ refreshToken: '' })],
    ['a token of a negative lifetime', newSession({ accessToken: { value: 'x', receivedAt: 1, lifetime: -1 } })],
    ['a session with an empty user id', newSession({ user: { id: '', email: null, name: null } })],
  ])('throws for %s', async (_name, content) => {
    const key = newKey()
    await expect(unseal(await sealed(key, {}, content), key, binding)).rejects.toMatchObject({
      name: 'ValiError',
    })
  })
})

describe('readHeader', () => {
  it.each(['', 'hello', '....', '{}'])('throws for %j, which is no JWE', (text) => {
    expect(() => readHeader(text)).toThrow()
  })
})

function sameBytes(one: string, other = ''): boolean {
  return Buffer.from(one, 'base64url').equals(Buffer.from(other, 'base64url'))
}
