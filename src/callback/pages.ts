// What the callback listener says in the browser: constant bytes, made before any request is read.
import type { RefusedOutcome } from './outcome.ts'
import { type Page, page } from './page.ts'

// Every mark is a sketch of a zero: closed when all is well, open or dashed where something is missing.
const RING = '<circle class="draw" pathLength="1" cx="48" cy="48" r="30" transform="rotate(-90 48 48)"/>'

// 400 as well: what came was not taken, and the sign-in goes on waiting for what is right.
const BROKEN = '<path class="draw" pathLength="1" d="M72 30A30 30 0 1 1 66 24"/><path d="M40 40l16 16M56 40L40 56"/>'

function refused(title: string, heading: string, ...text: string[]): Page {
  return page({ status: 400, title, tone: 'stop', mark: BROKEN, heading, text })
}

const AGAIN =
  'Nothing was changed, and the sign-in goes on waiting. Use the sign-in tab or link from CADZERO once more.'

const refusedPages = {
  incomplete: refused(
    'Sign-in incomplete',
    'Something is missing.',
    'The page came back without a token, or without saying whose it is.',
    AGAIN,
  ),
  forged: refused(
    'Not from Clerk',
    'This was not signed by Clerk.',
    'The token that came back is not one that CADZERO’s Clerk has issued.',
    AGAIN,
  ),
  expired: refused(
    'Too late',
    'This came too late.',
    'The token that came back is not valid at this time. If that happens again, check that the clock of this computer is right.',
    AGAIN,
  ),
  foreign: refused(
    'From another place',
    'This belongs somewhere else.',
    'The token that came back is for another CADZERO environment, or was made for another web site.',
    AGAIN,
  ),
  mismatched: refused(
    'Not the same person',
    'This does not fit together.',
    'The token that came back belongs to another person or session than the page said.',
    AGAIN,
  ),
  unfinished: refused(
    'Account not ready',
    'Your account asks for one more thing.',
    'Clerk has not finished signing you in. Open CADZERO’s web app and do what it asks for.',
    AGAIN,
  ),
  unchecked: refused(
    'Could not be checked',
    'This could not be checked.',
    'CADZERO could not reach Clerk to check the sign-in. See that this computer is online.',
    AGAIN,
  ),
} as const satisfies Record<RefusedOutcome, Page>

export const pages = {
  signedIn: page({
    status: 200,
    title: 'Signed in',
    tone: 'done',
    mark: `${RING}<path class="draw" pathLength="1" d="M35 49l9 9 18-19"/>`,
    heading: 'You are signed in.',
    text: ['You can close this tab and go back to Fusion.'],
  }),
  denied: page({
    status: 200,
    title: 'Sign-in declined',
    tone: 'none',
    mark: `${RING}<path d="M27 69l42-42"/>`,
    heading: 'The sign-in was declined.',
    text: ['Nothing was changed.', 'To try again, go back to Fusion and start the sign-in from CADZERO.'],
  }),
  failed: page({
    status: 200,
    title: 'Sign-in not finished',
    tone: 'stop',
    mark: `<path class="draw" pathLength="1" d="M72 30A30 30 0 1 1 66 24"/><path d="M48 34v17M48 61v.01"/>`,
    heading: 'Sign-in could not be finished.',
    text: [
      'CADZERO in Fusion says why, and so does <code>cadzero-auth status</code> in a terminal.',
      'To try again, go back to Fusion and start the sign-in from CADZERO.',
    ],
  }),
  // 400: nothing has been accepted yet, and the sign-in that waits is not touched by this hit.
  interrupted: page({
    status: 400,
    title: 'One more step to sign in',
    tone: 'wait',
    mark:
      '<path class="dash" d="M48 18a30 30 0 0 0-30 30"/><path class="draw" pathLength="1" d="M48 18a30 30 0 1 1-30 30"/>' +
      '<circle class="dot" cx="48" cy="18" r="4"/><circle class="dot" cx="18" cy="48" r="4"/>',
    heading: 'One more step.',
    text: [
      'Clerk signed you in, but lost CADZERO’s sign-in request on the way. This happens once, when the browser was signed out.',
      'The sign-in is still waiting. A new tab opens by itself, once, to finish it. If none opens, use the sign-in link again.',
    ],
  }),
  wrongLink: page({
    status: 400,
    title: 'Not the link of this sign-in',
    tone: 'none',
    mark: '<circle class="dash" cx="48" cy="48" r="30"/><circle cx="72" cy="25" r="16"/>',
    heading: 'This link does not belong here.',
    text: [
      'It is not part of the sign-in that is running. Nothing was changed, and the sign-in goes on waiting.',
      'To finish it, use the latest sign-in tab or link from CADZERO.',
    ],
  }),
  ...refusedPages,
  notFound: page({
    status: 404,
    title: 'Nothing here',
    tone: 'none',
    mark: '<circle class="dash" cx="48" cy="48" r="30"/>',
    heading: 'There is nothing here.',
    text: ['You can close this tab.'],
  }),
} as const satisfies Record<string, Page>
