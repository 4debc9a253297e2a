// Before a token is spent: looks whether the file is still ours, and notes in it that a refresh is under way.
import { type StoreError, storeErrorOf } from '../store/errors.ts'
import type { Session } from '../store/session.ts'
import type { SessionStore } from '../store/store.ts'

export type Kept =
  /** It is on disk as it is here. */
  | { readonly kind: 'safe'; readonly session: Session }
  /** It could not be written; `onDisk` says whether it is there all the same, from before. */
  | { readonly kind: 'unsafe'; readonly onDisk: boolean; readonly error: StoreError }
  /** The file holds a later state of it: ours is spent. */
  | { readonly kind: 'newer'; readonly session: Session }
  /** Somebody has deleted the file, and that means to sign out. */
  | { readonly kind: 'deleted' }

/**
 * Makes sure that the session is on disk. Never overwrites what is newer, or what is not ours.
 * @param onDisk whether it was there when last written; where it never was, a file that is missing was not deleted
 * @param mark whether a refresh is about to spend its token. The note is in the session file itself: what can be written
 * then can be written again when the answer comes, it fits no other session, and it goes when the next one is saved.
 */
export async function keep(store: SessionStore, held: Session, onDisk: boolean, mark: boolean): Promise<Kept> {
  let isThere = false
  try {
    const found = await store.look()
    if (typeof found === 'object' && isLater(found, held)) return { kind: 'newer', session: found }
    if (found === 'gone' && onDisk) return { kind: 'deleted' }
    isThere = onDisk && found === 'same'
    if (isThere && (!mark || held.refreshing)) return { kind: 'safe', session: held }
    // An older state of this very session is worth nothing; another's may be all that somebody has of it.
    if (typeof found === 'object' && found.user.id !== held.user.id) await store.setAside()
    const session: Session = mark ? { ...held, refreshing: true } : held
    await store.save(session)
    return { kind: 'safe', session }
  } catch (error) {
    return { kind: 'unsafe', onDisk: isThere, error: storeErrorOf(error) }
  }
}

/**
 * The session that somebody else has saved meanwhile, where the provider says that ours is spent.
 * @returns undefined where there is none, or that cannot be told
 */
export async function successor(store: SessionStore, held: Session): Promise<Session | undefined> {
  const found = await store.look().catch(() => undefined)
  return typeof found === 'object' && isLater(found, held) ? found : undefined
}

/** What is to be saved of a renewed session: the note has served. */
export function renewed({ refreshing: _, ...session }: Session, renewal: Partial<Session>): Session {
  return { ...session, ...renewal, generation: session.generation + 1 }
}

/** Generations start anew with each sign-in, so that the backup of an earlier one may have the higher number. */
function isLater(found: Session, held: Session): boolean {
  const isSamePerson = found.user.id === held.user.id
  return (
    isSamePerson && found.generation > held.generation && found.accessToken.receivedAt > held.accessToken.receivedAt
  )
}
