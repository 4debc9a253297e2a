// How a callback can end, as the page that the browser sees afterwards says it.

/** The callback was refused, and the sign-in keeps waiting for another one. */
export type RefusedOutcome = 'incomplete' | 'forged' | 'expired' | 'foreign' | 'mismatched' | 'unfinished' | 'unchecked'

/** How a callback ended. Unless it was refused, the sign-in ends with it. */
export type Outcome = 'signedIn' | 'denied' | 'failed' | RefusedOutcome
