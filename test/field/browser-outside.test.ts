// A browser outside of the network namespace of the daemon: on Windows around WSL with mirrored networking, on the host of a
// container. Its socket has no line in the daemon's table of sockets.
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { pages } from '../../src/callback/pages.ts'
import { canMakeNamespaces, connectNamespaces, has, INSIDE, type Namespace, newNamespaces } from './namespaces.ts'

const LISTENER = fileURLToPath(new URL('listener.ts', import.meta.url))
const STATE = 's'.repeat(43)

const absent = ['iptables', 'setpriv'].filter((name) => !has(name, '--version'))
const missing = canMakeNamespaces ? absent.join(', ') : 'root, ip and network namespaces'
const skipped = missing === '' ? '' : ` (skipped: needs ${missing})`

/** Two namespaces with a line between them; the outer one reaches the loopback of the inner one. */
async function newComputer() {
  const { inside, outside } = await newNamespaces({})
  connectNamespaces(inside, outside)
  await inside.run('sysctl', '-qw', ...['all', 'line'].map((device) => `net.ipv4.conf.${device}.route_localnet=1`))
  /** Forwards the port to loopback. @param asLoopback whether the listener sees 127.0.0.1 as the source, as in WSL */
  const forward = async (port: string, asLoopback: boolean) => {
    const toPort = ['-i', 'line', '-p', 'tcp', '--dport', port, '-j']
    const dnat = ['DNAT', '--to-destination', `127.0.0.1:${port}`]
    await inside.run('iptables', '-t', 'nat', '-A', 'PREROUTING', ...toPort, ...dnat)
    if (asLoopback)
      await inside.run('iptables', '-t', 'nat', '-A', 'INPUT', ...toPort, 'SNAT', '--to-source', '127.0.0.1')
  }
  return { inside, outside, forward }
}

/** A listener in a namespace. `next` resolves with its next event. */
async function newListener(namespace: Namespace, state?: string) {
  const { stdout } = namespace.start(
    process.execPath,
    '--import',
    'tsx',
    LISTENER,
    ...(state === undefined ? [] : [state]),
  )
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

async function get(namespace: Namespace, prefix: readonly string[], ...args: string[]) {
  const output = await namespace.run(...prefix, process.execPath, '-e', REQUEST, ...args)
  return JSON.parse(output) as { status?: number; body?: string; error?: string }
}

const shows = ({ status, body }: (typeof pages)[keyof typeof pages]) => ({ status, body: body.toString() })

describe('a browser outside of the network namespace', () => {
  it.skipIf(missing !== '').each([
    ['its own address', false],
    ['the address of loopback', true],
  ])(`is accepted with the right state alone, from %s${skipped}`, { timeout: 60_000 }, async (_name, asLoopback) => {
    const computer = await newComputer()
    const { url, next } = await newListener(computer.inside, STATE)
    await computer.forward(url.port, asLoopback)
    const ask = (query: string) => get(computer.outside, [], INSIDE, url.port, `/callback?${query}`)
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
      const computer = await newComputer()
      const { url, next } = await newListener(computer.inside)
      await computer.forward(url.port, true)
      expect(await get(computer.outside, [], INSIDE, url.port, '/callback?token=1')).toEqual(shows(pages.outside))
      expect(await next()).toEqual({ refused: 'outside_without_state' })
    },
  )

  it.skipIf(missing !== '')(
    `[C10] is no excuse for another user inside, who is refused by a page${skipped}`,
    { timeout: 60_000 },
    async () => {
      const computer = await newComputer()
      const { url, next } = await newListener(computer.inside, STATE)
      await computer.forward(url.port, true)
      const other = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
      const answer = await get(computer.inside, other, '127.0.0.1', url.port, `/callback?code=1&state=${STATE}`)
      expect(answer).toEqual(shows(pages.otherUser))
      expect(await next()).toEqual({ refused: 'other_user' })
    },
  )
})
