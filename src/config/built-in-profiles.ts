// CADZERO's own profiles: which Clerk instance, sign-in page and backend belong together.

/** What a profile may say in the configuration file. */
export interface ProfileSettings {
  readonly issuer?: string | undefined
  readonly publishableKey?: string | undefined
  readonly clientId?: string | undefined
  readonly scopes?: readonly string[] | undefined
  readonly redirectPort?: number | undefined
  readonly signInUrl?: string | undefined
  readonly brokerUrl?: string | undefined
  readonly authorizedParties?: readonly string[] | undefined
  readonly requireState?: boolean | undefined
  readonly refresh?: boolean | undefined
}

const DEVELOPMENT_INSTANCE = 'https://distinct-piranha-83.clerk.accounts.dev'

// CADZERO's pages as they are carry no state back. A profile that names another page has to be handed one.
export const BUILT_IN_PROFILES: Readonly<Record<string, ProfileSettings>> = {
  local: {
    issuer: DEVELOPMENT_INSTANCE,
    signInUrl: 'http://localhost:5173/sign-in',
    requireState: false,
    brokerUrl: 'http://localhost:4000',
  },
  staging: {
    issuer: DEVELOPMENT_INSTANCE,
    signInUrl: 'https://staging.cadzero.xyz/sign-in',
    requireState: false,
    brokerUrl: 'https://staging-utilities-c8p2.encr.app',
  },
  production: {
    issuer: 'https://clerk.cadzero.xyz',
    signInUrl: 'https://www.cadzero.xyz/sign-in',
    requireState: false,
    brokerUrl: 'https://prod-utilities-c8p2.encr.app',
  },
}
