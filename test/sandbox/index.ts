// The embedded sandbox: a real OpenID provider on loopback, set up as Clerk is, with faults that a test can script.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdapter } from './adapter.ts'
import { type BackendApi, ClerkBackend } from './backend.ts'
import { answerBackend } from './backend-routes.ts'
import { answerUserinfo, type Deviations, translate } from './clerk.ts'
import type { Fault } from './faults.ts'
import { createFront } from './front.ts'
import { interact, isInteraction } from './interactions.ts'
import { newSigningKey, sharedKey } from './keys.ts'
import { createProvider, type Organization, type ProviderSettings, type User } from './provider.ts'
import { createRecord, type SeenRequest } from './record.ts'
import { signIn, type Visit, type VisitOptions } from './user.ts'

export interface SandboxOptions extends Deviations {
  /** 0 for any that is free. */
  readonly port?: number
  /** Seconds that an access token lives, 1 or more. */
  readonly accessTokenTtl?: number
  readonly accessTokenFormat?: 'jwt' | 'opaque'
  /** With which status `invalid_grant` is answered: Clerk documents both. */
  readonly invalidGrantStatus?: 400 | 401
  /** What a spent refresh token that comes again does: it ends the grant, or it is good once more. */
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
  /** Clerk's sessions and its Backend API, which share the keys of the provider. */
  readonly backend: BackendApi
  /** Every request in order, those that a fault answered as well. */
  readonly requests: readonly SeenRequest[]
  count(path: string, grantType?: string): number
  /** What happens to the next requests to a path, in order; after them it behaves again. */
  script(path: string, ...faults: Fault[]): void
  /** Resolves when the n-th request from now on to a path has come. */
  arrived(path: string, n?: number): Promise<void>
  setAccessTokenTtl(seconds: number): void
  /** The organization in which the user is active from now on; undefined for none. */
  setOrganization(organization: Organization | undefined): void
  /** Does what a person does from the authorization URL to the client's last page. */
  signIn(authorizationUrl: string, options?: VisitOptions): Promise<Visit>
  /** Ends the person's grants, as an administrator does. */
  revokeGrants(): void
  /** Signs with a new key from now on; the old one is gone from the JWKS. */
  rotateKeys(): Promise<void>
  /** Ends all connections at once. Rejects if anything in the sandbox itself went wrong: no test shall pass over that. */
  close(): Promise<void>
}

export type { Fault, SeenRequest, Visit, VisitOptions }

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const signingKey = await sharedKey
  const [front, behind] = [createServer(), createServer()]
  await listen(front, options.port ?? 0)
  await listen(behind, 0)
  const issuer = `http://127.0.0.1:${portOf(front)}`
  const closing = new AbortController()
  const failures: unknown[] = []
  const onError = (error: unknown) => void failures.push(error)
  const settings: ProviderSettings = {
    issuer,
    clientId: `sandbox_${randomBytes(6).toString('hex')}`,
    user: { id: `user_2sandbox${randomBytes(8).toString('hex')}`, email: 'ada@example.com', name: 'Ada Lovelace' },
    tokenFormat: options.accessTokenFormat ?? 'jwt',
    refreshTokens: options.refreshTokens ?? true,
    adapter: createAdapter(options.refreshReuse ?? 'strict'),
    cookieKey: randomBytes(16).toString('hex'),
    onError,
    signingKey,
    accessTokenTtl: wholeSeconds(options.accessTokenTtl ?? 60),
    organization: undefined,
  }
  let provider = createProvider(settings)
  let callback = provider.callback()
  behind.on('request', (request, response) => {
    if (isInteraction(request)) void interact(provider, settings, request, response)
    else void callback(request, response)
  })

  const backend = new ClerkBackend(settings)
  const record = createRecord()
  const handle = createFront({
    behind: () => portOf(behind),
    enter: record.enter,
    intercept: async (seen, request, body) => {
      const { authorization } = request.headers
      const { method, path, query } = seen
      const fromBackend = await answerBackend(backend, { method, path, query, authorization, body })
      return fromBackend ?? (await answerUserinfo(seen, authorization, settings))
    },
    translate: (seen, answer) => translate(seen, answer, options),
    closing: closing.signal,
    onError,
  })
  front.on('request', (request, response) => void handle(request, response))

  const { requests, count, script, arrived } = record
  return {
    issuer,
    clientId: settings.clientId,
    user: settings.user,
    backend,
    requests,
    count,
    script,
    arrived,
    setAccessTokenTtl(seconds) {
      settings.accessTokenTtl = wholeSeconds(seconds)
    },
    setOrganization(organization) {
      settings.organization = organization
    },
    signIn: (url, visit) => signIn(issuer, url, visit),
    revokeGrants: () => settings.adapter.revokeAll(),
    async rotateKeys() {
      settings.signingKey = await newSigningKey()
      // oidc-provider reads its keys once; a new one that shares the adapter and the cookies knows all that the old one did.
      provider = createProvider(settings)
      callback = provider.callback()
    },
    async close() {
      closing.abort()
      await Promise.all([front, behind].map(end))
      if (failures.length > 0) throw new AggregateError(failures.splice(0), 'something went wrong inside the sandbox')
    },
  }
}

function wholeSeconds(seconds: number): number {
  if (!Number.isSafeInteger(seconds) || seconds < 1) throw new RangeError('an access token lives whole seconds')
  return seconds
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
