// What the doctor learns about an OAuth provider from its metadata.
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import type { NetworkFailure } from '../host/network-failure.ts'
import { RejectedError, type RejectedReason, UnavailableError, type UnavailableReason } from './errors.ts'
import { Metadata } from './metadata.ts'

export type InspectedProvider =
  | { readonly kind: 'valid'; readonly scopesSupported: readonly string[] | undefined; readonly canRevoke: boolean }
  | { readonly kind: 'unavailable'; readonly reason: UnavailableReason; readonly failure: NetworkFailure | undefined }
  | { readonly kind: 'rejected'; readonly reason: RejectedReason }

export async function inspectProvider(issuer: string, fetch: Fetch, clock: Clock): Promise<InspectedProvider> {
  try {
    const metadata = await new Metadata(issuer, 'doctor', fetch, clock).get()
    return {
      kind: 'valid',
      scopesSupported: metadata.scopes_supported,
      canRevoke: metadata.revocation_endpoint !== undefined,
    }
  } catch (error) {
    if (error instanceof UnavailableError) {
      return { kind: 'unavailable', reason: error.reason, failure: error.failure }
    }
    if (error instanceof RejectedError) return { kind: 'rejected', reason: error.reason }
    throw error
  }
}
