// The hand-off without its looks: what the page believes of its query, and how it trades a session token for a code.

const NETWORK_TIMEOUT = 10_000 // ms; Clerk itself retries for minutes, longer than a user waits
const LONGEST_NAME = 64 // characters

// Checks the text before the URL parser normalises it: the parser turns 127.1 and 2130706433 into 127.0.0.1 and a backslash
// into a slash, and it drops tabs and line ends.
const LOOPBACK = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):([1-9]\d{3,4})(?:[/?][\x21-\x7e]*)?$/

/** A program on this computer that asks for the user's sign-in. */
export interface HandOff {
  /** The address that receives the result, exactly as the program wrote it. */
  readonly redirectUri: string
  /** Goes back beside the result; null if `redirectUri` contains it or there is none. */
  readonly state: string | null
  /** PKCE S256 (RFC 7636): only the program that made it can use the code. */
  readonly codeChallenge: string
  /** What the program calls this computer; empty if it does not say. */
  readonly clientName: string
  /** Whether the program asks for another account. */
  readonly isOtherAccount: boolean
}

/** Why the page refuses its query: no program is named, more than one, one that is not on this computer, or one of version 1. */
export type Refusal = 'missing' | 'repeated' | 'unsafe' | 'outdated'

/**
 * Reads the page's query. It accepts exactly one `redirect_url`: `http` on `localhost`, `127.0.0.1` or `[::1]`, with a port from
 * 1024 on, without user or fragment (RFC 8252 section 7.3).
 *
 * @param search the page's query, `window.location.search`
 */
export function readHandOff(search: string): HandOff | { readonly refused: Refusal } {
  const query = new URLSearchParams(search)
  const [redirectUri, ...more] = query.getAll('redirect_url')
  if (redirectUri === undefined || redirectUri === '') return { refused: 'missing' }
  if (more.length > 0) return { refused: 'repeated' }
  const [, port = ''] = LOOPBACK.exec(redirectUri) ?? []
  const isPort = Number(port) >= 1024 && Number(port) <= 65_535
  if (!isPort || /[\\#]/.test(redirectUri)) return { refused: 'unsafe' }
  const [codeChallenge = '', ...others] = query.getAll('code_challenge')
  const isChallenge = /^[\w-]{43}$/.test(codeChallenge) && query.get('code_challenge_method') === 'S256'
  if (!isChallenge || others.length > 0) return { refused: 'outdated' }
  const [state = null, ...states] = query.getAll('state')
  const isStateFree = states.length === 0 && !new URL(redirectUri).searchParams.has('state')
  return {
    redirectUri,
    state: isStateFree ? state : null,
    codeChallenge,
    clientName: shownName(query.get('client_name') ?? ''),
    isOtherAccount: query.get('prompt') === 'login',
  }
}

/** The text without characters that change how others are shown, and of limited length. */
function shownName(text: string): string {
  return Array.from(text.replace(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ').trim())
    .slice(0, LONGEST_NAME)
    .join('')
}

/** The address to which the browser goes with the result; the other parameters of the callback, such as `state`, stay. */
export function resultUrl({ redirectUri, state }: HandOff, result: Readonly<Record<string, string>>): string {
  const url = new URL(redirectUri)
  if (state !== null) url.searchParams.set('state', state)
  for (const [name, value] of Object.entries(result)) url.searchParams.set(name, value)
  return url.href
}

/** A code, or why there is none: no answer that helps, a session that the broker does not take, or a page that is not set up. */
export type CodeResult = { readonly code: string } | { readonly failed: 'unavailable' | 'session' | 'setup' }

export interface CodeRequest {
  readonly brokerUrl: string
  /** Requests a new token of the session from Clerk. */
  readonly getToken: () => Promise<string | null>
  readonly sessionId: string
  readonly handOff: HandOff
}

/** Trades a new session token for a code. The token goes to the broker in a header, and into no address. Never throws. */
export async function requestCode({ brokerUrl, getToken, sessionId, handOff }: CodeRequest): Promise<CodeResult> {
  if (!/^https:\/\/|^http:\/\/(localhost|127\.0\.0\.1)[:/]/.test(brokerUrl)) return { failed: 'setup' }
  try {
    const token = await withTimeout(getToken())
    if (token === null || token === '') return { failed: 'unavailable' }
    const response = await fetch(`${brokerUrl.replace(/\/$/, '')}/api/auth/code`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({
        session_id: sessionId,
        code_challenge: handOff.codeChallenge,
        code_challenge_method: 'S256',
        redirect_uri: handOff.redirectUri,
      }),
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(NETWORK_TIMEOUT),
    })
    return await readResult(response)
  } catch {
    return { failed: 'unavailable' } // the error is dropped: it may contain an address with the session's id
  }
}

async function readResult(response: Response): Promise<CodeResult> {
  const body: unknown = await response.json()
  const { code, error } = (typeof body === 'object' && body !== null ? body : {}) as { code?: unknown; error?: unknown }
  if (response.ok) return typeof code === 'string' && code !== '' ? { code } : { failed: 'unavailable' }
  if (error === 'invalid_grant') return { failed: 'session' }
  return { failed: response.status === 400 || response.status === 404 ? 'setup' : 'unavailable' }
}

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('timed out')), NETWORK_TIMEOUT)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
