// Composes the identity provider of a profile: OAuth, or hand-off.
import type { CallbackAddress } from '../callback/callback-listener.ts'
import type { IdentityProvider } from '../clerk/identity-provider.ts'
import type { HandoffProfile, OAuthProfile, Profile } from '../config/profile.ts'
import type { Host } from '../host/host.ts'

const LOOPBACK_ADDRESS = { host: '127.0.0.1', path: '/callback', losesState: true } as const
const PAGE_ADDRESS = { host: 'localhost', path: '/', losesState: false } as const // CADZERO's page redirects to it

/** How the users of one profile sign in, and the address that their browser is sent back to. */
export interface SignInMethod {
  readonly provider: IdentityProvider
  readonly callbackAddress: CallbackAddress
}

export function createProvider(profile: Profile, host: Host): SignInMethod {
  const { redirectPort: port } = profile
  switch (profile.kind) {
    case 'oauth':
      return { provider: oauthProvider(profile, host), callbackAddress: { ...LOOPBACK_ADDRESS, port } }
    case 'handoff':
      return { provider: handoffProvider(profile, host), callbackAddress: { ...PAGE_ADDRESS, port } }
  }
}

// Each module is loaded at its first use: a daemon that starts with a valid token needs neither.

function oauthProvider({ issuer, clientId, scopes, signInUrl }: OAuthProfile, host: Host): IdentityProvider {
  const { fetch, clock, random } = host
  const load = once(async () => {
    const { AuthorizationServer } = await import('../clerk/authorization-server.ts')
    return new AuthorizationServer({ issuer, clientId, scopes, signInUrl, fetch, clock, random })
  })
  return {
    authorize: async (redirectUri, options) => (await load()).authorize(redirectUri, options),
    canAuthorizeDevice: async () => (await load()).canAuthorizeDevice(),
    authorizeDevice: async () => (await load()).authorizeDevice(),
    canRefresh: (session) => session.refreshToken !== null,
    refresh: async (session) => (await load()).refresh(session),
    describeUser: async (session) => (await load()).describeUser(session),
    revoke: async (session) => (await load()).revoke(session),
    retire: async (session) => (await load()).retire(session),
  }
}

function handoffProvider(profile: HandoffProfile, host: Host): IdentityProvider {
  const { issuer, signInUrl, authorizedParties, requireState, tokenInCallback } = profile
  const { fetch, clock, random, name: clientName } = host
  const brokerUrl = profile.refresh ? profile.brokerUrl : undefined
  const load = once(async () => {
    const { Handoff } = await import('../clerk/handoff.ts')
    const page = { signInUrl, authorizedParties, requireState, tokenInCallback, clientName }
    return new Handoff({ issuer, brokerUrl, ...page, fetch, clock, random })
  })
  return {
    authorize: async (redirectUri, options) => (await load()).authorize(redirectUri, options),
    canRefresh: ({ refreshToken, sessionId }) =>
      brokerUrl !== undefined && (refreshToken !== null || sessionId !== null),
    refresh: async (session) => (await load()).refresh(session),
    revoke: async (session) => (await load()).revoke(session),
    // The session belongs to the browser: it ends at a logout, not because the daemon got another one.
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
