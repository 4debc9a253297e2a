// Ends the session of this computer: deletes it first, in every case, and then revokes it at the provider.
import type { IdentityProvider, Revocation } from '../clerk/identity-provider.ts'
import type { Log } from '../log/log.ts'
import type { StoreError } from '../store/errors.ts'
import type { CurrentSession } from './current-session.ts'
import type { LoginHint } from './login-hint.ts'
import type { Mutex } from './mutex.ts'
import type { SessionWriter } from './session-writer.ts'
import type { State } from './state.ts'

export interface SignOutParts {
  readonly provider: Pick<IdentityProvider, 'revoke'>
  readonly loginHint: LoginHint
  readonly writer: SessionWriter
  readonly current: CurrentSession
  readonly mutex: Mutex
  readonly log: Log
  /** Called when the session is deleted, before it is revoked. */
  readonly onSignedOut: () => void
}

/**
 * @param sessionId sign out only if this is still the session; otherwise nothing changes
 * @returns what the provider confirmed; undefined if the session was another one
 * @throws StoreError if the file could not be deleted; the session is revoked all the same
 */
export async function signOut(sessionId: string | undefined, parts: SignOutParts): Promise<Revocation | undefined> {
  const { provider, mutex, log, onSignedOut } = parts
  const deleted = await mutex.run(() => deleteSession(sessionId, parts))
  if (!deleted) return undefined
  const { before, failure } = deleted
  onSignedOut()
  const nothing = { revoked: before.kind === 'signed_out', accessTokenValidUntil: null }
  const revocation = before.kind === 'signed_in' ? await provider.revoke(before.session) : nothing
  log.info('signed_out', { revoked: revocation.revoked })
  if (failure) throw failure
  return revocation
}

/** Runs inside the mutex. */
async function deleteSession(
  sessionId: string | undefined,
  { writer, current, loginHint }: SignOutParts,
): Promise<{ readonly before: State; readonly failure: StoreError | undefined } | undefined> {
  const { state: before } = current
  if (sessionId !== undefined && !(before.kind === 'signed_in' && before.session.sessionId === sessionId)) return
  const failure = await writer.purge().then(
    () => undefined,
    (error: StoreError) => error,
  )
  await loginHint.askForAccount()
  // A file that was never read, and could not be deleted, is no sign-out: each call still says what is wrong with it.
  if (before.kind !== 'unloaded' || !failure) current.publish({ kind: 'signed_out', reason: 'signed_out' })
  return { before, failure }
}
