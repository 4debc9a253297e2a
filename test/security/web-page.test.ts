// What a web page can try against the daemon (attacks A1 to A8), with the real daemon in its own process.
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connectTo } from '../../src/rpc/client.ts'
import { type Endpoint, readEndpoint } from '../../src/rpc/discovery.ts'
import { authorization } from '../../src/rpc/handshake.ts'
import { startDaemonProcess, temporaryFolder } from '../support/program.ts'
import { sendRaw } from '../support/raw.ts'
import { figure, rounds, seededRandom } from '../support/rounds.ts'
import { bytesOf, type UpgradeRequest, upgradeRequest } from '../support/rpc.ts'
import { newWorld } from '../support/world.ts'
import { kinds } from './hostile.ts'

const REFUSED = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

async function startDaemon() {
  const daemon = await startDaemonProcess({ home: await temporaryFolder() })
  const endpoint = (await readEndpoint(systemFiles, daemon.discoveryFile)) as Endpoint
  const port = Number(endpoint.endpoint.split(':')[1])
  const knock = async (change: (request: UpgradeRequest) => void) => {
    const request = upgradeRequest(endpoint)
    change(request)
    return (await sendRaw(port, bytesOf(request))).text
  }
  const isServed = async () => {
    const client = await connectTo(endpoint, systemRandom)
    const { profile } = await client.call('status')
    client.close()
    return profile !== undefined
  }
  return { daemon, endpoint, port, knock, isServed }
}

const replace = (name: string, value?: string) => (request: UpgradeRequest) => {
  request.headers = request.headers.filter(([one]) => one !== name)
  if (value !== undefined) request.headers.push([name, value])
}

describe('a web page', () => {
  it('[A1 A7 OWASP-origin] opens no socket with any Origin', async () => {
    const { port, knock, isServed } = await startDaemon()
    const own = [`http://127.0.0.1:${port}`, `http://localhost:${port}`, 'http://localhost:3000']
    const others = ['https://evil.example', 'null', '', 'file://', 'chrome-extension://abc', 'vscode-webview://abc']
    for (const origin of [...own, ...others]) {
      expect(await knock(({ headers }) => headers.push(['Origin', origin])), origin).toBe(REFUSED)
    }
    const two = ({ headers }: UpgradeRequest) => headers.push(['Origin', 'https://a.example'], ['Origin', 'null'])
    expect(await knock(two)).toBe(REFUSED)
    expect(await isServed()).toBe(true)
  })

  it('[A2 OWASP-authentication] opens no socket without a proof, even without an Origin', async () => {
    const { knock } = await startDaemon()
    expect(await knock(replace('Authorization'))).toBe(REFUSED)
    for (const value of ['', 'CadzeroAuth', 'CadzeroAuth instance="", nonce="", mac=""', 'Bearer abc']) {
      expect(await knock(replace('Authorization', value)), value).toBe(REFUSED)
    }
  })

  it('[A3] opens no socket under a host name of its own (DNS rebinding)', async () => {
    const { port, knock, endpoint } = await startDaemon()
    const names = ['evil.example', 'localhost', 'localhost.', '127.0.0.1.nip.io', '0.0.0.0', '127.1', '2130706433']
    const hosts = [...names.map((name) => `${name}:${port}`), 'evil.example', '[::ffff:127.0.0.1]', '127.0.0.1:1']
    for (const host of [...hosts, `a@${endpoint.endpoint}`, ''])
      expect(await knock(replace('Host', host)), host).toBe(REFUSED)
    expect(await knock(replace('Host'))).toBe(REFUSED)
    expect(await knock(({ headers }) => headers.push(['Host', 'evil.example']))).toBe(REFUSED)
    expect(await knock(({ headers }) => headers.unshift(['Host', 'evil.example']))).toBe(REFUSED)
    for (const requestLine of ['GET http://evil.example/rpc HTTP/1.1', 'GET /rpc HTTP/1.0']) {
      expect(await knock((request) => Object.assign(request, { requestLine })), requestLine).toBe(REFUSED)
    }
  })

  it.skipIf(process.platform !== 'linux')(
    '[A4] does not reach the daemon through 0.0.0.0, since it listens on 127.0.0.1 only',
    async () => {
      const { port, daemon } = await startDaemon()
      const hex = port.toString(16).toUpperCase().padStart(4, '0')
      const listening: string[] = []
      for (const table of ['tcp', 'tcp6']) {
        for (const entry of (await readFile(`/proc/${daemon.child.pid}/net/${table}`, 'latin1')).split('\n')) {
          const [, local, , state] = entry.trim().split(/\s+/)
          if (local?.endsWith(`:${hex}`) && state === '0A') listening.push(local)
        }
      }
      expect(listening).toEqual([`0100007F:${hex}`])
    },
  )

  it('[A5] finds no other path, and no header that would let it read a response', async () => {
    const { port, endpoint } = await startDaemon()
    const methods = ['GET', 'POST', 'OPTIONS', 'HEAD', 'CONNECT']
    const preflight =
      'Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Private-Network: true\r\n'
    const paths = ['/', '/rpc', '/callback', '/logout', '/healthz', '/favicon.ico', '/.well-known/x', '/endpoint.json']
    for (const path of [...paths, ...Array.from({ length: rounds(4, 192) }, (_, i) => `/${i}`)]) {
      for (const method of methods) {
        const target = method === 'CONNECT' ? endpoint.endpoint : path
        const bytes = `${method} ${target} HTTP/1.1\r\nHost: ${endpoint.endpoint}\r\n${preflight}\r\n`
        expect((await sendRaw(port, bytes)).text, `${method} ${path}`).toBe(REFUSED)
      }
    }
  })

  it('[A6] changes nothing when it sends its window to the callback', async () => {
    const { client, sandbox } = await newWorld()
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const callback = new URL(String(new URL(String(authorizationUrl)).searchParams.get('redirect_uri')))
    for (const query of ['?error=access_denied&state=x', '?code=x', '?code=x&state=x', '']) {
      const answer = await fetch(`${callback}${query}`)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.headers.get('access-control-allow-origin')).toBeNull()
    }
    expect(await client.call('status')).toMatchObject({ state: 'signing_in' })
    await sandbox.signIn(String(authorizationUrl))
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('[A8] sends no malformed HTTP that is parsed in two ways', async () => {
    const { port, endpoint, isServed } = await startDaemon()
    const right = () => bytesOf(upgradeRequest(endpoint))
    const changed = (change: (bytes: string) => string) => sendRaw(port, change(right()))
    const more = (headers: string) => (bytes: string) => bytes.replace('\r\n\r\n', `\r\n${headers}\r\n\r\n`)
    expect((await changed(more(`X-Large: ${'x'.repeat(20_000)}`))).status).toBe(431)
    expect((await changed(more('Content-Length: 1\r\nTransfer-Encoding: chunked'))).status).toBe(400)
    expect((await changed(more('X-Folded: a\r\n b'))).status).not.toBe(101)
    expect((await changed((bytes) => bytes.replace('\r\nUpgrade', '\nUpgrade'))).status).toBe(400)
    expect((await changed((bytes) => bytes.replace('Host:', 'Host :'))).status).toBe(400)
    expect((await changed((bytes) => bytes.replace('Upgrade: ', 'Upgrade: \0'))).status).toBe(400)
    const many = Array.from({ length: 2100 }, () => 'a:').join('\r\n')
    expect((await changed(more(`${many}\r\nOrigin: x`))).text).toBe(REFUSED)
    expect(await isServed()).toBe(true)
  })

  it('[OWASP-authorization] opens no socket by any of fifty kinds of hostile requests, and a correct request always does', {
    timeout: 600_000,
  }, async () => {
    const { port, endpoint, isServed } = await startDaemon()
    const each = rounds(8, 1000)
    const random = seededRandom()
    expect(kinds.length).toBeGreaterThanOrEqual(50)
    let accepted = 0
    for (const [name, mutate] of kinds) {
      for (let done = 0; done < each; done += 8) {
        await Promise.all(
          Array.from({ length: 8 }, async () => {
            const request = upgradeRequest(endpoint)
            mutate(request, endpoint, random)
            const bytes = bytesOf(request)
            const { text } = await sendRaw(port, bytes)
            // Node.js itself answers malformed HTTP; every other request gets the same refusal.
            const isRefused = text === REFUSED || /^HTTP\/1\.1 4\d\d [\w ]+\r\nConnection: close\r\n\r\n$/.test(text)
            if (!isRefused) accepted++
            expect(isRefused, `${name}, seed ${random.seed}: ${bytes.slice(0, 2000)}\n${text}`).toBe(true)
          }),
        )
      }
      expect(await isServed(), `after ${name}`).toBe(true)
    }
    figure(
      `hostile handshakes: ${kinds.length} kinds, ${each} variants each, ${accepted} accepted, the correct request always`,
    )
  })
})

describe('a proof', () => {
  it('opens a socket once', async () => {
    const { port, endpoint } = await startDaemon()
    for (let i = 0; i < rounds(10, 1000); i++) {
      const bytes = bytesOf({ ...upgradeRequest(endpoint) })
      expect((await sendRaw(port, bytes)).status).toBe(101)
      expect((await sendRaw(port, bytes)).text).toBe(REFUSED)
    }
    expect(authorization(endpoint, systemRandom).value).not.toContain(endpoint.key)
  })
})
