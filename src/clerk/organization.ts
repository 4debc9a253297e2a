// The organization in which the user is active, as Clerk's tokens and its userinfo name it. For display only.
import type { Organization } from '../store/session.ts'
import { displayText } from './display-text.ts'
import { unverifiedClaims } from './jwt.ts'

/**
 * Reads the claim `o` of a session token (version 2), or `org_id` with its companions: an OAuth access token, userinfo, and
 * session tokens of version 1.
 * @returns null if the claims name no organization
 */
export function organizationOf(claims: Readonly<Record<string, unknown>>): Organization | null {
  const { o } = claims
  if (typeof o === 'object' && o !== null) {
    const { id, slg, rol } = o as Record<string, unknown>
    return organization(id, slg, rol)
  }
  return organization(claims.org_id, claims.org_slug, claims.org_role)
}

/** The organization that the access token names, if it is a JWT that names one; otherwise the known one. */
export function withTokenOrganization(known: Organization | null, accessToken: string): Organization | null {
  const named = organizationOf(unverifiedClaims(accessToken) ?? {})
  // An OAuth access token has the ID alone. Slug and role of the same organization are known from userinfo.
  return named === null || named.id === known?.id ? known : named
}

function organization(id: unknown, slug: unknown, role: unknown): Organization | null {
  const shownId = displayText(id)
  if (shownId === null) return null
  // Version 1 writes `org:admin`, version 2 `admin`.
  return { id: shownId, slug: displayText(slug), role: displayText(role)?.replace(/^org:/, '') ?? null }
}
