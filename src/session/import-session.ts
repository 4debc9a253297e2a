// Takes over what an older add-in kept: its session if the token is still valid, otherwise only its user.
import { CallbackRefusedError, SignInError } from '../clerk/errors.ts'
import type { Grant, HandedOver, IdentityProvider } from '../clerk/identity-provider.ts'
import { storeErrorOf } from '../store/errors.ts'
import type { CurrentSession } from './current-session.ts'
import type { LoginHint } from './login-hint.ts'
import type { SessionWriter } from './session-writer.ts'
import { SAVED } from './state.ts'

export interface ImportParts {
  readonly provider: IdentityProvider
  readonly loginHint: LoginHint
  readonly writer: SessionWriter
  readonly current: CurrentSession
}

/**
 * Runs inside the mutex.
 * @returns what was taken over; `nothing` if a user is signed in already
 * @throws SignInError if Clerk did not issue the token to this user; UnavailableError, StoreError
 */
export async function importSession(
  handed: HandedOver,
  { provider, loginHint, writer, current }: ImportParts,
): Promise<'session' | 'user' | 'nothing'> {
  current.endIfOver()
  if (current.state.kind === 'signed_in') return 'nothing'
  const grant = await adopt(provider, handed)
  if (grant) {
    const session = { ...grant, generation: 1 }
    await writer.saveOrThrow(session) // the caller deletes its own copy after this
    await loginHint.forget()
    current.publish(current.signedIn(session, SAVED))
    return 'session'
  }
  if (handed.user.email === null) return 'nothing'
  await loginHint.remember(handed.user).catch((error: unknown) => {
    throw storeErrorOf(error)
  })
  return 'user'
}

/** The session that a handed-over token stands for; undefined if the token has expired and only names its user. */
async function adopt(provider: IdentityProvider, handed: HandedOver): Promise<Grant | undefined> {
  try {
    return await provider.adopt?.(handed)
  } catch (error) {
    if (!(error instanceof CallbackRefusedError)) throw error
    if (error.reason === 'expired') return undefined
    throw new SignInError('invalid_response')
  }
}
