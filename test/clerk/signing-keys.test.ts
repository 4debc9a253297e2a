// The keys of ID tokens are fetched when a sign-in starts, so that an outage of their address does not spend its code.
import { Configuration, getJwksCache, None } from 'openid-client'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { AuthorizationServer } from '../../src/clerk/authorization-server.ts'
import { SigningKeys } from '../../src/clerk/signing-keys.ts'
import { systemClock } from '../../src/host/clock.ts'
import { type Fetch, limitedFetch } from '../../src/host/network.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Fault } from '../sandbox/index.ts'
import { TestClock } from '../support/clock.ts'
import { newSandbox } from '../support/world.ts'

const JWKS = '/.well-known/jwks.json'
const REDIRECT_URI = 'http://127.0.0.1:9/callback'
const DOWN: Fault = { kind: 'respond', status: 503 }
const OTHER_KEY: Fault = {
  kind: 'replace',
  body: () => ({ keys: [{ kty: 'RSA', kid: 'other', n: 'AQAB', e: 'AQAB' }] }),
}

const send: Fetch = (url, init) => fetch(url, init as RequestInit)

async function newServer() {
  const sandbox = await newSandbox()
  const prefetch = vi.spyOn(SigningKeys.prototype, 'prefetch')
  onTestFinished(() => prefetch.mockRestore())
  const { issuer, clientId } = sandbox
  const server = new AuthorizationServer({
    issuer,
    clientId,
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    signInUrl: undefined,
    fetch: limitedFetch(send, systemClock),
    clock: systemClock,
    random: systemRandom,
  })
  /** Both sign-ins, from their start: the rest of each. */
  const starts = {
    'a browser': async () => {
      const { url, exchange } = await server.authorize(REDIRECT_URI)
      return async () => {
        const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
        return await exchange(new URL(callbackUrl))
      }
    },
    'another device': async () => {
      const { verificationUriComplete, poll } = await server.authorizeDevice()
      return async () => {
        await sandbox.authorizeDevice(String(verificationUriComplete))
        return await poll()
      }
    },
  }
  const start = async (kind: keyof typeof starts) => {
    const finish = await starts[kind]()
    await prefetch.mock.results[0]?.value
    return finish
  }
  return { sandbox, start }
}

describe.each(['a browser', 'another device'] as const)('a sign-in with %s', (kind) => {
  it('succeeds although the address of the keys is down once it has started', async () => {
    const { sandbox, start } = await newServer()
    const finish = await start(kind)
    sandbox.script(JWKS, DOWN, DOWN, DOWN)
    expect(await finish()).toMatchObject({ user: { id: sandbox.user.id } })
    expect(sandbox.count(JWKS)).toBe(1)
  })

  it.each([
    ['could not be fetched at its start', DOWN],
    ['have been replaced since its start', OTHER_KEY],
  ])('fetches keys again that %s', async (_name, fault) => {
    const { sandbox, start } = await newServer()
    sandbox.script(JWKS, fault)
    expect(await (await start(kind))()).toMatchObject({ user: { id: sandbox.user.id } })
    expect(sandbox.count(JWKS)).toBe(2)
  })
})

it('uses keys for ten minutes', async () => {
  const clock = new TestClock()
  const jwks = { keys: [{ kty: 'RSA', kid: 'one', n: 'AQAB', e: 'AQAB' }] }
  const keys = new SigningKeys(async () => Response.json(jwks), clock)
  const cacheOf = () => {
    const configuration = new Configuration({ issuer: 'https://clerk.example.com' }, 'client', {}, None())
    keys.giveTo(configuration)
    return getJwksCache(configuration)?.jwks
  }
  await keys.prefetch({ issuer: 'https://clerk.example.com', jwks_uri: 'https://clerk.example.com/keys' })
  clock.advance(599)
  expect(cacheOf()).toEqual(jwks)
  clock.advance(1)
  expect(cacheOf()).toBeUndefined()
})
