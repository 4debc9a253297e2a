// Whose program is at the other end of a loopback connection: Linux tells, by the table of its sockets.
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

/**
 * Whether another user's program is at the other end, or nobody any more: who sends and leaves is not known. Administrators
 * are nobody's strangers. Where the system does not tell, nobody is: it is a second gate, and not all systems have it.
 */
export type IsForeign = (socket: Socket) => Promise<boolean>

type Table = 'tcp' | 'tcp6'

const LOOKS = 4

/** @param read gives a table of the system's sockets */
export function peerCheck(
  ownUid: number | undefined = process.getuid?.(),
  read: (table: Table) => Promise<string> = (table) => readFile(`/proc/net/${table}`, 'latin1'),
): IsForeign {
  const look = inTurns(read)
  return async ({ remoteAddress, remotePort, localPort, remoteFamily }) => {
    if (ownUid === undefined) return false
    for (let looks = 1; ; looks++) {
      const table = await look(remoteFamily === 'IPv6' ? 'tcp6' : 'tcp').catch(() => undefined)
      if (table === undefined) return false
      if (remoteAddress === undefined || remotePort === undefined || localPort === undefined) return true
      const owner = ownerOf(table, remotePort, localPort)
      // The kernel may pass over a line while others come and go; who has gone is in none.
      if (owner === undefined && looks < LOOKS) continue
      return owner !== ownUid && owner !== 0
    }
  }
}

/** A look takes the kernel milliseconds: one at a time, and all who came before it began share it. */
function inTurns(read: (table: Table) => Promise<string>): (table: Table) => Promise<string> {
  const waiting = new Map<Table, Promise<string>>()
  let last: Promise<unknown> = Promise.resolve()
  return (table) => {
    const known = waiting.get(table)
    if (known !== undefined) return known
    const next = last.then(() => {
      waiting.delete(table)
      return read(table)
    })
    waiting.set(table, next)
    last = next.catch(() => undefined)
    return next
  }
}

const ESTABLISHED = '01' // a socket that was closed belongs to uid 0 in the table

/** The peer's own end has our port as its remote one. The line: number, local, remote, state, queues, timer, retries, uid. */
function ownerOf(table: string, port: number, remotePort: number): number | undefined {
  const ends = `[0-9A-F]+:${hex(port)} [0-9A-F]+:${hex(remotePort)}`
  const [, uid] = new RegExp(`^ *\\d+: ${ends} ${ESTABLISHED} \\S+ \\S+ \\S+ +(\\d+) `, 'm').exec(table) ?? []
  return uid === undefined ? undefined : Number(uid)
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}
