// One daemon of the fleet: the real authenticator, with the session in memory, no browser, and the model of Clerk.
import type { IdentityProvider } from '../../src/clerk/identity-provider.ts'
import { systemFiles } from '../../src/host/files.ts'
import type { Random } from '../../src/host/random.ts'
import type { Log } from '../../src/log/log.ts'
import { Authenticator } from '../../src/session/authenticator.ts'
import type { LoginHint } from '../../src/session/login-hint.ts'
import type { PromptPause } from '../../src/session/prompt-pause.ts'
import type { Session } from '../../src/store/session.ts'
import type { SessionStore } from '../../src/store/store.ts'
import { type Account, type Clerk, refreshTokenOf } from './clerk.ts'
import type { MachineClock } from './machine-clock.ts'

const nothing = () => undefined
const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
const callbackAddress = { host: '127.0.0.1', port: 0, path: '/callback', losesState: false } as const

export interface DaemonOptions {
  readonly account: Account
  readonly clerk: Clerk
  readonly clock: MachineClock
  readonly random: Random
  readonly accessToken: Session['accessToken']
  readonly onRequest: () => void
}

export function newDaemon({ account, clerk, clock, random, accessToken, onRequest }: DaemonOptions): Authenticator {
  let saved: Session | undefined = {
    generation: 1,
    user: { id: `user_${account.user}`, email: null, name: null },
    sessionId: null,
    sessionExpiresAt: null,
    accessToken,
    refreshToken: refreshTokenOf(account),
  }
  const store = {
    load: async () => saved,
    checkFile: async () => 'same' as const,
    save: async (session: Session) => {
      saved = session
    },
    remove: async () => {
      saved = undefined
    },
    purge: async () => {
      saved = undefined
    },
    setAside: async () => undefined,
    requireOwnFile: async () => undefined,
    setAsideOther: async () => undefined,
    protection: async () => 'keyfile' as const,
  } satisfies Pick<SessionStore, keyof SessionStore>
  const loginHint = {
    read: async () => ({}),
    remember: async () => undefined,
    askForAccount: async () => undefined,
    forget: async () => undefined,
  } satisfies Pick<LoginHint, keyof LoginHint>
  const promptPause = {
    load: async () => undefined,
    mayPrompt: false,
    opened: async () => undefined,
    failed: async () => undefined,
    cancelled: async () => undefined,
    settled: async () => undefined,
    end: async () => undefined,
  } satisfies Pick<PromptPause, keyof PromptPause>
  const provider: IdentityProvider = {
    authorize: () => Promise.reject(new Error('no sign-in here')),
    canRefresh: (session) => session.refreshToken !== null,
    refresh: (session) => {
      onRequest()
      return clerk.refresh(account, session.refreshToken)
    },
    revoke: async () => ({ revoked: true, accessTokenValidUntil: null }),
    retire: async () => undefined,
  }
  return new Authenticator({
    profile: 'production',
    provider,
    callbackAddress,
    callbackPorts: new Map(),
    // Casts to classes with private fields: `satisfies` above checks that no method is missing.
    store: store as unknown as SessionStore,
    loginHint: loginHint as unknown as LoginHint,
    host: {
      name: 'computer',
      bootId: null,
      program: '/simulated/cadzero-auth',
      clock,
      random,
      files: systemFiles,
      fetch: () => Promise.reject(new Error('no network here')),
      download: () => Promise.reject(new Error('no network here')),
      network: { configure: nothing, describe: async () => ({ proxy: null, certificates: [] }) },
      socketOwner: () => Promise.resolve('own'),
      restrictFolder: () => Promise.resolve('own'),
      openBrowser: () => Promise.reject(new Error('no browser here')),
    },
    log: silent,
    promptPause: promptPause as unknown as PromptPause,
    onChange: nothing,
    onExpiring: nothing,
  })
}
