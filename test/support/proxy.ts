// A small corporate proxy on loopback: it answers CONNECT, and leads every name to one port of this computer.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export interface TestProxy {
  readonly url: string
  /** The authority of each CONNECT request, and its headers. */
  readonly requests: { readonly authority: string; readonly headers: IncomingHttpHeaders }[]
}

/** @param answer the response to CONNECT instead of a tunnel; null closes the connection without one */
export async function startProxy(targetPort: number, answer?: string | null): Promise<TestProxy> {
  const requests: TestProxy['requests'] = []
  const sockets = new Set<Socket>()
  const server = createServer((_request, response) => response.writeHead(405).end())
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)))
  server.on('connect', (request, client: Socket) => {
    requests.push({ authority: String(request.url), headers: request.headers })
    if (answer === null) return void client.destroy()
    if (answer !== undefined) return void client.end(answer)
    const target = connect(targetPort, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      target.pipe(client).pipe(target)
    })
    sockets.add(target.on('error', () => client.destroy()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}
