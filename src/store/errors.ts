// The ways in which the store can fail. None of them means that the user is signed out.

export type StoreProblem =
  | 'other_installation'
  | 'other_broker'
  | 'key_locked'
  | 'key_missing'
  | 'keyring_unavailable'
  | 'wrong_passphrase'
  | 'unreadable'
  | 'newer_version'
  | 'disk_full'
  | 'read_only'

const MESSAGES: Record<StoreProblem, string> = {
  other_installation: 'the saved session belongs to another installation of cadzero-auth',
  other_broker:
    'the saved session belongs to another broker; set brokerUrl back, or sign in again (cadzero-auth login)',
  key_locked: 'the keyring that holds the store key is locked or does not respond; unlock it and try again',
  key_missing: 'the key that encrypts the saved session is gone; sign in again (cadzero-auth login) to make a new one',
  keyring_unavailable: 'this system has no usable keyring; set keyProtection to auto, keyfile or passphrase',
  wrong_passphrase:
    'the passphrase is missing or does not open the store key; set CADZERO_AUTH_PASSPHRASE, run cadzero-auth daemon --stop, and try again',
  unreadable: 'the session or its key cannot be read or written; run cadzero-auth doctor to see which file and why',
  newer_version: 'the session was saved by a newer version of cadzero-auth; use that version',
  disk_full: 'the disk is full; free some space',
  read_only: 'the session folder is not writable; check its permissions',
}

/** The store could not be used. Nothing on disk was changed. The message says what to do as well: clients show it as a hint. */
export class StoreError extends Error {
  /** @param message in place of the usual one, if more is known */
  constructor(
    readonly code: StoreProblem,
    message = MESSAGES[code],
  ) {
    super(message)
    this.name = 'StoreError'
  }
}

/** Another broker than the configured one refreshes the saved session: the configuration is to be put right. */
export class OtherBrokerError extends StoreError {
  readonly setting: string
  /** What the setting should be, or what to do. */
  readonly expected: string

  constructor(profile: string, broker: string) {
    super('other_broker')
    this.name = 'OtherBrokerError'
    this.setting = `profiles.${profile}.brokerUrl`
    this.expected = `${broker}, to which the saved session belongs; or sign in again with cadzero-auth login`
  }
}

/** The StoreError for a system error: its code tells what the user can do about it. */
export function storeErrorOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') return new StoreError('disk_full')
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return new StoreError('read_only')
  return new StoreError('unreadable')
}
