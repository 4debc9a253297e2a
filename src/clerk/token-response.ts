// Repairs a token response before openid-client parses it, so that a field of no use to the daemon cannot spoil a refresh.
import type { Fetch } from '../host/network.ts'

/**
 * Keeps of a refresh response only what a refresh needs. A wrong ID token or scope must not spoil a response whose refresh
 * token is already the only valid one.
 * @param onIdToken called with the ID token that was left out
 */
export function withoutIdToken(fetch: Fetch, onIdToken: (idToken: unknown) => void): Fetch {
  return mapBody(withValidLifetime(fetch), ({ id_token, scope: _, ...rest }) => {
    onIdToken(id_token)
    return rest
  })
}

/** Drops an `expires_in` that is not a number: the lifetime is then read from the token, or assumed to be short. */
export function withValidLifetime(fetch: Fetch): Fetch {
  return mapBody(fetch, (body) => {
    const { expires_in, ...rest } = body
    if (expires_in === undefined) return body
    const lifetime = typeof expires_in === 'string' ? Number.parseFloat(expires_in) : expires_in
    const isValid = typeof lifetime === 'number' && Number.isFinite(lifetime) && lifetime >= 0
    return isValid ? { ...rest, expires_in: lifetime } : rest
  })
}

/** Maps the JSON object of a successful response. Any other response passes unchanged. */
function mapBody(fetch: Fetch, map: (body: Record<string, unknown>) => Record<string, unknown>): Fetch {
  return async (url, init) => {
    const response = await fetch(url, init)
    if (!response.ok) return response
    const body: unknown = await response
      .clone()
      .json()
      .catch(() => undefined)
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return response
    return Response.json(map(body as Record<string, unknown>), { status: response.status })
  }
}
