// The client: which daemons it accepts, and what a caller sees when there is none or it stops.
import { createServer } from 'node:http'
import { join } from 'node:path'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, connectTo } from '../../src/rpc/client.ts'
import { RpcError } from '../../src/rpc/contract.ts'
import { writeEndpoint } from '../../src/rpc/discovery.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/program.ts'
import { startServer } from '../support/rpc.ts'

describe('the client', () => {
  it('[B1] sends no frame and no key to another program on the port of a stopped daemon', async () => {
    const received: string[] = []
    const squatter = createServer()
    squatter.on('upgrade', (request, socket) => {
      received.push(JSON.stringify(request.rawHeaders))
      socket.on('data', (data: Buffer) => received.push(data.toString('latin1')))
      // It completes the upgrade, but cannot know the key.
      const sockets = new WebSocketServer({ noServer: true })
      sockets.on('headers', (headers) => headers.push(`CadzeroAuth-Proof: ${'A'.repeat(43)}`))
      sockets.handleUpgrade(request, socket, Buffer.alloc(0), () => undefined)
    })
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve))
    const { endpoint } = await startServer()
    const { port } = squatter.address() as { port: number }
    const stale = { ...endpoint, endpoint: `127.0.0.1:${port}` }
    await expect(connectTo(stale, systemRandom)).rejects.toMatchObject({ name: 'NoDaemonError', reason: 'not_genuine' })
    expect(received.join('')).not.toContain(endpoint.key)
    squatter.closeAllConnections()
    squatter.close()
  })

  it('reports an absent daemon if there is no discovery file', async () => {
    const file = join(await temporaryFolder(), 'endpoint.json')
    await expect(connect(systemFiles, file, systemRandom)).rejects.toMatchObject({ reason: 'absent' })
  })

  it('reports an absent daemon if the port is closed, and a refusal if its key is not accepted', async () => {
    const { endpoint } = await startServer()
    const key = systemRandom(32).toString('base64url')
    await expect(connectTo({ ...endpoint, key }, systemRandom)).rejects.toMatchObject({ reason: 'refused' })
    const stopped = await startServer()
    await stopped.server.close()
    await expect(connectTo(stopped.endpoint, systemRandom)).rejects.toMatchObject({ reason: 'absent' })
  })

  it('connects to the daemon that replaces another one while it reads the discovery file', async () => {
    const file = join(await temporaryFolder(), 'endpoint.json')
    const [old, current] = [await startServer(), await startServer()]
    await old.server.close()
    await writeEndpoint(systemFiles, file, old.endpoint)
    let reads = 0
    const open: typeof systemFiles.open = async (...args) => {
      if (++reads === 2) await writeEndpoint(systemFiles, file, current.endpoint)
      return await systemFiles.open(...args)
    }
    const client = await connect({ ...systemFiles, open }, file, systemRandom)
    expect(client.endpoint).toEqual(current.endpoint)
    expect(reads).toBe(2)
    client.close()
  })

  it('throws the code, message and data of an RpcError', async () => {
    const refuse = () => {
      throw new RpcError(1001, 'interaction required', { reason: 'signed_out' })
    }
    const client = await (await startServer({ methods: { refuse: { params: v.any(), handle: refuse } } })).connect()
    const error = await client.callAny('refuse').catch((error: unknown) => error)
    expect(error).toBeInstanceOf(RpcError)
    expect(error).toMatchObject({ code: 1001, message: 'interaction required', data: { reason: 'signed_out' } })
  })

  it.each(['{"result":', '7', 'null', '"text"'])(
    'closes the connection at the message %s, which is no response',
    async (text) => {
      const immediate = () => ({ responseTo: () => Buffer.from(text) }) as never
      const methods = { broken: { params: v.any(), handle: () => undefined, immediate } }
      const client = await (await startServer({ methods })).connect()
      await expect(client.callAny('broken')).rejects.toMatchObject({ name: 'ConnectionClosedError' })
    },
  )

  it('rejects running and later calls with the close code once the connection is closed', async () => {
    const clock = new TestClock()
    let onStarted: () => void = () => undefined
    const started = new Promise<void>((resolve) => {
      onStarted = resolve
    })
    let finish: (value: string) => void = () => undefined
    const wait = () => {
      onStarted()
      return new Promise<string>((resolve) => {
        finish = resolve
      })
    }
    const { server, connect } = await startServer({ clock, methods: { wait: { params: v.any(), handle: wait } } })
    const client = await connect()
    const call = client.callAny('wait')
    const rejected = expect(call).rejects.toMatchObject({ name: 'ConnectionClosedError', code: 1012 })
    await started
    const closed = server.close()
    clock.advance(5)
    await rejected
    await expect(client.callAny('wait')).rejects.toMatchObject({ name: 'ConnectionClosedError', code: 1012 })
    await closed
    finish('too late')
  })
})
