// Clerk session tokens that a test signs with a key of its own, and the JWKS that proves them.
import { importJWK, type JWK, SignJWT } from 'jose'
import type { Fetch } from '../../src/host/network.ts'
import { newSigningKey, type SigningKey, sharedKey } from '../sandbox/keys.ts'

export const ISSUER = 'https://clerk.example.com'
export const USER_ID = 'user_2ada'
export const SESSION_ID = 'sess_2ada'

export interface TokenContent {
  readonly header?: Readonly<Record<string, unknown>>
  /** Added to the claims of a valid token; undefined removes a claim. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly key?: SigningKey
}

/** A session token that is valid for 60 s from `now`, except for what the test changes. */
export async function signToken(now: number, { header = {}, claims = {}, key }: TokenContent = {}): Promise<string> {
  const { jwk } = key ?? (await sharedKey)
  const payload = { iss: ISSUER, sub: USER_ID, sid: SESSION_ID, iat: now, exp: now + 60, sts: 'active', ...claims }
  return await new SignJWT(JSON.parse(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: String(jwk.kid), ...header })
    .sign(await importJWK({ ...jwk, alg: String(header.alg ?? 'RS256') } as JWK))
}

/** A key that the JWKS does not contain. */
export const otherKey: Promise<SigningKey> = newSigningKey()

/** A fetch that answers every request with the JWKS, and records the URLs. `changes` apply to the key in it. */
export async function newJwksFetch(changes: object = {}): Promise<{ fetch: Fetch; requested: string[] }> {
  const { publicKey, jwk } = await sharedKey
  const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: jwk.kid, use: 'sig', alg: 'RS256', ...changes }]
  const requested: string[] = []
  const fetch: Fetch = async (url) => {
    requested.push(String(url))
    return Response.json({ keys })
  }
  return { fetch, requested }
}
