// Two network namespaces with one line between them: inside is the user's computer, outside the proxies and the provider.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'

export const has = (program: string, ...args: string[]) =>
  spawnSync(program, args, { stdio: 'ignore' }).error === undefined

const PROBE = `cz-probe-${process.pid}`

export const canMakeNamespaces =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  spawnSync('ip', ['netns', 'add', PROBE], { stdio: 'ignore' }).status === 0 &&
  spawnSync('ip', ['netns', 'exec', PROBE, 'unshare', '-m', '--propagation', 'private', 'true']).status === 0
spawnSync('ip', ['netns', 'del', PROBE], { stdio: 'ignore' })

export const INSIDE = '10.78.0.1'
export const OUTSIDE = '10.78.0.2'
export const OUTSIDE_V6 = 'fd78::2'

export interface Namespace {
  readonly name: string
  /** The arguments that run a program there, with the namespace's own hosts, and perhaps its own certificate store. */
  command(store?: string): readonly [string, ...string[]]
  /** Starts a program that ends with the test. */
  start(...args: readonly string[]): ChildProcess
  /** Runs a program to its end. @returns its output */
  run(...args: readonly string[]): Promise<string>
}

let made = 0

/** @param hosts the lines of /etc/hosts on each side; there is no name server */
export async function newNamespaces(hosts: { readonly inside?: string; readonly outside?: string }) {
  const id = `${process.pid}-${made++}`
  const inside = await newNamespace(`cz-in-${id}`, hosts.inside ?? '')
  const outside = await newNamespace(`cz-out-${id}`, hosts.outside ?? '')
  return { inside, outside }
}

/** Connects the two without delay. Inside has an IPv6 route to everywhere, and outside answers only for its own addresses. */
export function connectNamespaces(inside: Namespace, outside: Namespace): void {
  ip('-n', inside.name, 'link', 'add', 'line', 'type', 'veth', 'peer', 'name', 'line', 'netns', outside.name)
  for (const [{ name }, v4, v6] of [
    [inside, INSIDE, 'fd78::1'],
    [outside, OUTSIDE, OUTSIDE_V6],
  ] as const) {
    ip('-n', name, 'address', 'add', `${v4}/24`, 'dev', 'line')
    ip('-n', name, 'address', 'add', `${v6}/64`, 'dev', 'line', 'nodad')
    ip('-n', name, 'link', 'set', 'line', 'up')
  }
  ip('-n', inside.name, 'route', 'add', '2001:db8::/32', 'via', OUTSIDE_V6)
}

/** Takes the line away, as a computer without a network, or brings it back. */
export function setLine(inside: Namespace, state: 'up' | 'down'): void {
  ip('-n', inside.name, 'link', 'set', 'line', state)
}

/** Connects the two by IPv4 alone, with a delay each way. */
export async function connectSlowly(inside: Namespace, outside: Namespace, milliseconds: number): Promise<void> {
  const script = fileURLToPath(new URL('slow-line.py', import.meta.url))
  const ends = [inside.name, `${INSIDE}/24`, outside.name, `${OUTSIDE}/24`]
  const child = spawn('python3', [script, String(milliseconds), ...ends], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await once(child.stdout, 'data')
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

async function newNamespace(name: string, hosts: string): Promise<Namespace> {
  const file = join(await temporaryFolder(), 'hosts')
  await writeFile(file, `127.0.0.1 localhost\n${hosts}\n`)
  ip('netns', 'add', name)
  onTestFinished(() => ip('netns', 'del', name))
  ip('-n', name, 'link', 'set', 'lo', 'up')
  const script = 'mount --bind "$1" /etc/hosts; [ -z "$2" ] || mount --bind "$2" "$3"; shift 3; exec "$@"'
  const command = (store = '') =>
    [
      'ip',
      'netns',
      'exec',
      name,
      'unshare',
      '-m',
      '--propagation',
      'private',
      'sh',
      '-ec',
      script,
      'sh',
      file,
      store,
      STORE,
    ] as const
  const spawnIn = (args: readonly string[]) => {
    const [program, ...rest] = [...command(), ...args]
    return spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  }
  return {
    name,
    command,
    start(...args) {
      const child = spawnIn(args)
      const ended = once(child, 'exit')
      onTestFinished(async () => {
        child.kill('SIGKILL')
        await ended
      })
      return child
    },
    async run(...args) {
      const child = spawnIn(args)
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk) => {
          output += chunk
        })
      }
      const [code] = await once(child, 'close')
      if (code !== 0) throw new Error(`${args[0]} ended with ${code}: ${output}`)
      return output
    },
  }
}

const STORE = '/etc/ssl/certs/ca-certificates.crt'
