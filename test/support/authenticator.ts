// An authenticator on a real store, with a clock that the test moves and a scripted provider.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  AuthorizationOptions,
  Grant,
  IdentityProvider,
  Renewal,
  Revocation,
} from '../../src/clerk/identity-provider.ts'
import type { OpenBrowser } from '../../src/host/browser.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Log } from '../../src/log/log.ts'
import type { AuthHeader } from '../../src/rpc/contract.ts'
import { Authenticator } from '../../src/session/authenticator.ts'
import { LoginHint } from '../../src/session/login-hint.ts'
import { PromptPause } from '../../src/session/prompt-pause.ts'
import { keyfileProvider } from '../../src/store/key.ts'
import type { Session } from '../../src/store/session.ts'
import { SessionStore } from '../../src/store/store.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { TestClock } from './clock.ts'
import { temporaryFolder } from './folder.ts'
import { directNetwork } from './network.ts'
import { ownInstallation } from './store.ts'

export interface TestProvider extends IdentityProvider {
  /** What the next refreshes do, in order; later ones issue numbered tokens. */
  script: (() => Promise<Renewal>)[]
  refreshed: Session[]
  revoked: Session[]
  lifetime: number
  /** The options of each authorization request. */
  authorizations: AuthorizationOptions[]
  /** The `state` of the sign-in under way. */
  state: string | undefined
  /** What the next exchanges do, in order; later ones give a grant. */
  exchanges: (() => Promise<Grant>)[]
}

/** The header that a caller gets at once; undefined if it would have to wait. */
export function headerInMemory(authenticator: Authenticator): AuthHeader | undefined {
  const reading = authenticator.readHeader()
  return 'header' in reading ? reading.header : undefined
}

export async function newAuthenticator(
  options: {
    saved?: Session
    /** The folder of an earlier authenticator, for its successor. */
    home?: string
    files?: FileSystem
    clock?: TestClock
    openBrowser?: OpenBrowser
    profile?: string
    /** A fixed port for the callback. */
    port?: number
    callbackPorts?: Map<number, string>
  } = {},
) {
  const home = options.home ?? (await temporaryFolder())
  const folder = join(home, 'sessions')
  await mkdir(folder, { mode: 0o700, recursive: true })
  const clock = options.clock ?? new TestClock()
  const files = options.files ?? systemFiles
  const openStore = (installation = ownInstallation) =>
    new SessionStore({
      files,
      clock,
      folder,
      keys: new StoreKeys([keyfileProvider(systemFiles, join(home, 'store-key.jwk'), systemRandom)]),
      binding: { profile: 'test', issuer: 'https://clerk.example.com', clientId: 'client_1', broker: null },
      installation: async () => installation,
    })
  if (options.saved) await openStore().save(options.saved)

  let issued = 0
  const token = () => ({ value: `token-${++issued}`, receivedAt: clock.now(), lifetime: provider.lifetime })
  const provider: TestProvider = {
    script: [],
    refreshed: [],
    revoked: [],
    exchanges: [],
    authorizations: [],
    lifetime: 60,
    state: undefined,
    canRefresh: (session) => session.refreshToken !== null,
    async retire(session) {
      await provider.revoke(session)
    },
    async authorize(redirectUri, options = {}) {
      provider.authorizations.push(options)
      provider.state = systemRandom(32).toString('base64url')
      const grant = async (): Promise<Grant> => ({
        user: { id: 'user_2', email: null, name: null },
        sessionId: null,
        sessionExpiresAt: null,
        accessToken: token(),
        refreshToken: `refresh-${issued}`,
      })
      const exchange = () => (provider.exchanges.shift() ?? grant)()
      return { url: `http://127.0.0.1:1/authorize?redirect_uri=${redirectUri}`, state: provider.state, exchange }
    },
    async refresh(session) {
      provider.refreshed.push(session)
      const next = provider.script.shift()
      return next ? await next() : { accessToken: token(), refreshToken: `refresh-${issued}` }
    },
    async revoke(session): Promise<Revocation> {
      provider.revoked.push(session)
      return { revoked: true, accessTokenValidUntil: null }
    },
  }
  const opened: string[] = []
  const changes: string[] = []
  const told: ReturnType<Authenticator['status']>[] = []
  const expiring: { sessionExpiresAt: number; inSeconds: number }[] = []
  const logged: string[] = []
  const refused: string[] = []
  const note: Log['info'] = (event, fields) => {
    logged.push(event)
    if (event === 'callback_refused') refused.push(String(fields?.reason))
  }
  const log: Log = { debug: note, info: note, warn: note, error: note }
  const authenticator: Authenticator = new Authenticator({
    profile: options.profile ?? 'test',
    provider,
    callbackAddress: { host: '127.0.0.1', port: options.port ?? 0, path: '/callback', losesState: true },
    loginHint: new LoginHint(files, join(home, 'known-user.json')),
    callbackPorts: options.callbackPorts ?? new Map(),
    promptPause: new PromptPause({ files, clock, path: join(home, 'prompt-pause.json') }),
    store: openStore(),
    host: {
      name: 'computer',
      bootId: null,
      program: '/test/cadzero-auth',
      clock,
      random: systemRandom,
      files,
      fetch: () => Promise.reject(new Error('no network here')),
      download: () => Promise.reject(new Error('no network here')),
      network: directNetwork,
      socketOwner: () => Promise.resolve('own'),
      restrictFolder: () => Promise.resolve('own'),
      openBrowser: async (url, environment) => {
        opened.push(url)
        await options.openBrowser?.(url, environment)
      },
    },
    log,
    onChange: (status) => {
      told.push(status)
      changes.push(status.state)
    },
    onExpiring: (sessionExpiresAt, inSeconds) => void expiring.push({ sessionExpiresAt, inSeconds }),
  })
  /** Follows the redirect to the callback, as the browser does after the person has signed in. */
  const comeBack = async (query: Record<string, string> = { code: 'code' }) => {
    const redirectUri = new URL(String(authenticator.status().authorizationUrl)).searchParams.get('redirect_uri')
    const callback = new URL(String(redirectUri))
    callback.search = new URLSearchParams({ state: String(provider.state), ...query }).toString()
    return await fetch(callback)
  }
  return {
    authenticator,
    provider,
    clock,
    openStore,
    opened,
    changes,
    told,
    expiring,
    logged,
    refused,
    comeBack,
    folder,
    home,
  }
}
