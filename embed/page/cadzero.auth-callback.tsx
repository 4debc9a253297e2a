// The page of the hand-off: it sends the user's Clerk session token to the program on this computer, once the user agrees.
import { useClerk, useSession } from '@clerk/react'
import { type ReactNode, useEffect, useRef, useState } from 'react'

const PROGRAM = 'CADZERO for Fusion 360'
const LOAD_TIMEOUT = 15_000 // ms, as long as Clerk's loader waits for its script
const TOKEN_TIMEOUT = 10_000 // ms; Clerk itself retries for minutes, longer than a user waits

// Checks the text before the URL parser normalises it: the parser turns 127.1 and 2130706433 into 127.0.0.1 and a backslash
// into a slash, and it drops tabs and line ends.
const LOOPBACK = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):([1-9]\d{3,4})(?:[/?][\x21-\x7e]*)?$/

/** The address that receives the result, or why the page refuses it. */
export type Callback = { readonly url: URL } | { readonly refused: 'missing' | 'repeated' | 'unsafe' }

/**
 * Reads the callback from this page's query. It accepts exactly one `redirect_url`: `http` on `localhost`, `127.0.0.1` or
 * `[::1]`, with a port from 1024 on, without user or fragment (RFC 8252 section 7.3). A `state` beside `redirect_url` is
 * added to the callback if the callback has none.
 *
 * @param search the page's query, `window.location.search`
 */
export function loopbackCallback(search: string): Callback {
  const query = new URLSearchParams(search)
  const [text, ...more] = query.getAll('redirect_url')
  if (text === undefined || text === '') return { refused: 'missing' }
  if (more.length > 0) return { refused: 'repeated' }
  const [, port = ''] = LOOPBACK.exec(text) ?? []
  const isPort = Number(port) >= 1024 && Number(port) <= 65_535
  if (!isPort || /[\\#]/.test(text)) return { refused: 'unsafe' }
  const url = new URL(text)
  const states = query.getAll('state')
  if (!url.searchParams.has('state') && states.length === 1) url.searchParams.set('state', String(states[0]))
  return { url }
}

/** Returns the callback with these parameters added to its query; its other parameters, such as `state`, stay. */
export function withParameters(callback: URL, parameters: Readonly<Record<string, string>>): string {
  const url = new URL(callback)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

/** The route's component. It has no props and must be rendered inside the app's `<ClerkProvider>`. */
export default function AuthCallback() {
  const [search, setSearch] = useState<string>() // unknown while a server renders the app
  useEffect(() => setSearch(window.location.search), [])
  useNoReferrer()
  useReloadOnReturn()
  if (search === undefined) return <Waiting />
  if (window.top !== window.self) {
    return (
      <Problem title="Open this page in its own tab">
        Another page has embedded this page. For your safety, it works only in its own tab.
      </Problem>
    )
  }
  const callback = loopbackCallback(search)
  if ('refused' in callback) {
    return (
      <Problem title="Open this from CADZERO in Fusion">
        {callback.refused === 'missing'
          ? 'This address does not name the program that asks for the sign-in.'
          : 'This address would send your sign-in to an address other than CADZERO on this computer. Nothing was sent.'}
      </Problem>
    )
  }
  return <SignedIn callback={callback.url} />
}

function SignedIn({ callback }: { readonly callback: URL }) {
  const clerk = useClerk()
  const { isLoaded, session } = useSession()
  const [isLate, setLate] = useState(false)
  const [isSigningOut, setSigningOut] = useState(false)
  const wasSignedIn = useRef(false)
  const isRedirecting = useRef(false)
  if (session) wasSignedIn.current = true
  const hasEnded = wasSignedIn.current && !isSigningOut

  useEffect(() => {
    if (isLoaded) return
    const timer = setTimeout(() => setLate(true), LOAD_TIMEOUT)
    return () => clearTimeout(timer)
  }, [isLoaded])

  const signIn = () => {
    if (isRedirecting.current) return
    isRedirecting.current = true
    const here = window.location.href
    // The forced URLs override the app's own redirect after a sign-in, which would not come back to this page.
    void clerk.redirectToSignIn({ redirectUrl: here, signInForceRedirectUrl: here, signUpForceRedirectUrl: here })
  }
  useEffect(() => {
    if (isLoaded && session === null && !hasEnded) signIn()
  })

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
  return <Consent key={session.id} callback={callback} session={session} onSwitch={switchAccount} />
}

type Session = NonNullable<ReturnType<typeof useSession>['session']>

interface ConsentProps {
  readonly callback: URL
  readonly session: Session
  readonly onSwitch: () => void
}

function Consent({ callback, session, onSwitch }: ConsentProps) {
  const [phase, setPhase] = useState<'asking' | 'working' | 'failed' | 'sent'>('asking')
  const isMounted = useRef(true)
  useEffect(() => {
    isMounted.current = true
    return () => {
      isMounted.current = false
    }
  }, [])
  const { user } = session
  const email = user?.primaryEmailAddress?.emailAddress ?? ''
  const name = user?.fullName ?? user?.username ?? ''

  const send = (parameters: Readonly<Record<string, string>>) => {
    setPhase('sent')
    window.location.replace(withParameters(callback, parameters)) // replaced, so that the history holds no token
  }
  const agree = async () => {
    setPhase('working')
    // The error is dropped: it may contain the URL with the session's id, and every error is shown the same way.
    const token = await withTimeout(session.getToken({ skipCache: true })).catch(() => null)
    if (!isMounted.current) return // the session ended in the meantime
    if (!token || !user) return setPhase('failed')
    send({ token, session_id: session.id, user_id: user.id, user_email: email, user_name: name })
  }

  if (phase === 'sent') {
    return (
      <Card title="Return to Fusion">
        <p role="status">You can close this tab. If Fusion does not sign you in, start the sign-in there again.</p>
      </Card>
    )
  }
  const isWorking = phase === 'working'
  return (
    <Card title="Sign in to CADZERO in Fusion 360?">
      <p>
        <strong>{PROGRAM}</strong> on this computer, at <code>{callback.host}</code>, asks to use CADZERO as you.
      </p>
      <dl>
        <dt>Signed in as</dt>
        <dd>
          {name !== '' && <strong>{name}</strong>}
          <span>{email !== '' ? email : name === '' && user?.id}</span>
        </dd>
      </dl>
      {phase === 'failed' && (
        <p role="alert">The sign-in could not be completed. Check your connection, then try again.</p>
      )}
      <div className="cadzero-actions">
        <button type="button" data-primary disabled={isWorking} aria-busy={isWorking} onClick={() => void agree()}>
          {phase === 'failed' ? 'Try again' : isWorking ? 'One moment…' : 'Continue'}
        </button>
        <button type="button" disabled={isWorking} onClick={() => send({ error: 'access_denied' })}>
          Cancel
        </button>
      </div>
      <button type="button" data-link disabled={isWorking} onClick={onSwitch}>
        Use another account
      </button>
      <p className="cadzero-note">Continue only if you have just started a sign-in in Fusion.</p>
    </Card>
  )
}

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('timed out')), TOKEN_TIMEOUT)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
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
