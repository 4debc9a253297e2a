// A command in a terminal of a given width. util-linux brings `script`, which every Debian has.
import { spawn, spawnSync } from 'node:child_process'
import { type Ended, endOf, environment, PROGRAM, type ProgramOptions } from './program.ts'

export const hasTerminal = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

/** Runs a command in a terminal. What it prints, to either output, is in `stdout`, with the line breaks of a file. */
export async function runInTerminal(args: readonly string[], columns: number, options: ProgramOptions): Promise<Ended> {
  const command = [process.execPath, PROGRAM, ...args].map(quote).join(' ')
  const child = spawn('script', ['-q', '-e', '-c', `stty cols ${columns}; exec ${command}`, '/dev/null'], {
    env: { TERM: 'xterm-256color', SHELL: '/bin/sh', ...environment(options) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { stdout, ...ended } = await endOf(child)
  return { ...ended, stdout: stdout.replaceAll('\r\n', '\n') }
}
