// The handler for servers of Node.js: what the broker is given of a request, and what a client gets back.
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type NodeHandlerOptions, type RequestContext, toNodeHandler } from '../../src/broker/node-handler.ts'
import type { BrokerRequest } from '../../src/broker/request.ts'

/** A server with a handler that keeps what it was given. */
async function start(
  options: NodeHandlerOptions = {},
  prepare: (request: IncomingMessage) => Promise<void> = async () => undefined,
) {
  const seen: { request: BrokerRequest; body: string; context: RequestContext }[] = []
  const handler = toNodeHandler(async (request, context) => {
    seen.push({ request, body: await textOf(request), context })
    return Response.json({ seen: seen.length }, { status: 201, headers: { 'DPoP-Nonce': 'n' } })
  }, options)
  const server = createServer((request, response) => void prepare(request).then(() => handler(request, response)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

async function textOf({ body }: BrokerRequest): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body ?? []) chunks.push(chunk)
  return String(Buffer.concat(chunks))
}

const post = (url: string, headers: Record<string, string> = {}, body = '{"a":1}') =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })

describe('the handler for Node.js', () => {
  it('passes on path, method, body and the headers that the broker reads, and no other', async () => {
    const { url, seen } = await start()
    await post(`${url}/api/auth/refresh?x=1`, { dpop: 'proof', authorization: 'Bearer x', cookie: 'secret=1' })
    const [{ request, body }] = seen as [(typeof seen)[0]]
    expect({ method: request.method, path: new URL(request.url).pathname, body }).toEqual({
      method: 'POST',
      path: '/api/auth/refresh',
      body: '{"a":1}',
    })
    const headers = ['content-type', 'dpop', 'authorization', 'cookie', 'host'].map((name) => request.headers.get(name))
    expect(headers).toEqual(['application/json', 'proof', 'Bearer x', null, null])
  })

  it('passes on the answer, with the id of the request', async () => {
    const { url, seen } = await start()
    const response = await post(url)
    expect(response.status).toBe(201)
    expect(await response.json()).toEqual({ seen: 1 })
    expect(response.headers.get('dpop-nonce')).toBe('n')
    expect(response.headers.get('x-request-id')).toBe(seen[0]?.context.requestId)
  })

  it('takes over the id that a proxy gave the request, unless it is no id', async () => {
    const { url, seen } = await start()
    await post(url, { 'x-request-id': 'abc-1.2:3' })
    await post(url, { 'x-request-id': 'a b"<>' })
    expect(seen[0]?.context.requestId).toBe('abc-1.2:3')
    expect(seen[1]?.context.requestId).toMatch(/^[\w-]{16}$/)
  })

  it.each([
    [undefined, undefined],
    [0, '127.0.0.1'],
    [1, '203.0.113.7'],
    [3, undefined],
  ])('tells the address behind %s trusted proxies: %s', async (trustedHops, address) => {
    const { url, seen } = await start({ trustedHops })
    await post(url, { 'x-forwarded-for': '198.51.100.1, 203.0.113.7' })
    expect(seen[0]?.context.address).toBe(address)
  })

  it('takes the body that a parser has already read', async () => {
    const parse = async (request: IncomingMessage) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      Object.assign(request, { body: JSON.parse(String(Buffer.concat(chunks))) })
    }
    const { url, seen } = await start({}, parse)
    await post(url, {}, '{ "a": [1, 2] }')
    expect(seen[0]?.body).toBe('{"a":[1,2]}')
  })

  it('uses the path before a router has cut it', async () => {
    const { url, seen } = await start({}, async (request) => {
      Object.assign(request, { originalUrl: request.url, url: '/refresh' })
    })
    await post(`${url}/api/auth/refresh`)
    expect(new URL(String(seen[0]?.request.url)).pathname).toBe('/api/auth/refresh')
  })
})
