// The check of who owns the other end of a loopback connection, against the kernel's socket table.
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { socketOwnerCheck } from '../../src/host/socket-owner.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const socket = { remoteAddress: '127.0.0.1', remotePort: 0x1234, localPort: 0xab, remoteFamily: 'IPv4' } as Socket
const line = (local: string, remote: string, state: string, uid: number) =>
  `   1: 0100007F:${local} 0100007F:${remote} ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 77 1 0 20 4\n`

const isOtherUser = (...lines: string[]) => socketOwnerCheck(1000, async () => HEAD + lines.join(''))(socket)

describe('socketOwnerCheck', () => {
  it.each([
    ['a socket of the same user', [line('1234', '00AB', '01', 1000)]],
    ['a socket of an administrator', [line('1234', '00AB', '01', 0)]],
  ])('accepts %s', async (_name, lines) => {
    expect(await isOtherUser(...lines)).toBe(false)
  })

  it.each([
    ['a socket of another user', [line('1234', '00AB', '01', 65534)]],
    ['a socket that was closed', [line('1234', '00AB', '06', 0)]],
    ['a socket that is not in the table', [line('1235', '00AB', '01', 1000)]],
    ['a socket of the same user in the opposite direction', [line('00AB', '1234', '01', 1000)]],
    [
      'another user’s socket beside one of the same user',
      [line('1235', '00AB', '01', 1000), line('1234', '00AB', '01', 7)],
    ],
  ])('refuses %s', async (_name, lines) => {
    expect(await isOtherUser(...lines)).toBe(true)
  })

  it('reads the table again if the kernel has skipped the line', async () => {
    const own = ['', '', line('1234', '00AB', '01', 1000)]
    expect(await socketOwnerCheck(1000, async () => HEAD + (own.shift() ?? ''))(socket)).toBe(false)
    const other = ['', line('1234', '00AB', '01', 7)]
    expect(await socketOwnerCheck(1000, async () => HEAD + (other.shift() ?? ''))(socket)).toBe(true)
  })

  it('accepts every socket if the system has no such table', async () => {
    const unreadable = socketOwnerCheck(1000, () => Promise.reject(new Error('no such table')))
    expect(await unreadable(socket)).toBe(false)
  })

  it('reads the table of the address family, and shares one read between all waiting callers', async () => {
    const read: string[] = []
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const check = socketOwnerCheck(1000, async (table) => {
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
})
