// JSON-RPC 2.0 over the socket: every example of the specification's section 7, and what lies beside it.
import { once } from 'node:events'
import * as v from 'valibot'
import { describe, expect, it, onTestFinished } from 'vitest'
import WebSocket from 'ws'
import { systemRandom } from '../../src/host/random.ts'
import { RpcError } from '../../src/rpc/contract.ts'
import { authorization, SUBPROTOCOL } from '../../src/rpc/handshake.ts'
import { PreEncoded } from '../../src/rpc/pre-encoded.ts'
import { TestClock } from '../support/clock.ts'
import { startServer } from '../support/rpc.ts'

const anything = v.any()
const subtract = (params: number[] | { minuend: number; subtrahend: number }) =>
  Array.isArray(params) ? Number(params[0]) - Number(params[1]) : params.minuend - params.subtrahend

const methods = {
  subtract: { params: anything, handle: subtract },
  sum: { params: anything, handle: (params: number[]) => params.reduce((a, b) => a + b, 0) },
  update: { params: anything, handle: () => undefined },
  foobar: { params: anything, handle: () => undefined },
  notify_hello: { params: anything, handle: () => undefined },
  get_data: { params: anything, handle: () => ['hello', 5] },
  pre_encoded: { params: anything, handle: () => 'on its own', immediate: () => PRE_ENCODED },
  shared: { params: anything, handle: () => 'on its own', immediate: async () => PRE_ENCODED },
  shared_in_vain: {
    params: anything,
    handle: () => 'on its own',
    immediate: async () => Promise.reject(new Error('secret-of-the-daemon')),
  },
  named: { params: v.strictObject({ count: v.optional(v.number()) }), handle: () => 'ok' },
  fails: {
    params: anything,
    handle: () => {
      throw new Error('secret-of-the-daemon')
    },
  },
  fails_later: { params: anything, handle: async () => Promise.reject(new Error('secret-of-the-daemon')) },
  refuses: {
    params: anything,
    handle: () => {
      throw new RpcError(1001, 'interaction required', { reason: 'signed_out' })
    },
  },
}

const RESULT = { text: 'é"\\', list: [1] }
const PRE_ENCODED = new PreEncoded(RESULT)

async function openSocket(options: Parameters<typeof startServer>[0] = { methods }) {
  const { endpoint, server } = await startServer(options)
  const socket = new WebSocket(`ws://${endpoint.endpoint}/rpc`, [SUBPROTOCOL], {
    headers: { Authorization: authorization(endpoint, systemRandom).value },
  })
  await once(socket, 'open')
  onTestFinished(() => socket.terminate())
  const received: string[] = []
  socket.on('message', (data) => received.push(String(data)))
  /** Sends a message and, behind it, a call whose answer shows that all answers before it have come. */
  const ask = async (message: unknown): Promise<unknown[]> => {
    socket.send(typeof message === 'string' ? message : JSON.stringify(message))
    socket.send('{"jsonrpc":"2.0","method":"get_data","id":"the end"}')
    while (!received.some((text) => text.includes('"the end"'))) await once(socket, 'message')
    return received
      .splice(0)
      .filter((text) => !text.includes('"the end"'))
      .map((text) => JSON.parse(text))
  }
  return { socket, ask, server }
}

const parseError = { jsonrpc: '2.0', id: null, error: { code: -32700, message: expect.any(String) } }
const invalid = (id: unknown = null) => ({ jsonrpc: '2.0', id, error: { code: -32600, message: expect.any(String) } })
const notFound = (id: unknown) => ({ jsonrpc: '2.0', id, error: { code: -32601, message: expect.any(String) } })
const result = (id: unknown, value: unknown) => ({ jsonrpc: '2.0', id, result: value })

const examples: [string, string, unknown[]][] = [
  ['positional parameters', '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', [result(1, 19)]],
  [
    'positional parameters, turned',
    '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
    [result(2, -19)],
  ],
  [
    'named parameters',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
    [result(3, 19)],
  ],
  [
    'named parameters, turned',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
    [result(4, 19)],
  ],
  ['a notification', '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', []],
  ['a notification without params', '{"jsonrpc": "2.0", "method": "foobar"}', []],
  ['a method that is not there', '{"jsonrpc": "2.0", "method": "nothing", "id": "1"}', [notFound('1')]],
  ['invalid JSON', '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', [parseError]],
  ['an invalid request', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', [invalid()]],
  [
    'a batch of invalid JSON',
    '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]',
    [parseError],
  ],
  ['an empty batch', '[]', [invalid()]],
  ['an invalid batch', '[1]', [[invalid()]]],
  ['a batch of three that are invalid', '[1,2,3]', [[invalid(), invalid(), invalid()]]],
  [
    'a mixed batch',
    `[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
      {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
      {"foo": "boo"},
      {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
      {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]`,
    [[result('1', 7), result('2', 19), invalid(), notFound('5'), result('9', ['hello', 5])]],
  ],
  [
    'a batch of notifications',
    '[{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},{"jsonrpc": "2.0", "method": "update"}]',
    [],
  ],
]

describe('the examples of the specification', () => {
  it.each(examples)('%s', async (_name, message, expected) => {
    const { ask } = await openSocket()
    expect(await ask(message)).toEqual(expected)
  })
})

describe('JSON-RPC beside the examples', () => {
  it.each([
    ['"1"', '1'],
    ['""', ''],
    ['0', 0],
    ['-1.5', -1.5],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['null', null],
    ['"é\\u0000\\""', 'é\0"'],
  ])('gives the id %s back as it came', async (text, id) => {
    const { ask } = await openSocket()
    for (const method of ['get_data', 'pre_encoded']) {
      const [answer] = await ask(`{"jsonrpc":"2.0","method":"${method}","id":${text}}`)
      expect(answer).toMatchObject({ id, result: method === 'pre_encoded' ? RESULT : ['hello', 5] })
    }
  })

  it('gives what is fetched for others, and asks for this client alone where that fails', async () => {
    const { ask } = await openSocket()
    expect(await ask({ jsonrpc: '2.0', method: 'shared', id: 1 })).toEqual([result(1, RESULT)])
    expect(await ask({ jsonrpc: '2.0', method: 'shared_in_vain', id: 1 })).toEqual([result(1, 'on its own')])
  })

  it.each(['{}', '[]', 'true', '1e400', '9007199254740993'])('refuses the id %s', async (text) => {
    const { ask } = await openSocket()
    expect(await ask(`{"jsonrpc":"2.0","method":"get_data","id":${text}}`)).toEqual([invalid()])
  })

  it.each([
    '{"method":"get_data","id":1}',
    '{"jsonrpc":"1.0","method":"get_data","id":1}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","method":"get_data","params":"x","id":1}',
    '{"jsonrpc":"2.0","method":"get_data","params":null,"id":1}',
  ])('refuses %s with its id', async (message) => {
    const { ask } = await openSocket()
    expect(await ask(message)).toEqual([invalid(1)])
  })

  it.each(['null', 'true', '"text"', '1'])('refuses the message %s', async (message) => {
    const { ask } = await openSocket()
    expect(await ask(message)).toEqual([invalid()])
  })

  it('says which param is wrong and what it should be, and quotes nothing', async () => {
    const { ask } = await openSocket()
    const wrong = await ask({ jsonrpc: '2.0', method: 'named', params: { count: 'canary' }, id: 1 })
    expect(wrong).toMatchObject([
      { id: 1, error: { code: -32602, data: { issues: [{ path: 'count', expected: 'number' }] } } },
    ])
    const unknown = await ask({ jsonrpc: '2.0', method: 'named', params: { canary: 1 }, id: 2 })
    expect(unknown).toMatchObject([{ id: 2, error: { code: -32602, data: { issues: [{ path: '' }] } } }])
    const positional = await ask({ jsonrpc: '2.0', method: 'named', params: ['canary'], id: 3 })
    expect(positional).toMatchObject([
      {
        id: 3,
        error: { code: -32602, data: { issues: [{ path: '', expected: expect.stringContaining('by name') }] } },
      },
    ])
    expect(JSON.stringify([wrong, unknown, positional])).not.toContain('canary')
  })

  it('says internal error and no more when a method fails unexpectedly', async () => {
    const failures: unknown[] = []
    const { ask } = await openSocket({ methods, onInternalError: (error) => failures.push(error) })
    for (const method of ['fails', 'fails_later']) {
      const answer = await ask({ jsonrpc: '2.0', method, id: 1 })
      expect(answer).toEqual([{ jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'internal error' } }])
    }
    expect(failures).toHaveLength(2)
    expect(await ask({ jsonrpc: '2.0', method: 'fails' })).toEqual([])
  })

  it('passes on the code, message and data of an error that is meant for the client', async () => {
    const { ask } = await openSocket()
    const error = { code: 1001, message: 'interaction required', data: { reason: 'signed_out' } }
    expect(await ask({ jsonrpc: '2.0', method: 'refuses', id: 1 })).toEqual([{ jsonrpc: '2.0', id: 1, error }])
  })

  it('is not misled by __proto__ and constructor', async () => {
    const { ask } = await openSocket()
    await ask('{"jsonrpc":"2.0","method":"named","params":{"__proto__":{"polluted":1}},"id":1}')
    expect(Object.prototype).not.toHaveProperty('polluted')
    expect(await ask('{"jsonrpc":"2.0","method":"constructor","id":1}')).toEqual([notFound(1)])
    expect(await ask('{"jsonrpc":"2.0","method":"__proto__","id":1}')).toEqual([notFound(1)])
  })
})

describe('the limits', () => {
  const closing = async (socket: WebSocket) => Number((await once(socket, 'close'))[0])

  it('takes a batch of 32 calls, and refuses one more as a whole', async () => {
    const { ask } = await openSocket()
    const batch = (count: number) =>
      Array.from({ length: count }, (_, id) => ({ jsonrpc: '2.0', method: 'get_data', id }))
    expect((await ask(batch(32)))[0]).toHaveLength(32)
    expect(await ask(batch(33))).toEqual([invalid()])
  })

  it('takes JSON nested 64 deep, and refuses it deeper', async () => {
    const { ask } = await openSocket()
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    const call = (depth: number) => `{"jsonrpc":"2.0","method":"get_data","params":${nested(depth - 1)},"id":1}`
    expect(await ask(call(64))).toEqual([result(1, ['hello', 5])])
    expect(await ask(call(65))).toEqual([invalid()])
    expect(await ask('['.repeat(60_000))).toEqual([invalid()])
    expect(await ask(`{"jsonrpc":"2.0","method":"get_data","params":["${'['.repeat(100)}\\""],"id":1}`)).toHaveLength(1)
  })

  it('takes a message of 64 KiB, in one frame or in 64 fragments, and closes with 1009 on a byte more', async () => {
    const { socket, ask } = await openSocket()
    const message = '{"jsonrpc":"2.0","method":"get_data","id":1}'.padEnd(64 * 1024)
    expect(await ask(message)).toEqual([result(1, ['hello', 5])])
    for (let i = 0; i < 63; i++) socket.send(message.slice(i * 1024, (i + 1) * 1024), { fin: false })
    expect(await ask(message.slice(63 * 1024))).toEqual([result(1, ['hello', 5])])
    socket.send(`${message} `)
    expect(await closing(socket)).toBe(1009)
  })

  it('closes with 1008 on a message of more than 64 fragments', async () => {
    const { socket } = await openSocket()
    const closed = closing(socket)
    for (let i = 0; i < 65; i++) socket.send(' ', { fin: false })
    expect(await closed).toBe(1008)
  })

  it('closes with 1003 on a binary frame', async () => {
    const { socket } = await openSocket()
    socket.send(Buffer.from('{}'))
    expect(await closing(socket)).toBe(1003)
  })

  it('cuts off a client that never reads, before much is buffered for it', async () => {
    const big = 'x'.repeat(50_000)
    const { socket, server } = await openSocket({
      methods: { ...methods, big: { params: anything, handle: () => big } },
    })
    socket.pause()
    const closed = closing(socket)
    for (let i = 0; i < 400; i++) server.notify('sessionChanged', { big })
    socket.resume()
    expect([1013, 1006]).toContain(await closed)
  })

  it('answers 1,500 calls of one client that waited for the same thing', async () => {
    const count = 1500 // more than may be buffered
    let answer: (value: object) => void = () => undefined
    const common = new Promise<object>((resolve) => {
      answer = resolve
    })
    let came = 0
    const wait = () => {
      if (++came === count) setImmediate(answer, { text: 'x'.repeat(1000) })
      return common
    }
    const { connect } = await startServer({ methods: { wait: { params: anything, handle: wait } } })
    const client = await connect()
    const answers = await Promise.all(Array.from({ length: count }, () => client.callAny('wait')))
    expect(new Set(answers.map((one) => JSON.stringify(one))).size).toBe(1)
  })

  it('drops a peer that was silent for two pings, and none that answers them or calls', async () => {
    const clock = new TestClock()
    const { endpoint, connect } = await startServer({ clock, methods })
    const open = async () => {
      const socket = new WebSocket(`ws://${endpoint.endpoint}${endpoint.path}`, [SUBPROTOCOL], {
        headers: { Authorization: authorization(endpoint, systemRandom).value },
        autoPong: false,
      })
      await once(socket, 'open')
      onTestFinished(() => socket.terminate())
      return socket
    }
    const [silent, talking] = [await open(), await open()]
    const call = async () => {
      talking.send('{"jsonrpc":"2.0","method":"get_data","id":1}')
      await once(talking, 'message')
    }
    const closed = closing(silent)
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

  it('closes the 257th connection with 1013, runs none of its calls, and serves the others', async () => {
    let ran = 0
    const counted = { params: anything, handle: () => ran++ }
    const { connect } = await startServer({ methods: { ...methods, counted } })
    const clients = await Promise.all(Array.from({ length: 256 }, connect))
    const one = await connect()
    one.callAny('counted').catch(() => undefined)
    expect(await one.closed).toBe(1013)
    expect(ran).toBe(0)
    expect(await clients[255]?.callAny('get_data')).toEqual(['hello', 5])
  })

  it('lets a call that runs finish when it stops, then closes with 1012 and takes no more', async () => {
    let finish: (value: string) => void = () => undefined
    const running = new Promise<string>((resolve) => {
      finish = resolve
    })
    let started: () => void = () => undefined
    const hasStarted = new Promise<void>((resolve) => {
      started = resolve
    })
    const slow = () => {
      started()
      return running
    }
    const { server, connect } = await startServer({ methods: { ...methods, slow: { params: anything, handle: slow } } })
    const client = await connect()
    const answer = client.callAny('slow')
    await hasStarted
    const closed = server.close()
    await expect(client.callAny('get_data')).rejects.toMatchObject({ code: 1006 })
    finish('done')
    expect(await answer).toBe('done')
    expect(await client.closed).toBe(1012)
    await closed
  })

  it('waits five seconds for a call that does not end, no less and no more', async () => {
    const clock = new TestClock()
    let started: () => void = () => undefined
    const hasStarted = new Promise<void>((resolve) => {
      started = resolve
    })
    let finish: (value: string) => void = () => undefined
    const slow = () => {
      started()
      return new Promise<string>((resolve) => {
        finish = resolve
      })
    }
    const { server, connect } = await startServer({
      clock,
      methods: { slow: { params: anything, handle: slow } },
    })
    const client = await connect()
    client.callAny('slow').catch(() => undefined)
    await hasStarted
    const closed = server.close()
    clock.advance(4.5)
    await expect(client.callAny('slow')).rejects.toMatchObject({ code: 1006 })
    clock.advance(0.5)
    expect(await client.closed).toBe(1012)
    await closed
    finish('too late')
  })
})
