// When a session ends, as an OAuth token response foretells it.

// `authorization_expires_in` and `refresh_token_timeout` are of draft-ietf-oauth-refresh-token-expiration; many providers send
// `refresh_token_expires_in`, which no specification defines.
const MEMBERS = ['authorization_expires_in', 'refresh_token_expires_in', 'refresh_token_timeout'] as const
const LONGEST_SECONDS = 100 * 365 * 86_400 // a century; more is no date that a user could be told

/**
 * The earliest end that the response names, in Unix seconds; null if it names none.
 * @param now Unix seconds
 */
export function foretoldEnd(response: Readonly<Record<string, unknown>>, now: number): number | null {
  const spans = MEMBERS.map((name) => response[name]).filter(isSpan)
  return spans.length === 0 ? null : Math.floor(now + Math.min(...spans))
}

function isSpan(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= LONGEST_SECONDS // NaN is neither
}
