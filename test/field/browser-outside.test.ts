// A browser outside of the network namespace of the daemon: on Windows around WSL with mirrored networking, on the host of a
// container. Its socket has no line in the daemon's table of sockets.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { pages } from '../../src/callback/pages.ts'

const LISTENER = fileURLToPath(new URL('listener.ts', import.meta.url))
const STATE = 's'.repeat(43)

function run(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
}

function missingRequirement(): string {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root for network namespaces'
  const absent = ['ip', 'iptables', 'setpriv'].filter(
    (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0,
  )
  if (absent.length > 0) return `needs ${absent.join(', ')} (Debian: iproute2, iptables, util-linux)`
  return spawnSync('unshare', ['-n', 'true']).status === 0 ? '' : 'needs the right to create namespaces'
}

const missing = missingRequirement()
const skipped = missing === '' ? '' : ` (skipped: ${missing})`

/** Two namespaces with a cable between them; the second one reaches the loopback of the first. */
function newNamespaces() {
  const [inside, outside] = [`ca-in-${process.pid}`, `ca-out-${process.pid}`]
  onTestFinished(() => {
    for (const name of [inside, outside]) spawnSync('ip', ['netns', 'del', name])
  })
  for (const name of [inside, outside]) {
    run('ip', 'netns', 'add', name)
    run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  }
  run('ip', '-n', inside, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', outside)
  run('ip', '-n', inside, 'addr', 'add', '10.99.0.1/24', 'dev', 'cable')
  run('ip', '-n', outside, 'addr', 'add', '10.99.0.2/24', 'dev', 'cable')
  for (const name of [inside, outside]) run('ip', '-n', name, 'link', 'set', 'cable', 'up')
  const within = (name: string, ...command: string[]) => run('ip', 'netns', 'exec', name, ...command)
  const forwarding = ['all', 'cable'].map((device) => `net.ipv4.conf.${device}.route_localnet=1`)
  within(inside, 'sysctl', '-qw', ...forwarding)
  return {
    inside,
    outside,
    /** Forwards the port to loopback; @param asLoopback whether the listener sees 127.0.0.1 as the source, as in WSL */
    forward(port: string, asLoopback: boolean) {
      const dnat = ['-i', 'cable', '-p', 'tcp', '--dport', port, '-j', 'DNAT', '--to-destination', `127.0.0.1:${port}`]
      within(inside, 'iptables', '-t', 'nat', '-A', 'PREROUTING', ...dnat)
      const snat = ['-i', 'cable', '-p', 'tcp', '--dport', port, '-j', 'SNAT', '--to-source', '127.0.0.1']
      if (asLoopback) within(inside, 'iptables', '-t', 'nat', '-A', 'INPUT', ...snat)
    },
  }
}

function start(namespace: string, command: readonly string[]): ChildProcess {
  const child = spawn('ip', ['netns', 'exec', namespace, ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** A listener in a namespace. `next` resolves with its next event. */
async function newListener(namespace: string, state?: string) {
  const command = [process.execPath, '--import', 'tsx', LISTENER, ...(state === undefined ? [] : [state])]
  const { stdout } = start(namespace, command)
  if (stdout === null) throw new Error('no output')
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse(String((await lines.next()).value)) as Record<string, unknown>
  return { next, url: new URL(String((await next()).redirectUri)) }
}

const REQUEST = `
  const [host, port, target] = process.argv.slice(1)
  const request = require('node:http').get({ host, port, path: target, headers: { Host: '127.0.0.1:' + port } }, (response) => {
    let body = ''
    response.on('data', (chunk) => { body += chunk })
    response.on('end', () => console.log(JSON.stringify({ status: response.statusCode, body })))
  })
  request.on('error', (error) => console.log(JSON.stringify({ error: error.code })))`

async function get(namespace: string, prefix: readonly string[], ...args: string[]) {
  const child = start(namespace, [...prefix, process.execPath, '-e', REQUEST, ...args])
  let output = ''
  child.stdout?.on('data', (chunk) => {
    output += chunk
  })
  await once(child, 'close')
  return JSON.parse(output) as { status?: number; body?: string; error?: string }
}

const shows = ({ status, body }: (typeof pages)[keyof typeof pages]) => ({ status, body: body.toString() })

describe('a browser outside of the network namespace', () => {
  it.skipIf(missing !== '').each([
    ['its own address', false],
    ['the address of loopback', true],
  ])(`is accepted with the right state alone, from %s${skipped}`, { timeout: 60_000 }, async (_name, asLoopback) => {
    const namespaces = newNamespaces()
    const { url, next } = await newListener(namespaces.inside, STATE)
    namespaces.forward(url.port, asLoopback)
    const ask = (query: string) => get(namespaces.outside, [], '10.99.0.1', url.port, `/callback?${query}`)
    expect(await ask('code=1&state=x')).toEqual(shows(pages.wrongLink))
    expect(await next()).toEqual({ refused: 'wrong_state' })
    expect(await ask('code=1')).toEqual(shows(pages.wrongLink))
    expect(await next()).toEqual({ refused: 'wrong_state' })
    expect(await ask(`code=1&state=${STATE}`)).toMatchObject({ status: 303 })
    expect(await next()).toEqual({ accepted: true })
  })

  it.skipIf(missing !== '')(
    `is refused by a page if the sign-in page returns no state${skipped}`,
    { timeout: 60_000 },
    async () => {
      const namespaces = newNamespaces()
      const { url, next } = await newListener(namespaces.inside)
      namespaces.forward(url.port, true)
      expect(await get(namespaces.outside, [], '10.99.0.1', url.port, '/callback?token=1')).toEqual(
        shows(pages.outside),
      )
      expect(await next()).toEqual({ refused: 'outside_without_state' })
    },
  )

  it.skipIf(missing !== '')(
    `[C10] is no excuse for another user inside, who is refused by a page${skipped}`,
    { timeout: 60_000 },
    async () => {
      const namespaces = newNamespaces()
      const { url, next } = await newListener(namespaces.inside, STATE)
      namespaces.forward(url.port, true)
      const other = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
      for (const host of ['127.0.0.1']) {
        const answer = await get(namespaces.inside, other, host, url.port, `/callback?code=1&state=${STATE}`)
        expect(answer, host).toEqual(shows(pages.otherUser))
        expect(await next()).toEqual({ refused: 'other_user' })
      }
    },
  )
})
