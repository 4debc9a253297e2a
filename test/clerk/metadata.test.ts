// The provider's metadata: only endpoints of the configured issuer are accepted, and PKCE by S256 is required.
import { expect, test } from 'vitest'
import { checkMetadata, Metadata } from '../../src/clerk/metadata.ts'
import { type Fetch, NetworkError } from '../../src/host/network.ts'
import { TestClock } from '../support/clock.ts'

const ISSUER = 'https://clerk.example.com'

const metadata = (issuer = ISSUER) => ({
  issuer,
  authorization_endpoint: `${issuer}/oauth/authorize`,
  token_endpoint: `${issuer}/oauth/token`,
  jwks_uri: `${issuer}/.well-known/jwks.json`,
  revocation_endpoint: `${issuer}/oauth/token/revoke`,
  userinfo_endpoint: `${issuer}/oauth/userinfo`,
  device_authorization_endpoint: `${issuer}/oauth/device_authorization`,
  code_challenge_methods_supported: ['plain', 'S256'],
})

function newMetadata(fetch: Fetch) {
  const clock = new TestClock()
  let requests = 0
  const counting: Fetch = (...args) => {
    requests += 1
    return fetch(...args)
  }
  return { clock, metadata: new Metadata(ISSUER, 'client_1', counting, clock), requests: () => requests }
}

test('accepts metadata whose endpoints are at the issuer or below its host', () => {
  expect(() => checkMetadata(metadata(), ISSUER)).not.toThrow()
  const below = { ...metadata(), token_endpoint: 'https://api.clerk.example.com/token' }
  expect(() => checkMetadata(below, ISSUER)).not.toThrow()
})

test('accepts an endpoint of 2,048 characters and refuses a longer one', () => {
  const endpoint = `${ISSUER}/`.padEnd(2048, 'x')
  expect(() => checkMetadata({ ...metadata(), token_endpoint: endpoint }, ISSUER)).not.toThrow()
  expect(() => checkMetadata({ ...metadata(), token_endpoint: `${endpoint}x` }, ISSUER)).toThrow('unsafe_metadata')
})

test('accepts metadata over http at exactly the issuer’s origin', () => {
  const issuer = 'http://127.0.0.1:4000'
  expect(() => checkMetadata(metadata(issuer), issuer)).not.toThrow()
  const otherPort = { ...metadata(issuer), token_endpoint: 'http://127.0.0.1:4001/token' }
  expect(() => checkMetadata(otherPort, issuer)).toThrow('unsafe_metadata')
})

test.each(['revocation_endpoint', 'userinfo_endpoint', 'device_authorization_endpoint'])(
  'accepts metadata without %s',
  (name) => {
    expect(() => checkMetadata({ ...metadata(), [name]: undefined }, ISSUER)).not.toThrow()
  },
)

test.each(['authorization_endpoint', 'token_endpoint', 'jwks_uri'])('refuses metadata without %s', (name) => {
  expect(() => checkMetadata({ ...metadata(), [name]: undefined }, ISSUER)).toThrow('unsafe_metadata')
})

test.each(['https://evil.example', `${ISSUER}/`, `${ISSUER}:443`, 'HTTPS://clerk.example.com'])(
  'refuses the issuer %s',
  (issuer) => {
    expect(() => checkMetadata({ ...metadata(), issuer }, ISSUER)).toThrow('issuer_mismatch')
  },
)

const ENDPOINTS = ['authorization_endpoint', 'token_endpoint', 'jwks_uri', 'revocation_endpoint', 'userinfo_endpoint']
const UNSAFE = [
  'https://evil.example/path',
  'https://evilclerk.example.com/path',
  'https://clerk.example.com.evil.example/path',
  'http://clerk.example.com/path',
  'https://user@clerk.example.com/path',
  'https://:password@clerk.example.com/path',
  'https://clerk.example.com/path#fragment',
  'file:///etc/passwd',
  'javascript:alert(1)',
  '--new-window',
  '',
  `https://clerk.example.com/${'x'.repeat(2048)}`,
]
test.each(ENDPOINTS.flatMap((name) => UNSAFE.map((url) => [name, url.slice(0, 60), url])))(
  'refuses %s at %s',
  (name, _shown, url) => {
    expect(() => checkMetadata({ ...metadata(), [name]: url }, ISSUER)).toThrow('unsafe_metadata')
  },
)

test.each([[undefined], [[]], [['plain']]])('refuses the PKCE methods %j', (methods) => {
  const without = { ...metadata(), code_challenge_methods_supported: methods as string[] }
  expect(() => checkMetadata(without, ISSUER)).toThrow('pkce_unsupported')
})

test('fetches the metadata once a day', async () => {
  const { clock, metadata: cache, requests } = newMetadata(async () => Response.json(metadata()))
  expect(await cache.get()).toMatchObject({ issuer: ISSUER })
  clock.advance(24 * 3600 - 1)
  await cache.get()
  expect(requests()).toBe(1)
  clock.advance(1)
  await cache.get()
  expect(requests()).toBe(2)
})

test('does not cache metadata that it refuses', async () => {
  const bodies = [{ ...metadata(), token_endpoint: 'https://evil.example' }, metadata()]
  const { metadata: cache } = newMetadata(async () => Response.json(bodies.shift()))
  await expect(cache.get()).rejects.toMatchObject({ name: 'RejectedError', reason: 'unsafe_metadata' })
  expect(await cache.get()).toMatchObject({ issuer: ISSUER })
})

test.each<[string, Fetch, object]>([
  ['is unreachable', () => Promise.reject(new NetworkError('unreachable')), { reason: 'network' }],
  ['has the status 503', async () => new Response(null, { status: 503 }), { reason: 'server' }],
  ['has the status 404', async () => Response.json({ error: 'invalid_grant' }, { status: 404 }), { reason: 'server' }],
  ['is HTML', async () => new Response('<html>'), { reason: 'server' }],
])('is unavailable if the provider’s metadata %s', async (_name, fetch, failure) => {
  const { metadata: cache } = newMetadata(fetch)
  await expect(cache.get()).rejects.toMatchObject({ name: 'UnavailableError', ...failure })
})

test('rejects metadata that names another issuer', async () => {
  const { metadata: cache } = newMetadata(async () => Response.json(metadata('https://evil.example')))
  await expect(cache.get()).rejects.toMatchObject({ name: 'RejectedError', reason: 'issuer_mismatch' })
})
