// Runs a program of the system to its end, or starts one that lives on: by its path, without a shell, without our secrets.
import { spawn } from 'node:child_process'
import { homedir } from 'node:os'
import { childEnvironment } from './browser.ts'
import type { Clock } from './clock.ts'

export interface Ran {
  /** Undefined where it could not be started, or was ended because it took too long. */
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program, given by its absolute path, to its end. Never throws. */
export type Run = (program: string, args: readonly string[]) => Promise<Ran>

/** Starts a program that outlives us. @throws a system error where it cannot be started */
export type Start = (command: readonly string[]) => Promise<void>

const LONGEST_SECONDS = 60 // systemctl waits for a daemon that finishes its calls; nothing else takes a second
const LARGEST = 256 * 1024

// What is read from their output is English then, and without colours.
const PLAIN = { LC_ALL: 'C', SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' }

export function systemRun(clock: Clock, env: NodeJS.ProcessEnv): Run {
  return (program, args) =>
    new Promise((resolve) => {
      const child = spawn(program, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...childEnvironment(env), ...PLAIN },
        windowsHide: true,
      })
      const said = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8').on('data', (chunk: string) => {
          if (said[name].length < LARGEST) said[name] += chunk
        })
      }
      const cancel = clock.after(LONGEST_SECONDS, () => child.kill('SIGKILL'))
      const end = (status: number | undefined) => {
        cancel()
        resolve({ status, ...said })
      }
      child.once('error', () => end(undefined))
      child.once('close', (status) => end(status ?? undefined))
    })
}

/** @param env of the program; `NODE_OPTIONS` and the like are the caller's to leave out */
export function systemStart(env: NodeJS.ProcessEnv): Start {
  return ([program = '', ...args]) =>
    new Promise((resolve, reject) => {
      const options = { cwd: homedir(), env, detached: true, windowsHide: true, stdio: 'ignore' } as const
      const child = spawn(program, args, options)
      child.once('error', reject)
      child.once('spawn', () => {
        child.unref()
        resolve()
      })
    })
}
