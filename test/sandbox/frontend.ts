// A stand-in for Clerk's Frontend API and the web app in front of it, on one loopback port, for the real clerk-js in a real browser.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type ClientState, client, environment, error, session } from './frontend-api.ts'
import type { User } from './provider.ts'
import { APP_HTML, bundleWebApp, PAGE_PATH, SIGN_IN_HTML } from './web-app.ts'

const CLERK_JS = fileURLToPath(new URL('../../node_modules/@clerk/clerk-js/dist/', import.meta.url))

/** What the token endpoint does: its job, end the connection, never answer, or answer with this status. */
export type TokenFault = 'none' | 'drop' | 'hang' | 400 | 429 | 500

export interface FrontendOptions {
  /**
   * Makes a session token, as Clerk would for that session.
   * @param origin the web app's, for the token's `azp`
   */
  readonly mint: (sessionId: string, origin: string) => Promise<string>
  readonly user: User
  readonly sessionId: string
  /** Who is there when it starts; signed in unless told. */
  readonly status?: ClientState['status']
  /** 0 for any that is free. */
  readonly port?: number
  /** The app's script, where a caller has bundled it already. */
  readonly app?: string
}

export interface Frontend {
  readonly origin: string
  /** The page's address: what a profile's `signInUrl` is set to. */
  readonly pageUrl: string
  /** Paths asked for so far, methods before them. */
  readonly requests: readonly string[]
  /** Every token that was handed out by the token endpoint. */
  readonly tokens: readonly string[]
  setTokenFault(fault: TokenFault): void
  /** False: clerk-js's script and the API do not answer. */
  setUp(isUp: boolean): void
  /** A session, or none from now on: what a browser holds is worth nothing any more. */
  setStatus(status: ClientState['status']): void
  close(): Promise<void>
}

/** Starts it on 127.0.0.1. The sign-in page `/sign-in` takes one click on `#sign-in` and returns to its `redirect_url`. */
export async function startFrontend(options: FrontendOptions): Promise<Frontend> {
  const { mint, user, sessionId } = options
  const app = options.app ?? (await bundleWebApp())
  const requests: string[] = []
  const tokens: string[] = []
  let { status = 'active' } = options
  let fault: TokenFault = 'none'
  let isUp = true
  let origin = ''

  const state = async (): Promise<ClientState> => ({
    user,
    sessionId,
    status,
    token: status === null ? '' : await mint(sessionId, origin),
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(String(request.url), origin)
    const method = searchParams.get('_method') ?? String(request.method)
    requests.push(`${method} ${pathname}`)
    request.resume()
    if (pathname === '/app.js') return send(response, 200, app, 'text/javascript')
    if (pathname === PAGE_PATH) return send(response, 200, APP_HTML, 'text/html')
    if (pathname === '/sign-in' && method === 'GET') return send(response, 200, SIGN_IN_HTML, 'text/html')
    if (pathname === '/sign-in') {
      status = 'active'
      const back = new URL(searchParams.get('redirect_url') ?? '/dashboard', origin)
      response.writeHead(303, { location: back.origin === origin ? back.href : '/dashboard' }).end()
      return
    }
    if (!isUp) return void response.destroy()
    const [, file] = /^\/npm\/@clerk\/clerk-js@[\w.]+\/dist\/([\w.-]+\.js)$/.exec(pathname) ?? []
    if (file !== undefined) return send(response, 200, await readFile(CLERK_JS + file, 'utf8'), 'text/javascript')
    if (pathname === '/v1/environment') return json(response, 200, environment(origin))
    if (pathname.startsWith('/v1/client')) return answerClient(`${method} ${pathname}`, response)
    json(response, 404, error('resource_not_found', 'not found'))
  }

  async function answerClient(asked: string, response: ServerResponse): Promise<void> {
    // Clerk's server sets it: the second of the last sign-in, 0 where nobody is.
    response.setHeader('set-cookie', `__client_uat=${status === null ? 0 : 1_764_000_000}; Path=/; SameSite=Lax`)
    if (asked === 'GET /v1/client') return json(response, 200, { response: client(await state()), client: null })
    if (asked === 'DELETE /v1/client/sessions') {
      status = null
      return json(response, 200, { response: client(await state()), client: null })
    }
    if (status === null) return json(response, 401, error('authentication_invalid', 'Invalid authentication'))
    const path = `/v1/client/sessions/${sessionId}`
    if (asked === `POST ${path}/touch`) {
      const now = await state()
      return json(response, 200, { response: session(now), client: client(now) })
    }
    if (asked !== `POST ${path}/tokens`) return json(response, 404, error('resource_not_found', 'Session not found'))
    if (fault === 'hang') return
    if (fault === 'drop') return void response.destroy()
    if (fault !== 'none') return json(response, fault, error('sandbox_fault', 'a fault'))
    const jwt = await mint(sessionId, origin)
    tokens.push(jwt)
    json(response, 200, { object: 'token', jwt })
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    origin,
    pageUrl: `${origin}${PAGE_PATH}`,
    requests,
    tokens,
    setTokenFault(next) {
      fault = next
    },
    setUp(next) {
      isUp = next
    },
    setStatus(next) {
      status = next
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  send(response, status, JSON.stringify(value), 'application/json')
}

function send(response: ServerResponse, status: number, body: string, type: string): void {
  // No Content-Security-Policy: the app's own business. Nothing is kept, so that each visit asks anew.
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' }).end(body)
}
