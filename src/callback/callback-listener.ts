// The loopback listener that the browser is redirected to (RFC 8252 section 7.3). It is open only while a sign-in runs.
// Invariants: only a callback with the expected state, from a tab that a person sees, reaches the sign-in; a refused callback
// changes nothing, and has a page and a reason for the log; every response is constant; the code leaves the address bar by a
// redirect.
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../host/clock.ts'
import { LOOPBACK_HOSTS } from '../host/network.ts'
import type { FindSocketOwner, SocketOwner } from '../host/socket-owner.ts'
import {
  type ExpectedState,
  hasState,
  isInterrupted,
  isPrefetch,
  isVisit,
  lacksState,
  queryAt,
  repeatsParameter,
} from './callback-request.ts'
import { Connections } from './connections.ts'
import { type LoopbackServers, listenOnLoopback } from './loopback-server.ts'
import type { Outcome } from './outcome.ts'
import type { Page } from './page.ts'
import { pages, signedInPage } from './pages.ts'
import { respondToParseError } from './parse-error.ts'
import { type CallbackRefusal, limitedReport } from './refusal.ts'

/** The address that the browser is redirected to. The listener is on loopback alone in every case. */
export interface CallbackAddress {
  /** `127.0.0.1`, or the name that a web page has in its code. */
  readonly host: '127.0.0.1' | 'localhost'
  /** 0 for an ephemeral port. */
  readonly port: number
  readonly path: string
  /** Whether an error can arrive without its state, because Clerk has lost the authorization request. */
  readonly losesState: boolean
}

export interface CallbackListenerOptions {
  readonly address: CallbackAddress
  readonly clock: Clock
  /** Detects other users' programs: they may read the state from the arguments of the browser's launcher. */
  readonly socketOwner: FindSocketOwner
  /** Handles a callback with the expected state. Its outcome selects the page that the browser shows. */
  readonly onCallback: (callback: URL) => Promise<Outcome>
  /** Who has signed in, as the provider says: an e-mail address or a name; null if neither is known. */
  readonly signedInAs: () => string | null
  /** Called when the browser arrives with an error and no state: Clerk has lost the authorization request. */
  readonly onInterrupted: () => void
  /** Called when a request is refused, with the reason for the log. */
  readonly onRefused: (refusal: CallbackRefusal) => void
}

const RESULT_PATHS: Readonly<Record<Outcome, string>> = {
  signedIn: '/signed-in',
  denied: '/denied',
  failed: '/failed',
  incomplete: '/refused/incomplete',
  forged: '/refused/forged',
  expired: '/refused/expired',
  wrong_audience: '/refused/wrong-audience',
  mismatched: '/refused/mismatched',
  pending: '/refused/pending',
  unverified: '/refused/unverified',
}
const WRONG_LINK_PATH = '/refused/wrong-link'
const FINAL: readonly Outcome[] = ['signedIn', 'denied', 'failed']
// Browsers ask for these by themselves: they get no page, and are no refused callbacks.
const OF_BROWSERS = /^\/(favicon\.ico|apple-touch-icon[\w-]*\.png|robots\.txt|\.well-known\/.*)$/
const RESPONSE_SECONDS = 2 // for responses under way when the port closes
const LAST_PAGE_SECONDS = 0.9 // for the browser to follow the redirect to its last page before the port closes

export class CallbackListener {
  readonly #options: CallbackListenerOptions
  readonly #loopback: LoopbackServers
  /** Undefined until the sign-in expects a callback. */
  #state: ExpectedState | undefined
  /** The callbacks in progress by their query: a repeated request gets the outcome of the first. */
  readonly #inProgress = new Map<string, Promise<Outcome>>()
  #finalOutcome: Outcome | undefined
  readonly #connections: Connections
  readonly #unparsed = new WeakSet<Duplex>()
  readonly #report: (refusal: CallbackRefusal) => void

  /** @throws a system error if the port is taken */
  static async listen(options: CallbackListenerOptions): Promise<CallbackListener> {
    const { host, port } = options.address
    return new CallbackListener(options, await listenOnLoopback(host, port))
  }

  private constructor(options: CallbackListenerOptions, loopback: LoopbackServers) {
    this.#options = options
    this.#loopback = loopback
    this.#report = limitedReport(options.onRefused)
    const { clock, socketOwner } = options
    this.#connections = new Connections({ clock, socketOwner, onEvicted: () => this.#report('too_many_connections') })
    for (const server of loopback.servers) {
      this.#connections.watch(server)
      server.on('request', (request, response) => void this.#respond(request, response))
      server.on('clientError', (error, socket) => this.#respondToParseError(error, socket))
    }
  }

  get redirectUri(): string {
    const { host, path } = this.#options.address
    return `http://${host}:${this.#loopback.port}${path}`
  }

  /**
   * Accepts callbacks with this state from now on; with null, callbacks with any or without one.
   * @param mayBeMissing whether a callback without a state and without a code is accepted as well
   */
  expect(state: string | null, mayBeMissing = false): void {
    this.#state = { value: state, mayBeMissing }
  }

  /** Closes the port: at once, or, after a final outcome, when the browser has had time to load its last page. */
  async close(): Promise<void> {
    const listening = this.#loopback.servers.filter((server) => server.listening)
    if (listening.length === 0) return
    const closed = Promise.all(listening.map((server) => once(server, 'close')))
    await Promise.all(this.#inProgress.values())
    if (this.#finalOutcome) this.#options.clock.after(LAST_PAGE_SECONDS, () => this.#closeNow())
    else this.#closeNow()
    await closed
  }

  #closeNow(): void {
    for (const server of this.#loopback.servers) {
      server.close() // also closes idle connections; responses under way may finish
      this.#options.clock.after(RESPONSE_SECONDS, () => server.closeAllConnections())
    }
  }

  /** Whether the Host header names this listener. Any other name that resolves to it is DNS rebinding. */
  #isOwnHost(authority: string | undefined): boolean {
    const { host } = this.#options.address
    const names = host === 'localhost' ? LOOPBACK_HOSTS : [host]
    return names.some((name) => authority === `${name}:${this.#loopback.port}`)
  }

  /** Node may report one request more than once, as its remaining bytes arrive. */
  #respondToParseError(error: Error, socket: Duplex): void {
    if (this.#unparsed.has(socket)) return
    this.#unparsed.add(socket)
    const refusal = respondToParseError(error, socket)
    if (refusal !== undefined) this.#report(refusal)
    this.#options.clock.after(RESPONSE_SECONDS, () => socket.destroy())
  }

  #refuse(response: ServerResponse, refusal: CallbackRefusal, page: Page): void {
    this.#report(refusal)
    send(response, page)
  }

  /** Shows that the link is wrong, and leads to the same page at an address without the code or the token. */
  #refuseLink(response: ServerResponse, refusal: CallbackRefusal): void {
    response.setHeader('Refresh', `0; url=${WRONG_LINK_PATH}`)
    this.#refuse(response, refusal, pages.wrongLink)
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    const owner = await this.#connections.ownerOf(request.socket)
    if (owner === 'other') return this.#refuse(response, 'other_user', pages.otherUser)
    if (owner === 'closed') {
      this.#report('peer_closed')
      return void request.socket.destroy()
    }
    if (!this.#isOwnHost(request.headers.host)) return this.#refuse(response, 'wrong_host', pages.wrongLink)
    if (request.method !== 'GET') return this.#refuse(response, 'wrong_method', pages.notFound)
    if (isPrefetch(request.headers)) return sendNothing(response)
    const target = request.url ?? ''
    const result = (Object.keys(RESULT_PATHS) as Outcome[]).find((outcome) => RESULT_PATHS[outcome] === target)
    if (OF_BROWSERS.test(target)) return sendNothing(response)
    if (!isVisit(request.headers)) return this.#refuse(response, 'not_a_visit', pages.notAVisit)
    if (result === 'signedIn') return send(response, signedInPage(this.#options.signedInAs()))
    if (result) return send(response, pages[result])
    if (target === WRONG_LINK_PATH) return send(response, pages.wrongLink)
    const query = queryAt(this.#options.address.path, target)
    if (query === undefined) return this.#refuse(response, 'wrong_path', pages.notFound)
    const callback = new URL(this.redirectUri)
    callback.search = query
    await this.#respondToCallback(callback, owner, response)
  }

  async #respondToCallback(callback: URL, owner: SocketOwner, response: ServerResponse): Promise<void> {
    const { searchParams } = callback
    if (this.#options.address.losesState && isInterrupted(searchParams)) {
      this.#options.onInterrupted()
      return this.#refuse(response, 'interrupted', pages.interrupted)
    }
    const expected = this.#state
    if (expected === undefined) return this.#refuseLink(response, 'wrong_state')
    const isBare = lacksState(searchParams, expected)
    // From another system, nothing but its state says that this callback belongs to the user.
    if (isBare && owner === 'outside') return this.#refuse(response, 'outside_without_state', pages.outside)
    if (!isBare && !hasState(searchParams, expected.value)) return this.#refuseLink(response, 'wrong_state')
    if (repeatsParameter(searchParams)) return this.#refuseLink(response, 'repeated_parameter')
    redirect(response, RESULT_PATHS[this.#finalOutcome ?? (await this.#handle(callback, isBare))])
  }

  /** Handles a callback once at a time: a code goes to the provider once, while different tokens are verified in parallel. */
  #handle(callback: URL, isBare: boolean): Promise<Outcome> {
    const key = isBare ? callback.search : ''
    const inProgress = this.#inProgress.get(key)
    if (inProgress !== undefined) return inProgress
    const handling = this.#options.onCallback(callback).then((outcome) => {
      this.#inProgress.delete(key)
      if (FINAL.includes(outcome)) this.#finalOutcome = outcome
      return outcome
    })
    this.#inProgress.set(key, handling)
    return handling
  }
}

function send(response: ServerResponse, page: Page): void {
  response.writeHead(page.status, page.headers).end(page.body)
}

function sendNothing(response: ServerResponse): void {
  response.writeHead(204, { Connection: 'close', 'Cache-Control': 'no-store' }).end()
}

/** Removes the code from the address bar and the history. The path is one of our constants, never from the request. */
function redirect(response: ServerResponse, path: string): void {
  response
    .writeHead(303, {
      Location: path,
      'Content-Length': '0',
      'Cache-Control': 'no-store',
      'Referrer-Policy': 'no-referrer',
    })
    .end()
}
