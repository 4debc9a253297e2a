// The network of this computer: which proxy leads out, which authorities are trusted, and the requests that use them.
// All of it is found out at the first connection, and again after a failure, since computers move between networks.
import { createSecureContext, type SecureContext } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import { type Certificates, loadCertificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { sendRequest } from './connection.ts'
import type { FileSystem } from './files.ts'
import type { FetchInit } from './network.ts'
import { ConnectionError } from './network-failure.ts'
import type { NetworkSettings, NetworkView } from './network-view.ts'
import { chooseRoute, type Route, redactedProxy } from './proxy.ts'
import type { Run } from './run.ts'
import { NO_SYSTEM_PROXY, readSystemProxy, type SystemProxy } from './system-proxy.ts'
import { withTimeout } from './timeout.ts'

export interface SystemNetworkOptions {
  readonly files: FileSystem
  readonly clock: Clock
  readonly env: NodeJS.ProcessEnv
  readonly platform: NodeJS.Platform
  readonly run: Run
  readonly settings: NetworkSettings
}

const SYSTEM_SETTINGS_SECONDS = 300 // a changed proxy is noticed at the latest after this time, or at the first failure
const SYSTEM_SETTINGS_TIMEOUT = 3 // s; a tool that hangs must not use up the request's time

interface Trust {
  readonly secureContext: SecureContext
  readonly certificates: Certificates
}

export class SystemNetwork {
  readonly #options: SystemNetworkOptions
  #trust: Promise<Trust> | undefined
  #lastTrust: Trust | undefined
  #proxyPassword: Promise<string | undefined> | undefined
  #systemProxy: { readonly found: Promise<SystemProxy>; readonly until: number } | undefined

  constructor(options: SystemNetworkOptions) {
    this.#options = options
  }

  /** @throws ConnectionError */
  async fetch(target: string | URL, init: FetchInit = {}): Promise<Response> {
    const url = new URL(target)
    const route = await this.#route(url)
    try {
      return await this.#send(url, init, route)
    } catch (error) {
      // What was found out may be out of date: a proxy of another network, or an authority that was installed just now.
      this.#trust = undefined
      this.#systemProxy = undefined
      this.#proxyPassword = undefined
      if (!(error instanceof ConnectionError) || error.isSent || init.signal?.aborted) throw error
      const current = await this.#route(url)
      if (isSameRoute(route, current)) throw error
      return await this.#send(url, init, current)
    }
  }

  async describe(url: URL): Promise<NetworkView> {
    const [route, { certificates }] = [await this.#route(url), await this.#loadTrust()]
    return { proxy: describeRoute(route), certificates: certificates.sources }
  }

  async #send(url: URL, init: FetchInit, route: Route): Promise<Response> {
    if (route.kind === 'unusable') {
      const { problem: proxyProblem, proxyHost } = route
      throw new ConnectionError({ cause: 'proxy', proxyProblem, ...(proxyHost ? { proxyHost } : {}) }, false)
    }
    const proxy = route.kind === 'proxy' ? await this.#withPassword(route) : undefined
    const signal = init.signal ?? new AbortController().signal
    const secureContext = url.protocol === 'https:' ? (await this.#loadTrust()).secureContext : undefined
    try {
      return await sendRequest(url, init, { proxy, secureContext, signal })
    } catch (error) {
      // Without the proxy of the script there is perhaps no way out, and not even a name server.
      const needsScript =
        route.kind === 'pac' && error instanceof ConnectionError && UNREACHABLE.includes(error.failure.cause)
      throw needsScript ? new ConnectionError({ cause: 'proxy', proxyProblem: 'pac' }, error.isSent) : error
    }
  }

  #route(url: URL): Promise<Route> {
    const { settings, env } = this.#options
    return chooseRoute(url, settings.proxy, env, () => this.#readSystemProxy())
  }

  /** Not kept in the route, which is shown and compared. */
  async #withPassword({ proxy, source }: Extract<Route, { kind: 'proxy' }>): Promise<URL> {
    const { proxy: setting, proxyPassword } = this.#options.settings
    if (source !== 'configuration' || proxy.username === '' || !proxyPassword) return proxy
    this.#proxyPassword ??= proxyPassword(setting)
    const password = await this.#proxyPassword
    if (password === undefined) return proxy
    const complete = new URL(proxy)
    complete.password = encodeURIComponent(password)
    return complete
  }

  #readSystemProxy(): Promise<SystemProxy> {
    const { run, platform, env, clock } = this.#options
    if (this.#systemProxy && clock.monotonic() < this.#systemProxy.until) return this.#systemProxy.found
    const found = withTimeout(clock, SYSTEM_SETTINGS_TIMEOUT, readSystemProxy(run, platform, env), () => new Error())
    const orNone = found.catch(() => NO_SYSTEM_PROXY)
    this.#systemProxy = { found: orNone, until: clock.monotonic() + SYSTEM_SETTINGS_SECONDS }
    return orNone
  }

  #loadTrust(): Promise<Trust> {
    const { files, clock, env, platform, settings } = this.#options
    this.#trust ??= loadCertificates({ files, clock, env, platform, caFile: settings.caFile }).then((certificates) => {
      const last = this.#lastTrust
      const isSame = last !== undefined && isDeepStrictEqual(last.certificates, certificates)
      // Parsing takes up to 50 ms of the event loop.
      this.#lastTrust = isSame
        ? last
        : { certificates, secureContext: createSecureContext({ ca: [...certificates.pem] }) }
      return this.#lastTrust
    })
    return this.#trust
  }
}

const UNREACHABLE = ['dns', 'refused', 'timeout']

function isSameRoute(one: Route, other: Route): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

function describeRoute(route: Route): NetworkView['proxy'] {
  if (route.kind === 'direct') return null
  const { source } = route
  if (route.kind === 'pac') return { url: null, source, problem: 'pac' }
  const variable = route.variable === undefined ? {} : { variable: route.variable }
  if (route.kind === 'proxy') return { url: redactedProxy(route.proxy), source, ...variable }
  return { url: null, source, ...variable, problem: route.problem }
}
