// Measures a start, from the spawn of the daemon to a client's first header, against a Node process that loads `ws`.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ask } from './load.ts'
import { type DaemonOptions, plainEnvironment, startDaemon } from './servers.ts'

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url))

export interface Start {
  /** Milliseconds since the spawn. */
  readonly ready: number
  readonly done: number
}

/** Expects a session on disk whose token is still valid. */
export async function timeToFirstHeader(options: DaemonOptions, answerBytes: number): Promise<Start> {
  const spawnedAt = performance.now()
  const daemon = await startDaemon(options)
  const socket = await daemon.connect()
  const answer = await ask(socket)
  const done = performance.now() - spawnedAt
  socket.terminate()
  await daemon.stop()
  if (answer.length !== answerBytes)
    throw new Error(`the header is not that of the saved session: ${answer.length} bytes`)
  return { ready: daemon.readyAfter, done }
}

export async function timeToLoadWs(node = process.execPath): Promise<Start> {
  const spawnedAt = performance.now()
  const child = spawn(node, ['-e', "require('ws')"], {
    cwd: PACKAGE,
    env: plainEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = await once(child, 'exit')
  const done = performance.now() - spawnedAt
  if (code !== 0) throw new Error('ws could not be loaded')
  return { ready: done, done }
}
