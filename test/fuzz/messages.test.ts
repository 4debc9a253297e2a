// Fuzzes JSON-RPC messages: every response conforms to JSON-RPC 2.0, and repeats nothing of the request but its id.
import { once } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import WebSocket from 'ws'
import { systemRandom } from '../../src/host/random.ts'
import { methods as contract, errors, RpcError } from '../../src/rpc/contract.ts'
import type { Method } from '../../src/rpc/dispatcher.ts'
import { authorization, SUBPROTOCOL } from '../../src/rpc/handshake.ts'
import { PreEncoded } from '../../src/rpc/pre-encoded.ts'
import { check, type Edit, edit, edited, FUZZ_TIMEOUT } from '../support/fuzz.ts'
import { startServer } from '../support/rpc.ts'

const CANARY = 'kanarienvogel' // in every text of a request; in no response, except in its id
const HEADER = { headers: { Authorization: 'Bearer x' }, expiresAt: 1 }
const PRE_ENCODED = new PreEncoded(HEADER)

/** The handlers of the methods; each ignores its params. */
const KINDS = [
  () => ({ done: true }),
  () => null,
  () => HEADER,
  async () => HEADER,
  () => undefined,
  () => {
    throw new Error('the daemon keeps this to itself')
  },
  async () => Promise.reject(new RpcError(errors.interactionRequired.code, errors.interactionRequired.message)),
]
const methods: Record<string, Method> = Object.fromEntries(
  Object.entries(contract).map(([name, { params }], i) => {
    const handle = KINDS[i % KINDS.length] ?? (() => null)
    return [name, { params, handle, ...(name === 'getAuthHeader' ? { immediate: () => PRE_ENCODED } : {}) }]
  }),
)

const PARAMS = [
  'profile',
  'minValiditySeconds',
  'interactive',
  'rejected',
  'openBrowser',
  'wait',
  'timeoutSeconds',
].concat(['token', 'sessionId', 'user', 'user.id', 'user.email', 'user.name', ''])
const TRAPS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', 'toJSON', 'length']
const MESSAGES = ['parse error', 'invalid request', 'invalid request: nested deeper than 64']
  .concat(['invalid request: an empty batch', 'invalid request: a batch of more than 32 calls'])
  .concat(['Method not found', 'invalid params', 'internal error', errors.interactionRequired.message])

const text = fc.string({ unit: 'binary', maxLength: 12 }).map((text) => `${CANARY}${text}`)
const key = fc.oneof(text, fc.constantFrom(...TRAPS, ...PARAMS, 'id', 'name', 'email'))
const { any } = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(text, fc.constantFrom(null, true, false, 0, -1, 1e308, 'production'), fc.double({ noNaN: true })),
    fc.array(tie('any'), { maxLength: 4 }),
    // Not a dictionary: `__proto__` has to become an own key.
    fc.array(fc.tuple(key, tie('any')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
}))
const params = fc.oneof(
  any,
  fc.constant({}),
  fc
    .array(fc.tuple(fc.constantFrom(...PARAMS, ...TRAPS), any), { maxLength: 4 })
    .map((entries) => Object.fromEntries(entries)),
)
const id = fc.oneof(
  {
    arbitrary: fc.oneof(text, fc.integer(), fc.double(), fc.constantFrom(null, 0, -0, '', 2 ** 53, -(2 ** 53))),
    weight: 4,
  },
  { arbitrary: any, weight: 1 },
)
const method = fc.oneof(
  { arbitrary: fc.constantFrom(...Object.keys(methods)), weight: 5 },
  { arbitrary: fc.oneof(text, fc.constantFrom(...TRAPS, 'rpc.discover', '')), weight: 2 },
  { arbitrary: any, weight: 1 },
)
const request = fc.record(
  {
    jsonrpc: fc.oneof({ arbitrary: fc.constant('2.0'), weight: 9 }, { arbitrary: any, weight: 1 }),
    method,
    params,
    id,
    [CANARY]: any,
  },
  { requiredKeys: ['jsonrpc'] },
)
const one = fc.oneof({ arbitrary: request, weight: 6 }, { arbitrary: any, weight: 1 })
const message = fc.oneof(
  { arbitrary: one.map((value) => JSON.stringify(value)), weight: 5 },
  { arbitrary: fc.array(one, { maxLength: 6 }).map((value) => JSON.stringify(value)), weight: 3 },
  { arbitrary: fc.tuple(one, fc.integer({ min: 30, max: 34 })).map(batchOf), weight: 1 },
  { arbitrary: fc.tuple(one, fc.integer({ min: 60, max: 70 })).map(nested), weight: 1 },
  { arbitrary: fc.string({ unit: 'binary', maxLength: 40 }), weight: 1 },
)
const LARGEST_FRAME = 64 * 1024
const sent = fc.record({
  message: message.filter((text) => Buffer.byteLength(text) < LARGEST_FRAME - 100),
  edits: fc.oneof(
    { arbitrary: fc.constant<Edit[]>([]), weight: 4 },
    { arbitrary: fc.array(edit, { maxLength: 2 }), weight: 1 },
  ),
})

function batchOf([value, count]: [unknown, number]): string {
  return JSON.stringify(Array.from({ length: count }, () => value))
}

function nested([value, depth]: [unknown, number]): string {
  return `{"jsonrpc":"2.0","method":"status","params":${'['.repeat(depth)}${JSON.stringify(value)}${']'.repeat(depth)}}`
}

/** The expected response to a request: its id and its error code. */
interface Expected {
  readonly id: unknown
  /** Undefined if the request may also succeed. */
  readonly code?: number
}

// An independent implementation of JSON-RPC 2.0, sections 4 to 6, and of the limits of the wire contract.
function judge(text: string): Expected | (Expected | undefined)[] | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { id: null, code: -32700 }
  }
  if (depthOf(value) > 64) return { id: null, code: -32600 }
  if (!Array.isArray(value)) return judgeOne(value)
  if (value.length === 0 || value.length > 32) return { id: null, code: -32600 }
  return value.map(judgeOne)
}

function judgeOne(value: unknown): Expected | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const own = (name: string) => (isObject && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined)
  const [id, method, params] = [own('id'), own('method'), own('params')]
  const hasId = typeof id === 'string' || id === null || (typeof id === 'number' && Math.abs(id) < 2 ** 53)
  const isCall =
    own('jsonrpc') === '2.0' &&
    typeof method === 'string' &&
    (params === undefined || (typeof params === 'object' && params !== null)) &&
    (hasId || id === undefined)
  if (!isCall) return { id: hasId ? id : null, code: -32600 }
  if (id === undefined) return undefined
  return Object.hasOwn(methods, method) ? { id } : { id, code: -32601 }
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

function expectResponse(response: Record<string, unknown>, { id, code }: Expected): void {
  const { jsonrpc, id: given, result, error, ...rest } = response
  expect(jsonrpc).toBe('2.0')
  expect(JSON.stringify(given)).toBe(JSON.stringify(id))
  expect(Object.keys(rest)).toEqual([])
  expect('result' in response).toBe(!('error' in response))
  expect(JSON.stringify([result, error])).not.toContain(CANARY)
  if (code !== undefined) expect(error).toMatchObject({ code })
  if (!('error' in response)) return
  const { code: number, message, data, ...others } = error as Record<string, unknown>
  expect(Number.isInteger(number)).toBe(true)
  expect(MESSAGES).toContain(message)
  expect(Object.keys(others)).toEqual([])
  const { issues = [] } = (data ?? {}) as { issues?: { path: string; expected: string }[] }
  for (const issue of issues) expect(PARAMS).toContain(issue.path)
}

async function open() {
  const { endpoint } = await startServer({ methods })
  const socket = new WebSocket(`ws://${endpoint.endpoint}/rpc`, [SUBPROTOCOL], {
    headers: { Authorization: authorization(endpoint, systemRandom).value },
  })
  await once(socket, 'open')
  onTestFinished(() => socket.terminate())
  let received: string[] = []
  let atPong: () => void = () => undefined
  socket.on('message', (data) => received.push(String(data)))
  socket.on('pong', () => atPong())
  const turn = async () => {
    const pong = new Promise<void>((resolve, reject) => {
      atPong = resolve
      socket.once('close', reject)
    })
    socket.ping()
    await pong
    socket.removeAllListeners('close')
  }
  /** Sends a message; resolves with all responses. */
  return async (message: string): Promise<unknown[]> => {
    received = []
    socket.send(message)
    await turn()
    await turn() // asynchronous responses arrive after the first pong, but before the second
    return received.map((text) => JSON.parse(text))
  }
}

describe('any message', FUZZ_TIMEOUT, () => {
  it('gets the responses of JSON-RPC 2.0, and none repeats the request', async () => {
    const ask = await open()
    const inherited = Object.getOwnPropertyNames(Object.prototype).join()
    await check(
      250,
      fc.asyncProperty(sent, async ({ message, edits }) => {
        const text = Buffer.from(edits.reduce(edited, message)).toString() // as it will arrive
        const expected = judge(text)
        const responses = await ask(text)
        if (Array.isArray(expected)) {
          const asked = expected.filter((one) => one !== undefined)
          expect(responses.length).toBe(asked.length > 0 ? 1 : 0)
          const batch = (responses[0] ?? []) as Record<string, unknown>[]
          expect(batch.length).toBe(asked.length)
          for (const [i, one] of asked.entries()) expectResponse(batch[i] ?? {}, one)
        } else if (expected === undefined) expect(responses).toEqual([])
        else {
          expect(responses.length).toBe(1)
          const response = responses[0] as Record<string, unknown>
          // The depth is checked before parsing, so that invalid JSON may be too deep as well.
          const isDeep = expected.code === -32700 && JSON.stringify(response).includes('nested deeper')
          expectResponse(response, isDeep ? { id: null, code: -32600 } : expected)
        }
        expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(inherited)
      }),
    )
    expect(await ask('{"jsonrpc":"2.0","method":"getAuthHeader","id":1}')).toEqual([
      { jsonrpc: '2.0', id: 1, result: HEADER },
    ])
  })
})
