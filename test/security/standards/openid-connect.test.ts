// OpenID Connect Core 1.0: the ID token modules of the OpenID Foundation's conformance suite for a relying party.
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../sandbox/index.ts'
import { newSigningKey, type SigningKey, sharedKey } from '../../sandbox/keys.ts'
import { newWorld } from '../../support/world.ts'
import { settled, startSignIn, TOKEN } from './support.ts'

type Claims = JWTPayload & Record<string, unknown>

/** What differs from the ID token that the provider would send. */
interface Change {
  readonly claims?: (claims: Claims) => Claims
  readonly header?: Record<string, unknown>
  readonly key?: () => Promise<SigningKey>
  /** Changes the encoded token. */
  readonly encoded?: (token: string) => string
}

const now = () => Math.floor(Date.now() / 1000)
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const payloadOf = (token: string) => token.split('.')[1]

const refused: Readonly<Record<string, Change>> = {
  'invalid-iss': { claims: (c) => ({ ...c, iss: 'https://evil.example' }) },
  'missing-iss': { claims: ({ iss: _, ...c }) => c },
  'invalid-aud': { claims: (c) => ({ ...c, aud: 'other' }) },
  'missing-aud': { claims: ({ aud: _, ...c }) => c },
  'invalid-secondary-aud': { claims: (c) => ({ ...c, aud: [String(c.aud), 'other'], azp: 'other' }) },
  'invalid-sig-rs256': { key: newSigningKey },
  'invalid-sig-hs256': { encoded: (t) => [encode({ alg: 'HS256' }), payloadOf(t), 'A'.repeat(43)].join('.') },
  'invalid-sig-es256': { encoded: (t) => [encode({ alg: 'ES256' }), payloadOf(t), 'A'.repeat(86)].join('.') },
  'idtoken-sig-none': { encoded: (t) => `${encode({ alg: 'none' })}.${payloadOf(t)}.` },
  'invalid-null-alg': { encoded: (t) => [encode({ alg: null }), payloadOf(t), t.split('.')[2]].join('.') },
  'invalid-alternate-alg': { header: { alg: 'RS512' } },
  'invalid-nonce': { claims: (c) => ({ ...c, nonce: 'other' }) },
  'missing-nonce': { claims: ({ nonce: _, ...c }) => c },
  'invalid-expired-exp': { claims: (c) => ({ ...c, exp: now() - 3600 }) },
  'missing-exp': { claims: ({ exp: _, ...c }) => c },
  'missing-iat': { claims: ({ iat: _, ...c }) => c },
  'missing-sub': { claims: ({ sub: _, ...c }) => c },
  'nbf-in-the-future': { claims: (c) => ({ ...c, nbf: now() + 3600 }) },
  'kid-unknown': { header: { kid: 'other' } },
}

const accepted: Readonly<Record<string, Change>> = {
  valid: {},
  'kid-absent-single-jwks': { header: { kid: undefined } },
  // Section 3.1.3.7: `at_hash` is optional with the code flow.
  'missing-athash': { claims: ({ at_hash: _, ...c }) => c },
  // Whether an old `iat` is acceptable is for the client to decide: `exp` rules.
  'iat-is-week-in-past': { claims: (c) => ({ ...c, iat: now() - 7 * 86_400 }) },
}

/** Signs in at a provider that sends a changed ID token; returns the outcome of `login`. */
async function signInWith({ claims = (c) => c, header = {}, key, encoded = (t) => t }: Change): Promise<unknown> {
  const { client, sandbox } = await newWorld()
  const login = settled(client.call('login', { openBrowser: false }))
  const { url } = await startSignIn(client)
  const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
  const protectedHeader = { alg: 'RS256', kid: String((await sharedKey).jwk.kid), ...header }
  const { jwk } = await (key?.() ?? sharedKey)
  const token = await new SignJWT(claims(claimsOf(sandbox, url)))
    .setProtectedHeader(protectedHeader)
    .sign(await importJWK({ ...jwk, alg: protectedHeader.alg } as JWK, protectedHeader.alg))
  sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, id_token: encoded(token) }) })
  await fetch(callbackUrl)
  return await login
}

/** The claims of the ID token that the provider would send. */
function claimsOf(sandbox: Sandbox, url: string): Claims {
  const nonce = String(new URL(url).searchParams.get('nonce'))
  const subject = { iss: sandbox.issuer, aud: sandbox.clientId, sub: sandbox.user.id }
  return { ...subject, iat: now(), exp: now() + 3600, nonce, at_hash: undefined }
}

describe('OpenID Connect', () => {
  it.each(Object.keys(refused))('[OIDC-%s] refuses the ID token', async (module) => {
    const outcome = await signInWith(refused[module] ?? {})
    expect(outcome).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
  })

  it.each(Object.keys(accepted))('[OIDC-%s] accepts the ID token', async (module) => {
    expect(await signInWith(accepted[module] ?? {})).toMatchObject({ state: 'signed_in' })
  })

  // A clock that is off makes a new token look expired, or issued in the future.
  it.each<[string, Change]>([
    ['ahead', { claims: (c) => ({ ...c, iat: now() - 840, exp: now() - 240 }) }],
    ['behind', { claims: (c) => ({ ...c, iat: now() + 240, nbf: now() + 240 }) }],
  ])('accepts the ID token if the clock is four minutes %s', async (_name, change) => {
    expect(await signInWith(change)).toMatchObject({ state: 'signed_in' })
  })

  it.each<[string, Change]>([
    ['ahead', { claims: (c) => ({ ...c, iat: now() - 960, exp: now() - 360 }) }],
    ['behind', { claims: (c) => ({ ...c, iat: now() + 360, nbf: now() + 360 }) }],
  ])('refuses the ID token if the clock is six minutes %s', async (_name, change) => {
    expect(await signInWith(change)).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
  })

  it('[OIDC-no-scope-in-token-endpoint-response] signs in if the token response has no scope', async () => {
    const { client, sandbox, signIn } = await newWorld()
    sandbox.script(TOKEN, { kind: 'replace', body: ({ scope: _, ...answer }) => answer })
    await signIn()
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })
})
