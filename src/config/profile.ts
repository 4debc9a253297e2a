// A profile: one Clerk instance and backend, and the one sign-in method it uses.
import { BUILT_IN_PROFILES } from './built-in-profiles.ts'
import { ConfigurationError } from './errors.ts'
import { issuerOf } from './publishable-key.ts'
import { ISSUER_RULE, type ProfileSettings } from './schema.ts'

/** Users sign in at Clerk itself, by OAuth 2.0 and OpenID Connect. */
export interface OAuthProfile {
  readonly kind: 'oauth'
  readonly name: string
  readonly issuer: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** 0 for any free port. */
  readonly redirectPort: number
  /** A page that signs the browser in first and then continues to the authorization URL. */
  readonly signInUrl: string | undefined
}

/** Users sign in at a page that hands a Clerk session token over; the broker refreshes it. */
export interface HandoffProfile {
  readonly kind: 'handoff'
  readonly name: string
  readonly issuer: string
  /** The page that hands the session over. */
  readonly signInUrl: string
  readonly brokerUrl: string | undefined
  /** If false, nothing is refreshed, and a session ends with its token. */
  readonly refresh: boolean
  /** The origins that a token's `azp` may name; empty for any. */
  readonly authorizedParties: readonly string[]
  /** Whether the page returns the state that the callback URL carries. */
  readonly requireState: boolean
  /** Whether the page may send a session token in the callback, as pages of version 1 do. */
  readonly tokenInCallback: boolean
  /** 0 for any free port. */
  readonly redirectPort: number
}

export type Profile = OAuthProfile | HandoffProfile

const PAGE_PORT = 8765 // the page of CADZERO's web app redirects to this port
const DEFAULT_SCOPES = ['openid', 'profile', 'email', 'offline_access']

/**
 * Completes the settings of a profile.
 * @param file the file that errors name
 * @returns an error if no sign-in method is configured: it concerns this profile alone, and the others still work
 * @throws ConfigurationError if any other setting is missing or wrong
 */
export function parseProfile(name: string, given: ProfileSettings, file: string): Profile | ConfigurationError {
  const settings = { ...inherited(name, given), ...given }
  const { clientId, signInUrl, brokerUrl, refresh = true, redirectPort } = settings
  const { requireState = true, tokenInCallback = true } = settings
  const issuer = settings.issuer ?? issuerOf(settings.publishableKey ?? '')
  if (issuer === undefined) throw new ConfigurationError(`profiles.${name}.issuer`, ISSUER_RULE, file)
  if (clientId !== undefined) {
    if (!refresh) {
      const expected = 'left out: with a clientId, the daemon always refreshes'
      throw new ConfigurationError(`profiles.${name}.refresh`, expected, file)
    }
    const { scopes = DEFAULT_SCOPES } = settings
    return { kind: 'oauth', name, issuer, clientId, scopes, redirectPort: redirectPort ?? 0, signInUrl }
  }
  if (signInUrl === undefined) {
    const expected = 'the page that hands the session over; or set clientId to sign in by OAuth'
    return new ConfigurationError(`profiles.${name}.signInUrl`, expected)
  }
  return {
    kind: 'handoff',
    name,
    issuer,
    signInUrl,
    brokerUrl,
    refresh,
    authorizedParties: settings.authorizedParties ?? [],
    requireState,
    tokenInCallback,
    redirectPort: redirectPort ?? PAGE_PORT,
  }
}

/**
 * The settings that a built-in profile adds to those given. The pages of one Clerk instance do not serve another, the page
 * of a hand-off does not serve OAuth, and only the built-in page may lack a state.
 */
function inherited(name: string, given: ProfileSettings): ProfileSettings {
  const builtIn = BUILT_IN_PROFILES[name] ?? {}
  if (given.issuer !== undefined || given.publishableKey !== undefined) return {}
  if (given.clientId !== undefined) return { ...builtIn, signInUrl: undefined, requireState: undefined }
  return given.signInUrl === undefined ? builtIn : { ...builtIn, requireState: undefined }
}
