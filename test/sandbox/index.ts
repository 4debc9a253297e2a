// The embedded sandbox: a real OpenID provider on loopback, set up as Clerk is, with faults that a test can script.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { createAdapter } from './adapter.ts'
import type { Fault } from './faults.ts'
import { type Answer, createFront, type SeenRequest } from './front.ts'
import { consentPage, loginPage } from './pages.ts'
import { signIn, type Visit, type VisitOptions } from './person.ts'
import { createProvider, finishInteraction, PATHS, type ProviderSettings, profileOf, type User } from './provider.ts'

export interface SandboxOptions {
  /** 0 for any that is free. */
  readonly port?: number
  /** Seconds that an access token lives. */
  readonly accessTokenTtl?: number
  readonly accessTokenFormat?: 'jwt' | 'opaque'
  /** With which status `invalid_grant` is answered: Clerk documents both. */
  readonly invalidGrantStatus?: 400 | 401
  readonly refreshReuse?: 'strict' | 'forgiving'
  /** False: no refresh token is ever issued. */
  readonly refreshTokens?: boolean
  /** Put over the discovery document. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface Sandbox {
  readonly issuer: string
  readonly clientId: string
  readonly user: User
  /** Every request in order, those that a fault answered as well. */
  readonly requests: readonly SeenRequest[]
  count(path: string, grantType?: string): number
  /** What happens to the next requests to a path, in order; after them it behaves again. */
  script(path: string, ...faults: Fault[]): void
  /** Resolves when the n-th request from now on to a path has come. */
  arrived(path: string, n?: number): Promise<void>
  setAccessTokenTtl(seconds: number): void
  /** Does what a person does from the authorization URL to the client's last page. */
  signIn(authorizationUrl: string, options?: VisitOptions): Promise<Visit>
  /** Ends the person's grants, as an administrator does. */
  revokeGrants(): void
  close(): Promise<void>
}

export type { Fault, SeenRequest, Visit }

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const requests: SeenRequest[] = []
  const faults = new Map<string, Fault[]>()
  const waiting = new Set<{ path: string; left: number; resolve: () => void }>()
  const behind = createServer()
  await listen(behind, 0)

  const front = createServer()
  await listen(front, options.port ?? 0)
  const issuer = `http://127.0.0.1:${portOf(front)}`
  const settings: ProviderSettings = {
    issuer,
    clientId: `sandbox_${randomBytes(6).toString('hex')}`,
    user: { id: `user_2${randomBytes(8).toString('hex')}`, email: 'ada@example.com', name: 'Ada Lovelace' },
    tokenFormat: options.accessTokenFormat ?? 'jwt',
    refreshTokens: options.refreshTokens ?? true,
    accessTokenTtl: options.accessTokenTtl ?? 60,
    adapter: createAdapter(options.refreshReuse ?? 'strict'),
  }
  const provider = createProvider(settings)
  const callback = provider.callback()
  behind.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const [, uid] = /^\/interaction\/([\w-]+)$/.exec(request.url ?? '') ?? []
    if (uid === undefined) callback(request, response)
    else interact(request, response).catch(() => response.writeHead(400).end('this sign-in is over; start again'))
  })
  const interact = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.method === 'POST') {
      let form = ''
      for await (const chunk of request) form += chunk
      const deny = new URLSearchParams(form).get('answer') === 'deny'
      return await finishInteraction(provider, settings, request, response, deny)
    }
    const { prompt } = await provider.interactionDetails(request, response)
    const action = String(request.url)
    const page = prompt.name === 'login' ? loginPage(action, settings.user.email) : consentPage(action)
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(page)
  }

  const handle = createFront({
    behind: () => portOf(behind),
    onSeen(seen) {
      requests.push(seen)
      for (const one of waiting) {
        if (one.path !== seen.path || --one.left > 0) continue
        waiting.delete(one)
        one.resolve()
      }
    },
    nextFault: (path) => faults.get(path)?.shift(),
    intercept: (seen, request) => asClerk(seen, request, settings, `http://127.0.0.1:${portOf(behind)}`),
    translate: (seen, answer) => translate(seen, answer, options),
  })
  front.on('request', (request, response) => {
    handle(request, response).catch(() => response.destroy())
  })

  return {
    issuer,
    clientId: settings.clientId,
    user: settings.user,
    requests,
    count: (path, grantType) =>
      requests.filter((one) => one.path === path && (grantType === undefined || one.grantType === grantType)).length,
    script(path, ...next) {
      faults.set(path, [...(faults.get(path) ?? []), ...next])
    },
    arrived: (path, n = 1) => new Promise((resolve) => waiting.add({ path, left: n, resolve })),
    setAccessTokenTtl(seconds) {
      settings.accessTokenTtl = seconds
    },
    signIn: (url, visit) => signIn(issuer, url, visit),
    revokeGrants: () => settings.adapter.revokeAll(),
    async close() {
      await Promise.all([front, behind].map(end))
    },
  }
}

/** What Clerk does and oidc-provider cannot: userinfo for JWT access tokens, and their refusal at revocation. */
async function asClerk(
  seen: SeenRequest,
  request: IncomingMessage,
  { issuer, user, tokenFormat }: ProviderSettings,
  behind: string,
): Promise<Answer | undefined> {
  if (tokenFormat !== 'jwt') return undefined
  if (seen.path === PATHS.revocation && seen.form.token?.split('.').length === 3) {
    return json(400, { error: 'unsupported_token_type', error_description: 'JWT access tokens cannot be revoked' })
  }
  if (seen.path !== PATHS.userinfo) return undefined
  try {
    const keys = (await (await fetch(`${behind}${PATHS.jwks}`)).json()) as JSONWebKeySet
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), { issuer, typ: 'at+jwt' })
    return json(200, { object: 'oauth_user_info', user_id: payload.sub, sub: payload.sub, ...profileOf(user) })
  } catch {
    return json(401, { error: 'invalid_token' })
  }
}

function translate(seen: SeenRequest, answer: Answer, options: SandboxOptions): Answer {
  if (seen.path === PATHS.discovery && options.metadata) {
    return json(answer.status, { ...JSON.parse(answer.body.toString('utf8')), ...options.metadata })
  }
  const isInvalidGrant = seen.path === PATHS.token && answer.body.includes('"invalid_grant"')
  return isInvalidGrant ? { ...answer, status: options.invalidGrantStatus ?? answer.status } : answer
}

function json(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) }
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

async function end(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
