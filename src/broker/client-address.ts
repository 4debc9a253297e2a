// The address of the client that sent a request, behind the proxies that the operator has named.
import { isIP } from 'node:net'

/**
 * The address that the outermost trusted proxy saw. Each trusted proxy appends the address of its peer to
 * `X-Forwarded-For`; what stands before that comes from the client and proves nothing.
 * @param peer the address of the socket; undefined if the server does not tell
 * @param trustedHops how many proxies of the operator's are in front of the broker
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | null | undefined,
  trustedHops: number,
): string | undefined {
  if (trustedHops === 0) return peer === undefined ? undefined : normalise(peer)
  const hops = (forwardedFor ?? '').split(',').map((hop) => hop.trim())
  const address = hops.length >= trustedHops ? hops[hops.length - trustedHops] : undefined
  return address === undefined ? undefined : normalise(address)
}

/** Without a port and a zone, and IPv4 without its IPv6 notation; undefined if it is no address. */
function normalise(text: string): string | undefined {
  const [, bracketed] = /^\[([^\]]+)\](?::\d+)?$/.exec(text) ?? []
  const [, v4WithPort] = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text) ?? []
  const address = (bracketed ?? v4WithPort ?? text).replace(/%.*$/, '').toLowerCase()
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address) ?? []
  const plain = mapped ?? address
  return isIP(plain) === 0 ? undefined : plain
}

const GROUPS = 8
const NETWORK_GROUPS = 4

/** What a limit counts by: an IPv4 address, or the /64 network of an IPv6 address, which one client owns. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = address.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, GROUPS - before.length - after.length)).fill('0')
  const groups = [...before, ...zeros, ...after].slice(0, NETWORK_GROUPS)
  return `${groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`
}

export function isLoopback(peer: string | undefined): boolean {
  const address = peer === undefined ? undefined : normalise(peer)
  return address === '::1' || address?.startsWith('127.') === true
}
