// The pages that the callback listener shows in the browser: constant bytes, rendered before any request is read. One of them
// names the user, as the provider does.
import type { RefusedOutcome } from './outcome.ts'
import { type Content, type Page, page } from './page.ts'

// Every mark is a sketch of a zero: closed if all is well, open or dashed if something is missing.
const RING = '<circle class="draw" pathLength="1" cx="48" cy="48" r="30" transform="rotate(-90 48 48)"/>'
const BROKEN = '<path class="draw" pathLength="1" d="M72 30A30 30 0 1 1 66 24"/><path d="M40 40l16 16M56 40L40 56"/>'

const AGAIN =
  'Nothing has changed, and the sign-in is still waiting. Use the sign-in tab or the link from CADZERO again.'

/** With status 400, since the callback was not accepted and the sign-in keeps waiting. */
function refused(title: string, heading: string, reason: string): Page {
  return page({ status: 400, title, tone: 'stop', mark: BROKEN, heading, text: [reason, AGAIN] })
}

function refusedRequest(status: number, title: string, heading: string, ...text: string[]): Page {
  return page({ status, title, tone: 'stop', mark: BROKEN, heading, text })
}

const refusedPages = {
  incomplete: refused(
    'Sign-in incomplete',
    'Something is missing.',
    'The sign-in page did not send what CADZERO needs. Your CADZERO may be older than the page, or newer.',
  ),
  forged: refused(
    'Not from Clerk',
    'This was not signed by Clerk.',
    'The sign-in page sent a token that CADZERO’s Clerk has not issued.',
  ),
  expired: refused(
    'Too late',
    'This came too late.',
    'What the sign-in page sent is not valid at this time. If this happens again, check the clock of this computer.',
  ),
  wrong_audience: refused(
    'From another place',
    'This belongs somewhere else.',
    'The sign-in page sent a token for another CADZERO environment, or for another web site.',
  ),
  mismatched: refused(
    'Accounts do not match',
    'The accounts do not match.',
    'The sign-in page sent the token of another user or session than it named.',
  ),
  pending: refused(
    'Account not ready',
    'Your account is not ready yet.',
    'Clerk has not finished signing you in. Open CADZERO’s web app and complete the step that it shows.',
  ),
  unverified: refused(
    'Could not be checked',
    'The sign-in could not be checked.',
    'CADZERO could not reach Clerk. Check that this computer is online.',
  ),
} as const satisfies Record<RefusedOutcome, Page>

/** @param who an e-mail address or a name from the provider, not from a request; null if it is not known */
export function signedInPage(who: string | null): Page {
  if (who === null) return pages.signedIn
  const account = `The account is <b>${escaped(who)}</b>.`
  return page({ ...SIGNED_IN, text: [account, ...SIGNED_IN.text] })
}

/** The text as HTML (HTML section 13.3): of those that have a meaning in a text or an attribute, no character is left. */
function escaped(text: string): string {
  return text.replaceAll(/[&<>"'`]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

const SIGNED_IN: Content = {
  status: 200,
  title: 'Signed in',
  tone: 'done',
  mark: `${RING}<path class="draw" pathLength="1" d="M35 49l9 9 18-19"/>`,
  heading: 'You are signed in.',
  text: ['You can close this tab and go back to Fusion.'],
}

export const pages = {
  signedIn: page(SIGNED_IN),
  denied: page({
    status: 200,
    title: 'Sign-in declined',
    tone: 'none',
    mark: `${RING}<path d="M27 69l42-42"/>`,
    heading: 'The sign-in was declined.',
    text: ['Nothing has changed.', 'To try again, go back to Fusion and start the sign-in from CADZERO.'],
  }),
  failed: page({
    status: 200,
    title: 'Sign-in failed',
    tone: 'stop',
    mark: `<path class="draw" pathLength="1" d="M72 30A30 30 0 1 1 66 24"/><path d="M48 34v17M48 61v.01"/>`,
    heading: 'The sign-in could not be completed.',
    text: [
      'CADZERO in Fusion shows the reason, and so does <code>cadzero-auth status</code> in a terminal.',
      'To try again, go back to Fusion and start the sign-in from CADZERO.',
    ],
  }),
  // With status 400, since no callback has been accepted yet and the sign-in keeps waiting.
  interrupted: page({
    status: 400,
    title: 'One more step to sign in',
    tone: 'wait',
    mark:
      '<path class="dash" d="M48 18a30 30 0 0 0-30 30"/><path class="draw" pathLength="1" d="M48 18a30 30 0 1 1-30 30"/>' +
      '<circle class="dot" cx="48" cy="18" r="4"/><circle class="dot" cx="18" cy="48" r="4"/>',
    heading: 'One more step.',
    text: [
      'Clerk signed you in, but lost the sign-in request from CADZERO. This happens once, if the browser was signed out before.',
      'The sign-in is still waiting. A new tab opens automatically to complete it. If no tab opens, use the sign-in link again.',
    ],
  }),
  wrongLink: page({
    status: 400,
    title: 'Wrong sign-in link',
    tone: 'none',
    mark: '<circle class="dash" cx="48" cy="48" r="30"/><circle cx="72" cy="25" r="16"/>',
    heading: 'This is not the current sign-in link.',
    text: [
      'The link does not belong to the sign-in in progress. Nothing has changed, and that sign-in is still waiting.',
      'To complete it, use the latest sign-in tab or link from CADZERO.',
    ],
  }),
  ...refusedPages,
  otherUser: refusedRequest(
    403,
    'Another user',
    'This belongs to another user.',
    'A sign-in of another user of this computer waits here. Sign in from your own account of this computer.',
  ),
  outside: refusedRequest(
    403,
    'From outside',
    'This came from outside.',
    'The browser runs outside the system in which CADZERO waits, and the sign-in page proves nothing to it.',
    'Nothing has changed. Copy the address of this page, paste it into the terminal in which <code>cadzero-auth login</code> waits, and press Enter.',
  ),
  notAVisit: refusedRequest(
    403,
    'Not opened by a person',
    'A web page asked for this.',
    'Only a tab that you see can complete the sign-in, not a part of another page.',
    AGAIN,
  ),
  tooLarge: refusedRequest(
    431,
    'Request too large',
    'The browser sent too much.',
    'Its request is larger than CADZERO accepts, most likely because of cookies that other programs have set for this computer.',
    'Nothing has changed, and the sign-in is still waiting. Delete the cookies of <code>localhost</code> and <code>127.0.0.1</code>, or open the sign-in link in a private window.',
  ),
  malformed: refusedRequest(
    400,
    'Request not understood',
    'The request could not be read.',
    'What arrived is no complete HTTP request. A proxy or an extension of the browser may have changed it.',
    AGAIN,
  ),
  notFound: page({
    status: 404,
    title: 'Nothing here',
    tone: 'none',
    mark: '<circle class="dash" cx="48" cy="48" r="30"/>',
    heading: 'There is nothing here.',
    text: ['You can close this tab.'],
  }),
} as const satisfies Record<string, Page>
