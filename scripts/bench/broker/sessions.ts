// Sessions with a broker whose key is known: their refresh tokens, and proofs as a client makes them.
import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { RefreshTokens } from '../../../src/broker/refresh-token.ts'
import { Sealer } from '../../../src/broker/sealed.ts'
import { systemClock } from '../../../src/host/clock.ts'

export interface BenchSession {
  readonly sessionId: string
  readonly refreshToken: string
  /** A DPoP proof (RFC 9449), valid for a minute and once. */
  proof(url: string): string
}

const WEEK = 7 * 86_400 // s

/**
 * @param key the broker's own
 * @param keyPairs how many the sessions have among them: to make one costs more than a refresh
 * @param first the number of the first session
 */
export async function newSessions(
  count: number,
  key: Uint8Array,
  issuer: string,
  keyPairs: number,
  first = 0,
): Promise<readonly BenchSession[]> {
  const tokens = new RefreshTokens(
    new Sealer([key], systemClock),
    { idleSeconds: WEEK, chainSeconds: WEEK },
    systemClock,
  )
  const signers = Array.from({ length: Math.min(count, keyPairs) }, newSigner)
  const now = systemClock.now()
  return await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const { jkt, proof } = signers[n % signers.length] as ReturnType<typeof newSigner>
      const sessionId = `sess_bench${first + n}`
      const times = { startedAt: now, sessionExpiresAt: now + WEEK, sessionCheckedAt: now }
      const grant = { sessionId, userId: `user_bench${first + n}`, issuer, jkt, ...times }
      return { sessionId, refreshToken: await tokens.issue(grant), proof }
    }),
  )
}

function newSigner() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' })
  const jwk = { kty, crv, x, y }
  const jkt = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
  const head = encode({ alg: 'ES256', typ: 'dpop+jwt', jwk })
  return { jkt, proof: (url: string) => proofOf(privateKey, head, url) }
}

function proofOf(key: KeyObject, head: string, url: string): string {
  const iat = Math.floor(Date.now() / 1000)
  const text = `${head}.${encode({ jti: randomUUID(), htm: 'POST', htu: url, iat })}`
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
