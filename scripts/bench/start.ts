// Measures a start, from the spawn of the daemon to a client's first header, against a Node process that loads `ws`.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { plainEnvironment } from '../plain-environment.ts'
import { ask } from './load.ts'
import { keep } from './run-folder.ts'
import { type DaemonOptions, startDaemon } from './servers.ts'

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
  const done = await timeToRun([node, '-e', "require('ws')"])
  return { ready: done, done }
}

/** Milliseconds until a program has ended. @throws if it fails */
export async function timeToRun([program, ...args]: readonly [string, ...string[]], env = {}): Promise<number> {
  const spawnedAt = performance.now()
  const child = keep(
    spawn(program, args, {
      cwd: PACKAGE,
      env: { ...plainEnvironment(), ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  )
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} has failed`)
  return performance.now() - spawnedAt
}
