// The identity provider of a profile: the callback address of its kind, and which sessions it can refresh.
import { expect, test } from 'vitest'
import type { HandoffProfile, OAuthProfile } from '../../src/config/profile.ts'
import { createProvider } from '../../src/daemon/identity-providers.ts'
import { systemFiles } from '../../src/host/files.ts'
import type { Host } from '../../src/host/host.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Session } from '../../src/store/session.ts'
import { TestClock } from '../support/clock.ts'
import { directNetwork } from '../support/network.ts'

const host: Host = {
  name: 'computer',
  bootId: null,
  program: '/test/cadzero-auth',
  clock: new TestClock(),
  random: systemRandom,
  files: systemFiles,
  network: directNetwork,
  fetch: () => Promise.reject(new Error('no network here')),
  download: () => Promise.reject(new Error('no network here')),
  openBrowser: () => Promise.reject(new Error('no browser here')),
  socketOwner: () => Promise.resolve('own'),
  restrictFolder: () => Promise.resolve('own'),
}

const common = { name: 'mine', issuer: 'https://clerk.example.com', redirectPort: 0 }
const oauth: OAuthProfile = { ...common, kind: 'oauth', clientId: 'c', scopes: ['openid'], signInUrl: undefined }
const handoff: HandoffProfile = {
  ...common,
  kind: 'handoff',
  signInUrl: 'https://www.example.com/page',
  brokerUrl: 'https://api.example.com',
  refresh: true,
  authorizedParties: [],
  requireState: true,
  tokenInCallback: true,
}

const session = (refreshToken: string | null, sessionId: string | null): Session => ({
  generation: 1,
  user: { id: 'user_1', email: null, name: null },
  sessionId,
  sessionExpiresAt: null,
  accessToken: { value: 'token', receivedAt: 0, lifetime: 60 },
  refreshToken,
})

test('OAuth redirects to 127.0.0.1, and its errors may lose their state', () => {
  const { callbackAddress } = createProvider({ ...oauth, redirectPort: 34_338 }, host)
  expect(callbackAddress).toEqual({ host: '127.0.0.1', port: 34_338, path: '/callback', losesState: true })
})

test('a hand-off redirects to localhost, and never loses its state', () => {
  const { callbackAddress } = createProvider({ ...handoff, redirectPort: 8765 }, host)
  expect(callbackAddress).toEqual({ host: 'localhost', port: 8765, path: '/', losesState: false })
})

test('OAuth refreshes a session that has a refresh token', () => {
  const { provider } = createProvider(oauth, host)
  expect(provider.canRefresh(session('refresh-1', null))).toBe(true)
  expect(provider.canRefresh(session(null, 'sess_1'))).toBe(false)
})

test('a hand-off with a broker refreshes a session that has a refresh token or a session ID', () => {
  const { provider } = createProvider(handoff, host)
  expect(provider.canRefresh(session('refresh-1', null))).toBe(true)
  expect(provider.canRefresh(session(null, 'sess_1'))).toBe(true)
  expect(provider.canRefresh(session(null, null))).toBe(false)
})

test.each([
  ['without a broker', { brokerUrl: undefined }],
  ['with refresh turned off', { refresh: false }],
])('a hand-off %s refreshes nothing', async (_name, change) => {
  const { provider } = createProvider({ ...handoff, ...change }, host)
  expect(provider.canRefresh(session('refresh-1', 'sess_1'))).toBe(false)
  await expect(provider.refresh(session('refresh-1', 'sess_1'))).rejects.toMatchObject({ reason: 'session_expired' })
})

test('a hand-off session that was replaced stays alive, since it belongs to the browser', async () => {
  const { provider } = createProvider(handoff, { ...host, fetch: () => expect.fail('sends a request') })
  await provider.retire(session('refresh-1', 'sess_1'))
})
