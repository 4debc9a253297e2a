// JSON-RPC 2.0 over the socket: every example of the specification, and the cases beside them.
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { RpcError } from '../../src/rpc/contract.ts'
import { PreEncoded } from '../../src/rpc/pre-encoded.ts'
import { startMessages } from '../support/rpc.ts'

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
  shared_failure: {
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

const parseError = { jsonrpc: '2.0', id: null, error: { code: -32700, message: expect.any(String) } }
const invalid = (id: unknown = null) => ({ jsonrpc: '2.0', id, error: { code: -32600, message: expect.any(String) } })
const notFound = (id: unknown) => ({ jsonrpc: '2.0', id, error: { code: -32601, message: expect.any(String) } })
const result = (id: unknown, value: unknown) => ({ jsonrpc: '2.0', id, result: value })

/** The row of the register, a name, the message and its responses. */
const examples: [string, string, string, unknown[]][] = [
  [
    'J1',
    'positional parameters',
    '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
    [result(1, 19)],
  ],
  [
    'J2',
    'positional parameters in another order',
    '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
    [result(2, -19)],
  ],
  [
    'J3',
    'named parameters',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
    [result(3, 19)],
  ],
  [
    'J4',
    'named parameters in another order',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
    [result(4, 19)],
  ],
  ['J5', 'a notification', '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', []],
  ['J5', 'a notification without params', '{"jsonrpc": "2.0", "method": "foobar"}', []],
  ['J6', 'an unknown method', '{"jsonrpc": "2.0", "method": "nothing", "id": "1"}', [notFound('1')]],
  ['J7', 'invalid JSON', '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', [parseError]],
  ['J8', 'an invalid request', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', [invalid()]],
  [
    'J9',
    'a batch of invalid JSON',
    '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]',
    [parseError],
  ],
  ['J10', 'an empty batch', '[]', [invalid()]],
  ['J11', 'an invalid batch', '[1]', [[invalid()]]],
  ['J12', 'an invalid batch of three', '[1,2,3]', [[invalid(), invalid(), invalid()]]],
  [
    'J13',
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
    'J14',
    'a batch of notifications',
    '[{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},{"jsonrpc": "2.0", "method": "update"}]',
    [],
  ],
]

describe('the examples of the JSON-RPC 2.0 specification, section 7', () => {
  it.each(examples)('[%s] answers %s', async (_row, _name, message, expected) => {
    const { ask } = await startMessages({ methods })
    expect(await ask(message)).toEqual(expected)
  })
})

describe('the dispatcher', () => {
  it.each([
    ['"1"', '1'],
    ['""', ''],
    ['0', 0],
    ['-1.5', -1.5],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['null', null],
    ['"é\\u0000\\""', 'é\0"'],
  ])('[J15] returns the id %s unchanged', async (text, id) => {
    const { ask } = await startMessages({ methods })
    for (const method of ['get_data', 'pre_encoded']) {
      const [answer] = await ask(`{"jsonrpc":"2.0","method":"${method}","id":${text}}`)
      expect(answer).toMatchObject({ id, result: method === 'pre_encoded' ? RESULT : ['hello', 5] })
    }
  })

  it('responds with a result that others await, and runs the method if that result fails', async () => {
    const { ask } = await startMessages({ methods })
    expect(await ask({ jsonrpc: '2.0', method: 'shared', id: 1 })).toEqual([result(1, RESULT)])
    expect(await ask({ jsonrpc: '2.0', method: 'shared_failure', id: 1 })).toEqual([result(1, 'on its own')])
  })

  it.each(['{}', '[]', 'true', '1e400', '9007199254740993'])('[J15] rejects the id %s', async (text) => {
    const { ask } = await startMessages({ methods })
    expect(await ask(`{"jsonrpc":"2.0","method":"get_data","id":${text}}`)).toEqual([invalid()])
  })

  it.each([
    '{"method":"get_data","id":1}',
    '{"jsonrpc":"1.0","method":"get_data","id":1}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","method":"get_data","params":"x","id":1}',
    '{"jsonrpc":"2.0","method":"get_data","params":null,"id":1}',
  ])('[J15] rejects %s and returns its id', async (message) => {
    const { ask } = await startMessages({ methods })
    expect(await ask(message)).toEqual([invalid(1)])
  })

  it.each(['null', 'true', '"text"', '1'])('[J15] rejects the message %s', async (message) => {
    const { ask } = await startMessages({ methods })
    expect(await ask(message)).toEqual([invalid()])
  })

  it('names the wrong param and what is expected, and quotes no value', async () => {
    const { ask } = await startMessages({ methods })
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

  it('[D7] responds with a bare internal error if a method fails unexpectedly', async () => {
    const failures: unknown[] = []
    const { ask } = await startMessages({ methods, onInternalError: (error) => failures.push(error) })
    for (const method of ['fails', 'fails_later']) {
      const answer = await ask({ jsonrpc: '2.0', method, id: 1 })
      expect(answer).toEqual([{ jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'internal error' } }])
    }
    expect(failures).toHaveLength(2)
    expect(await ask({ jsonrpc: '2.0', method: 'fails' })).toEqual([])
  })

  it('responds with the code, message and data of an RpcError', async () => {
    const { ask } = await startMessages({ methods })
    const error = { code: 1001, message: 'interaction required', data: { reason: 'signed_out' } }
    expect(await ask({ jsonrpc: '2.0', method: 'refuses', id: 1 })).toEqual([{ jsonrpc: '2.0', id: 1, error }])
  })

  it('[J15] treats __proto__ and constructor as plain names', async () => {
    const { ask } = await startMessages({ methods })
    await ask('{"jsonrpc":"2.0","method":"named","params":{"__proto__":{"polluted":1}},"id":1}')
    expect(Object.prototype).not.toHaveProperty('polluted')
    expect(await ask('{"jsonrpc":"2.0","method":"constructor","id":1}')).toEqual([notFound(1)])
    expect(await ask('{"jsonrpc":"2.0","method":"__proto__","id":1}')).toEqual([notFound(1)])
  })

  it('rejects params that do not match the schema, even if the result is in memory', async () => {
    const params = v.strictObject({ count: v.optional(v.number()) })
    const { ask } = await startMessages({
      methods: { cached: { params, handle: () => 'ran', immediate: () => PRE_ENCODED } },
    })
    expect(await ask({ jsonrpc: '2.0', method: 'cached', params: { count: 'one' }, id: 1 })).toMatchObject([
      { id: 1, error: { code: -32602, data: { issues: [{ path: 'count', expected: 'number' }] } } },
    ])
  })

  it('runs the method of a notification, and never responds to it', async () => {
    let ran = 0
    const cached = { params: anything, handle: () => ran++, immediate: () => PRE_ENCODED }
    const { ask } = await startMessages({ methods: { cached } })
    expect(await ask({ jsonrpc: '2.0', method: 'cached' })).toEqual([])
    expect(ran).toBe(1)
  })

  it('[OWASP-limits] accepts a batch of 32 calls, and rejects a batch of 33 as a whole', async () => {
    const { ask } = await startMessages({ methods })
    const batch = (count: number) =>
      Array.from({ length: count }, (_, id) => ({ jsonrpc: '2.0', method: 'get_data', id }))
    expect((await ask(batch(32)))[0]).toHaveLength(32)
    expect(await ask(batch(33))).toEqual([invalid()])
  })

  it('accepts JSON nested 64 deep, and rejects it deeper', async () => {
    const { ask } = await startMessages({ methods })
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    const call = (depth: number) => `{"jsonrpc":"2.0","method":"get_data","params":${nested(depth - 1)},"id":1}`
    expect(await ask(call(64))).toEqual([result(1, ['hello', 5])])
    expect(await ask(call(65))).toEqual([invalid()])
    expect(await ask('['.repeat(60_000))).toEqual([invalid()])
    expect(await ask(`{"jsonrpc":"2.0","method":"get_data","params":["${'['.repeat(100)}\\""],"id":1}`)).toHaveLength(1)
  })
})
