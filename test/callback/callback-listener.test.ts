// The callback listener: which requests reach the sign-in, which page each one gets, and when the port closes.
import { once } from 'node:events'
import { Agent, request as makeRequest } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type CallbackAddress, CallbackListener } from '../../src/callback/callback-listener.ts'
import type { Outcome } from '../../src/callback/outcome.ts'
import { pages } from '../../src/callback/pages.ts'
import type { CallbackRefusal } from '../../src/callback/refusal.ts'
import type { SocketOwner } from '../../src/host/socket-owner.ts'
import { TestClock } from '../support/clock.ts'

const OAUTH: CallbackAddress = { host: '127.0.0.1', port: 0, path: '/callback', losesState: true }
const HANDOFF: CallbackAddress = { host: 'localhost', port: 0, path: '/', losesState: false }
const STATE = 's'.repeat(43)

interface Response {
  readonly status: number
  readonly location: string | undefined
  /** Where a page leads to by itself. */
  readonly refresh: string | undefined
  readonly body: string
}

interface RequestOptions {
  readonly headers?: Record<string, string>
  readonly method?: string
  readonly agent?: Agent | false
}

interface Options {
  readonly address?: CallbackAddress
  readonly state?: string | null
  readonly outcome?: (callback: URL) => Outcome | Promise<Outcome>
  readonly socketOwner?: () => Promise<SocketOwner>
  readonly signedInAs?: string | null
}

async function newListener({
  address = OAUTH,
  state = STATE,
  outcome = () => 'signedIn',
  socketOwner,
  signedInAs = null,
}: Options = {}) {
  const clock = new TestClock()
  const callbacks: URL[] = []
  const refusals: CallbackRefusal[] = []
  let interruptions = 0
  let ownerChecks = 0
  const listener = await CallbackListener.listen({
    address,
    clock,
    socketOwner: async () => {
      ownerChecks += 1
      return (await socketOwner?.()) ?? 'own'
    },
    onRefused: (refusal) => refusals.push(refusal),
    onCallback: async (callback) => {
      callbacks.push(callback)
      return await outcome(callback)
    },
    signedInAs: () => signedInAs,
    onInterrupted: () => {
      interruptions += 1
    },
  })
  if (state !== undefined) listener.expect(state)
  onTestFinished(async () => {
    const closed = listener.close()
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(10)
    await closed
  })
  const { port } = new URL(listener.redirectUri)
  const get = (
    target: string,
    { headers = {}, method = 'GET', agent = false }: RequestOptions = {},
  ): Promise<Response> =>
    new Promise((resolve, reject) => {
      const host = `127.0.0.1:${port}`
      const request = makeRequest({
        port,
        path: target,
        method,
        agent,
        host: '127.0.0.1',
        headers: { host, ...headers },
      })
      request.on('error', reject)
      request.on('response', (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk) => {
          body += chunk
        })
        response.on('end', () => {
          const { location, refresh } = response.headers
          resolve({ status: response.statusCode ?? 0, location, refresh: refresh?.toString(), body })
        })
      })
      request.end()
    })
  return { listener, clock, port, get, callbacks, refusals, counts: () => ({ interruptions, ownerChecks }) }
}

const shows = (page: (typeof pages)[keyof typeof pages]) => ({ status: page.status, body: page.body.toString() })

describe('a callback with the expected state', () => {
  test('reaches the sign-in with its whole query, and redirects to a page without one', async () => {
    const { get, callbacks, listener } = await newListener()
    expect(await get(`/callback?code=1&state=${STATE}`)).toEqual({ status: 303, location: '/signed-in', body: '' })
    expect(callbacks.map(String)).toEqual([`${listener.redirectUri}?code=1&state=${STATE}`])
  })

  test.each<[Outcome, string]>([
    ['signedIn', '/signed-in'],
    ['denied', '/denied'],
    ['failed', '/failed'],
    ['incomplete', '/refused/incomplete'],
    ['forged', '/refused/forged'],
    ['expired', '/refused/expired'],
    ['wrong_audience', '/refused/wrong-audience'],
    ['mismatched', '/refused/mismatched'],
    ['pending', '/refused/pending'],
    ['unverified', '/refused/unverified'],
  ])('with the outcome %s shows the page at %s', async (outcome, path) => {
    const { get } = await newListener({ outcome: () => outcome })
    expect(await get(`/callback?code=1&state=${STATE}`)).toMatchObject({ status: 303, location: path })
    expect(await get(path)).toMatchObject(shows(pages[outcome]))
  })

  test('is handled once if the browser sends it twice at the same time', async () => {
    let finish: (outcome: Outcome) => void = () => undefined
    const outcome = new Promise<Outcome>((resolve) => {
      finish = resolve
    })
    let arrived = 0
    const { get, callbacks } = await newListener({
      outcome: () => outcome,
      socketOwner: async () => {
        arrived += 1
        if (arrived === 2) setImmediate(() => finish('signedIn')) // after the second request has reached the handler
        return 'own'
      },
    })
    const target = `/callback?code=1&state=${STATE}`
    const both = await Promise.all([get(target), get(target)])
    expect(both).toMatchObject([{ location: '/signed-in' }, { location: '/signed-in' }])
    expect(callbacks).toHaveLength(1)
  })

  test('is not handled again after a final outcome', async () => {
    const { get, callbacks } = await newListener({ outcome: () => 'denied' })
    await get(`/callback?error=access_denied&state=${STATE}`)
    expect(await get(`/callback?code=1&state=${STATE}`)).toMatchObject({ location: '/denied' })
    expect(callbacks).toHaveLength(1)
  })

  test('is handled again after a refusal', async () => {
    const outcomes: Outcome[] = ['forged', 'signedIn']
    const { get } = await newListener({ outcome: () => outcomes.shift() ?? 'failed' })
    expect(await get(`/callback?code=1&state=${STATE}`)).toMatchObject({ location: '/refused/forged' })
    expect(await get(`/callback?code=2&state=${STATE}`)).toMatchObject({ location: '/signed-in' })
  })
})

describe('a request that does not reach the sign-in', () => {
  test.each([
    ['a wrong state', '/callback?code=1&state=x', pages.wrongLink],
    ['no state', '/callback?code=1', pages.wrongLink],
    ['a code that repeats', `/callback?code=1&code=2&state=${STATE}`, pages.wrongLink],
    ['no query', '/callback', pages.notFound],
    ['another path', `/other?code=1&state=${STATE}`, pages.notFound],
    ['an absolute target', `http://evil.example/callback?code=1&state=${STATE}`, pages.notFound],
    ['a result page with a query', '/signed-in?x', pages.notFound],
  ])('has %s', async (_name, target, page) => {
    const { get, callbacks } = await newListener()
    expect(await get(target)).toMatchObject(shows(page))
    expect(callbacks).toEqual([])
  })

  test.each(['/callback?code=1&state=x', `/callback?code=1&code=2&state=${STATE}`])(
    'leads from %s to an address without a query, which shows the same',
    async (target) => {
      const { get, refusals } = await newListener()
      const { refresh } = await get(target)
      expect(refresh).toBe('0; url=/refused/wrong-link')
      const clean = await get('/refused/wrong-link')
      expect(clean).toMatchObject({ ...shows(pages.wrongLink), refresh: undefined })
      expect(refusals).toHaveLength(1)
    },
  )

  test.each([
    [{ origin: 'https://evil.example' }],
    [{ 'sec-fetch-dest': 'image', 'sec-fetch-mode': 'no-cors' }],
    [{ 'sec-fetch-dest': 'iframe', 'sec-fetch-mode': 'navigate' }],
  ])('is no visit of a person: %j', async (headers) => {
    const { get, callbacks, refusals } = await newListener({ address: HANDOFF, state: null })
    expect(await get('/?token=1', { headers })).toMatchObject(shows(pages.notAVisit))
    expect(await get('/signed-in', { headers })).toMatchObject(shows(pages.notAVisit))
    expect([callbacks, refusals]).toEqual([[], ['not_a_visit', 'not_a_visit']])
  })

  test.each(['POST', 'PUT', 'OPTIONS', 'DELETE'])('has the method %s', async (method) => {
    const { get, callbacks } = await newListener()
    expect(await get(`/callback?code=1&state=${STATE}`, { method })).toMatchObject(shows(pages.notFound))
    expect(callbacks).toEqual([])
  })

  test('is a prefetch, or asks for the icon', async () => {
    const { get, callbacks } = await newListener()
    const headers = { 'sec-purpose': 'prefetch' }
    expect(await get(`/callback?code=1&state=${STATE}`, { headers })).toMatchObject({ status: 204, body: '' })
    expect(await get('/favicon.ico')).toMatchObject({ status: 204, body: '' })
    expect(callbacks).toEqual([])
  })

  test('arrives before the sign-in expects a state', async () => {
    const clock = new TestClock()
    const callbacks: URL[] = []
    const listener = await CallbackListener.listen({
      address: OAUTH,
      clock,
      socketOwner: () => Promise.resolve('own'),
      onRefused: () => undefined,
      onCallback: async (callback) => {
        callbacks.push(callback)
        return 'signedIn'
      },
      signedInAs: () => null,
      onInterrupted: () => undefined,
    })
    onTestFinished(() => listener.close())
    expect((await fetch(`${listener.redirectUri}?code=1&state=${STATE}`)).status).toBe(400)
    expect((await fetch(`${listener.redirectUri}?code=1`)).status).toBe(400)
    expect(callbacks).toEqual([])
  })

  test.each([
    ['wrong_state', `/callback?code=1&state=x`, {}],
    ['wrong_state', '/callback?code=1', {}],
    ['repeated_parameter', `/callback?code=1&code=2&state=${STATE}`, {}],
    ['wrong_path', '/callback', {}],
    ['wrong_path', `/other?code=1&state=${STATE}`, {}],
    ['wrong_method', '/callback', { method: 'POST' }],
    ['wrong_host', `/callback?code=1&state=${STATE}`, { headers: { host: 'evil.example' } }],
    ['interrupted', '/callback?error=invalid_request', {}],
  ])('is reported as %s: %s', async (refusal, target, options) => {
    const { get, refusals } = await newListener()
    expect((await get(target, options)).body).toContain('<h1>')
    expect(refusals).toEqual([refusal])
  })

  test('is not reported if a browser sends it by itself, or it asks for the page of a result', async () => {
    const { get, refusals } = await newListener()
    for (const target of ['/favicon.ico', '/apple-touch-icon.png', '/.well-known/x', '/signed-in']) await get(target)
    await get(`/callback?code=1&state=${STATE}`, { headers: { purpose: 'prefetch' } })
    expect(refusals).toEqual([])
  })

  test('is reported a hundred times at most', async () => {
    const { get, refusals } = await newListener()
    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    onTestFinished(() => agent.destroy())
    await Promise.all(Array.from({ length: 130 }, () => get('/callback?code=1', { agent })))
    expect(refusals).toHaveLength(101)
    expect(new Set(refusals)).toEqual(new Set(['wrong_state', 'further_ones']))
  })
})

describe('the program at the other end', () => {
  test('of another user gets a page that says so, whatever it sends', async () => {
    const { get, callbacks, refusals } = await newListener({ socketOwner: () => Promise.resolve('other') })
    for (const target of [`/callback?code=1&state=${STATE}`, '/favicon.ico']) {
      expect(await get(target)).toMatchObject(shows(pages.otherUser))
    }
    expect(callbacks).toEqual([])
    expect(refusals).toEqual(['other_user', 'other_user'])
  })

  test('that has closed its end gets no response', async () => {
    const { get, callbacks, refusals } = await newListener({ socketOwner: () => Promise.resolve('closed') })
    await expect(get(`/callback?code=1&state=${STATE}`)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(callbacks).toEqual([])
    expect(refusals).toEqual(['peer_closed'])
  })

  test('outside of this system is accepted with the right state, and with no other', async () => {
    const { get, callbacks, refusals } = await newListener({ socketOwner: () => Promise.resolve('outside') })
    expect(await get(`/callback?code=1&state=x`)).toMatchObject(shows(pages.wrongLink))
    expect(await get(`/callback?code=1`)).toMatchObject(shows(pages.wrongLink))
    expect(callbacks).toEqual([])
    expect(await get(`/callback?code=1&state=${STATE}`)).toMatchObject({ location: '/signed-in' })
    expect(await get('/signed-in')).toMatchObject(shows(pages.signedIn))
    expect(refusals).toEqual(['wrong_state', 'wrong_state'])
  })

  test('outside of this system is refused by a page if the sign-in page returns no state', async () => {
    const socketOwner = () => Promise.resolve<SocketOwner>('outside')
    const { get, callbacks, refusals } = await newListener({ address: HANDOFF, state: null, socketOwner })
    expect(await get('/?token=1')).toMatchObject(shows(pages.outside))
    expect(callbacks).toEqual([])
    expect(refusals).toEqual(['outside_without_state'])
  })

  test('is accepted if the system does not publish it, also without a state', async () => {
    const socketOwner = () => Promise.resolve<SocketOwner>('unpublished')
    const { get, callbacks } = await newListener({ address: HANDOFF, state: null, socketOwner })
    expect(await get('/?token=1')).toMatchObject({ location: '/signed-in' })
    expect(callbacks).toHaveLength(1)
  })
})

describe('a request that is not read', () => {
  /** Sends bytes; resolves with the response when the connection is closed. */
  const send = (port: string, text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let response = ''
      const socket = connect(Number(port), '127.0.0.1', () => void socket.write(text, 'latin1'))
      socket.setEncoding('utf8').on('data', (chunk) => {
        response += chunk
      })
      socket.on('error', reject).on('close', () => resolve(response))
    })
  const request = (target: string, cookie: string, port: string) =>
    `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\nCookie: ${cookie}\r\n\r\n`
  const cookies = (count: number, size: number) =>
    Array.from({ length: count }, (_, n) => `c${n}=${'x'.repeat(size)}`).join('; ')

  test.each([
    ['10 cookies of 2 kB', 10, 2000],
    ['all cookies that a browser keeps: 180 of 4 KiB', 180, 4090],
  ])('is not one with %s', async (_name, count, size) => {
    const { port, callbacks } = await newListener()
    expect(await send(port, request(`/callback?code=1&state=${STATE}`, cookies(count, size), port))).toMatch(
      /^HTTP\/1\.1 303 /,
    )
    expect(callbacks).toHaveLength(1)
  })

  test('since it is too large gets a page that says what to do', async () => {
    const { port, callbacks, refusals } = await newListener()
    const response = await send(port, request(`/callback?code=1&state=${STATE}`, cookies(400, 4090), port))
    expect(response).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/)
    expect(response.endsWith(pages.tooLarge.body.toString())).toBe(true)
    expect(response).toContain("Content-Security-Policy: default-src 'none'")
    expect(callbacks).toEqual([])
    expect(refusals).toEqual(['too_large'])
  })

  test('since it is no HTTP gets a page, and no host name is no exception', async () => {
    const { port, refusals } = await newListener()
    expect(await send(port, 'nonsense\r\n\r\n')).toContain(pages.malformed.body.toString())
    expect(await send(port, 'GET /callback?code=1 HTTP/1.1\r\nConnection: close\r\n\r\n')).toContain(
      pages.wrongLink.body.toString(),
    )
    expect(refusals).toEqual(['malformed', 'wrong_host'])
  })

  test('since the browser has upgraded it to https is reported, and the connection closed', async () => {
    const { port, refusals } = await newListener()
    expect(await send(port, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')).toBe('')
    expect(refusals).toEqual(['https'])
  })

  test('since the browser has opened the connection in advance is not reported', async () => {
    const { port, refusals } = await newListener()
    const socket = connect(Number(port), '127.0.0.1', () => void socket.resetAndDestroy())
    await once(socket, 'close')
    expect(await send(port, 'nonsense\r\n\r\n')).not.toBe('') // by now the listener knows
    expect(refusals).toEqual(['malformed'])
  })
})

test('the owner of a connection is checked once, however many requests it sends', async () => {
  const { get, counts } = await newListener()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  await get(`/callback?code=1&state=${STATE}`, { agent })
  await get(`/callback?code=1&state=${STATE}`, { agent })
  expect(counts().ownerChecks).toBe(1)
  await get(`/callback?code=1&state=${STATE}`)
  expect(counts().ownerChecks).toBe(2)
})

describe('the Host header', () => {
  test.each(['evil.example', 'localhost', '127.0.0.1', '[::1]', '127.0.0.1.'])(
    'of another name or without the port is refused: %s',
    async (name) => {
      const { get, port, callbacks } = await newListener()
      const hosts = name === '127.0.0.1' ? [name, `${name}:${Number(port) - 1}`] : [name, `${name}:${port}`]
      for (const host of hosts) {
        expect(await get(`/callback?code=1&state=${STATE}`, { headers: { host } }), host).toMatchObject(
          shows(pages.wrongLink),
        )
      }
      expect(callbacks).toEqual([])
    },
  )

  test.each(['localhost', '127.0.0.1', '[::1]'])('may be %s if the page redirects to localhost', async (name) => {
    const { get, port, callbacks } = await newListener({ address: HANDOFF })
    expect(await get(`/?token=1&state=${STATE}`, { headers: { host: `${name}:${port}` } })).toMatchObject({
      status: 303,
    })
    expect(await get(`/?token=1&state=${STATE}`, { headers: { host: `evil.example:${port}` } })).toMatchObject({
      status: 400,
    })
    expect(callbacks).toHaveLength(1)
  })
})

test('a page that redirects to localhost reaches the listener on ::1 as well', async () => {
  const { port, callbacks } = await newListener({ address: HANDOFF })
  expect((await fetch(`http://[::1]:${port}/?token=1&state=${STATE}`)).status).toBe(200)
  expect(callbacks).toHaveLength(1)
})

describe('an error without a state', () => {
  test('is reported as an interruption if Clerk may have lost the request', async () => {
    const { get, callbacks, counts } = await newListener()
    expect(await get('/callback?error=invalid_request')).toMatchObject(shows(pages.interrupted))
    expect(counts().interruptions).toBe(1)
    expect(callbacks).toEqual([])
  })

  test('is the wrong link for a page that never loses its state', async () => {
    const { get, callbacks, counts } = await newListener({ address: HANDOFF })
    expect(await get('/?error=invalid_request')).toMatchObject(shows(pages.wrongLink))
    expect(counts().interruptions).toBe(0)
    expect(callbacks).toEqual([])
  })
})

describe('a page that returns no state', () => {
  test('has every callback handled, two different ones at the same time', async () => {
    let release: () => void = () => undefined
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const { get, callbacks } = await newListener({
      address: HANDOFF,
      state: null,
      outcome: async (callback): Promise<Outcome> => {
        if (callback.searchParams.get('token') === '1') await released
        else release() // reached only if the second is not kept waiting by the first
        return 'forged'
      },
    })
    const both = await Promise.all([get('/?token=1'), get('/?token=2')])
    expect(both).toMatchObject([{ location: '/refused/forged' }, { location: '/refused/forged' }])
    expect(callbacks).toHaveLength(2)
  })
})

describe('closing', () => {
  const isOpen = (uri: string) =>
    fetch(uri).then(
      () => true,
      () => false,
    )

  test('frees the port at once if there was no callback, and may be repeated', async () => {
    const { listener } = await newListener()
    await listener.close()
    await listener.close()
    expect(await isOpen(listener.redirectUri)).toBe(false)
  })

  test('keeps the port open for 0.9 s after a final outcome, so that the browser can load the last page', async () => {
    const { listener, get, clock } = await newListener()
    await get(`/callback?code=1&state=${STATE}`)
    const closed = listener.close()
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(0.89)
    expect(await get('/signed-in')).toMatchObject(shows(pages.signedIn))
    clock.advance(0.01)
    await closed
    expect(await isOpen(listener.redirectUri)).toBe(false)
  })

  test('waits for the callback in progress', async () => {
    let finish: (outcome: Outcome) => void = () => undefined
    const outcome = new Promise<Outcome>((resolve) => {
      finish = resolve
    })
    let arrived: () => void = () => undefined
    const hasArrived = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const { listener, get, clock } = await newListener({
      outcome: () => {
        arrived()
        return outcome
      },
    })
    const response = get(`/callback?code=1&state=${STATE}`)
    await hasArrived
    const closed = listener.close()
    finish('signedIn')
    expect(await response).toMatchObject({ location: '/signed-in' })
    expect(await get('/signed-in')).toMatchObject(shows(pages.signedIn))
    clock.advance(0.9)
    await closed
  })
})
