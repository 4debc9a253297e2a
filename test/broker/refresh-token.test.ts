// The broker's refresh token: what it accepts is exactly what it has issued, and no longer than allowed.
import { createHash } from 'node:crypto'
import { type CompactJWEHeaderParameters, EncryptJWT, type JWTPayload } from 'jose'
import { describe, expect, it } from 'vitest'
import { RefreshTokens } from '../../src/broker/refresh-token.ts'
import { newKey } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

const SESSION = { sessionId: 'sess_2a', userId: 'user_2ada', issuer: 'https://clerk.example.com' }
const HOUR = 3600 // s
const YEAR = 365 * 86_400 // s

function newWorld({ maxAge = HOUR } = {}) {
  const clock = new TestClock()
  const key = newKey()
  const refreshTokens = new RefreshTokens([key], maxAge, clock)
  const issue = (sessionExpiresAt = clock.now() + YEAR) => refreshTokens.issue(SESSION, sessionExpiresAt)
  return { clock, key, refreshTokens, issue }
}

const refused = (reason: string) => ({ kind: 'invalid_grant', reason })

describe('a refresh token', () => {
  it('stands for the session that it was issued for', async () => {
    const { refreshTokens, issue } = newWorld()
    expect(await refreshTokens.verify(await issue())).toEqual(SESSION)
  })

  it('is not readable without the key', async () => {
    const { issue } = newWorld()
    const parts = (await issue()).split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'))
    for (const claim of Object.values(SESSION)) expect(parts.join('\n')).not.toContain(claim)
  })

  it('expires at its maximum age', async () => {
    const { clock, refreshTokens, issue } = newWorld({ maxAge: HOUR })
    const token = await issue()
    clock.advance(HOUR - 10)
    expect(await refreshTokens.verify(token)).toEqual(SESSION)
    clock.advance(20)
    await expect(refreshTokens.verify(token)).rejects.toMatchObject(refused('refresh_token_expired'))
  })

  it('expires with its session if that ends first', async () => {
    const { clock, refreshTokens, issue } = newWorld({ maxAge: YEAR })
    const token = await issue(clock.now() + HOUR)
    clock.advance(HOUR - 10)
    expect(await refreshTokens.verify(token)).toEqual(SESSION)
    clock.advance(20)
    await expect(refreshTokens.verify(token)).rejects.toMatchObject(refused('refresh_token_expired'))
  })

  it('is accepted after its expiry if the caller allows that', async () => {
    const { clock, refreshTokens, issue } = newWorld()
    const token = await issue()
    clock.advance(YEAR)
    expect(await refreshTokens.verify(token, { allowExpired: true })).toEqual(SESSION)
  })

  it('is refused with any one byte changed', async () => {
    const { refreshTokens, issue } = newWorld()
    const parts = (await issue()).split('.').map((part) => Buffer.from(part, 'base64url'))
    for (const [index, part] of parts.entries()) {
      for (let at = 0; at < part.length; at++) {
        part[at] = Number(part[at]) ^ 1
        const changed = parts.map((bytes) => bytes.toString('base64url')).join('.')
        const outcome = refreshTokens.verify(changed)
        await expect(outcome, `byte ${at} of part ${index}`).rejects.toMatchObject({ kind: 'invalid_grant' })
        part[at] = Number(part[at]) ^ 1
      }
    }
  })

  it('is refused if it is truncated or made up', async () => {
    const { refreshTokens, issue } = newWorld()
    const token = await issue()
    for (const madeUp of [token.slice(0, -5), `${token}.`, 'abc', '....', '']) {
      await expect(refreshTokens.verify(madeUp), madeUp).rejects.toMatchObject({ kind: 'invalid_grant' })
    }
  })

  it('is refused under a key that the broker does not have', async () => {
    const { clock, issue } = newWorld()
    const other = new RefreshTokens([newKey()], HOUR, clock)
    await expect(other.verify(await issue())).rejects.toMatchObject(refused('refresh_token_unknown_key'))
  })

  it('is not issued without a key', async () => {
    const { clock } = newWorld()
    const outcome = new RefreshTokens([], HOUR, clock).issue(SESSION, clock.now() + HOUR)
    await expect(outcome).rejects.toMatchObject({ kind: 'misconfigured', reason: 'no_encryption_key' })
  })
})

describe('a JWE under the broker’s own key', () => {
  const HEADER = { alg: 'dir', enc: 'A256GCM', typ: 'cadzero-refresh+jwt' }

  /** A token under the broker's key with another header or other claims. */
  async function verifyCrafted(
    header: Partial<Record<'alg' | 'enc' | 'typ', string | undefined>>,
    claims: JWTPayload = {},
  ) {
    const { clock, key, refreshTokens } = newWorld()
    const now = clock.now()
    const right = { sid: SESSION.sessionId, sub: SESSION.userId, iss: SESSION.issuer, iat: now, exp: now + HOUR }
    const payload = Object.fromEntries(Object.entries({ ...right, ...claims }).filter(([, value]) => value !== null))
    const kid = createHash('sha256').update(key).digest('base64url').slice(0, 11)
    const protectedHeader = { ...HEADER, ...header, kid } as CompactJWEHeaderParameters
    const token = await new EncryptJWT(payload).setProtectedHeader(protectedHeader).encrypt(key)
    return await refreshTokens.verify(token)
  }

  it('is accepted if it is as the broker makes it', async () => {
    expect(await verifyCrafted({})).toEqual(SESSION)
  })

  it.each<[string, Parameters<typeof verifyCrafted>[0]]>([
    ['another typ', { typ: 'cadzero-code+jwt' }],
    ['the typ JWT', { typ: 'JWT' }],
    ['no typ', { typ: undefined }],
    ['another key management algorithm', { alg: 'A256KW' }],
    ['another content encryption algorithm', { enc: 'A128CBC-HS256' }],
  ])('is refused with %s', async (_name, header) => {
    await expect(verifyCrafted(header)).rejects.toMatchObject(refused('refresh_token_invalid'))
  })

  it.each(['sid', 'sub', 'iss', 'iat', 'exp'])('is refused without the claim %s', async (claim) => {
    await expect(verifyCrafted({}, { [claim]: null })).rejects.toMatchObject(refused('refresh_token_invalid'))
  })
})
