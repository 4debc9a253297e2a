// What can be wrong with the store, told apart: never is any of it "signed out".

export type StoreProblem =
  | 'key_locked'
  | 'key_missing'
  | 'keyring_unavailable'
  | 'wrong_passphrase'
  | 'unreadable'
  | 'newer_version'
  | 'disk_full'
  | 'read_only'

const MESSAGES: Record<StoreProblem, string> = {
  key_locked: 'the keyring that holds the store key is locked or cannot be reached; unlock it and try again',
  key_missing: 'the key that the session was saved with is gone; sign in again (cadzero-auth login) to make a new one',
  keyring_unavailable: 'this system has no usable keyring; set keyProtection to auto, keyfile or passphrase',
  wrong_passphrase: 'the passphrase is missing or does not open the store key; set CADZERO_AUTH_PASSPHRASE',
  unreadable: 'the session or its key cannot be read or written; cadzero-auth doctor says which file and why',
  newer_version: 'the session was saved by a newer version of cadzero-auth; use that one',
  disk_full: 'the disk is full; make room',
  read_only: 'the folder of the session cannot be written; check its rights',
}

/** The store could not be used. Nothing on disk was changed. */
export class StoreError extends Error {
  constructor(readonly code: StoreProblem) {
    super(MESSAGES[code])
    this.name = 'StoreError'
  }
}

/** Names a system error of reading or writing by what a person can do about it. */
export function storeErrorOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') return new StoreError('disk_full')
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return new StoreError('read_only')
  return new StoreError('unreadable')
}
