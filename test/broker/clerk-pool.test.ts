// The pool in front of Clerk: what it sends at once, and what it refuses while Clerk is slow, down or asks to wait.
import { describe, expect, it, vi } from 'vitest'
import type { ClerkRequest, ClerkResponse } from '../../src/broker/clerk-calls.ts'
import { type ClerkPoolOptions, createClerkPool } from '../../src/broker/clerk-pool.ts'
import { TestClock } from '../support/clock.ts'

const MINT: ClerkRequest = { operation: 'mint', method: 'POST', target: '/v1/sessions/sess_1/tokens' }
const KEYS: ClerkRequest = { operation: 'keys', method: 'GET', target: '/v1/jwks' }

const answer = (status: number, retryAfterSeconds?: number): ClerkResponse => ({
  status,
  body: {},
  retryAfterSeconds,
  date: undefined,
})

function newPool(options: Partial<ClerkPoolOptions> = {}) {
  const clock = new TestClock()
  const sent: {
    request: ClerkRequest
    signal: AbortSignal
    finish: (response: ClerkResponse) => void
    fail: (error: Error) => void
  }[] = []
  const pool = createClerkPool(
    (request, signal) =>
      new Promise<ClerkResponse>((finish, fail) => {
        signal.addEventListener('abort', () => fail(signal.reason))
        sent.push({ request, signal, finish, fail })
      }),
    { maxRunning: 2, maxWaiting: 1, requestsIn10Seconds: 1000, clock, ...options },
  )
  const send = (request = MINT, signal = new AbortController().signal) => {
    const call = pool.calls(request, signal)
    call.catch(() => undefined)
    return call
  }
  /** Sends one request, and lets Clerk answer it. */
  const exchange = async (response: ClerkResponse | Error, request = MINT) => {
    const before = sent.length
    const call = send(request)
    await vi.waitFor(() => expect(sent.length).toBe(before + 1))
    if (response instanceof Error) sent[before]?.fail(response)
    else sent[before]?.finish(response)
    return await call.catch((error: unknown) => error)
  }
  return { clock, sent, pool, send, exchange }
}

const refused = (reason: string, kind = 'temporarily_unavailable') => ({ kind, reason })

describe('the pool', () => {
  it('sends a bounded number of requests at once, lets some wait, and refuses the rest', async () => {
    const { sent, pool, send } = newPool()
    const calls = [send(), send(), send()]
    await expect(send()).rejects.toMatchObject(refused('clerk_pool_full'))
    expect({ running: pool.running(), waiting: pool.waiting() }).toEqual({ running: 2, waiting: 1 })
    await vi.waitFor(() => expect(sent).toHaveLength(2))
    sent[0]?.finish(answer(200))
    await vi.waitFor(() => expect(sent).toHaveLength(3))
    for (const { finish } of sent) finish(answer(200))
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([200, 200, 200])
    expect({ running: pool.running(), waiting: pool.waiting() }).toEqual({ running: 0, waiting: 0 })
  })

  it('gives up a request that waits as soon as it is aborted, and never sends it', async () => {
    const { sent, send } = newPool()
    void send()
    void send()
    const abort = new AbortController()
    const waiting = send(MINT, abort.signal)
    abort.abort(new Error('too late'))
    await expect(waiting).rejects.toThrow('too late')
    await vi.waitFor(() => expect(sent).toHaveLength(2))
    for (const { finish } of sent) finish(answer(200))
    await send(KEYS, AbortSignal.abort()).catch(() => undefined)
    expect(sent).toHaveLength(2)
  })

  it('passes the signal on, so that an abort reaches the connection', async () => {
    const { sent, send } = newPool()
    const abort = new AbortController()
    const call = send(MINT, abort.signal)
    await vi.waitFor(() => expect(sent).toHaveLength(1))
    abort.abort(new Error('too late'))
    expect(sent[0]?.signal.aborted).toBe(true)
    await expect(call).rejects.toThrow('too late')
  })

  it('sends no more requests to the Backend API in ten seconds than Clerk allows; public keys do not count', async () => {
    const { exchange, send } = newPool({ requestsIn10Seconds: 2 })
    await exchange(answer(200))
    await exchange(answer(200), KEYS)
    await exchange(answer(200))
    const error = await send().catch((reason: unknown) => reason)
    expect(error).toMatchObject(refused('clerk_budget'))
    expect((error as { retryAfterSeconds: number }).retryAfterSeconds).toBeLessThanOrEqual(10)
    expect(await exchange(answer(200), KEYS)).toMatchObject({ status: 200 })
  })
})

describe('after a 429 of Clerk', () => {
  it('sends nothing until the time that Clerk asked for is over', async () => {
    const { clock, exchange, send, pool } = newPool()
    expect(await exchange(answer(429, 7))).toMatchObject({ status: 429 })
    expect(pool.isAvailable()).toBe(false)
    await expect(send()).rejects.toMatchObject({ ...refused('clerk_429', 'rate_limited'), retryAfterSeconds: 7 })
    clock.advance(6.9)
    await expect(send()).rejects.toMatchObject({ retryAfterSeconds: 1 })
    clock.advance(0.1)
    expect(await exchange(answer(200))).toMatchObject({ status: 200 })
    expect(pool.isAvailable()).toBe(true)
  })

  it.each([
    [undefined, 10],
    [0, 1],
    [999_999, 60],
  ])('with Retry-After %s waits %i s', async (retryAfter, seconds) => {
    const { exchange, send } = newPool()
    await exchange(answer(429, retryAfter))
    await expect(send()).rejects.toMatchObject({ retryAfterSeconds: seconds })
  })
})

describe('the circuit breaker', () => {
  const failures = [
    ['a 5xx status', answer(503)],
    ['no answer', new Error('ECONNRESET')],
  ] as const

  it.each(failures)('opens after ten times %s in a row, and closes when Clerk responds', async (_, failure) => {
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      const { exchange, send, sent, pool } = newPool()
      for (let n = 0; n < 10; n++) await exchange(failure)
      expect(pool.isAvailable()).toBe(false)
      await expect(send()).rejects.toMatchObject(refused('clerk_down'))
      vi.advanceTimersByTime(1000)
      const trial = send()
      await vi.waitFor(() => expect(sent).toHaveLength(11))
      await expect(send()).rejects.toMatchObject(refused('clerk_down')) // one request alone tries
      sent[10]?.finish(answer(200))
      expect(await trial).toMatchObject({ status: 200 })
      expect(pool.isAvailable()).toBe(true)
      expect(await exchange(answer(200))).toMatchObject({ status: 200 })
    } finally {
      vi.useRealTimers()
    }
  })

  it('stays closed while some requests succeed, or are refused for their own sake', async () => {
    const { exchange, pool } = newPool()
    for (let n = 0; n < 30; n++) await exchange(answer(n % 5 === 0 ? 404 : 500))
    for (let n = 0; n < 30; n++) await exchange(answer(n % 2 === 0 ? 401 : 422))
    expect(pool.isAvailable()).toBe(true)
  })
})
