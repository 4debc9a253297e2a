// The only user of the session store. Invariants of what is on disk:
// - Mark before send: a refresh is noted in the session file before its token is sent, so that a crash can be told from an idle stop.
// - Nothing newer is overwritten, and another person's session is set aside first.
// - A token whose successor could not be saved is not sent, unless the disk stays shut and the access token has expired.
import type { UserDescription } from '../clerk/identity-provider.ts'
import type { Clock } from '../host/clock.ts'
import { type StoreError, storeErrorOf } from '../store/errors.ts'
import type { KeyProtection } from '../store/key.ts'
import type { Session } from '../store/session.ts'
import type { SessionStore } from '../store/store.ts'
import { SAVED, type Storage } from './state.ts'

/** A session in memory, and whether it is on disk. */
export interface Held {
  readonly session: Session
  readonly storage: Storage
}

export type Prepared =
  /** The session is on disk as it is in memory, with the mark if one was asked for. */
  | { readonly kind: 'ready'; readonly held: Held }
  /** The file could not be written. `held` says whether the session is on disk from before. */
  | { readonly kind: 'not_written'; readonly held: Held; readonly error: StoreError }
  /** The file holds a later state of this session: the one in memory is spent. */
  | { readonly kind: 'superseded'; readonly session: Session }
  /** The user has deleted the file, which means to sign out. */
  | { readonly kind: 'deleted' }

const REST_SECONDS = 10 // a full disk is not written to again for each caller whose token ages

export class SessionWriter {
  readonly #store: SessionStore
  readonly #clock: Clock
  #restUntil = 0

  constructor(store: SessionStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** The saved session; undefined if there is none. @throws StoreError */
  load(): Promise<Session | undefined> {
    return this.#store.load()
  }

  /** How the store's key is protected. Creates the key if there is none. @throws StoreError */
  keyProtection(): Promise<KeyProtection> {
    return this.#store.protection()
  }

  /** Whether the disk has just refused a mark: background refreshes wait, callers may still try. */
  get isResting(): boolean {
    return this.#clock.monotonic() < this.#restUntil
  }

  /** Saves the session, or fails: for a caller that still holds a copy of its own. @throws StoreError */
  async saveOrThrow(session: Session): Promise<void> {
    await this.#store.save(session)
  }

  /** Saves the session. Never throws: a session that cannot be saved is the only copy, and serves from memory. */
  async save(session: Session): Promise<Storage> {
    try {
      await this.saveOrThrow(session)
      return SAVED
    } catch (error) {
      return { kind: 'unsaved', problem: storeErrorOf(error).code }
    }
  }

  /** Marks on disk that a refresh is about to send the session's token. */
  async markRefreshing(held: Held): Promise<Prepared> {
    const prepared = await this.#prepare(held, { ...held.session, refreshing: true })
    this.#restUntil = prepared.kind === 'not_written' ? this.#clock.monotonic() + REST_SECONDS : 0
    return prepared
  }

  /** Saves a session that could not be saved before, unless the file has changed in the meantime. */
  async saveAgain(held: Held): Promise<Prepared> {
    return await this.#prepare(held, held.session)
  }

  /** Saves what the provider now says of the user, unless the file has changed in the meantime. */
  async describeUser(held: Held, description: UserDescription): Promise<Prepared> {
    return await this.#prepare(held, { ...held.session, ...description })
  }

  /** The later state of this session that is on disk; undefined if there is none, or if the disk does not tell. */
  async findNewer(session: Session): Promise<Session | undefined> {
    const found = await this.#store.checkFile().catch(() => undefined)
    return typeof found === 'object' && isLater(found, session) ? found : undefined
  }

  /**
   * Moves a file that could not be opened out of the way of a new session.
   * @throws StoreError, also if the file belongs to another installation
   */
  async setAside(): Promise<void> {
    await this.#store.requireOwnFile() // it may have appeared while the person signed in
    await this.#store.setAside()
  }

  /** @throws StoreError `other_installation` if the file belongs to another installation */
  async requireOwnFile(): Promise<void> {
    await this.#store.requireOwnFile()
  }

  /** Renames a file that belongs to another installation, because a person wants to go on without it. @throws StoreError */
  async setAsideOther(): Promise<void> {
    await this.#store.setAsideOther()
  }

  /** Deletes a session that has ended. Never throws: its token is worthless, and the next start finds that out. */
  async discard(): Promise<void> {
    await this.#store.remove().catch(() => undefined)
  }

  /** Deletes the session and every file that was set aside. @throws StoreError */
  async purge(): Promise<void> {
    await this.#store.purge()
  }

  /** Compares the file with what this daemon wrote last, and writes `wanted` if that is safe and needed. */
  async #prepare({ session, storage }: Held, wanted: Session): Promise<Prepared> {
    const wasSaved = storage.kind === 'saved'
    let isOnDisk = false
    try {
      const found = await this.#store.checkFile()
      if (typeof found === 'object' && isLater(found, session)) return { kind: 'superseded', session: found }
      if (found === 'gone' && wasSaved) return { kind: 'deleted' }
      isOnDisk = wasSaved && found === 'same'
      const isWritten = isOnDisk && wanted.refreshing === session.refreshing && wanted.user === session.user
      if (isWritten) return { kind: 'ready', held: { session, storage: SAVED } }
      // An older state of this session is worth nothing; another person's session may be the only copy of it.
      if (typeof found === 'object' && found.user.id !== session.user.id) await this.#store.setAside()
      await this.#store.save(wanted)
      return { kind: 'ready', held: { session: wanted, storage: SAVED } }
    } catch (error) {
      const failure = storeErrorOf(error)
      const now: Storage = isOnDisk ? SAVED : { kind: 'unsaved', problem: failure.code }
      return { kind: 'not_written', held: { session, storage: now }, error: failure }
    }
  }
}

/** Generations start again at each sign-in, so that the backup of an earlier sign-in may have the higher number. */
function isLater(found: Session, held: Session): boolean {
  const isSamePerson = found.user.id === held.user.id
  return (
    isSamePerson && found.generation > held.generation && found.accessToken.receivedAt > held.accessToken.receivedAt
  )
}
