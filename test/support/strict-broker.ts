// A small broker that is strict about proofs (RFC 9449) and codes (RFC 7636): it stands in for the real one in tests of its client.
import { createHash, randomBytes } from 'node:crypto'
import { calculateJwkThumbprint, decodeProtectedHeader, EmbeddedJWK, type JWK, jwtVerify } from 'jose'
import { expect } from 'vitest'
import type { Fetch } from '../../src/host/network.ts'
import { SESSION_ID, signToken, USER_ID } from './session-token.ts'

export interface Proof {
  readonly jkt: string
  readonly htm: unknown
  readonly htu: unknown
  readonly iat: unknown
  readonly jti: string
  readonly nonce: unknown
}

/** The proof in a request, whose form and signature are right. @throws if not */
export async function proofOf(headers: Headers): Promise<Proof> {
  const text = String(headers.get('dpop'))
  const { payload, protectedHeader } = await jwtVerify(text, EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ['ES256'],
    currentDate: new Date(0), // its time is for the broker to judge
  })
  expect(Object.keys(decodeProtectedHeader(text).jwk as object).sort()).toEqual(['crv', 'kty', 'x', 'y'])
  const { htm, htu, iat, jti, nonce } = payload
  return { htm, htu, iat, jti: String(jti), nonce, jkt: await calculateJwkThumbprint(protectedHeader.jwk as JWK) }
}

export interface SeenRequest {
  readonly url: string
  readonly authorization: string | null
  readonly body: Readonly<Record<string, unknown>>
  readonly proof: Proof | undefined
}

type Respond = (request: SeenRequest) => Promise<Response> | Response | undefined

interface Code {
  readonly challenge: string
  readonly redirectUri: string
}

/** @param now Unix seconds of the tokens that it issues */
export function strictBroker(now: number) {
  const seen: SeenRequest[] = []
  const codes = new Map<string, Code>()
  /** The key of each refresh token. */
  const bound = new Map<string, string | undefined>()
  const jtis = new Set<string>()
  const script: Respond[] = []
  const state = { nonce: undefined as string | undefined, user: { id: USER_ID, email: 'ada@example.com', name: 'Ada' } }

  const refuse = (error: string, status = 400) => {
    const headers = state.nonce === undefined ? undefined : { 'dpop-nonce': state.nonce }
    return Response.json({ error }, { status, ...(headers ? { headers } : {}) })
  }

  async function grant(jkt: string | undefined, extra: object = {}): Promise<Response> {
    const refreshToken = randomBytes(16).toString('base64url')
    bound.set(refreshToken, jkt)
    return Response.json({
      token: await signToken(now, { claims: { jti: randomBytes(6).toString('hex') } }),
      expires_in: 60,
      session_id: SESSION_ID,
      refresh_token: refreshToken,
      session_expires_at: now + 86_400,
      ...extra,
    })
  }

  async function answer({ url, body, proof, authorization }: SeenRequest): Promise<Response> {
    if (proof !== undefined) {
      if (jtis.has(proof.jti) || proof.htm !== 'POST' || proof.htu !== url) return refuse('invalid_dpop_proof')
      jtis.add(proof.jti)
      if (state.nonce !== undefined && proof.nonce !== state.nonce) return refuse('use_dpop_nonce')
    }
    if (url.endsWith('/token')) {
      const code = codes.get(String(body.code))
      codes.delete(String(body.code))
      if (proof === undefined) return refuse('invalid_dpop_proof')
      const challenge = createHash('sha256').update(String(body.code_verifier)).digest('base64url')
      const isRight = code?.challenge === challenge && code.redirectUri === body.redirect_uri
      return isRight ? grant(proof.jkt, { user: state.user }) : refuse('invalid_grant')
    }
    if (authorization !== null) return proof === undefined ? refuse('invalid_dpop_proof') : grant(proof.jkt)
    const token = String(body.refresh_token)
    if (!bound.has(token)) return refuse('invalid_grant')
    const jkt = bound.get(token)
    if (jkt !== undefined && jkt !== proof?.jkt) return refuse('invalid_dpop_proof')
    return url.endsWith('/logout') ? Response.json({ revoked: true }) : grant(proof?.jkt)
  }

  const fetch: Fetch = async (url, init) => {
    const headers = new Headers((init?.headers ?? {}) as Record<string, string>)
    const request: SeenRequest = {
      url: String(url),
      authorization: headers.get('authorization'),
      body: JSON.parse(String(init?.body)),
      proof: headers.has('dpop') ? await proofOf(headers) : undefined,
    }
    seen.push(request)
    return (await script.shift()?.(request)) ?? (await answer(request))
  }
  return {
    fetch,
    seen,
    state,
    script,
    /** Issues a code as the page gets one. */
    code(challenge: string, redirectUri: string): string {
      const code = randomBytes(16).toString('base64url')
      codes.set(code, { challenge, redirectUri })
      return code
    },
    /** Issues a refresh token that is bound to no key, as version 1.0 did. */
    unboundToken(): string {
      const token = randomBytes(16).toString('base64url')
      bound.set(token, undefined)
      return token
    },
    refuse,
  }
}
