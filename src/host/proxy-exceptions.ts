// Which hosts are reached without the proxy: NO_PROXY as curl reads it, and the exception lists of the systems.
import { BlockList, isIP, isIPv6 } from 'node:net'

/** A URL's host as an address or a name: without brackets, without a dot at the end, in lower case. */
export function hostOf({ hostname }: URL): string {
  return hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
}

/** Whether a host is this computer. A proxy would connect to itself. */
export function isOwnHost(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || contains('127.0.0.0/8', host) || contains('::1', host)
}

/** The entries of NO_PROXY. */
export function parseNoProxy(text: string): string[] {
  return text.split(/[\s,]+/).filter((entry) => entry !== '')
}

/**
 * Whether a list of exceptions names the URL's host: `*`, a host name (with its subdomains), an address, a network as
 * `10.0.0.0/8`, a pattern with `*`, or `<local>` for names without a dot. Each may have a port.
 */
export function isExcepted(url: URL, entries: readonly string[]): boolean {
  const host = hostOf(url)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return entries.some((entry) => matches(entry.toLowerCase(), host, port))
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  if (entry === '<local>') return isIP(host) === 0 && !host.includes('.')
  const given = entry.replace(/^https?:\/\//, '')
  const [, bare = given, wantedPort] = /^(\[.*\]|[^:]*):(\d+)$/.exec(given) ?? []
  if (wantedPort !== undefined && wantedPort !== port) return false
  const pattern = bare.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (isIP(host) !== 0 && !pattern.includes('*')) return contains(pattern, host)
  if (pattern.includes('*') && !/^\*\.[^*]*$/.test(pattern)) return globOf(pattern).test(host)
  const domain = pattern.replace(/^\*?\./, '')
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`))
}

/** @param network an address, or a network; macOS writes 169.254.0.0/16 as 169.254/16 */
function contains(network: string, address: string): boolean {
  if (isIP(address) === 0) return false
  const [given = '', bits] = network.split('/')
  const start =
    bits !== undefined && /^\d+(\.\d+){0,2}$/.test(given) ? [...given.split('.'), 0, 0, 0].slice(0, 4).join('.') : given
  const family = isIPv6(start) ? 'ipv6' : 'ipv4'
  const longest = family === 'ipv6' ? 128 : 32
  const length = bits === undefined ? longest : Number(bits)
  if (isIP(start) === 0 || !Number.isInteger(length) || length < 0 || length > longest) return false
  const list = new BlockList()
  list.addSubnet(start, length, family)
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

function globOf(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}
