// Who owns the other end of a loopback connection, by the kernel's socket table.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type SocketOwnerOptions, socketOwnerFinder } from '../../src/host/socket-owner.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const socket = { remoteAddress: '127.0.0.1', remotePort: 0x1234, localPort: 0xab, remoteFamily: 'IPv4' } as Socket
const fromOutside = { ...socket, remoteAddress: '10.99.0.2' } as Socket
const line = (local: string, remote: string, state: string, uid: number) =>
  `   1: 0100007F:${local} 0100007F:${remote} ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 77 1 0 20 4\n`
const OPEN_HERE = line('00AB', '1234', '01', 1000)

const finder = (read: SocketOwnerOptions['read']) =>
  socketOwnerFinder({ ownUid: 1000, read, addresses: () => ['127.0.0.1', '::1', '10.99.0.1'] })
const ownerOf = (lines: readonly string[], of = socket) => finder(async () => HEAD + lines.join(''))(of)

describe('the owner of the other end', () => {
  it.each([
    ['this user', 'own', [line('1234', '00AB', '01', 1000)]],
    ['an administrator', 'own', [line('1234', '00AB', '01', 0)]],
    ['another user', 'other', [line('1234', '00AB', '01', 65534)]],
    [
      'another user, beside a socket of this one',
      'other',
      [line('1235', '00AB', '01', 1000), line('1234', '00AB', '01', 7)],
    ],
  ])('is found if it is %s', async (_name, owner, lines) => {
    expect(await ownerOf([OPEN_HERE, ...lines])).toBe(owner)
  })

  it.each([
    [
      'has closed its socket, which the table gives to no user',
      [line('00AB', '1234', '08', 1000), line('1234', '00AB', '05', 0)],
    ],
    ['has closed its socket, of which our end does not know yet', [OPEN_HERE, line('1234', '00AB', '05', 0)]],
    ['has closed its socket, which has left the table', [line('00AB', '1234', '08', 1000)]],
    ['has reset the connection', [line('1235', '00AB', '01', 1000)]],
    ['has reset the connection, and came from an address of this system', []],
  ])('counts as closed if it %s', async (_name, lines) => {
    expect(await ownerOf(lines)).toBe('closed')
    expect(await ownerOf(lines, { ...socket, remoteAddress: '10.99.0.1' } as Socket)).toBe('closed')
  })

  it('counts as closed if the connection has no address any more', async () => {
    expect(await ownerOf([OPEN_HERE], { ...socket, remoteAddress: undefined } as Socket)).toBe('closed')
  })

  it('is outside if our end is open and no program of this system has the other one', async () => {
    expect(await ownerOf([OPEN_HERE])).toBe('outside')
    expect(await ownerOf([OPEN_HERE], fromOutside)).toBe('outside')
  })

  it('is not outside if its address is none of this system’s but its connection is gone', async () => {
    expect(await ownerOf([], fromOutside)).toBe('closed')
  })

  it('is not outside if the kernel has skipped its line a few times, or our end is closed by then', async () => {
    const skipping = (...tables: string[][]) => {
      const left = [...tables]
      return finder(async () => HEAD + ((left.length > 1 ? left.shift() : left[0]) ?? []).join(''))(socket)
    }
    const open = [OPEN_HERE]
    expect(await skipping(open, open, open, open, [OPEN_HERE, line('1234', '00AB', '01', 7)])).toBe('other')
    expect(await skipping([], open, [OPEN_HERE, line('1234', '00AB', '01', 1000)])).toBe('own')
    expect(await skipping(open, open, open, [])).toBe('closed')
  })

  it('is unknown if the system has no such table', async () => {
    expect(await finder(() => Promise.reject(new Error('no such table')))(socket)).toBe('unpublished')
    const read = () => Promise.reject(new Error('not read'))
    expect(await socketOwnerFinder({ ownUid: undefined, read, addresses: () => [] })(socket)).toBe('unpublished')
  })

  it.skipIf(process.platform !== 'linux')('is found in the table of this system (Linux)', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const arrived = once(server, 'connection')
    const client = connect(port, '127.0.0.1')
    onTestFinished(() => void client.destroy())
    const [accepted] = (await arrived) as [Socket]
    onTestFinished(() => void accepted.destroy())
    expect(await socketOwnerFinder()(accepted)).toBe('own')
    const closed = new Promise((resolve) => accepted.on('error', () => undefined).on('close', resolve))
    client.resetAndDestroy()
    await closed
    expect(await socketOwnerFinder()(accepted)).toBe('closed')
  })
})

it('reads the table of the address family, and shares one read between all waiting callers', async () => {
  const read: string[] = []
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const find = finder(async (table) => {
    read.push(table)
    await held
    return HEAD + line('1234', '00AB', '01', 1000)
  })
  const first = find(socket)
  await Promise.resolve()
  const others = [find(socket), find(socket), find({ ...socket, remoteFamily: 'IPv6' } as Socket)]
  release()
  expect(await Promise.all([first, ...others])).toEqual(['own', 'own', 'own', 'own'])
  expect(read).toEqual(['tcp', 'tcp', 'tcp6'])
})
