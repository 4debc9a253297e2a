// Looks into a JWT without believing it: for what its own issuer has just told us, or to tell a JWT from an opaque token.

/** The claims, or undefined where it is no JWT. Nothing is verified. */
export function payload(token: string): Record<string, unknown> | undefined {
  const parts = token.split('.')
  if (parts.length !== 3) return undefined
  try {
    const parsed: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'))
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
