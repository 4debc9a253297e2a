// The outcomes of a callback, each of which has a page of its own.

/** The callback was refused, and the sign-in keeps waiting for another one. `session` passes the reasons of `clerk` on as these. */
export type RefusedOutcome =
  | 'incomplete'
  | 'forged'
  | 'expired'
  | 'wrong_audience'
  | 'mismatched'
  | 'pending'
  | 'unverified'

/** How a callback ended. Unless the callback was refused, the sign-in ends as well. */
export type Outcome = 'signedIn' | 'denied' | 'failed' | RefusedOutcome
