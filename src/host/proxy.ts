// Chooses the proxy for a URL: from config.json, the environment, or the system's settings, in that order.
import type { ProxyProblem } from './network-failure.ts'
import type { ProxySetting, ProxySource } from './network-view.ts'
import { hostOf, isExcepted, isOwnHost, parseNoProxy } from './proxy-exceptions.ts'
import type { SystemProxy } from './system-proxy.ts'

export type Route =
  | { readonly kind: 'direct' }
  /** The system names a script that chooses the proxy. It is not run: a direct connection is tried. */
  | { readonly kind: 'pac'; readonly source: 'system' }
  | { readonly kind: 'proxy'; readonly proxy: URL; readonly source: ProxySource; readonly variable?: string }
  /** A proxy is demanded that this program cannot use. It is not bypassed. */
  | {
      readonly kind: 'unusable'
      readonly problem: ProxyProblem
      readonly proxyHost?: string
      readonly source: ProxySource
      readonly variable?: string
    }

const DIRECT: Route = { kind: 'direct' }

// As curl: the name in small letters first. HTTP_PROXY last, although it is for http: every outside address is https, and a
// computer that has only HTTP_PROXY has it because there is no other way out.
const VARIABLES = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY', 'http_proxy', 'HTTP_PROXY']

/** @param readSystem is called only if nothing else decides */
export async function chooseRoute(
  url: URL,
  setting: ProxySetting,
  env: NodeJS.ProcessEnv,
  readSystem: () => Promise<SystemProxy>,
): Promise<Route> {
  if (setting === 'none' || isOwnHost(hostOf(url)) || isExcepted(url, noProxyOf(env))) return DIRECT
  if (setting !== 'auto') return routeBy(setting, { source: 'configuration' })
  const variable = VARIABLES.find((name) => env[name])
  if (variable !== undefined) return routeBy(env[variable] ?? '', { source: 'environment', variable })
  const { https, socks, pac, exceptions } = await readSystem()
  if (isExcepted(url, exceptions)) return DIRECT
  if (https !== undefined) return routeBy(https, { source: 'system' })
  if (pac !== undefined) return { kind: 'pac', source: 'system' }
  return socks === undefined ? DIRECT : routeBy(`socks://${socks}`, { source: 'system' })
}

function noProxyOf(env: NodeJS.ProcessEnv): string[] {
  return parseNoProxy(env.no_proxy || env.NO_PROXY || '')
}

type Origin = { readonly source: ProxySource; readonly variable?: string }

function routeBy(text: string, origin: Origin): Route {
  const proxy = parseProxy(text)
  if (proxy === undefined) return { kind: 'unusable', problem: 'invalid', ...origin }
  if (proxy.protocol === 'http:' || proxy.protocol === 'https:') return { kind: 'proxy', proxy, ...origin }
  const problem = proxy.protocol.startsWith('socks') ? 'socks' : 'invalid'
  return { kind: 'unusable', problem, proxyHost: hostOf(proxy), ...origin }
}

/** The URL of a proxy; without a scheme it is http. Undefined if it is none, or its password is not encoded as in a URL. */
export function parseProxy(text: string): URL | undefined {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`
  if (!URL.canParse(url)) return undefined
  const proxy = new URL(url)
  return isMisread(proxy) || credentialsOf(proxy) === undefined ? undefined : proxy
}

/**
 * Whether the parts are not what was meant: `/`, `?` and `#` in a password end the host too early, so that the user and the
 * beginning of the password would be shown as host and port.
 */
function isMisread({ hostname, pathname, search, hash }: URL): boolean {
  return !/^([\w.-]+|\[[\da-f:.]+\])$/i.test(hostname) || `${pathname}${search}${hash}`.includes('@')
}

/** `user:password`; empty if the URL has none, undefined if they are not encoded as in a URL. */
export function credentialsOf({ username, password }: URL): string | undefined {
  try {
    return username === '' ? '' : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  } catch {
    return undefined
  }
}

/** The URL of a proxy without user and password. */
export function redactedProxy({ protocol, host }: URL): string {
  return `${protocol}//${host}`
}
