// HTTP servers on the loopback addresses that a host name stands for, all on one port.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorCode } from '../host/files.ts'
import { loopbackAddresses } from '../host/network.ts'

export interface LoopbackServers {
  readonly servers: readonly Server[]
  readonly port: number
}

const REQUEST_TIMEOUT = 5000 // ms; the browser is on this machine
const CHECK_INTERVAL = 1000 // ms; Node looks for late requests every 30 s by itself, whatever the timeouts are
// Browsers send the cookies of all programs on this computer, whatever their port: at most 180 of 4 KiB.
const MAX_HEADER_SIZE = 768 * 1024 // bytes
const ATTEMPTS = 5 // to find an ephemeral port that is free on both loopback addresses

/**
 * Listens on every loopback address of the host, because another program on one of them would receive callbacks.
 * @param port 0 for an ephemeral port
 * @throws a system error if the port is taken
 */
export async function listenOnLoopback(host: '127.0.0.1' | 'localhost', port: number): Promise<LoopbackServers> {
  const [first, ...others] = loopbackAddresses(host)
  for (let attempt = 1; ; attempt++) {
    const servers: Server[] = []
    try {
      const server = await listen(first, port)
      servers.push(server)
      const { port: actual } = server.address() as AddressInfo
      for (const other of others) servers.push(...(await listenIfPresent(other, actual)))
      return { servers, port: actual }
    } catch (error) {
      for (const server of servers) server.close()
      if (port !== 0 || errorCode(error) !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error
    }
  }
}

async function listen(host: string, port: number): Promise<Server> {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_SIZE,
    headersTimeout: REQUEST_TIMEOUT,
    requestTimeout: REQUEST_TIMEOUT,
    connectionsCheckingInterval: CHECK_INTERVAL,
    requireHostHeader: false, // the listener refuses it itself, with a page
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, resolve)
  })
  return server
}

/** Empty if the machine does not have the address, as with IPv6 turned off. */
async function listenIfPresent(host: string, port: number): Promise<Server[]> {
  try {
    return [await listen(host, port)]
  } catch (error) {
    if (['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(errorCode(error) ?? '')) return []
    throw error
  }
}
