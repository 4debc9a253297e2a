// The flow control of a connection: its bounds, its backpressure, its turns and its pings.
import { once } from 'node:events'
import type { Socket } from 'node:net'
import * as v from 'valibot'
import { describe, expect, it, vi } from 'vitest'
import type WebSocket from 'ws'
import type { Method } from '../../src/rpc/dispatcher.ts'
import { PreEncoded } from '../../src/rpc/pre-encoded.ts'
import { TestClock } from '../support/clock.ts'
import { openSocket, startMessages, startServer } from '../support/rpc.ts'

const params = v.any()
const methods = { get_data: { params, handle: () => ['hello', 5] } }
const CALL = '{"jsonrpc":"2.0","method":"get_data","id":1}'
const RESPONSE = { jsonrpc: '2.0', id: 1, result: ['hello', 5] }

const closeCode = async (socket: WebSocket) => Number((await once(socket, 'close'))[0])

/** A promise, and the function that resolves it. */
function deferred<T>() {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

describe('the bounds of a connection', () => {
  it('[OWASP-message-size] accepts a message of 64 KiB in one frame or in 64 fragments, and closes with 1009 on one more byte', async () => {
    const { socket, ask } = await startMessages({ methods })
    const message = CALL.padEnd(64 * 1024)
    expect(await ask(message)).toEqual([RESPONSE])
    for (let i = 0; i < 63; i++) socket.send(message.slice(i * 1024, (i + 1) * 1024), { fin: false })
    expect(await ask(message.slice(63 * 1024))).toEqual([RESPONSE])
    socket.send(`${message} `)
    expect(await closeCode(socket)).toBe(1009)
  })

  it('closes with 1008 on a message of more than 64 fragments', async () => {
    const { socket } = await startMessages()
    const closed = closeCode(socket)
    for (let i = 0; i < 65; i++) socket.send(' ', { fin: false })
    expect(await closed).toBe(1008)
  })

  it('closes with 1003 on a binary frame', async () => {
    const { socket } = await startMessages()
    socket.send(Buffer.from('{}'))
    expect(await closeCode(socket)).toBe(1003)
  })

  it('[OWASP-limits] runs 4,096 calls at once, and closes with 1013 on one more', async () => {
    const [allStarted, result] = [deferred<void>(), deferred<string>()]
    let started = 0
    const wait = () => {
      if (++started === 4096) allStarted.resolve()
      return result.promise
    }
    const { endpoint, server, connect } = await startServer({ methods: { ...methods, wait: { params, handle: wait } } })
    const socket = await openSocket(endpoint)
    const closed = closeCode(socket)
    const nextMessage = async () => String((await once(socket, 'message'))[0])
    for (let id = 0; id < 4096; id++) socket.send(`{"jsonrpc":"2.0","method":"wait","id":${id}}`)
    expect(await Promise.race([allStarted.promise, closed])).toBeUndefined()
    const notified = nextMessage()
    server.notify('stillOpen', {})
    expect(await Promise.race([notified, closed])).toContain('stillOpen')

    const answered = nextMessage()
    socket.send(CALL)
    expect(await Promise.race([answered, closed])).toBe(1013)
    expect(await (await connect()).callAny('get_data')).toEqual(['hello', 5])
    result.resolve('done')
  })

  it('counts no call that has been answered', async () => {
    const { connect } = await startServer({ methods })
    const client = await connect()
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(Array.from({ length: 2000 }, () => client.callAny('get_data')))
      expect(results).toHaveLength(2000)
    }
  })
})

describe('a client that does not read its responses', () => {
  it('[OWASP-backpressure] is disconnected before much is buffered for it', async () => {
    const { socket, server } = await startMessages()
    socket.pause()
    const closed = closeCode(socket)
    for (let i = 0; i < 400; i++) server.notify('sessionChanged', { large: 'x'.repeat(50_000) })
    socket.resume()
    expect([1013, 1006]).toContain(await closed)
  })

  it.each(['handle', 'immediate'] as const)('gets 1,500 results of %s that become ready together', async (kind) => {
    const count = 1500 // together more than may be buffered
    const shared = deferred<object>()
    const encoded = shared.promise.then((result) => new PreEncoded(result))
    let calls = 0
    const waitFor = <T>(result: Promise<T>): Promise<T> => {
      if (++calls === count) setImmediate(shared.resolve, { text: 'x'.repeat(1000) })
      return result
    }
    const kinds: Record<typeof kind, Method> = {
      handle: { params, handle: () => waitFor(shared.promise) },
      immediate: { params, handle: () => 'not used', immediate: () => waitFor(encoded) },
    }
    const client = await (await startServer({ methods: { wait: kinds[kind] } })).connect()
    const results = await Promise.all(Array.from({ length: count }, () => client.callAny('wait')))
    expect(new Set(results.map((result) => JSON.stringify(result)))).toEqual(
      new Set([JSON.stringify({ text: 'x'.repeat(1000) })]),
    )
  })
})

describe('a pipeline of calls', () => {
  it('runs 32 calls in one turn of the event loop, and all in order', async () => {
    let callsBeforeNextTurn = 0
    const order: number[] = []
    const note = ({ n }: { n: number }) => {
      if (order.push(n) === 1) setImmediate(() => (callsBeforeNextTurn = order.length))
      return n
    }
    const { endpoint } = await startServer({ methods: { note: { params, handle: note } } })
    const socket = await openSocket(endpoint)
    const answers: number[] = []
    const all = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        if (answers.push(JSON.parse(String(data)).id) === 100) resolve()
      })
    })
    const numbers = Array.from({ length: 100 }, (_, n) => n)
    const stream = (socket as unknown as { readonly _socket: Socket })._socket
    stream.cork() // so that the server gets them in one read
    for (const n of numbers) socket.send(`{"jsonrpc":"2.0","method":"note","params":{"n":${n}},"id":${n}}`)
    stream.uncork()
    await all
    expect(callsBeforeNextTurn).toBe(32)
    expect(order).toEqual(numbers)
    expect(answers).toEqual(numbers)
  })
})

describe('the pings', () => {
  it('have a timer only while a client is connected', async () => {
    const clock = new TestClock()
    const { connect } = await startServer({ clock, methods })
    expect(clock.timers).toBe(0)
    const client = await connect()
    expect(clock.timers).toBe(1)
    client.close()
    await vi.waitFor(() => expect(clock.timers).toBe(0))
  })

  it('[OWASP-heartbeat] end a connection that is silent for two pings, and no other one', async () => {
    const clock = new TestClock()
    const { endpoint, connect } = await startServer({ clock, methods })
    const [silent, calling] = [
      await openSocket(endpoint, { autoPong: false }),
      await openSocket(endpoint, { autoPong: false }),
    ]
    const call = async () => {
      calling.send(CALL)
      await once(calling, 'message')
    }
    const closed = closeCode(silent)
    const client = await connect()
    for (let i = 0; i < 2; i++) {
      const pinged = once(silent, 'ping')
      clock.advance(30)
      await pinged
      await client.callAny('get_data')
      await call()
    }
    clock.advance(30)
    expect(await closed).toBe(1006)
    expect(await client.callAny('get_data')).toEqual(['hello', 5])
    await call()
  })
})
