// Chooses how people of a profile sign in: by OAuth, or by hand-off where it has no client ID.
import type { CallbackAddress } from '../callback/callback-listener.ts'
import type { IdentityProvider } from '../clerk/identity-provider.ts'
import type { Profile } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Host } from '../host/host.ts'
import type { Session } from '../store/session.ts'

const LOOPBACK_ADDRESS = { host: '127.0.0.1', path: '/callback', losesState: true } as const
const PAGE_ADDRESS = { host: 'localhost', path: '/', losesState: false } as const // what CADZERO's page knows

/** How the users of one profile sign in, and the address that their browser is sent back to. */
export interface SignInMethod {
  readonly provider: IdentityProvider
  readonly callbackAddress: CallbackAddress
}

/** @throws ConfigurationError if the profile has no sign-in method configured */
export function createProvider(profile: Profile, host: Host): SignInMethod {
  const { redirectPort: port } = profile
  return profile.clientId === null
    ? { provider: handoff(profile, host), callbackAddress: { ...PAGE_ADDRESS, port } }
    : { provider: oauth(profile, profile.clientId, host), callbackAddress: { ...LOOPBACK_ADDRESS, port } }
}

// Each is loaded at its first use: a daemon that starts with a good token needs none of it.

function oauth(profile: Profile, clientId: string, host: Host): IdentityProvider {
  const { issuer, scopes, signInUrl } = profile
  const { fetch, clock, random } = host
  const load = once(async () => {
    const { AuthorizationServer } = await import('../clerk/authorization-server.ts')
    return new AuthorizationServer({ issuer, clientId, scopes, signInUrl, fetch, clock, random })
  })
  return {
    authorize: async (redirectUri, loginHint) => (await load()).authorize(redirectUri, loginHint),
    canRefresh: (session) => session.refreshToken !== null,
    refresh: async (session) => (await load()).refresh(session),
    revoke: async (session) => (await load()).revoke(session),
    retire: async (session) => (await load()).retire(session),
  }
}

function handoff(profile: Profile, host: Host): IdentityProvider {
  const { name, issuer, signInUrl, brokerUrl, authorizedParties, requireState } = profile
  const { fetch, clock, random } = host
  if (signInUrl === undefined) {
    const expected = 'the page that hands the session over; or set clientId to sign in by OAuth'
    throw new ConfigurationError(`profiles.${name}.signInUrl`, expected)
  }
  const refreshes = profile.refresh && brokerUrl !== undefined
  const load = once(async () => {
    const { Handoff } = await import('../clerk/handoff.ts')
    const broker = refreshes ? brokerUrl : undefined
    return new Handoff({
      issuer,
      signInUrl,
      brokerUrl: broker,
      authorizedParties,
      requireState,
      fetch,
      clock,
      random,
    })
  })
  const canRefresh = ({ refreshToken, sessionId }: Session) =>
    refreshes && (refreshToken !== null || sessionId !== null)
  return {
    authorize: async (redirectUri, loginHint) => (await load()).authorize(redirectUri, loginHint),
    canRefresh,
    refresh: async (session) => (await load()).refresh(session),
    revoke: async (session) => (await load()).revoke(session),
    // The session is the browser's own, and only lent to us: it ends at a logout, not because we got another.
    retire: async () => undefined,
    adopt: async (handed) => (await load()).adopt(handed),
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
