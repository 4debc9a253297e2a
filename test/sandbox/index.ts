// The sandbox: a real OpenID provider on loopback, configured as Clerk is, with faults that a test can script.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdapter } from './adapter.ts'
import { type BackendApi, ClerkBackend } from './backend.ts'
import { handleBackend } from './backend-routes.ts'
import { type Deviations, handleUserinfo, translate } from './clerk.ts'
import type { Fault } from './faults.ts'
import { createFront } from './front.ts'
import { interact, isInteraction } from './interactions.ts'
import { newSigningKey, sharedKey } from './keys.ts'
import { createProvider, type Organization, type ProviderSettings, type User } from './provider.ts'
import { createRecord, type RecordedRequest } from './record.ts'
import { authorizeDevice, type DeviceVisitOptions, signIn, type Visit, type VisitOptions } from './user.ts'

export interface SandboxOptions extends Deviations {
  /** The address at which clients reach the sandbox, if it is behind a TLS server; by default its own port on loopback. */
  readonly issuer?: string
  /** The time of its answers (Date) and of session tokens, in Unix seconds; by default the real one, which all else has. */
  readonly now?: () => number
  /** 0 selects a free port. */
  readonly port?: number
  /** The lifetime of an access token in seconds, 1 or more. */
  readonly accessTokenTtl?: number
  readonly accessTokenFormat?: 'jwt' | 'opaque'
  /** The status of an `invalid_grant` response: Clerk documents both. */
  readonly invalidGrantStatus?: 400 | 401
  /** The effect of the second use of a refresh token: it ends the grant (strict), or it succeeds (forgiving). */
  readonly refreshReuse?: 'strict' | 'forgiving'
  /** False: no refresh token is ever issued. */
  readonly refreshTokens?: boolean
  /** False: there is no device authorization grant, as for most accounts of Clerk. */
  readonly deviceFlow?: boolean
  /** Overrides members of the discovery document; undefined removes one. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface Sandbox {
  readonly issuer: string
  /** The port on loopback. */
  readonly port: number
  readonly clientId: string
  readonly user: User
  /** Clerk's sessions and its Backend API, which share the keys of the provider. */
  readonly backend: BackendApi
  /** Every request in order, including those with a fault. */
  readonly requests: readonly RecordedRequest[]
  count(path: string, grantType?: string): number
  /** Scripts faults for the next requests to a path, in order. Later requests succeed again. */
  script(path: string, ...faults: Fault[]): void
  /** Resolves when the n-th request to a path from now on has arrived. */
  arrived(path: string, n?: number): Promise<void>
  setAccessTokenTtl(seconds: number): void
  /** The organization in which the user is active from now on; undefined for none. */
  setOrganization(organization: Organization | undefined): void
  /** Signs in as the user does, from the authorization URL to the client's last page. */
  signIn(authorizationUrl: string, options?: VisitOptions): Promise<Visit>
  /** Does what the user does on another device, from the verification URI to the last page. @returns that page */
  authorizeDevice(
    url: string,
    options?: DeviceVisitOptions,
  ): Promise<{ readonly status: number; readonly body: string }>
  /** Revokes the user's grants, as an administrator does. */
  revokeGrants(): void
  /** Signs with a new key from now on, and removes the old one from the JWKS. */
  rotateKeys(): Promise<void>
  /** Closes all connections at once. Rejects if the sandbox itself failed, so that a test cannot miss it. */
  close(): Promise<void>
}

export type { Fault, RecordedRequest, Visit, VisitOptions }

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const signingKey = await sharedKey
  const [front, providerServer] = [createServer(), createServer()]
  await listen(front, options.port ?? 0)
  await listen(providerServer, 0)
  const issuer = options.issuer ?? `http://127.0.0.1:${portOf(front)}`
  const closing = new AbortController()
  const failures: unknown[] = []
  const onError = (error: unknown) => void failures.push(error)
  const settings: ProviderSettings = {
    issuer,
    clientId: `sandbox_${randomBytes(6).toString('hex')}`,
    user: { id: `user_2sandbox${randomBytes(8).toString('hex')}`, email: 'ada@example.com', name: 'Ada Lovelace' },
    tokenFormat: options.accessTokenFormat ?? 'jwt',
    refreshTokens: options.refreshTokens ?? true,
    deviceFlow: options.deviceFlow ?? true,
    adapter: createAdapter(options.refreshReuse ?? 'strict'),
    cookieKey: randomBytes(16).toString('hex'),
    onError,
    signingKey,
    accessTokenTtl: wholeSeconds(options.accessTokenTtl ?? 60),
    organization: undefined,
  }
  let provider = createProvider(settings)
  let callback = provider.callback()
  providerServer.on('request', (request, response) => {
    if (isInteraction(request)) void interact(provider, settings, request, response)
    else void callback(request, response)
  })

  const now = options.now ?? (() => Date.now() / 1000)
  const backend = new ClerkBackend(settings, now)
  const record = createRecord()
  const handle = createFront({
    providerPort: () => portOf(providerServer),
    record: record.record,
    intercept: async (recorded, request, body) => {
      const { authorization } = request.headers
      const { method, path, query } = recorded
      const fromBackend = await handleBackend(backend, { method, path, query, authorization, body })
      return fromBackend ?? (await handleUserinfo(recorded, authorization, settings))
    },
    translate: (recorded, response) => translate(recorded, response, options),
    now,
    closing: closing.signal,
    onError,
  })
  front.on('request', (request, response) => void handle(request, response))

  const { requests, count, script, arrived } = record
  return {
    issuer,
    port: portOf(front),
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
    authorizeDevice: (url, visit) => authorizeDevice(issuer, url, visit),
    revokeGrants: () => settings.adapter.revokeAll(),
    async rotateKeys() {
      settings.signingKey = await newSigningKey()
      // oidc-provider reads its keys once. A new provider with the same adapter and cookie key continues where the old one was.
      provider = createProvider(settings)
      callback = provider.callback()
    },
    async close() {
      closing.abort()
      await Promise.all([front, providerServer].map(close))
      if (failures.length > 0) throw new AggregateError(failures.splice(0), 'the sandbox failed')
    },
  }
}

function wholeSeconds(seconds: number): number {
  if (!Number.isSafeInteger(seconds) || seconds < 1)
    throw new RangeError('the lifetime of an access token is a whole number of seconds, 1 or more')
  return seconds
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
