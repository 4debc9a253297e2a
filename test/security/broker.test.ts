// What a thief, a stranger, another account and an operator's mistake can do at the broker.
import { importJWK, type JWK, SignJWT } from 'jose'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { BrokerOptions } from '../../src/broker/broker.ts'
import { ProofKeys } from '../../src/broker/proof-keys.ts'
import { newSigningKey } from '../sandbox/keys.ts'
import {
  type BrokerResponse,
  invalidGrant,
  newBroker,
  newBrokerClient,
  newBrokerWorld,
  newKey,
  newPkce,
  PAGE_ORIGIN,
  tokensPath,
} from '../support/broker.ts'
import { newDpopKey } from '../support/dpop.ts'
import { newSandbox } from '../support/world.ts'

const YEARS = 10 * 365 * 86_400 // s
const AUDIENCE = 'https://api.example.com'
const MANY = 1000

type World = Awaited<ReturnType<typeof newBrokerWorld>>

/** Tokens of the same user that were issued for another purpose, and one that was used before. */
const misused: Readonly<Record<string, (world: World) => Promise<string>>> = {
  'a token that the broker has issued': async ({ newRefreshToken, refresh }) =>
    String((await refresh(await newRefreshToken())).body.token),
  'a token of another page': ({ backend, sessionId }) =>
    backend.sessionToken(sessionId, { azp: 'https://app.example.com' }),
  'a token without a page': ({ backend, sessionId }) => backend.sessionToken(sessionId, { azp: null }),
  'a token that an API received two minutes ago': ({ backend, sessionId }) =>
    backend.sessionToken(sessionId, { issuedSecondsAgo: 120, lifetimeSeconds: YEARS }),
  'a token from the future': ({ backend, sessionId }) =>
    backend.sessionToken(sessionId, { issuedSecondsAgo: -60, claims: { nbf: 0 } }),
  'a token with an audience': ({ backend, sessionId }) =>
    backend.sessionToken(sessionId, { claims: { aud: 'https://other.example' } }),
  'a token of a JWT template, for ten years': async ({ backend, sessionId }) => {
    backend.addTemplate('other', YEARS, { aud: 'https://other.example' })
    return await backend.sessionToken(sessionId, { template: 'other' })
  },
  'a token of a JWT template that names the session': async ({ backend, sessionId }) => {
    backend.addTemplate('with-sid', 60, { sid: sessionId })
    return await backend.sessionToken(sessionId, { template: 'with-sid' })
  },
  'a token of the user’s other session': ({ backend }) => backend.sessionToken(backend.createSession()),
  'a token that was used before': async ({ backend, sessionId, authorize }) => {
    const token = await backend.sessionToken(sessionId)
    expect((await authorize(sessionId, token)).status).toBe(200)
    return token
  },
  'a token without an id': ({ backend, sessionId }) => backend.sessionToken(sessionId, { claims: { jti: undefined } }),
  'an ID token of an OAuth client': (world) =>
    signed(world, { cat: undefined }, { aud: 'client_other', sid: undefined }),
  'an access token of an OAuth client': (world) => signed(world, { typ: 'at+jwt' }, { aud: undefined }),
  'a token without a category': (world) => signed(world, { cat: undefined }, {}),
}

/** A token under Clerk's own key, with another header and other claims. */
async function signed({ sandbox, backend, sessionId }: World, header: object, claims: object): Promise<string> {
  const { signingKey } = backend as unknown as { signingKey: { jwk: JWK } }
  const [protectedHeader, payload] = (await backend.sessionToken(sessionId)).split('.').slice(0, 2).map(decode)
  expect(payload?.iss).toBe(sandbox.issuer)
  return await new SignJWT({ ...payload, ...claims })
    .setProtectedHeader({ alg: 'RS256', ...protectedHeader, ...header })
    .sign(await importJWK(signingKey.jwk, 'RS256'))
}

const decode = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString())

describe('a token made for another user or program', () => {
  it.each(Object.entries(misused))('[H1] %s becomes neither a code nor a refresh token', async (_name, make) => {
    const world = await newBrokerWorld({ requestsPerMinute: 1000 })
    const { sessionId, authorize, exchange, backend } = world
    const token = await make(world)
    expect(await authorize(sessionId, token)).toMatchObject(invalidGrant)
    expect(await exchange(sessionId, token)).toMatchObject(invalidGrant)
    expect((await exchange(sessionId, await backend.sessionToken(sessionId))).status).toBe(200)
  })

  it('[H1] with CR, LF, TAB, a space or a letter beyond ASCII in it is refused', async () => {
    const { sessionId, backend, exchange, refresh, newRefreshToken } = await newBrokerWorld()
    const [token, refreshToken] = [await backend.sessionToken(sessionId), await newRefreshToken()]
    for (const character of ['\r', '\n', '\t', ' ', '\u00a0', 'é', '\u2028']) {
      const changed = [`${refreshToken}${character}`, refreshToken.replace('..', `.${character}.`)]
      for (const one of changed) expect(await refresh(one), JSON.stringify(character)).toMatchObject(invalidGrant)
      if (/[\r\n]/.test(character) || character > '\u00ff') continue // no header can hold it
      const { status } = await exchange(sessionId, token.replace(/.{4}$/, `${character}$&`))
      expect(status, JSON.stringify(character)).toBe(400)
    }
  })
})

describe('with an audience', () => {
  const newAudienceWorld = async (over: Partial<BrokerOptions> = {}) => {
    const world = await newBrokerWorld({ audience: AUDIENCE, ...over })
    const { backend, sessionId } = world
    backend.addTemplate('broker', 60, { aud: AUDIENCE })
    const ofPage = (session = sessionId, options = {}) =>
      backend.sessionToken(session, { template: 'broker', ...options })
    return { ...world, ofPage }
  }

  it('[H1] only the token that the page requested for the broker opens it, and no token that an API receives', async () => {
    const world = await newAudienceWorld()
    const { backend, sessionId, authorize, exchange, ofPage } = world
    backend.addTemplate('api', 60, { aud: 'https://other.example' })
    backend.addTemplate('both', 60, { aud: [AUDIENCE, 'https://other.example'] })
    const used = await ofPage()
    expect((await authorize(sessionId, used)).status).toBe(200)
    const tokens = {
      'a session token': await backend.sessionToken(sessionId),
      'a session token with the audience': await backend.sessionToken(sessionId, { claims: { aud: AUDIENCE } }),
      'another template': await backend.sessionToken(sessionId, { template: 'api' }),
      'two audiences': await backend.sessionToken(sessionId, { template: 'both' }),
      'another page': await ofPage(sessionId, { azp: 'https://app.example.com' }),
      'an old one': await ofPage(sessionId, { issuedSecondsAgo: 61, lifetimeSeconds: YEARS }),
      'a used one': used,
    }
    for (const [name, token] of Object.entries(tokens)) {
      expect(await authorize(sessionId, token), name).toMatchObject(invalidGrant)
      expect(await exchange(sessionId, token), name).toMatchObject(invalidGrant)
    }
  })

  it('[H1 H4] Clerk says whose session it is: the session of another user is not opened, and no token of it issued', async () => {
    const { backend, sandbox, authorize, redeem, exchange, ofPage } = await newAudienceWorld()
    const victim = backend.createSession({ userId: 'user_2victim' })
    const { codeVerifier, codeChallenge } = newPkce()
    const { body } = await authorize(victim, await ofPage(), { code_challenge: codeChallenge })
    expect(await redeem(body.code, codeVerifier)).toMatchObject(invalidGrant)
    expect(await exchange(victim, await ofPage())).toMatchObject(invalidGrant)
    expect(sandbox.count(tokensPath(victim))).toBe(0)
  })

  it('[H1] a token that the broker issues from the same template does not open it', async () => {
    const { sessionId, newCode, redeem, ofPage, authorize, exchange } = await newAudienceWorld({ template: 'broker' })
    expect((await newCode()).code).toBe('undefined') // newCode sends a session token
    const { body } = await exchange(sessionId, await ofPage())
    expect(await authorize(sessionId, String(body.token))).toMatchObject(invalidGrant)
    expect((await redeem('x', 'y'.repeat(43))).status).toBe(400)
  })
})

describe('a thief', () => {
  it(`[H2] with a refresh token but not its key gets nothing in ${MANY} attempts`, { timeout: 60_000 }, async () => {
    const { broker, key, newRefreshToken, options, refresh } = await newBrokerWorld({ requestsPerMinute: 1000 })
    const refreshToken = await newRefreshToken()
    const thief = newBrokerClient((request) => broker(request), options, newDpopKey())
    const [own, owner] = [await newDpopKey(), await key]
    const url = `${options.publicUrl}/api/auth/refresh`
    const seen = await owner.proof(url)
    expect((await refresh(refreshToken, { dpop: seen })).status).toBe(200)
    const { jwk } = decode(String(seen.split('.')[0]))
    const proofs = [
      async () => null,
      async () => seen, // as a proxy's log has it
      async () => await own.proof(url),
      async () => await own.proof(url, { header: { jwk } }), // names the owner's key
      async () => `${seen.split('.').slice(0, 2).join('.')}.${(await own.proof(url)).split('.')[2]}`,
      async () => await owner.proof(`${options.publicUrl}/api/auth/logout`), // of another endpoint
      async () => await owner.proof('https://evil.example/api/auth/refresh'), // given to another server
      async () => await owner.proof(url, { now: Date.now() / 1000 - 61 }), // from an old log
    ]
    const answers: BrokerResponse[] = []
    while (answers.length < MANY) {
      for (const proof of proofs) answers.push(await thief.refresh(refreshToken, { dpop: await proof() }))
    }
    const errors = new Set(answers.map(({ status, body }) => `${status} ${body.error}`))
    expect([...errors].toSorted()).toEqual(['400 invalid_dpop_proof', '400 use_dpop_nonce'])
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('[H3] who repeats a request gets nothing: proofs, codes and session tokens are used once', async () => {
    const { sessionId, backend, newCode, redeem, authorize, exchange, key, options } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    const dpop = await (await key).proof(`${options.publicUrl}/api/auth/token`)
    expect((await redeem(code, codeVerifier, { dpop })).status).toBe(200)
    expect((await redeem(code, codeVerifier, { dpop })).body.error).toBe('invalid_dpop_proof')
    expect(await redeem(code, codeVerifier)).toMatchObject(invalidGrant)
    const token = await backend.sessionToken(sessionId)
    expect((await exchange(sessionId, token)).status).toBe(200)
    expect(await exchange(sessionId, token)).toMatchObject(invalidGrant)
    expect(await authorize(sessionId, token)).toMatchObject(invalidGrant)
  })

  it('[H6] with the code of a callback, but without the verifier, gets nothing', async () => {
    const { newCode, redeem } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    for (const guess of ['a'.repeat(43), newPkce().codeVerifier, newPkce(codeVerifier).codeChallenge]) {
      expect(await redeem(code, guess)).toMatchObject(invalidGrant)
    }
    expect((await redeem(code, codeVerifier)).status).toBe(200)
  })

  it('[H7] who runs another page gets no code for a token of the listed page', async () => {
    const { backend, sessionId, authorize, broker } = await newBrokerWorld()
    const token = await backend.sessionToken(sessionId)
    for (const origin of [
      'https://evil.example',
      'null',
      `${PAGE_ORIGIN}:8443`,
      PAGE_ORIGIN.replace('https', 'http'),
    ]) {
      const { status, headers } = await authorize(sessionId, token, {}, { origin })
      expect({ status, allowed: headers.get('access-control-allow-origin') }).toEqual({ status: 400, allowed: null })
      const preflight = new Request('https://api.example.com/api/auth/code', { method: 'OPTIONS', headers: { origin } })
      expect((await broker(preflight)).headers.get('access-control-allow-origin')).toBeNull()
    }
  })
})

describe('another account, and a stranger', () => {
  it('[H4] neither lock a session that is not theirs nor get its token', async () => {
    const { backend, sandbox, sessionId, newRefreshToken, refresh, exchange, authorize } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const minted = sandbox.count(tokensPath(sessionId))
    const own = backend.createSession({ userId: 'user_2other' })
    for (let n = 0; n < 100; n++) {
      const token = await backend.sessionToken(own)
      expect((await (n % 2 === 0 ? exchange : authorize)(sessionId, token)).status).toBe(400)
    }
    expect(sandbox.count(tokensPath(sessionId))).toBe(minted)
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('[H4] an account that is over its limit leaves nothing in the memory of what was used, which others need', async () => {
    const claimed: string[] = []
    const claim = async (kind: string, id: string) => claimed.push(`${kind} ${id}`) > 0
    const world = await newBrokerWorld({ singleUse: { claim }, requestsPerMinute: 5 })
    const { newRefreshToken, newCode, refresh, redeem, logout } = world
    const refreshToken = await newRefreshToken()
    const { code, codeVerifier } = await newCode()
    for (let n = 0; n < 20; n++) {
      await refresh(refreshToken)
      await redeem(code, codeVerifier)
      await logout(refreshToken)
    }
    expect(claimed.length).toBeLessThan(12)
    expect((await refresh(refreshToken)).status).toBe(429)
  })

  it('[H4] a stranger’s own keys do not push those of the users out of the memory', async () => {
    const keep = vi.spyOn(ProofKeys.prototype, 'keep')
    onTestFinished(() => keep.mockRestore())
    const { broker, options, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const kept = keep.mock.calls.length
    const stranger = newBrokerClient((request) => broker(request), options, newDpopKey())
    expect(await stranger.redeem('eyJ.invented', 'y'.repeat(43))).toMatchObject(invalidGrant)
    expect((await stranger.refresh(refreshToken)).body.error).toBe('invalid_dpop_proof')
    expect(keep.mock.calls.length).toBe(kept)
    await refresh(refreshToken)
    expect(keep.mock.calls.length).toBe(kept + 1)
  })

  it('[H4] a repeated request costs the user whose request it was nothing', async () => {
    const { key, options, newRefreshToken, refresh } = await newBrokerWorld({ requestsPerMinute: 5 })
    const refreshToken = await newRefreshToken()
    const dpop = await (await key).proof(`${options.publicUrl}/api/auth/refresh`)
    expect((await refresh(refreshToken, { dpop })).status).toBe(200)
    for (let n = 0; n < 20; n++) expect((await refresh(refreshToken, { dpop })).body.error).toBe('invalid_dpop_proof')
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('[H5] cause no request to Clerk by invented sessions, tokens and keys, and refuse no honest request', async () => {
    const world = await newBrokerWorld({ requestsPerMinute: 1000 })
    const { sandbox, backend, sessionId, exchange, authorize, refresh, redeem, newRefreshToken } = world
    const refreshToken = await newRefreshToken()
    const stranger = await newSigningKey()
    const privateKey = await importJWK(stranger.jwk as JWK, 'RS256')
    const forge = (n: number) =>
      new SignJWT({ sid: `sess_2${n}`, sub: 'user_2', azp: PAGE_ORIGIN, jti: String(n) })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', cat: 'cl_B7d4PD111AAA', kid: `ins_2${n}` })
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(privateKey)
    const before = sandbox.requests.length
    let honest = 0
    for (let n = 0; n < 50; n++) {
      const token = await forge(n)
      await exchange(`sess_2${n}`, token)
      await authorize(`sess_2${n}`, token)
      await refresh(`${refreshToken.slice(0, -6)}AAAAAA`)
      await redeem(`eyJ.${n}`, 'y'.repeat(43))
      if (n % 10 !== 0) continue
      expect((await refresh(refreshToken)).status).toBe(200)
      expect((await exchange(sessionId, await backend.sessionToken(sessionId))).status).toBe(200)
      honest++
    }
    // One token for each refresh; a session and a token for each exchange; one more fetch of the keys at most.
    expect(sandbox.requests.length - before).toBeLessThanOrEqual(honest * 3 + 1)
  })
})

describe('an operator’s mistake', () => {
  const rows: readonly [string, (world: World) => Promise<Partial<BrokerOptions>>, number][] = [
    ['a replaced key of the broker', async () => ({ keys: [newKey()] }), 503],
    ['another list of instances', async () => ({ issuers: ['https://clerk.other.example'] }), 500],
    ['a revoked secret key', async () => ({ secretKey: 'sk_test_revoked' }), 500],
    [
      'the secret key of another instance',
      async () => {
        const other = await newSandbox()
        await other.rotateKeys() // the sandboxes of a process start with the same key
        return { secretKey: other.backend.secretKey, apiUrl: other.backend.url }
      },
      500,
    ],
    ['a template that is missing', async () => ({ template: 'misspelt' }), 500],
    ['an unreachable API', async () => ({ apiUrl: 'http://127.0.0.1:1' }), 503],
    ['another public URL', async () => ({ publicUrl: 'https://other.example' }), 400],
  ]

  it.each(rows)('[H8] %s signs no user out', async (_name, change, status) => {
    const world = await newBrokerWorld()
    const { sandbox, options, key, newRefreshToken, refresh, sessionId, backend } = world
    const refreshToken = await newRefreshToken()
    const mistaken = newBroker(sandbox, { ...options, ...(await change(world)) }, key)
    const proof = async (route: string) => await (await key).proof(`${options.publicUrl}/api/auth/${route}`)
    const refreshed = await mistaken.refresh(refreshToken, { dpop: await proof('refresh') })
    expect(refreshed.status).toBe(status)
    expect(refreshed.body.error).not.toBe('invalid_grant')
    const loggedOut = await mistaken.logout(refreshToken, { dpop: await proof('logout') })
    expect(loggedOut.body.error).not.toBe('invalid_grant')
    expect(backend.status(sessionId)).toBe(loggedOut.status === 200 ? 'revoked' : 'active')
    if (loggedOut.status !== 200) expect((await refresh(refreshToken)).status).toBe(200)
  })
})
