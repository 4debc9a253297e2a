// One refresh of a session, from the mark on disk to the saved successor. It knows nothing of the state: it returns what happened.
import { SessionEndedError } from '../clerk/errors.ts'
import type { IdentityProvider, Renewal } from '../clerk/identity-provider.ts'
import type { Clock } from '../host/clock.ts'
import type { StoreError } from '../store/errors.ts'
import type { Session } from '../store/session.ts'
import type { SignedOutReason } from './errors.ts'
import type { Held, SessionWriter } from './session-writer.ts'
import { currentInstant, remainingSeconds, type TokenLifetime, tokenLifetime } from './token-lifetime.ts'

export type RefreshOutcome =
  | { readonly kind: 'refreshed'; readonly held: Held }
  /** The new token expired on arrival. The session is kept: its refresh token is the only good one. */
  | { readonly kind: 'unusable'; readonly held: Held }
  /** The file holds a later state of this session, saved by another daemon or restored. */
  | { readonly kind: 'superseded'; readonly session: Session }
  /** The provider says that the session is over. Its file has been deleted. */
  | { readonly kind: 'ended'; readonly reason: SignedOutReason }
  /** The user has deleted the file. */
  | { readonly kind: 'deleted' }
  /** The mark could not be written, so nothing was sent. */
  | { readonly kind: 'not_sent'; readonly held: Held; readonly error: StoreError }
  /** The provider gave no new token. The session is kept. */
  | { readonly kind: 'failed'; readonly held: Held; readonly error: unknown }

export interface RefreshParts {
  readonly provider: Pick<IdentityProvider, 'refresh'>
  readonly writer: Pick<SessionWriter, 'markRefreshing' | 'save' | 'findNewer' | 'discard'>
  readonly clock: Clock
}

/** @param held the session to refresh, with the lifetime of its current token */
export async function refreshSession(
  held: Held & { readonly lifetime: TokenLifetime },
  { provider, writer, clock }: RefreshParts,
): Promise<RefreshOutcome> {
  const prepared = await writer.markRefreshing(held)
  if (prepared.kind === 'superseded' || prepared.kind === 'deleted') return prepared
  const isExpired = remainingSeconds(held.lifetime, currentInstant(clock)) <= 0
  if (prepared.kind === 'not_written' && !isExpired) {
    return { kind: 'not_sent', held: prepared.held, error: prepared.error }
  }
  const marked = prepared.held
  let renewal: Renewal
  try {
    renewal = await provider.refresh(marked.session)
  } catch (error) {
    return error instanceof SessionEndedError
      ? await ended(marked, error, writer)
      : { kind: 'failed', held: marked, error }
  }
  const session = renewed(marked.session, renewal)
  const storage = await writer.save(session)
  const now = currentInstant(clock)
  const isUsable = remainingSeconds(tokenLifetime(session.accessToken, now), now) > 0
  return { kind: isUsable ? 'refreshed' : 'unusable', held: { session, storage } }
}

/** Another daemon may have sent this token first: then the provider rejects ours, and the session goes on in the file. */
async function ended(
  { session }: Held,
  { reason }: SessionEndedError,
  writer: RefreshParts['writer'],
): Promise<RefreshOutcome> {
  const newer = await writer.findNewer(session)
  if (newer) return { kind: 'superseded', session: newer }
  await writer.discard()
  return { kind: 'ended', reason }
}

/** The session after a refresh, without the mark. */
function renewed({ refreshing: _, ...session }: Session, renewal: Renewal): Session {
  return { ...session, ...renewal, generation: session.generation + 1 }
}
