// The failures of this room; store and clerk have their own.

export type SignedOutReason = 'signed_out' | 'session_expired' | 'session_revoked'

/** The user must sign in. */
export class InteractionRequiredError extends Error {
  constructor(readonly reason: SignedOutReason) {
    super(`sign-in needed: ${reason}`)
    this.name = 'InteractionRequiredError'
  }
}

/** Another sign-in has replaced this one, because the user wants another account or method. Its callers wait for the new one. */
export class ReplacedError extends Error {
  constructor() {
    super('another sign-in has replaced this one')
    this.name = 'ReplacedError'
  }
}

/** The daemon is about to end. */
export class ShuttingDownError extends Error {
  constructor() {
    super('the daemon is shutting down')
    this.name = 'ShuttingDownError'
  }
}

/** The port that the profile's redirect URI names is taken, or forbidden. */
export class CallbackPortError extends Error {
  /** @param otherProfile the profile whose sign-in waits on that port; undefined if another program has it */
  constructor(
    readonly profile: string,
    readonly otherProfile?: string,
  ) {
    super('the callback port cannot be used')
    this.name = 'CallbackPortError'
  }
}
