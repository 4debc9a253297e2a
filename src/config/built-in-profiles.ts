// CADZERO's own profiles: the Clerk instance, sign-in page and backend of each environment.
import type { ProfileSettings } from './schema.ts'

const DEVELOPMENT_INSTANCE = 'https://distinct-piranha-83.clerk.accounts.dev'

// CADZERO's current pages do not return a state; a profile with another page requires one.
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
