// The only source of randomness.
import { randomBytes } from 'node:crypto'

/** Returns `size` unpredictable bytes. */
export type Random = (size: number) => Buffer

export const systemRandom: Random = (size) => randomBytes(size)

/** `size` random bytes as base64url text without padding (RFC 4648 section 5). */
export function randomText(random: Random, size: number): string {
  return random(size).toString('base64url')
}
