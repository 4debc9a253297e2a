// The failures that are the daemon's own; those of the rooms below keep their own names.

export type SignedOutReason = 'signed_out' | 'session_expired' | 'session_revoked'

/** A person must sign in. */
export class InteractionRequiredError extends Error {
  constructor(readonly reason: SignedOutReason) {
    super(`sign-in needed: ${reason}`)
    this.name = 'InteractionRequiredError'
  }
}

/** The daemon is about to end. */
export class ShuttingDownError extends Error {
  constructor() {
    super('the daemon is shutting down')
    this.name = 'ShuttingDownError'
  }
}
