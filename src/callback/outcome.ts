// The outcomes of a callback, each of which has a page of its own.

/** The callback was refused, and the sign-in keeps waiting for another one. */
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
