// Finds the user who owns the other end of a loopback connection, from the kernel's socket table (Linux only).
// Invariant: a program of another user on this system never counts as `own` or `outside`, also if it closes its socket early.
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'

/**
 * - `own`: this user or an administrator.
 * - `other`: another user of this system.
 * - `outside`: no program of this system, but one that reaches our loopback from outside our network namespace: a browser
 *   on Windows for a daemon in WSL with mirrored networking, or on the host of a container.
 * - `closed`: the other end was closed, so that its owner can no longer be found.
 * - `unpublished`: the system does not publish socket owners.
 */
export type SocketOwner = 'own' | 'other' | 'outside' | 'closed' | 'unpublished'

/** The owner of the other end of a connection: a second line of defence, which not all systems have. */
export type FindSocketOwner = (socket: Socket) => Promise<SocketOwner>

type Table = 'tcp' | 'tcp6'

// The kernel may skip a line while other sockets open and close, but not the same one so many times in a row.
const MAX_READS = 8

export interface SocketOwnerOptions {
  readonly ownUid: number | undefined
  /** Reads one of the kernel's socket tables. */
  readonly read: (table: Table) => Promise<string>
  /** The addresses of this system. */
  readonly addresses: () => readonly string[]
}

const SYSTEM: SocketOwnerOptions = {
  ownUid: process.getuid?.(),
  read: (table) => readFile(`/proc/net/${table}`, 'latin1'),
  addresses: () => Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []),
}

export function socketOwnerFinder({ ownUid, read, addresses }: SocketOwnerOptions = SYSTEM): FindSocketOwner {
  const readTable = oneAtATime(async (table) => parseTable(await read(table)))
  return async ({ remoteAddress, remotePort, localPort, remoteFamily }) => {
    if (ownUid === undefined) return 'unpublished'
    let isOpenHere = true
    for (let reads = 1; reads <= MAX_READS; reads++) {
      const table = await readTable(remoteFamily === 'IPv6' ? 'tcp6' : 'tcp').catch(() => undefined)
      if (table === undefined) return 'unpublished'
      if (remoteAddress === undefined || remotePort === undefined || localPort === undefined) return 'closed'
      const peer = findEnd(table, remotePort, localPort)
      if (peer?.state === ESTABLISHED) return peer.uid === ownUid || peer.uid === 0 ? 'own' : 'other'
      if (peer !== undefined) return 'closed'
      isOpenHere &&= findEnd(table, localPort, remotePort)?.state === ESTABLISHED
      if (isOpenHere && !isAddressOf(addresses(), remoteAddress)) return 'outside'
    }
    // A program of this system would have a line of its own for as long as our end of the connection is established.
    return isOpenHere ? 'outside' : 'closed'
  }
}

function isAddressOf(addresses: readonly string[], address: string): boolean {
  return address.startsWith('127.') || address === '::1' || addresses.includes(address)
}

/** A read costs the kernel milliseconds: reads run one at a time, and all callers that wait for the next one share it. */
function oneAtATime<T>(read: (table: Table) => Promise<T>): (table: Table) => Promise<T> {
  const waiting = new Map<Table, Promise<T>>()
  let last: Promise<unknown> = Promise.resolve()
  return (table) => {
    const shared = waiting.get(table)
    if (shared !== undefined) return shared
    const next = last.then(() => {
      waiting.delete(table)
      return read(table)
    })
    waiting.set(table, next)
    last = next.catch(() => undefined)
    return next
  }
}

const ESTABLISHED = '01' // the table gives a closed socket to uid 0, so other states prove nothing

interface End {
  readonly state: string
  readonly uid: number
}

/** The ends of all connections by their two ports. */
type Ends = ReadonlyMap<string, readonly End[]>

// A line is: number, local, remote, state, queues, timer, retries, uid.
const LINE = /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]+) \S+ \S+ \S+ +(\d+) /gm

/** Parsed once for all who wait: a table with thousands of closed connections takes milliseconds. */
function parseTable(table: string): Ends {
  const ends = new Map<string, End[]>()
  for (const [, local = '', remote = '', state = '', uid] of table.matchAll(LINE)) {
    const key = local + remote
    const known = ends.get(key)
    const end = { state, uid: Number(uid) }
    if (known === undefined) ends.set(key, [end])
    else known.push(end)
  }
  return ends
}

/** An end of a connection between two ports. */
function findEnd(ends: Ends, localPort: number, remotePort: number): End | undefined {
  const found = ends.get(hex(localPort) + hex(remotePort)) ?? []
  return found.find(({ state }) => state === ESTABLISHED) ?? found[0]
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}
