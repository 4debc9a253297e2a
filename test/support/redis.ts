// A real Redis (or Valkey) on a port of 127.0.0.1, that a test can stop, freeze and start again.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from './folder.ts'
import { freePort } from './free-port.ts'

const SERVER = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0)

export const hasRedis = SERVER !== undefined
export const skippedWithoutRedis = hasRedis ? '' : ' (skipped: needs redis-server)'

export async function startRedis() {
  const port = await freePort()
  const folder = await temporaryFolder()
  let child: ChildProcess | undefined
  const start = async () => {
    const options = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--save',
      '',
      '--appendonly',
      'yes',
    ]
    child = spawn(String(SERVER), options, { stdio: 'ignore' })
    await responds(port)
  }
  const stop = async () => {
    const running = child
    child = undefined
    if (!running) return
    running.kill('SIGKILL')
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit')
  }
  onTestFinished(stop)
  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    /** Its data is kept. */
    stop,
    start,
    /** Connections stay open, and nothing is answered. */
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
  }
}

/** Resolves when the server answers a PING. */
async function responds(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      socket.write('PING\r\n')
      const [answer] = await once(socket, 'data')
      if (String(answer).startsWith('+PONG')) return
    } catch {
      // not yet
    } finally {
      socket.destroy()
    }
  }
}
