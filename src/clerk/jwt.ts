// Reads the claims of a JWT without verifying it: to tell a JWT from an opaque token, or to read what its issuer has just sent.
import { decodeJwt, type JWTPayload } from 'jose'

/** The unverified claims; undefined if the token is not a JWT. */
export function unverifiedClaims(token: string): JWTPayload | undefined {
  try {
    return decodeJwt(token)
  } catch {
    return undefined
  }
}
