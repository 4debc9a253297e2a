// The loopback address that the browser comes back to (RFC 8252 section 7.3). It lives only while one sign-in runs.
import { timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../host/clock.ts'
import { errorCode } from '../host/files.ts'
import { loopbackAddresses } from '../host/network.ts'
import type { SocketOwnerCheck } from '../host/socket-owner.ts'
import type { Outcome } from './outcome.ts'
import type { Page } from './page.ts'
import { pages } from './pages.ts'

/** The address that the browser is sent back to. The listener is on loopback alone in every case. */
export interface CallbackAddress {
  /** `127.0.0.1`, or the name that a page has written down. */
  readonly host: '127.0.0.1' | 'localhost'
  /** 0 for an ephemeral port. */
  readonly port: number
  readonly path: string
  /** Whether an error can arrive without its state, because Clerk has lost the request on the way. */
  readonly losesState: boolean
}

export interface CallbackListenerOptions {
  readonly address: CallbackAddress
  readonly clock: Clock
  /** What tells other users' programs: the state may be seen in the arguments of the browser's launcher. */
  readonly isOtherUser: SocketOwnerCheck
  /** Gets the callback that brought the right state. Its outcome decides which page the browser sees. */
  readonly onCallback: (callback: URL) => Promise<Outcome>
  /** The browser came back with an error and without a state: Clerk has lost the request on its way. */
  readonly onInterrupted: () => void
}

const RESULT_PATHS: Readonly<Record<Outcome, string>> = {
  signedIn: '/signed-in',
  denied: '/denied',
  failed: '/failed',
  incomplete: '/refused/incomplete',
  forged: '/refused/forged',
  expired: '/refused/expired',
  foreign: '/refused/foreign',
  mismatched: '/refused/mismatched',
  unfinished: '/refused/unfinished',
  unchecked: '/refused/unchecked',
}
const FINAL: readonly Outcome[] = ['signedIn', 'denied', 'failed']
const TRIES = 5 // to find an ephemeral port that is free on both loopback addresses
const ANSWER_SECONDS = 2
const LAST_PAGE_SECONDS = 0.9 // for the browser to follow the redirect to the last page; then the port is closed

export class CallbackListener {
  readonly #options: CallbackListenerOptions
  readonly #servers: readonly Server[]
  readonly #port: number
  /** What the callback must bring back; null where nothing need be, undefined before a sign-in expects any. */
  #state: string | null | undefined
  /** What is being looked at, by what came: a browser that asks twice is told the same twice. */
  readonly #running = new Map<string, Promise<Outcome>>()
  #final: Outcome | undefined
  readonly #foreign = new WeakMap<Socket, Promise<boolean>>()

  /** @throws a system error where the port is taken */
  static async listen(options: CallbackListenerOptions): Promise<CallbackListener> {
    const { host, port } = options.address
    const [first, ...others] = loopbackAddresses(host)
    for (let tried = 1; ; tried++) {
      const servers: Server[] = []
      try {
        const main = await open(first, port)
        servers.push(main)
        const taken = portOf(main)
        for (const other of others) servers.push(...(await openIfThere(other, taken)))
        return new CallbackListener(options, servers, taken)
      } catch (error) {
        for (const server of servers) server.close()
        // `localhost` may be either address: what another program has there would get what is for us.
        if (port !== 0 || errorCode(error) !== 'EADDRINUSE' || tried === TRIES) throw error
      }
    }
  }

  private constructor(options: CallbackListenerOptions, servers: readonly Server[], port: number) {
    this.#options = options
    this.#servers = servers
    this.#port = port
    for (const server of servers) {
      server.on('request', (request, response) => void this.#answer(request, response))
    }
  }

  get redirectUri(): string {
    const { host, path } = this.#options.address
    return `http://${host}:${this.#port}${path}`
  }

  /** From now on a callback with this state, and no other, is taken; with null, whatever comes is looked at. */
  expect(state: string | null): void {
    this.#state = state
  }

  /** Closes the port: at once, or, where a callback has come, once the browser has had time for its last page. */
  async close(): Promise<void> {
    const open = this.#servers.filter((server) => server.listening)
    if (open.length === 0) return
    const closed = Promise.all(open.map((server) => once(server, 'close')))
    await Promise.all(this.#running.values())
    if (this.#final) this.#options.clock.after(LAST_PAGE_SECONDS, () => this.#closeNow())
    else this.#closeNow()
    await closed
  }

  #closeNow(): void {
    for (const server of this.#servers) {
      server.close() // and what is idle; what is being answered is let through
      this.#options.clock.after(ANSWER_SECONDS, () => server.closeAllConnections())
    }
  }

  /** Another name that leads here is DNS rebinding; the two addresses are as good as the name. */
  #isOurs(authority: string | undefined): boolean {
    const { host } = this.#options.address
    const names = host === 'localhost' ? [host, '127.0.0.1', '[::1]'] : [host]
    return names.some((name) => authority === `${name}:${this.#port}`)
  }

  /** Once for each connection: the look costs some milliseconds. */
  #isOtherUser(socket: Socket): Promise<boolean> {
    let answer = this.#foreign.get(socket)
    if (answer === undefined) {
      answer = this.#options.isOtherUser(socket)
      this.#foreign.set(socket, answer)
    }
    return answer
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    if (await this.#isOtherUser(request.socket)) return void request.socket.destroy()
    if (!this.#isOurs(request.headers.host)) return send(response, pages.wrongLink)
    if (request.method !== 'GET') return send(response, pages.notFound)
    if (isPrefetch(request)) return sendNothing(response)
    const target = request.url ?? ''
    const result = (Object.keys(RESULT_PATHS) as Outcome[]).find((outcome) => RESULT_PATHS[outcome] === target)
    if (result) return send(response, pages[result])
    if (target === '/favicon.ico') return sendNothing(response)
    const { path } = this.#options.address
    const callback = new URL(this.redirectUri)
    // Not parsed as a whole: a target may name another host.
    const [before = '', query = ''] = split(target, '?')
    if (before !== path || target === path) return send(response, pages.notFound)
    callback.search = query
    await this.#answerCallback(callback, response)
  }

  async #answerCallback(url: URL, response: ServerResponse): Promise<void> {
    const states = url.searchParams.getAll('state')
    const { losesState } = this.#options.address
    if (losesState && url.searchParams.has('error') && !url.searchParams.has('code') && states.every(isEmpty)) {
      this.#options.onInterrupted()
      return send(response, pages.interrupted)
    }
    if (!this.#isExpected(states) || repeats(url)) return send(response, pages.wrongLink)
    redirect(response, RESULT_PATHS[this.#final ?? (await this.#look(url))])
  }

  #isExpected(states: readonly string[]): boolean {
    const [state] = states
    if (this.#state === null) return true
    return states.length === 1 && state !== undefined && this.#state !== undefined && sameText(state, this.#state)
  }

  /** Looks at each callback once at a time: a code goes to the provider once, and two tokens do not wait for each other. */
  #look(url: URL): Promise<Outcome> {
    const key = this.#state === null ? url.search : ''
    const running = this.#running.get(key)
    if (running !== undefined) return running
    const looking = this.#options.onCallback(url).then((outcome) => {
      this.#running.delete(key)
      if (FINAL.includes(outcome)) this.#final = outcome
      return outcome
    })
    this.#running.set(key, looking)
    return looking
  }
}

async function open(host: string, port: number): Promise<Server> {
  const server = createServer({ maxHeaderSize: 16 * 1024, headersTimeout: 5000, requestTimeout: 5000 })
  server.maxConnections = 64
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, resolve)
  })
  return server
}

/** None where the machine has no such address at all. */
async function openIfThere(host: string, port: number): Promise<Server[]> {
  try {
    return [await open(host, port)]
  } catch (error) {
    if (['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(errorCode(error) ?? '')) return []
    throw error
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

function split(text: string, at: string): [string, string] {
  const index = text.indexOf(at)
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)]
}

/** Parameters must not repeat (RFC 6749 section 3.1): who reads the first and who reads the last would disagree. */
function repeats({ searchParams }: URL): boolean {
  return ['code', 'error', 'iss', 'state'].some((name) => searchParams.getAll(name).length > 1)
}

function isEmpty(text: string): boolean {
  return text === ''
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
