// The loopback address that the browser comes back to (RFC 8252 section 7.3). It lives only while one sign-in runs.
import { timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../host/clock.ts'
import { type Page, pages } from './pages.ts'

export type Outcome = 'signedIn' | 'denied' | 'failed'

export interface RedirectListenerOptions {
  /** 0 for an ephemeral port. */
  readonly port: number
  readonly clock: Clock
  /** Gets the callback that brought the right state, once. Its outcome decides which page the browser sees. */
  readonly onCallback: (callback: URL) => Promise<Outcome>
  /** The browser came back with an error and without a state: Clerk has lost the request on its way. */
  readonly onInterrupted: () => void
}

const CALLBACK_PATH = '/callback'
const RESULT_PATHS: Readonly<Record<Outcome, string>> = {
  signedIn: '/signed-in',
  denied: '/denied',
  failed: '/failed',
}
const LAST_PAGE_SECONDS = 0.9 // for the browser to follow the redirect to the last page; then the port is closed

export class RedirectListener {
  readonly #options: RedirectListenerOptions
  readonly #server: Server
  #state: string | undefined
  #outcome: Promise<Outcome> | undefined

  /** @throws a system error where the port is taken */
  static async listen(options: RedirectListenerOptions): Promise<RedirectListener> {
    const listener = new RedirectListener(options)
    await new Promise<void>((resolve, reject) => {
      listener.#server.once('error', reject)
      listener.#server.listen({ host: '127.0.0.1', port: options.port }, resolve)
    })
    return listener
  }

  private constructor(options: RedirectListenerOptions) {
    this.#options = options
    this.#server = createServer(
      { maxHeaderSize: 16 * 1024, headersTimeout: 5000, requestTimeout: 5000 },
      (request, response) => void this.#answer(request, response),
    )
    this.#server.maxConnections = 64
  }

  get redirectUri(): string {
    return `http://${this.#authority}${CALLBACK_PATH}`
  }

  /** From now on a callback with this state, and no other, is taken. */
  expect(state: string): void {
    this.#state = state
  }

  /** Closes the port: at once, or, where a callback has come, once the browser has had time for its last page. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    if (await this.#outcome) this.#options.clock.after(LAST_PAGE_SECONDS, () => this.#closeNow())
    else this.#closeNow()
    await closed
  }

  #closeNow(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  get #authority(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    // Another name that leads here is DNS rebinding.
    if (request.headers.host !== this.#authority) return send(response, pages.wrongLink)
    if (request.method !== 'GET') return send(response, pages.notFound)
    if (isPrefetch(request)) return sendNothing(response)
    const target = request.url ?? ''
    const result = (Object.keys(RESULT_PATHS) as Outcome[]).find((outcome) => RESULT_PATHS[outcome] === target)
    if (result) return send(response, pages[result])
    if (target === '/favicon.ico') return sendNothing(response)
    const base = `http://${this.#authority}`
    const url = target.startsWith(CALLBACK_PATH) && URL.canParse(target, base) ? new URL(target, base) : undefined
    if (url?.pathname !== CALLBACK_PATH) return send(response, pages.notFound)
    await this.#answerCallback(url, response)
  }

  async #answerCallback(url: URL, response: ServerResponse): Promise<void> {
    const states = url.searchParams.getAll('state')
    if (url.searchParams.has('error') && !url.searchParams.has('code') && states.every((state) => state === '')) {
      this.#options.onInterrupted()
      return send(response, pages.interrupted)
    }
    const [state] = states
    if (states.length !== 1 || state === undefined || this.#state === undefined || !sameText(state, this.#state)) {
      return send(response, pages.wrongLink)
    }
    // A browser that asks twice is told the same twice; the code goes to the provider once.
    this.#outcome ??= this.#options.onCallback(url)
    redirect(response, RESULT_PATHS[await this.#outcome])
  }
}

function isPrefetch({ headers }: IncomingMessage): boolean {
  return [headers['sec-purpose'], headers.purpose, headers['x-purpose'], headers['x-moz']].some(
    (value) => typeof value === 'string' && /prefetch|prerender|preview/i.test(value),
  )
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

function send(response: ServerResponse, page: Page): void {
  response.writeHead(page.status, page.headers).end(page.body)
}

function sendNothing(response: ServerResponse): void {
  response.writeHead(204, { Connection: 'close', 'Cache-Control': 'no-store' }).end()
}

/** Takes the code out of the address bar and the history. The target is one of ours, never from the request. */
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
