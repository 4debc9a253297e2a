// A stand-in for Clerk's Frontend API and the web app on one loopback port, for the real clerk-js in a real browser.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type ClientState, client, environment, error, session } from './frontend-api.ts'
import type { User } from './provider.ts'
import { appHtml, bundleWebApp, PAGE_PATH, SIGN_IN_HTML } from './web-app.ts'

const CLERK_JS = fileURLToPath(new URL('../../node_modules/@clerk/clerk-js/dist/', import.meta.url))

/** The token endpoint's behaviour: issue tokens, drop the connection, never answer, or answer with a status. */
export type TokenFault = 'none' | 'drop' | 'hang' | 400 | 429 | 500

export interface FrontendOptions {
  /**
   * Issues a session token as Clerk does.
   * @param origin of the web app, for the token's `azp`
   */
  readonly mint: (sessionId: string, origin: string) => Promise<string>
  readonly user: User
  readonly sessionId: string
  /** The session's status at the start; default `active`, null if the user is not signed in. */
  readonly status?: ClientState['status']
  /** Default any free port. */
  readonly port?: number
  /** The web app's script; default bundled at the start. */
  readonly app?: string
  /** The broker that the page uses. */
  readonly brokerUrl?: string
}

export interface Frontend {
  readonly origin: string
  /** The callback page's URL, for a profile's `signInUrl`. */
  readonly pageUrl: string
  /** Method and path of each request so far. */
  readonly requests: readonly string[]
  /** Every token that the token endpoint has issued. */
  readonly tokens: readonly string[]
  setTokenFault(fault: TokenFault): void
  /** The broker that the page uses from its next load on: one that starts later, since it lists this origin. */
  setBroker(url: string): void
  /** False: requests for clerk-js and the API are dropped. */
  setAvailable(isAvailable: boolean): void
  /** Changes the session's status; null ends the session, whatever cookies a browser has. */
  setStatus(status: ClientState['status']): void
  close(): Promise<void>
}

/** Starts the stand-in on 127.0.0.1. The sign-in page `/sign-in` takes one click on `#sign-in` and returns to its `redirect_url`. */
export async function startFrontend(options: FrontendOptions): Promise<Frontend> {
  const { mint, user, sessionId } = options
  const app = options.app ?? (await bundleWebApp())
  const requests: string[] = []
  const tokens: string[] = []
  let settings: Record<string, string> = { VITE_CADZERO_BROKER_URL: options.brokerUrl ?? '' }
  let { status = 'active' } = options
  let fault: TokenFault = 'none'
  let isAvailable = true
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
    if (pathname === PAGE_PATH) return send(response, 200, appHtml(settings), 'text/html')
    if (pathname === '/sign-in' && method === 'GET') return send(response, 200, SIGN_IN_HTML, 'text/html')
    if (pathname === '/sign-in') {
      status = 'active'
      const target = new URL(searchParams.get('redirect_url') ?? '/dashboard', origin)
      response.writeHead(303, { location: target.origin === origin ? target.href : '/dashboard' }).end()
      return
    }
    if (!isAvailable) return void response.destroy()
    const [, file] = /^\/npm\/@clerk\/clerk-js@[\w.]+\/dist\/([\w.-]+\.js)$/.exec(pathname) ?? []
    if (file !== undefined) return send(response, 200, await readFile(CLERK_JS + file, 'utf8'), 'text/javascript')
    if (pathname === '/v1/environment') return json(response, 200, environment(origin))
    if (pathname.startsWith('/v1/client')) return answerClient(`${method} ${pathname}`, response)
    json(response, 404, error('resource_not_found', 'not found'))
  }

  async function answerClient(route: string, response: ServerResponse): Promise<void> {
    // Set by Clerk's server: Unix time of the last sign-in, 0 if the user is not signed in.
    response.setHeader('set-cookie', `__client_uat=${status === null ? 0 : 1_764_000_000}; Path=/; SameSite=Lax`)
    if (route === 'GET /v1/client') return json(response, 200, { response: client(await state()), client: null })
    if (route === 'DELETE /v1/client/sessions') {
      status = null
      return json(response, 200, { response: client(await state()), client: null })
    }
    if (status === null) return json(response, 401, error('authentication_invalid', 'Invalid authentication'))
    const path = `/v1/client/sessions/${sessionId}`
    if (route === `POST ${path}/touch`) {
      const now = await state()
      return json(response, 200, { response: session(now), client: client(now) })
    }
    if (route !== `POST ${path}/tokens`) return json(response, 404, error('resource_not_found', 'Session not found'))
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
    setBroker(url) {
      settings = { VITE_CADZERO_BROKER_URL: url }
    },
    setTokenFault(next) {
      fault = next
    },
    setAvailable(next) {
      isAvailable = next
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
  // No caching, so that each visit sends requests. The Content-Security-Policy is left to the real web app.
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' }).end(body)
}
