// Measures a wake-up after a sleep: the daemon was frozen until its token expired, and the network comes back later.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startSandbox } from '../../test/sandbox/index.ts'
import { type Freezer, freezerOf } from './freezer.ts'
import { ask } from './load.ts'
import { discoveryFile, startDaemon } from './servers.ts'
import { signIn } from './sign-in.ts'

const TOKEN_SECONDS = 2
const NETWORK_MS = 3000
const RETRY_MS = 100 // how often the client asks until it has a header

export interface WakeUps {
  readonly frozenBy: Freezer['kind']
  /** Milliseconds from the network to the first header, in each round. */
  readonly times: readonly number[]
}

export async function measureWakeUps(program: string, folder: string, rounds: number): Promise<WakeUps> {
  const home = join(folder, 'wake')
  const network = await newNetwork()
  const sandbox = await startSandbox({ accessTokenTtl: TOKEN_SECONDS, issuer: network.url })
  network.leadTo(sandbox.port)
  const daemon = await startDaemon({ program, home, issuer: sandbox.issuer, clientId: sandbox.clientId })
  const freezer = freezerOf(daemon.pid, folder)
  try {
    await signIn(sandbox, discoveryFile(home))
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const socket = await daemon.connect()
      freezer.freeze()
      await network.close()
      await wait(TOKEN_SECONDS * 1000)
      freezer.thaw()
      const back = wait(NETWORK_MS).then(() => network.open())
      const header = firstHeader(socket)
      const from = await back.then(() => performance.now())
      times.push((await header) - from)
      socket.terminate()
    }
    return { frozenBy: freezer.kind, times }
  } finally {
    freezer.thaw()
    await daemon.stop()
    freezer.remove()
    await network.close()
    await sandbox.close()
  }
}

/** When the first call that is made again and again has a header. */
async function firstHeader(socket: Parameters<typeof ask>[0]): Promise<number> {
  while (!String(await ask(socket)).includes('"headers"')) await wait(RETRY_MS)
  return performance.now()
}

/** A port that leads to the provider while it is open, and refuses connections while it is closed. */
async function newNetwork() {
  let target = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const provider = connect(target, '127.0.0.1')
    for (const [one, other] of [
      [client, provider],
      [provider, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy()).on('close', () => sockets.delete(one))
      one.pipe(other)
    }
  })
  const open = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  await open(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    leadTo: (provider: number) => {
      target = provider
    },
    open: () => open(port),
    async close() {
      if (!server.listening) return
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}
