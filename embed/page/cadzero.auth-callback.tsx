// The page that hands a CADZERO session to the program that asked for it on this computer, once its owner agrees.
import { useClerk, useSession } from '@clerk/react'
import { type ReactNode, useEffect, useRef, useState } from 'react'

const PROGRAM = 'CADZERO for Fusion 360'
const LOAD_DEADLINE = 15_000 // ms: as long as Clerk's own loader waits for its script
const TOKEN_DEADLINE = 10_000 // ms: Clerk goes on trying for minutes, a person does not

// The spelling is checked before the URL parser sees it: the parser would make 127.0.0.1 of 127.1 and of 2130706433,
// a slash of a backslash, and drop tabs and line ends.
const LOOPBACK = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):([1-9]\d{3,4})(?:[/?][\x21-\x7e]*)?$/

/** Where the answer goes, or why there is no such place. */
export type Callback = { readonly url: URL } | { readonly refused: 'missing' | 'repeated' | 'unsafe' }

/**
 * Reads the callback from this page's query: `redirect_url`, exactly one, `http` on `localhost`, `127.0.0.1` or `[::1]`
 * with a port from 1024 on, no user and no fragment (RFC 8252 section 7.3). A `state` beside it goes into a callback that has none.
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

/** The callback with an answer in its query; what was there already, such as `state`, stays. */
export function answerTo(callback: URL, answer: Readonly<Record<string, string>>): string {
  const url = new URL(callback)
  for (const [name, value] of Object.entries(answer)) url.searchParams.set(name, value)
  return url.href
}

/** The route's component. It takes nothing but the address bar, and stands inside the app's `<ClerkProvider>`. */
export default function AuthCallback() {
  const [search, setSearch] = useState<string>() // not known where the app is rendered on a server
  useEffect(() => setSearch(window.location.search), [])
  useNoReferrer()
  useFreshStart()
  if (search === undefined) return <Waiting />
  if (window.top !== window.self) {
    return (
      <Problem title="Open this page by itself">
        It was put inside another page. For your safety it only answers in a tab of its own.
      </Problem>
    )
  }
  const callback = loopbackCallback(search)
  if ('refused' in callback) {
    return (
      <Problem title="Open this from CADZERO in Fusion">
        {callback.refused === 'missing'
          ? 'This address does not say which program is to be signed in.'
          : 'This address would send your sign-in to a place that is not CADZERO on this computer. Nothing was sent.'}
      </Problem>
    )
  }
  return <SignedIn callback={callback.url} />
}

function SignedIn({ callback }: { readonly callback: URL }) {
  const clerk = useClerk()
  const { isLoaded, session } = useSession()
  const [isLate, setLate] = useState(false)
  const [isLeaving, setLeaving] = useState(false)
  const wasSignedIn = useRef(false)
  const returning = useRef(false)
  if (session) wasSignedIn.current = true
  const hasEnded = wasSignedIn.current && !isLeaving

  useEffect(() => {
    if (isLoaded) return
    const timer = setTimeout(() => setLate(true), LOAD_DEADLINE)
    return () => clearTimeout(timer)
  }, [isLoaded])

  const signIn = () => {
    if (returning.current) return
    returning.current = true
    const here = window.location.href
    // Forced as well: the app's own setting of where to go after a sign-in must not lose the program that waits.
    void clerk.redirectToSignIn({ redirectUrl: here, signInForceRedirectUrl: here, signUpForceRedirectUrl: here })
  }
  useEffect(() => {
    if (isLoaded && session === null && !hasEnded) signIn()
  })

  const switchAccount = () => {
    setLeaving(true)
    // With a callback Clerk leaves the way from here to this page, which goes to the sign-in.
    clerk
      .signOut(() => undefined)
      .then(signIn)
      .catch(() => setLeaving(false))
  }

  if (!isLoaded) return isLate || clerk.status === 'error' ? <NotLoading /> : <Waiting />
  if (session === null) {
    if (!hasEnded) return <Waiting />
    return (
      <Problem title="Your session has ended" action="Sign in again" onAction={signIn}>
        Nothing was sent. Sign in again and you come back to this page.
      </Problem>
    )
  }
  if (session.status === 'pending') {
    const finish = () => void clerk.redirectToTasks({ redirectUrl: window.location.href })
    return (
      <Problem title="Your account needs one more step" action="Go on" onAction={finish}>
        Finish setting up your account, then you come back to this page.
      </Problem>
    )
  }
  if (isLeaving) return <Waiting />
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
  const isHere = useRef(true)
  useEffect(() => {
    isHere.current = true
    return () => {
      isHere.current = false
    }
  }, [])
  const { user } = session
  const email = user?.primaryEmailAddress?.emailAddress ?? ''
  const name = user?.fullName ?? user?.username ?? ''

  const leave = (answer: Readonly<Record<string, string>>) => {
    setPhase('sent')
    window.location.replace(answerTo(callback, answer)) // so that the token is in no history
  }
  const agree = async () => {
    setPhase('working')
    // The error is not looked at: it could name the address with the token's session, and the way on is the same.
    const token = await beforeDeadline(session.getToken({ skipCache: true })).catch(() => null)
    if (!isHere.current) return // the session ended meanwhile
    if (!token || !user) return setPhase('failed')
    leave({ token, session_id: session.id, user_id: user.id, user_email: email, user_name: name })
  }

  if (phase === 'sent') {
    return (
      <Card title="Back to Fusion">
        <p role="status">If nothing happens, start the sign-in in Fusion once more. You can close this tab.</p>
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
        <p role="alert">The sign-in could not be fetched. Check your connection, then try again.</p>
      )}
      <div className="cadzero-actions">
        <button type="button" data-primary disabled={isWorking} aria-busy={isWorking} onClick={() => void agree()}>
          {phase === 'failed' ? 'Try again' : isWorking ? 'One moment…' : 'Continue'}
        </button>
        <button type="button" disabled={isWorking} onClick={() => leave({ error: 'access_denied' })}>
          Cancel
        </button>
      </div>
      <button type="button" data-link disabled={isWorking} onClick={onSwitch}>
        Use another account
      </button>
      <p className="cadzero-note">Continue only if you have just started the sign-in in Fusion yourself.</p>
    </Card>
  )
}

function beforeDeadline<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer in time')), TOKEN_DEADLINE)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** What leaves this page, scripts and pictures of the app included, does not say its address: the callback's state is in it. */
function useNoReferrer() {
  useEffect(() => {
    const meta = document.createElement('meta')
    meta.name = 'referrer'
    meta.content = 'no-referrer'
    document.head.append(meta)
    return () => meta.remove()
  }, [])
}

/** A browser's Back may bring this page as it was left, in the middle of going to the sign-in: it starts anew. */
function useFreshStart() {
  useEffect(() => {
    const start = ({ persisted }: PageTransitionEvent) => persisted && window.location.reload()
    window.addEventListener('pageshow', start)
    return () => window.removeEventListener('pageshow', start)
  }, [])
}

function NotLoading() {
  return (
    <Problem title="The sign-in does not load" action="Try again" onAction={() => window.location.reload()}>
      Check your connection, and whether something blocks it, such as an ad blocker or a company firewall.
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
