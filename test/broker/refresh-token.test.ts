// The broker's refresh token: what it accepts is exactly what it has issued, and no longer than allowed.
import { createHash } from 'node:crypto'
import { type CompactJWEHeaderParameters, EncryptJWT, type JWTPayload } from 'jose'
import { describe, expect, it } from 'vitest'
import { type Grant, RefreshTokens } from '../../src/broker/refresh-token.ts'
import { Sealer } from '../../src/broker/sealed.ts'
import { newKey } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

const HOUR = 3600 // s
const YEAR = 365 * 86_400 // s
const SESSION = { sessionId: 'sess_2a', userId: 'user_2ada', issuer: 'https://clerk.example.com' }

function newWorld({ idleSeconds = HOUR, chainSeconds = YEAR } = {}) {
  const clock = new TestClock()
  const key = newKey()
  const refreshTokens = new RefreshTokens(new Sealer([key], clock), { idleSeconds, chainSeconds }, clock)
  const now = clock.now()
  const grant = { ...SESSION, jkt: 'thumbprint', startedAt: now, sessionExpiresAt: now + YEAR, sessionCheckedAt: now }
  const issue = (over: Partial<Grant> = {}) => refreshTokens.issue({ ...grant, ...over })
  return { clock, key, refreshTokens, grant, issue }
}

const refused = (reason: string) => ({ kind: 'invalid_grant', reason })

describe('a refresh token', () => {
  it('stands for the grant that it was issued for', async () => {
    const { refreshTokens, issue, grant } = newWorld()
    expect(await refreshTokens.open(await issue())).toEqual({ ...grant, expiresAt: grant.startedAt + HOUR })
    expect(await refreshTokens.open(await issue({ jkt: null }))).toMatchObject({ ...grant, jkt: null })
  })

  it('is not readable without the key', async () => {
    const { issue } = newWorld()
    const parts = (await issue()).split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'))
    for (const claim of Object.values(SESSION)) expect(parts.join('\n')).not.toContain(claim)
  })

  it('expires if it is not used', async () => {
    const { clock, refreshTokens, issue, grant } = newWorld({ idleSeconds: HOUR })
    const token = await issue()
    clock.advance(HOUR - 10)
    expect(await refreshTokens.open(token)).toMatchObject(grant)
    clock.advance(20)
    await expect(refreshTokens.open(token)).rejects.toMatchObject(refused('sealed_expired'))
  })

  it('does not end with its session: Clerk says when that has ended', async () => {
    const { clock, refreshTokens, issue } = newWorld({ idleSeconds: YEAR })
    const token = await issue({ sessionExpiresAt: clock.now() + HOUR })
    clock.advance(2 * HOUR)
    expect(await refreshTokens.open(token)).toMatchObject(SESSION)
  })

  it('ends no earlier than its issuer demands, and never later than its chain', async () => {
    const { clock, refreshTokens, grant } = newWorld({ idleSeconds: HOUR, chainSeconds: 5 * HOUR })
    const endOf = async (earliestEnd: number) =>
      (await refreshTokens.open(await refreshTokens.issue(grant, earliestEnd))).expiresAt
    expect(await endOf(clock.now() + 3 * HOUR)).toBe(clock.now() + 3 * HOUR)
    expect(await endOf(clock.now() + 9 * HOUR)).toBe(clock.now() + 5 * HOUR)
  })

  it('expires at the end of its chain, however often it was used', async () => {
    const { clock, refreshTokens, grant } = newWorld({ idleSeconds: HOUR, chainSeconds: 5 * HOUR })
    let token = await refreshTokens.issue(grant)
    for (let n = 0; n < 9; n++) {
      clock.advance(HOUR / 2)
      token = await refreshTokens.issue(await refreshTokens.open(token))
    }
    clock.advance(HOUR / 2 + 1)
    await expect(refreshTokens.open(token)).rejects.toMatchObject(refused('sealed_expired'))
  })

  it('is refused at once if the operator has shortened the chain', async () => {
    const { clock, key, issue } = newWorld()
    const token = await issue({ startedAt: clock.now() - 2 * HOUR })
    const stricter = new RefreshTokens(new Sealer([key], clock), { idleSeconds: HOUR, chainSeconds: HOUR }, clock)
    await expect(stricter.open(token)).rejects.toMatchObject(refused('chain_ended'))
  })

  it('is accepted after its expiry if the caller allows that', async () => {
    const { clock, refreshTokens, issue, grant } = newWorld()
    const token = await issue()
    clock.advance(YEAR)
    expect(await refreshTokens.open(token, { allowExpired: true })).toMatchObject(grant)
  })

  it('is refused with any one byte changed', async () => {
    const { refreshTokens, issue } = newWorld()
    const parts = (await issue()).split('.').map((part) => Buffer.from(part, 'base64url'))
    for (const [index, part] of parts.entries()) {
      for (let at = 0; at < part.length; at++) {
        part[at] = Number(part[at]) ^ 1
        const changed = parts.map((bytes) => bytes.toString('base64url')).join('.')
        const outcome = refreshTokens.open(changed)
        const kind = expect.stringMatching(/^(invalid_grant|unknown_key)$/) // unknown if the byte is one of the key id
        await expect(outcome, `byte ${at} of part ${index}`).rejects.toMatchObject({ kind })
        part[at] = Number(part[at]) ^ 1
      }
    }
  })

  it('is refused if it is truncated or made up', async () => {
    const { refreshTokens, issue } = newWorld()
    const token = await issue()
    for (const madeUp of [token.slice(0, -5), `${token}.`, 'abc', '....', '']) {
      await expect(refreshTokens.open(madeUp), madeUp).rejects.toMatchObject({ kind: 'invalid_grant' })
    }
  })

  it('is refused with white space or anything but ASCII in it', async () => {
    const { refreshTokens, issue } = newWorld()
    const token = await issue()
    for (const character of ['\n', '\r', '\t', ' ', '=', 'é', '\u2028']) {
      for (const changed of [token + character, token.replace('..', `.${character}.`), character + token]) {
        await expect(refreshTokens.open(changed)).rejects.toMatchObject(refused('sealed_malformed'))
      }
    }
  })

  it('says nothing of its session under a key that the broker does not have', async () => {
    const { clock, issue } = newWorld()
    const limits = { idleSeconds: HOUR, chainSeconds: YEAR }
    const other = new RefreshTokens(new Sealer([newKey()], clock), limits, clock)
    await expect(other.open(await issue())).rejects.toMatchObject({ kind: 'unknown_key', status: 503 })
  })

  it('needs a key', () => {
    expect(() => new Sealer([], new TestClock())).toThrow(TypeError)
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
    return await refreshTokens.open(token)
  }

  it('is accepted if it is as the broker makes it', async () => {
    expect(await verifyCrafted({})).toMatchObject(SESSION)
  })

  it.each<[string, Parameters<typeof verifyCrafted>[0]]>([
    ['the typ of a code', { typ: 'cadzero-code+jwt' }],
    ['the typ JWT', { typ: 'JWT' }],
    ['no typ', { typ: undefined }],
    ['another content encryption algorithm', { enc: 'A128CBC-HS256' }],
  ])('is refused with %s', async (_name, header) => {
    await expect(verifyCrafted(header)).rejects.toMatchObject(refused('sealed_invalid'))
  })

  it('is refused with another key management algorithm', async () => {
    await expect(verifyCrafted({ alg: 'A256KW' })).rejects.toMatchObject(refused('sealed_malformed'))
  })

  it.each(['sid', 'sub', 'iss', 'iat', 'exp'])('is refused without the claim %s', async (claim) => {
    await expect(verifyCrafted({}, { [claim]: null })).rejects.toMatchObject(refused('sealed_invalid'))
  })
})
