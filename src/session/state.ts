// The state of one profile's session, and what a caller may be given in it. Pure: no clock, no file, no provider.
import type { AuthHeader } from '../rpc/contract.ts'
import type { StoreProblem } from '../store/errors.ts'
import type { Session } from '../store/session.ts'
import type { SignedOutReason } from './errors.ts'
import {
  type Instant,
  isAgeing,
  lastsFor,
  remainingSeconds,
  type TokenLifetime,
  tokenLifetime,
} from './token-lifetime.ts'

/** Whether the session is on disk. An unsaved one serves from memory, and is saved as soon as the disk allows. */
export type Storage = { readonly kind: 'saved' } | { readonly kind: 'unsaved'; readonly problem: StoreProblem }

export const SAVED: Storage = { kind: 'saved' }

export function isSameStorage(a: Storage, b: Storage): boolean {
  return a.kind === 'unsaved' && b.kind === 'unsaved' ? a.problem === b.problem : a.kind === b.kind
}

export interface SignedIn {
  readonly kind: 'signed_in'
  readonly session: Session
  /** The same object until the next token. */
  readonly header: AuthHeader
  readonly lifetime: TokenLifetime
  /** Whether the provider can refresh this session. If not, the session ends when its token expires. */
  readonly renewable: boolean
  /** Whether a refresh was running when the previous daemon ended: its response may be lost. */
  readonly interrupted: boolean
  readonly storage: Storage
}

export type State =
  /** The store has not been read yet, or could not be read. */
  { readonly kind: 'unloaded' } | { readonly kind: 'signed_out'; readonly reason: SignedOutReason } | SignedIn

interface SignedInOptions {
  readonly renewable: boolean
  /** By default, whether the session has the mark of a refresh. */
  readonly interrupted?: boolean
  readonly storage: Storage
  readonly now: Instant
}

export function signedIn(
  session: Session,
  { renewable, interrupted = session.refreshing === true, storage, now }: SignedInOptions,
): SignedIn {
  const lifetime = tokenLifetime(session.accessToken, now)
  return {
    kind: 'signed_in',
    session,
    header: {
      headers: { Authorization: `Bearer ${session.accessToken.value}` },
      expiresAt: lifetime.expiresAt,
      refreshAt: refreshAt(lifetime, renewable, interrupted, now),
    },
    lifetime,
    renewable,
    interrupted,
    storage,
  }
}

/** When a client with a cached header should ask again, in Unix seconds: at the end if nothing can refresh the token. */
function refreshAt(lifetime: TokenLifetime, renewable: boolean, interrupted: boolean, now: Instant): number {
  if (!renewable) return lifetime.expiresAt
  return interrupted ? Math.floor(now.wall) : lifetime.refreshAt
}

export type Reading =
  | { readonly kind: 'unloaded' }
  /** The token is valid for the requested time. */
  | { readonly kind: 'valid'; readonly header: AuthHeader }
  /** The token is valid for the requested time; a refresh should start in the background. */
  | { readonly kind: 'ageing'; readonly header: AuthHeader }
  /** The token has expired, or is valid for less than the requested time: only a refresh helps. */
  | { readonly kind: 'must_refresh' }
  /** The token has expired and nothing can refresh it: the session is over. */
  | { readonly kind: 'expired' }
  | { readonly kind: 'sign_in'; readonly reason: SignedOutReason }

/** What a caller that needs a token for `minValiditySeconds` may be given. */
export function readHeader(state: State, minValiditySeconds: number, now: Instant): Reading {
  if (state.kind === 'unloaded') return { kind: 'unloaded' }
  if (state.kind === 'signed_out') return { kind: 'sign_in', reason: state.reason }
  const { session, header, lifetime, renewable, interrupted } = state
  const remaining = remainingSeconds(lifetime, now)
  if (remaining <= 0) {
    // The broker's first refresh sends the session token itself: without a refresh token it works only while that token is valid.
    return renewable && session.refreshToken !== null ? { kind: 'must_refresh' } : { kind: 'expired' }
  }
  if (!renewable) return { kind: 'valid', header } // however short: there is no better token
  if (!lastsFor(lifetime, minValiditySeconds, remaining)) return { kind: 'must_refresh' }
  // A provider that accepts an old token after a lost response does so for a short time only: it is retried at once.
  return { kind: interrupted || isAgeing(lifetime, remaining) ? 'ageing' : 'valid', header }
}
