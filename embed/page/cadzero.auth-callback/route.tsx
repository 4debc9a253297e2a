// The page of the hand-off: once the user agrees, it sends a code for their Clerk session to the program on this computer.
import { useClerk, useSession } from '@clerk/react'
import { type ReactNode, useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { type CodeResult, type HandOff, type Refusal, readHandOff, requestCode, resultUrl } from './hand-off'
import { BROKER_URL, TOKEN_TEMPLATE } from './settings'

const PROGRAM = 'CADZERO for Fusion 360'
const LOAD_TIMEOUT = 15_000 // ms, as long as Clerk's loader waits for its script

const REFUSALS: Readonly<Record<Refusal, string>> = {
  missing: 'This address does not name the program that asks for the sign-in.',
  repeated: 'This address names more than one program. Nothing was sent.',
  unsafe: 'This address would send your sign-in to an address other than CADZERO on this computer. Nothing was sent.',
  outdated: 'The program that asks for the sign-in is too old for this page. Update CADZERO, then sign in again.',
}

/** The route's component. It has no props and must be rendered inside the app's `<ClerkProvider>`. */
export default function AuthCallback() {
  const search = useSyncExternalStore(neverChanges, readSearch, readNothing)
  const isFramed = useSyncExternalStore(neverChanges, readFramed, readNothing)
  useNoReferrer()
  useReloadOnReturn()
  if (search === null) return <Waiting />
  if (isFramed) {
    return (
      <Problem title="Open this page in its own tab">
        Another page has embedded this page. For your safety, it works only in its own tab.
      </Problem>
    )
  }
  const handOff = readHandOff(search)
  if ('refused' in handOff) {
    return <Problem title="Open this from CADZERO in Fusion">{REFUSALS[handOff.refused]}</Problem>
  }
  return <SignedIn handOff={handOff} />
}

// The query is unknown while a server renders the app, and it stays the same as long as the page is open.
const neverChanges = () => () => undefined
const readSearch = () => window.location.search
const readFramed = () => window.top !== window.self
const readNothing = () => null

function SignedIn({ handOff }: { readonly handOff: HandOff }) {
  const clerk = useClerk()
  const { isLoaded, session } = useSession()
  const isLate = useIsLate(!isLoaded)
  const [wasSignedIn, setWasSignedIn] = useState(false)
  const [isSigningOut, setSigningOut] = useState(false)
  const isRedirecting = useRef(false)
  if (session && !wasSignedIn) setWasSignedIn(true)
  const hasEnded = session === null && wasSignedIn && !isSigningOut

  const signIn = useCallback(() => {
    if (isRedirecting.current) return
    isRedirecting.current = true
    const here = window.location.href
    // The forced URLs override the app's own redirect after a sign-in, which would not come back to this page.
    void clerk.redirectToSignIn({ redirectUrl: here, signInForceRedirectUrl: here, signUpForceRedirectUrl: here })
  }, [clerk])
  useEffect(() => {
    if (isLoaded && session === null && !hasEnded) signIn()
  }, [isLoaded, session, hasEnded, signIn])

  const switchAccount = () => {
    setSigningOut(true)
    // With a callback, Clerk does not redirect after the sign-out: this page goes to the sign-in itself.
    clerk
      .signOut(() => undefined)
      .then(signIn)
      .catch(() => setSigningOut(false))
  }

  if (!isLoaded) return isLate || clerk.status === 'error' ? <LoadFailure /> : <Waiting />
  if (session === null) {
    if (!hasEnded) return <Waiting />
    return (
      <Problem title="Your session has ended" action="Sign in again" onAction={signIn}>
        Nothing was sent. After you sign in again, you return to this page.
      </Problem>
    )
  }
  if (session.status === 'pending') {
    const finish = () => void clerk.redirectToTasks({ redirectUrl: window.location.href })
    return (
      <Problem title="Your account needs one more step" action="Continue setup" onAction={finish}>
        After you finish setting up your account, you return to this page.
      </Problem>
    )
  }
  if (isSigningOut) return <Waiting />
  return <Consent key={session.id} handOff={handOff} session={session} onSwitch={switchAccount} />
}

type Session = NonNullable<ReturnType<typeof useSession>['session']>
type Failure = Extract<CodeResult, { failed: string }>['failed']

const FAILURES: Readonly<Record<Failure, string>> = {
  unavailable: 'The sign-in could not be completed. Check your connection, then try again.',
  session: 'CADZERO does not accept your session any more. Use another account, or sign in to the web app again.',
  setup: 'This page is not set up for CADZERO in Fusion yet. Tell CADZERO’s support that the page gets no code.',
}

interface ConsentProps {
  readonly handOff: HandOff
  readonly session: Session
  readonly onSwitch: () => void
}

function Consent({ handOff, session, onSwitch }: ConsentProps) {
  const [phase, setPhase] = useState<'asking' | 'working' | 'sent' | Failure>('asking')
  const isMounted = useIsMounted()
  const { user } = session
  const email = user?.primaryEmailAddress?.emailAddress ?? ''
  const name = user?.fullName ?? user?.username ?? ''

  const send = (result: Readonly<Record<string, string>>) => {
    setPhase('sent')
    window.location.replace(resultUrl(handOff, result)) // replaced, so that «Back» does not ask again
  }
  const agree = async () => {
    setPhase('working')
    const options = { skipCache: true, ...(TOKEN_TEMPLATE === '' ? {} : { template: TOKEN_TEMPLATE }) }
    const getToken = () => session.getToken(options)
    const result = await requestCode({ brokerUrl: BROKER_URL, getToken, sessionId: session.id, handOff })
    if (!isMounted()) return // the session ended in the meantime
    if ('failed' in result) setPhase(result.failed)
    else send({ code: result.code })
  }

  if (phase === 'sent') {
    return (
      <Card title="Return to Fusion">
        <p role="status">You can close this tab. If Fusion does not sign you in, start the sign-in there again.</p>
      </Card>
    )
  }
  const isWorking = phase === 'working'
  const failure = phase === 'asking' || phase === 'working' ? undefined : FAILURES[phase]
  const { host } = new URL(handOff.redirectUri)
  return (
    <Card title={handOff.isOtherAccount ? 'Which account for Fusion 360?' : 'Sign in to CADZERO in Fusion 360?'}>
      <p>
        <strong>{PROGRAM}</strong>
        {handOff.clientName !== '' && (
          <>
            {' '}
            on <strong>{handOff.clientName}</strong>
          </>
        )}
        , at <code>{host}</code> of this computer, asks to use CADZERO as you.
      </p>
      <dl>
        <dt>Signed in as</dt>
        <dd>
          {name !== '' && <strong>{name}</strong>}
          <span>{email !== '' ? email : name === '' && user?.id}</span>
        </dd>
        <dt>This session ends</dt>
        <dd>{dateTime(session.expireAt)}</dd>
      </dl>
      {failure !== undefined && <p role="alert">{failure}</p>}
      <div className="cadzero-actions">
        <button type="button" data-primary disabled={isWorking} aria-busy={isWorking} onClick={() => void agree()}>
          {failure !== undefined ? 'Try again' : isWorking ? 'One moment…' : 'Continue'}
        </button>
        <button type="button" disabled={isWorking} onClick={() => send({ error: 'access_denied' })}>
          Cancel
        </button>
      </div>
      <button
        type="button"
        data-link={handOff.isOtherAccount ? undefined : true}
        disabled={isWorking}
        onClick={onSwitch}
      >
        Use another account
      </button>
      <p className="cadzero-note">Continue only if you have just started a sign-in in Fusion.</p>
    </Card>
  )
}

function dateTime(date: Date): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'short' }).format(date)
}

/** Whether `isWaiting` has been true for as long as Clerk may take to load. */
function useIsLate(isWaiting: boolean): boolean {
  const [isLate, setLate] = useState(false)
  useEffect(() => {
    if (!isWaiting) return
    const timer = setTimeout(() => setLate(true), LOAD_TIMEOUT)
    return () => clearTimeout(timer)
  }, [isWaiting])
  return isLate && isWaiting
}

/** Tells event handlers whether the component is still shown. */
function useIsMounted(): () => boolean {
  const isMounted = useRef(false)
  useEffect(() => {
    isMounted.current = true
    return () => {
      isMounted.current = false
    }
  }, [])
  return useCallback(() => isMounted.current, [])
}

/** Keeps this page's address, which holds the callback's state, out of the Referer of every request that the app makes. */
function useNoReferrer() {
  useEffect(() => {
    const meta = document.createElement('meta')
    meta.name = 'referrer'
    meta.content = 'no-referrer'
    document.head.append(meta)
    return () => meta.remove()
  }, [])
}

/** Reloads the page if the browser's Back button restores it, since it was left in the middle of a sign-in. */
function useReloadOnReturn() {
  useEffect(() => {
    const reload = ({ persisted }: PageTransitionEvent) => persisted && window.location.reload()
    window.addEventListener('pageshow', reload)
    return () => window.removeEventListener('pageshow', reload)
  }, [])
}

function LoadFailure() {
  return (
    <Problem title="The sign-in did not load" action="Try again" onAction={() => window.location.reload()}>
      Check your connection, and whether an ad blocker or a company firewall blocks this page.
    </Problem>
  )
}

function Waiting() {
  return (
    <Card title="Sign in to CADZERO">
      <p role="status">One moment…</p>
    </Card>
  )
}

interface ProblemProps {
  readonly title: string
  readonly children: ReactNode
  readonly action?: string
  readonly onAction?: () => void
}

function Problem({ title, children, action, onAction }: ProblemProps) {
  return (
    <Card title={title}>
      <p role="alert">{children}</p>
      {action !== undefined && (
        <div className="cadzero-actions">
          <button type="button" data-primary onClick={onAction}>
            {action}
          </button>
        </div>
      )}
    </Card>
  )
}

function Card({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <main className="cadzero-page">
      <style>{STYLE}</style>
      <section aria-labelledby="cadzero-title">
        <small>CADZERO</small>
        <h1 id="cadzero-title">{title}</h1>
        {children}
      </section>
    </main>
  )
}

const STYLE = `
.cadzero-page{--page:#f4f4f5;--card:#fff;--text:#18181b;--soft:#5b5b63;--line:#d4d4d8;--accent:#4f46e5;--bad:#b42318;color-scheme:light dark;
box-sizing:border-box;min-height:100vh;padding:1rem;display:grid;place-items:center;background:var(--page);color:var(--text);font:16px/1.5 system-ui,sans-serif}
@media(prefers-color-scheme:dark){.cadzero-page{--page:#18181b;--card:#242428;--text:#f4f4f5;--soft:#b0b0b8;--line:#46464d;--accent:#5b5ef0;--bad:#ff9a8f}}
.cadzero-page section{box-sizing:border-box;width:min(27rem,100%);padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
.cadzero-page small,.cadzero-page dt,.cadzero-page .cadzero-note{color:var(--soft);font-size:.875rem}
.cadzero-page h1{margin:.25rem 0 1.25rem;font-size:1.4rem;line-height:1.25}.cadzero-page p{margin:0 0 1.25rem}
.cadzero-page dl{margin:0 0 1.25rem;padding:.75rem 1rem;border:1px solid var(--line);border-radius:8px}
.cadzero-page dd{margin:0;overflow-wrap:anywhere}.cadzero-page dd>*{display:block}.cadzero-page code{font-size:.95em}
.cadzero-page p[role=alert]{color:var(--bad)}.cadzero-page .cadzero-note{margin:1rem 0 0}
.cadzero-actions{display:flex;flex-wrap:wrap;gap:.5rem;margin-bottom:.75rem}
.cadzero-page button{min-width:7rem;padding:.6rem 1.25rem;border:1px solid var(--line);border-radius:8px;background:transparent;color:inherit;font:inherit;font-weight:600;cursor:pointer}
.cadzero-page button[data-primary]{border-color:var(--accent);background:var(--accent);color:#fff}
.cadzero-page button[data-link]{min-width:0;padding:.25rem 0;border:0;font-weight:400;text-decoration:underline}
.cadzero-page button:disabled{opacity:.6;cursor:default}.cadzero-page :focus-visible{outline:2px solid var(--accent);outline-offset:2px}`
