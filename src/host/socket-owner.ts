// Finds the user who owns the other end of a loopback connection, from the kernel's socket table (Linux only).
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

/**
 * Whether the other end of a connection belongs to another user of this machine, administrators excepted. A peer that has
 * closed its end counts as another user, since its owner can no longer be found. Always false if the system does not
 * publish socket owners: this check is a second line of defence, and not all systems have it.
 */
export type SocketOwnerCheck = (socket: Socket) => Promise<boolean>

type Table = 'tcp' | 'tcp6'

const MAX_READS = 4

/** @param read reads one of the kernel's socket tables */
export function socketOwnerCheck(
  ownUid: number | undefined = process.getuid?.(),
  read: (table: Table) => Promise<string> = (table) => readFile(`/proc/net/${table}`, 'latin1'),
): SocketOwnerCheck {
  const readTable = oneAtATime(read)
  return async ({ remoteAddress, remotePort, localPort, remoteFamily }) => {
    if (ownUid === undefined) return false
    for (let reads = 1; ; reads++) {
      const table = await readTable(remoteFamily === 'IPv6' ? 'tcp6' : 'tcp').catch(() => undefined)
      if (table === undefined) return false
      if (remoteAddress === undefined || remotePort === undefined || localPort === undefined) return true
      const owner = findOwner(table, remotePort, localPort)
      // The kernel may skip a line while other sockets open and close. The line of a closed socket never comes back.
      if (owner === undefined && reads < MAX_READS) continue
      return owner !== ownUid && owner !== 0
    }
  }
}

/** A read costs the kernel milliseconds: reads run one at a time, and all callers that wait for the next one share it. */
function oneAtATime(read: (table: Table) => Promise<string>): (table: Table) => Promise<string> {
  const waiting = new Map<Table, Promise<string>>()
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

/** The peer's end has our port as its remote port. A line is: number, local, remote, state, queues, timer, retries, uid. */
function findOwner(table: string, peerPort: number, ownPort: number): number | undefined {
  const ends = `[0-9A-F]+:${hex(peerPort)} [0-9A-F]+:${hex(ownPort)}`
  const [, uid] = new RegExp(`^ *\\d+: ${ends} ${ESTABLISHED} \\S+ \\S+ \\S+ +(\\d+) `, 'm').exec(table) ?? []
  return uid === undefined ? undefined : Number(uid)
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}
