// Whose program is at the other end, as the system's table of sockets tells it.
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { peerCheck } from '../../src/host/socket-owner.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const socket = { remoteAddress: '127.0.0.1', remotePort: 0x1234, localPort: 0xab, remoteFamily: 'IPv4' } as Socket
const line = (local: string, remote: string, state: string, uid: number) =>
  `   1: 0100007F:${local} 0100007F:${remote} ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 77 1 0 20 4\n`

const isForeign = (...lines: string[]) => peerCheck(1000, async () => HEAD + lines.join(''))(socket)

it.each([
  ['our own', false, [line('1234', '00AB', '01', 1000)]],
  ['an administrator’s', false, [line('1234', '00AB', '01', 0)]],
  ['another user’s', true, [line('1234', '00AB', '01', 65534)]],
  ['one that has gone', true, [line('1234', '00AB', '06', 0)]],
  ['one that is not there at all', true, [line('1235', '00AB', '01', 1000)]],
  ['ours by the other direction alone', true, [line('00AB', '1234', '01', 1000)]],
  ['another’s beside many of ours', true, [line('1235', '00AB', '01', 1000), line('1234', '00AB', '01', 7)]],
])('%s', async (_name, foreign, lines) => {
  expect(await isForeign(...lines)).toBe(foreign)
})

it('looks again where the kernel has passed over the line', async () => {
  const tables = ['', '', line('1234', '00AB', '01', 1000)]
  expect(await peerCheck(1000, async () => HEAD + (tables.shift() ?? ''))(socket)).toBe(false)
  const foreign = ['', line('1234', '00AB', '01', 7)]
  expect(await peerCheck(1000, async () => HEAD + (foreign.shift() ?? ''))(socket)).toBe(true)
})

it('is nobody’s stranger where the system does not tell', async () => {
  const unreadable = peerCheck(1000, () => Promise.reject(new Error('no such table')))
  expect(await unreadable(socket)).toBe(false)
})

it('reads the table of the right family, one look at a time for all who ask', async () => {
  const read: string[] = []
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const check = peerCheck(1000, async (table) => {
    read.push(table)
    await held
    return HEAD + line('1234', '00AB', '01', 1000)
  })
  const first = check(socket)
  await Promise.resolve()
  const others = [check(socket), check(socket), check({ ...socket, remoteFamily: 'IPv6' } as Socket)]
  release()
  expect(await Promise.all([first, ...others])).toEqual([false, false, false, false])
  expect(read).toEqual(['tcp', 'tcp', 'tcp6'])
})
