// The RPC server: how many connections it accepts, and how it closes.

import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import type { RpcClient } from '../../src/rpc/client.ts'
import { PreEncoded } from '../../src/rpc/pre-encoded.ts'
import { TestClock } from '../support/clock.ts'
import { startServer } from '../support/rpc.ts'

const params = v.any()
const methods = { get_data: { params, handle: () => ['hello', 5] } }

/** A method that runs until the test ends it. */
function slowMethod() {
  let finish: (value: string) => void = () => undefined
  let onStarted: () => void = () => undefined
  const started = new Promise<void>((resolve) => {
    onStarted = resolve
  })
  const handle = () => {
    onStarted()
    return new Promise<string>((resolve) => {
      finish = resolve
    })
  }
  return { method: { params, handle }, started, finish: (value: string) => finish(value) }
}

/** Not at once: a handshake may last a few seconds only, on a slow machine as well. */
async function connectOneByOne(count: number, connect: () => Promise<RpcClient>): Promise<RpcClient[]> {
  const clients: RpcClient[] = []
  while (clients.length < count) clients.push(await connect())
  return clients
}

describe('the RPC server', () => {
  it('[OWASP-limits] closes the 257th connection with 1013, runs none of its calls, and serves the others', async () => {
    let ran = 0
    const counted = { params, handle: () => ran++ }
    const { connect } = await startServer({ methods: { ...methods, counted } })
    const clients = await connectOneByOne(256, connect)
    const refused = await connect()
    refused.callAny('counted').catch(() => undefined)
    expect(await refused.closed).toBe(1013)
    expect(ran).toBe(0)
    expect(await clients[255]?.callAny('get_data')).toEqual(['hello', 5])
  })

  it('accepts a connection again after another one has ended', async () => {
    const { connect } = await startServer({ methods })
    const [first] = await connectOneByOne(256, connect)
    first?.close()
    await first?.closed
    expect(await (await connect()).callAny('get_data')).toEqual(['hello', 5])
  })

  it('sends a notification to every connection', async () => {
    const { server, connect } = await startServer({ methods })
    const notified = [await connect(), await connect()].map(
      (client) => new Promise((resolve) => client.onNotification((method, params) => resolve({ method, params }))),
    )
    server.notify('sessionChanged', { state: 'signed_out' })
    const notification = { method: 'sessionChanged', params: { state: 'signed_out' } }
    expect(await Promise.all(notified)).toEqual([notification, notification])
  })

  it('lets a running call finish when it closes, rejects new ones with 1006, and then closes with 1012', async () => {
    const slow = slowMethod()
    const inMemory = { params, handle: () => 'ran', immediate: () => new PreEncoded({}) }
    const { server, connect } = await startServer({ methods: { ...methods, slow: slow.method, inMemory } })
    const client = await connect()
    const answer = client.callAny('slow')
    await slow.started
    const closed = server.close()
    for (const method of ['get_data', 'inMemory']) {
      await expect(client.callAny(method)).rejects.toMatchObject({ code: 1006 })
    }
    slow.finish('done')
    expect(await answer).toBe('done')
    expect(await client.closed).toBe(1012)
    await closed
  })

  it('waits five seconds for a running call, and then closes', async () => {
    const clock = new TestClock()
    const slow = slowMethod()
    const { server, connect } = await startServer({ clock, methods: { slow: slow.method } })
    const client = await connect()
    client.callAny('slow').catch(() => undefined)
    await slow.started
    const closed = server.close()
    clock.advance(4.5)
    await expect(client.callAny('slow')).rejects.toMatchObject({ code: 1006 })
    clock.advance(0.5)
    expect(await client.closed).toBe(1012)
    await closed
    slow.finish('too late')
  })

  it('accepts no client while it closes', async () => {
    const slow = slowMethod()
    const { server, connect } = await startServer({ methods: { slow: slow.method } })
    const client = await connect()
    const answer = client.callAny('slow')
    await slow.started
    const closed = server.close()
    await expect(connect()).rejects.toMatchObject({ name: 'NoDaemonError' })
    slow.finish('done')
    expect(await answer).toBe('done')
    await closed
  })
})
