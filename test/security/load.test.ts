// What one connection can cost: a client that never reads, and bombs of batches, depth and fragments.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import * as v from 'valibot'
import { describe, expect, it, onTestFinished } from 'vitest'
import { figure, isFullRun, rounds } from '../support/rounds.ts'
import { bytesOf, startServer, upgradeRequest } from '../support/rpc.ts'

const MIB = 1024 * 1024
const FRAME = 64 * 1024

// In its own thread, so that the cost of the attacker is not measured as the cost of the server.
const ATTACK = `
  const { parentPort, workerData: { port, upgrade, frames, times, reads } } = require('node:worker_threads')
  const socket = require('node:net').connect(port, '127.0.0.1', () => socket.write(upgrade))
  socket.on('error', () => undefined).on('close', () => parentPort.postMessage({ closed: true, last: last.toString('hex') }))
  let upgraded = false, last = Buffer.alloc(0)
  socket.on('data', (data) => {
    if (upgraded) { last = Buffer.concat([last, data]).subarray(-64); return }
    upgraded = true
    if (!reads) socket.pause()
    let sent = 0
    const send = () => {
      while (sent < times) { sent++; if (!socket.write(Buffer.from(frames[sent % frames.length]))) return wait() }
      parentPort.postMessage({ sent })
    }
    // A server may stop reading: that is the expected defence.
    const wait = () => { const stuck = setTimeout(() => parentPort.postMessage({ sent, stuck: true }), 1000); socket.once('drain', () => { clearTimeout(stuck); send() }) }
    send()
  })
  parentPort.on('message', () => { socket.resume(); socket.end() })`

function frame(text: string, opcode = 0x81): Buffer {
  const payload = Buffer.from(text)
  const { length } = payload
  const size =
    length < 126
      ? Buffer.from([0x80 | length])
      : length < 65536
        ? Buffer.from([0xfe, length >> 8, length & 255])
        : big(length)
  return Buffer.concat([Buffer.from([opcode]), size, Buffer.alloc(4), payload])
}

function big(length: number): Buffer {
  const size = Buffer.alloc(9)
  size[0] = 0xff
  size.writeBigUInt64BE(BigInt(length), 1)
  return size
}

const call = (id: number, method = 'answer') => JSON.stringify({ jsonrpc: '2.0', id, method })
const anything = v.optional(v.unknown())

interface Attack {
  readonly frames: readonly Buffer[]
  readonly times: number
  readonly reads?: boolean
}

/** Runs an attack against its own server; returns the peak of the buffered bytes and the longest stall in milliseconds. */
async function attack({ frames, times, reads = false }: Attack) {
  const sockets: Socket[] = []
  const note = (message: unknown) => void sockets.push((message as { socket: Socket }).socket)
  subscribe('net.server.socket', note)
  onTestFinished(() => void unsubscribe('net.server.socket', note))
  const answer = { text: 'x'.repeat(800) }
  const { server, endpoint, connect } = await startServer({
    methods: { answer: { params: anything, handle: () => answer } },
  })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  let [buffered, watching] = [0, true]
  const watch = () => {
    for (const { writableLength } of sockets) buffered = Math.max(buffered, writableLength)
    if (watching) setImmediate(watch)
  }
  const upgrade = bytesOf(upgradeRequest(endpoint))
  const worker = new Worker(ATTACK, { eval: true, workerData: { port: server.port, upgrade, frames, times, reads } })
  onTestFinished(() => void worker.terminate())
  delay.enable()
  watch()
  const [{ closed = false, last = '' }] = (await once(worker, 'message')) as [{ closed?: boolean; last?: string }]
  const client = await connect()
  expect(await client.callAny('answer')).toEqual(answer)
  delay.disable()
  watching = false
  return { buffered, stall: delay.max / 1e6, closed, last }
}

const attacks: Readonly<Record<string, () => Attack>> = {
  'a client that calls and never reads': () => ({ frames: [frame(call(1))], times: rounds(20_000, 200_000) }),
  'batches of thirty-two whose responses are never read': () => ({
    frames: [frame(`[${Array.from({ length: 32 }, (_, i) => call(i)).join(',')}]`)],
    times: rounds(500, 10_000),
  }),
  'a batch of a megabyte': () => ({ frames: [frame(`[${'1,'.repeat(MIB / 2)}1]`)], times: 1, reads: true }),
  'batches of the largest size': () => ({
    frames: [frame(`[${'1,'.repeat(FRAME / 2 - 10)}1]`)],
    times: rounds(50, 1000),
    reads: true,
  }),
  'endless brackets': () => ({ frames: [frame('['.repeat(FRAME - 10))], times: rounds(50, 1000), reads: true }),
  'fragments of a byte': () => ({
    frames: [frame('x', 0x01), ...Array.from({ length: 99 }, () => frame('x', 0x00))],
    times: rounds(10_000, 300_000),
  }),
  'pings whose pongs are never read': () => ({
    frames: [frame('p'.repeat(125), 0x89)],
    times: rounds(20_000, 400_000),
  }),
}

describe('one connection', () => {
  it.each(Object.entries(attacks))(
    'has a bounded cost and does not delay another connection: %s',
    { timeout: 120_000 },
    async (name, make) => {
      const { buffered, stall } = await attack(make())
      expect(buffered).toBeLessThanOrEqual(MIB + FRAME)
      // The duration depends on the machine, so only a full run on a quiet machine checks it.
      if (isFullRun) expect(stall).toBeLessThan(20 + 1)
      figure(
        `${name}: ${(buffered / 1024).toFixed(0)} KiB buffered at most, the event loop stalled for ${stall.toFixed(1)} ms at most`,
      )
    },
  )
})
