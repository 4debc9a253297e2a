// Runs a program of the system to its end, or starts one in the background: by its path, with no shell and no secrets.
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { systemProgramEnvironment } from './child-environment.ts'
import type { Clock } from './clock.ts'
import { workingFolder } from './home.ts'

export interface Ran {
  /** The exit status; undefined if the program could not be started or was killed after a timeout. */
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program, given by its absolute path, to its end. Never throws. */
export type Run = (program: string, args: readonly string[]) => Promise<Ran>

/** Starts a program that outlives this process. @throws a system error if it cannot be started */
export type Start = (command: readonly string[]) => Promise<void>

const TIMEOUT_SECONDS = 60 // systemctl waits for a daemon that finishes its calls; nothing else takes a second
const MAX_OUTPUT = 256 * 1024 // characters

// So that the output can be parsed: in English, without colours and without a pager.
const PLAIN_OUTPUT = { LC_ALL: 'C', SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' }

export function systemRun(clock: Clock, env: NodeJS.ProcessEnv): Run {
  return (program, args) =>
    new Promise((resolve) => {
      const output = { stdout: '', stderr: '' }
      let child: ChildProcessByStdio<null, Readable, Readable>
      try {
        child = spawn(program, args, {
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { ...systemProgramEnvironment(env), ...PLAIN_OUTPUT },
          windowsHide: true,
        })
      } catch {
        return resolve({ status: undefined, ...output }) // Windows, for example: a program for another processor
      }
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8').on('data', (chunk: string) => {
          if (output[name].length < MAX_OUTPUT) output[name] += chunk
        })
      }
      const end = (status: number | undefined) => {
        cancel()
        resolve({ status, ...output })
      }
      const cancel = clock.after(TIMEOUT_SECONDS, () => {
        child.kill('SIGKILL')
        for (const stream of [child.stdout, child.stderr]) stream.destroy() // a program that it has started may keep them open
        end(undefined)
      })
      child.once('error', () => end(undefined))
      child.once('close', (status) => end(status ?? undefined))
    })
}

/** @param env the environment of the program; the caller leaves out `NODE_OPTIONS` and the like */
export function systemStart(env: NodeJS.ProcessEnv): Start {
  return ([program = '', ...args]) =>
    new Promise((resolve, reject) => {
      const options = { cwd: workingFolder(env), env, detached: true, windowsHide: true, stdio: 'ignore' } as const
      const child = spawn(program, args, options)
      child.once('error', reject)
      child.once('spawn', () => {
        child.unref()
        resolve()
      })
    })
}
