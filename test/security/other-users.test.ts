// What another user or program on the same machine can try (attacks B1 to B10), with the real daemon and the real client.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, createServer as createListener, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import { pages } from '../../src/callback/pages.ts'
import { readPrivateFile, systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connectTo } from '../../src/rpc/client.ts'
import { type Endpoint, readEndpoint } from '../../src/rpc/discovery.ts'
import { canSwitchUser, runAsOtherUser, startAsOtherUser, whySkipped } from '../support/other-user.ts'
import { runProgram, startDaemonProcess, temporaryFolder } from '../support/program.ts'
import { sendRaw } from '../support/raw.ts'
import { figure, rounds } from '../support/rounds.ts'
import { bytesOf, startServer, upgradeRequest } from '../support/rpc.ts'
import { newWorld, signIn } from '../support/world.ts'

const REFUSED = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
const isPosix = process.platform !== 'win32'
const isLinux = process.platform === 'linux'

async function startDaemon(options: { env?: Record<string, string> } = {}) {
  const home = await temporaryFolder()
  const daemon = await startDaemonProcess({ home, ...options })
  const endpoint = (await readEndpoint(systemFiles, daemon.discoveryFile)) as Endpoint
  return { home, daemon, endpoint, port: Number(endpoint.endpoint.split(':')[1]) }
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.close()
  })
  return (server.address() as { port: number }).port
}

/** The proof that a squatter sends without the key. */
const squatters: Readonly<Record<string, (request: IncomingMessage) => string | undefined>> = {
  'no proof': () => undefined,
  'an empty proof': () => '',
  'a random proof': () => systemRandom(32).toString('base64url'),
  'the client’s own MAC': ({ headers }) => /mac="([^"]+)"/.exec(String(headers.authorization))?.[1],
  'a proof that is too long': () => 'A'.repeat(1000),
}

describe('a program on the port of a stopped daemon', () => {
  it('[B1 B5] fools no client, and never sees the key or a frame', { timeout: 300_000 }, async () => {
    const { endpoint } = await startServer()
    const seen: Buffer[] = []
    let proof: (request: IncomingMessage) => string | undefined = () => undefined
    const squatter = createServer()
    squatter.on('connection', (socket) => socket.on('data', (data: Buffer) => seen.push(data)))
    squatter.on('upgrade', (request, socket: Socket) => {
      socket.on('error', () => undefined)
      const given = proof(request)
      const accept = acceptOf(String(request.headers['sec-websocket-key']))
      const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
      lines.push(`Sec-WebSocket-Accept: ${accept}`, 'Sec-WebSocket-Protocol: cadzero-auth.v1')
      if (given !== undefined) lines.push(`CadzeroAuth-Proof: ${given}`)
      socket.write(`${lines.join('\r\n')}\r\n\r\n`)
      socket.on('data', (data) => seen.push(data))
    })
    const stale = { ...endpoint, endpoint: `127.0.0.1:${await listen(squatter)}` }
    const each = rounds(4, 200)
    let fooled = 0
    for (const make of Object.values(squatters)) {
      proof = make
      for (let i = 0; i < each; i++) {
        const outcome = await connectTo(stale, systemRandom).then(
          () => 'fooled',
          (error: { reason?: string }) => error.reason,
        )
        if (outcome === 'fooled') fooled++
        expect(outcome).toBe('not_genuine')
      }
    }
    const wire = Buffer.concat(seen)
    for (const form of ['base64url', 'hex', 'base64', 'latin1'] as const) {
      expect(wire.includes(Buffer.from(endpoint.key, 'base64url').toString(form), 'latin1')).toBe(false)
    }
    // The squatter received upgrade requests only, and no frame.
    expect(wire.toString('latin1').split('GET /rpc').length - 1).toBe(each * Object.keys(squatters).length)
    expect(wire.toString('latin1').replaceAll(/GET \/rpc HTTP\/1\.1\r\n(?:[\w-]+: [^\r\n]*\r\n)+\r\n/g, '')).toBe('')
    figure(`squatter: ${each * 5} rounds, ${fooled} clients fooled, 0 key bytes among ${wire.length} on the wire`)
  })

  it('[B2] gains nothing by relaying the client’s request to the real daemon', { timeout: 300_000 }, async () => {
    const { endpoint, port } = await startDaemon()
    let answers: string[] = []
    const relay = createListener((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', async (data: Buffer) => {
        const own = data.toString('latin1')
        const forReal = own.replace(/Host: [^\r]+/, `Host: ${endpoint.endpoint}`)
        answers = await Promise.all([own, forReal].map(async (bytes) => (await sendRaw(port, bytes)).text))
        socket.end(String(answers[1]))
      })
    })
    const stale = { ...endpoint, endpoint: `127.0.0.1:${await listen(relay)}` }
    const total = rounds(10, 1000)
    for (let i = 0; i < total; i++) {
      await expect(connectTo(stale, systemRandom)).rejects.toMatchObject({ name: 'NoDaemonError' })
      expect(answers).toEqual([REFUSED, REFUSED])
    }
    figure(`relay: ${total} rounds, 0 clients fooled`)
  })

  it('[B3] gains nothing by replaying a handshake, at once or after a restart', { timeout: 300_000 }, async () => {
    const { endpoint, port, daemon, home } = await startDaemon()
    const total = rounds(10, 1000)
    const recorded: string[] = []
    for (let i = 0; i < total; i++) {
      const bytes = bytesOf(upgradeRequest(endpoint))
      expect((await sendRaw(port, bytes)).status).toBe(101)
      recorded.push(bytes)
    }
    for (const bytes of recorded) expect((await sendRaw(port, bytes)).text).toBe(REFUSED)
    await daemon.stop()
    await startDaemonProcess({ home, env: { CADZERO_AUTH_PORT: String(port) } })
    for (const bytes of recorded) expect((await sendRaw(port, bytes)).text).toBe(REFUSED)
    figure(`replay: ${total} rounds before and ${total} after a restart on the same port, 0 accepted`)
  })

  it.skipIf(!canSwitchUser)(`[B4] receives no request on another loopback address${whySkipped}`, async () => {
    const { daemon, port } = await startDaemon()
    const script = `
      const net = require('node:net')
      const [port] = process.argv.slice(1)
      let left = 2
      for (const host of ['::1', '127.0.0.2']) {
        net.createServer((s) => { console.log('asked'); s.destroy() }).on('error', () => --left || console.log('bound')).listen(Number(port), host, () => --left || console.log('bound'))
      }`
    const squatter = startAsOtherUser(script, String(port))
    let said = ''
    squatter.stdout?.on('data', (chunk) => {
      said += chunk
    })
    await new Promise((resolve) => squatter.stdout?.once('data', resolve))
    const client = await daemon.connect()
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
    expect(said).toBe('bound\n')
  })
})

describe('the private files', () => {
  it.skipIf(!isPosix).each(['000', '077', '777'])(
    '[B6] are private at every instant, under the umask %s',
    async (umask) => {
      const home = await temporaryFolder()
      const umaskBefore = process.umask(Number.parseInt(umask, 8))
      onTestFinished(() => void process.umask(umaskBefore))
      const { sandbox, env } = await newWorld({ accessTokenTtl: 2 })
      let watching = true
      const open = new Set<string>()
      const look = async () => {
        while (watching) {
          for (const entry of await readdir(home, { recursive: true }).catch(() => [])) {
            const found = await lstat(join(home, entry)).catch(() => undefined)
            if (found && (found.mode & 0o077) !== 0) open.add(`${entry} ${(found.mode & 0o777).toString(8)}`)
          }
          await new Promise(setImmediate)
        }
      }
      const looking = look()
      const daemon = await startDaemonProcess({ home, env })
      const client = await daemon.connect()
      await signIn(client, sandbox)
      for (let i = 0; i < 5; i++) await client.call('refresh')
      await client.call('logout')
      await daemon.stop()
      watching = false
      await looking
      process.umask(umaskBefore)
      expect([...open]).toEqual([])
      for (const file of ['data/store-key.jwk', 'log/daemon.log', 'data/daemon.lock']) {
        expect((await lstat(join(home, file))).mode & 0o777, file).toBe(0o600)
      }
    },
  )

  it.skipIf(!canSwitchUser)(`[B6] cannot be read by another user${whySkipped}`, async () => {
    const { client, home } = await newWorld()
    await chmod(home, 0o755) // the given folder may be open; the folders inside it are not
    const script = `
      const fs = require('node:fs')
      for (const file of process.argv.slice(1)) try { fs.readFileSync(file); console.log('read') } catch (e) { console.log(e.code) }`
    await client.call('status')
    const files = ['data/endpoint.json', 'data/store-key.jwk', 'data/daemon.lock', 'config/sessions', 'log/daemon.log']
    const said = await runAsOtherUser(script, ...files.map((file) => join(home, file)))
    expect(said.trim().split('\n')).toEqual(files.map(() => 'EACCES'))
  })

  it.skipIf(!isPosix)(
    '[B6] lie in folders that are made private, or refused if they belong to another user',
    async () => {
      const home = await temporaryFolder()
      for (const name of ['config', 'data', 'log']) {
        await mkdir(join(home, name))
        await chmod(join(home, name), 0o777)
      }
      const daemon = await startDaemonProcess({ home })
      for (const name of ['config', 'data', 'log', 'config/sessions']) {
        expect((await lstat(join(home, name))).mode & 0o777, name).toBe(0o700)
      }
      await daemon.stop()
      if (!canSwitchUser) return
      spawnSync('chown', ['65534', join(home, 'data')])
      const { code, stderr } = await runProgram(['daemon'], { home })
      expect(code).toBe(1)
      expect(stderr).toContain('it belongs to another user')
    },
  )

  it.skipIf(!isPosix)(
    '[B7] are never read through links and pipes that are swapped in for them',
    { timeout: 120_000 },
    async () => {
      const folder = await temporaryFolder()
      const path = join(folder, 'file')
      const [own, foreign] = ['own'.repeat(100), 'foreign'.repeat(100)]
      await writeFile(join(folder, 'own'), own, { mode: 0o600 })
      await writeFile(path, own, { mode: 0o600 })
      await writeFile(join(folder, 'foreign'), foreign, { mode: 0o600 })
      const worker = new Worker(SWAP, { eval: true, workerData: { folder, path } })
      onTestFinished(() => void worker.terminate())
      await once(worker, 'message')
      const outcomes = new Map<string, number>()
      const total = rounds(1000, 10_000)
      for (let i = 0; i < total; i++) {
        const outcome = await readPrivateFile(systemFiles, path, 4096).then(
          (content) => (content === undefined ? 'absent' : content.toString() === own ? 'own' : 'FOREIGN'),
          (error: { code: string }) => error.code,
        )
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
      const allowed = ['own', 'absent', 'not_regular', 'too_open']
      for (const outcome of outcomes.keys()) expect(allowed).toContain(outcome)
      expect(outcomes.get('own')).toBeGreaterThan(0)
      expect(outcomes.get('not_regular')).toBeGreaterThan(0)
      figure(
        `rename-swap races: ${total} reads, ${outcomes.get('FOREIGN') ?? 0} foreign (${JSON.stringify([...outcomes])})`,
      )
    },
  )
})

// Replaces the file by links, pipes, folders and files with other permissions, as fast as it can. No hard links: a reader
// cannot tell that the file had a second name a moment ago.
const SWAP = `
  const { workerData: { folder, path }, parentPort } = require('node:worker_threads')
  const fs = require('node:fs'), { join } = require('node:path'), { execFileSync } = require('node:child_process')
  const make = [
    (t) => fs.symlinkSync(join(folder, 'foreign'), t),
    (t) => fs.symlinkSync('/nowhere', t),
    (t) => fs.mkdirSync(t),
    (t) => { fs.copyFileSync(join(folder, 'foreign'), t); fs.chmodSync(t, 0o644) },
    (t) => fs.copyFileSync(join(folder, 'own'), t),
  ]
  execFileSync('mkfifo', [join(folder, 'fifo')])
  parentPort.postMessage('ready')
  for (let i = 0; ; i++) {
    const temporary = join(folder, 'swap')
    if (i % 20 === 0) { try { fs.linkSync(join(folder, 'fifo'), temporary) } catch {} }
    else make[i % make.length](temporary)
    try { fs.renameSync(temporary, path) } catch { fs.rmSync(path, { recursive: true }); fs.renameSync(temporary, path) }
  }`

describe('programs of another user', () => {
  it.skipIf(!canSwitchUser)(
    `[B8] do not keep the owner out with thousands of sockets${whySkipped}`,
    { timeout: 60_000 },
    async () => {
      const { daemon, port } = await startDaemon()
      const total = rounds(2000, 10_000)
      const script = `
      const net = require('node:net')
      const [port, total] = process.argv.slice(1).map(Number)
      let open = 0, tried = 0
      const next = () => {
        if (tried++ >= total) return
        const socket = net.connect(port, '127.0.0.1')
        socket.on('connect', () => { if (++open === 500) console.log('started'); next() })
        socket.on('error', () => next())
        socket.on('close', () => tried < total * 5 && next())
      }
      for (let i = 0; i < 500; i++) next()
      setInterval(() => undefined, 1000)`
      const program = startAsOtherUser(script, String(port), String(total))
      await new Promise((resolve) => program.stdout?.once('data', resolve))
      const startedAt = performance.now()
      const client = await daemon.connect()
      await client.call('status')
      const seconds = (performance.now() - startedAt) / 1000
      expect(seconds).toBeLessThan(3)
      figure(`${total} sockets of another user: the owner was served after ${seconds.toFixed(2)} s`)
    },
  )

  it.skipIf(!canSwitchUser)(
    `[B9 C10] get an empty refusal from the daemon, and a constant page from the callback${whySkipped}`,
    async () => {
      const { client, sandbox, daemon } = await newWorld()
      const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
      const { callbackUrl } = await sandbox.signIn(String(authorizationUrl), { deliver: false })
      const script = `
      const net = require('node:net')
      const [url, leave] = process.argv.slice(1)
      const { port, pathname, search, host } = new URL(url)
      const socket = net.connect(Number(port), '127.0.0.1', () => {
        const send = 'GET ' + pathname + search + ' HTTP/1.1\\r\\nHost: ' + host + '\\r\\n\\r\\n'
        socket.write(send, () => { if (leave === 'reset') socket.resetAndDestroy(); if (leave === 'end') socket.destroy() })
      })
      let said = ''
      socket.on('data', (d) => said += d).on('error', () => undefined).on('close', () => console.log('[' + said + ']'))`
      // With the correct state and code, as read from the arguments of the browser launcher; also if the program leaves at once.
      const answer = await runAsOtherUser(script, callbackUrl, 'stay')
      expect(answer).toMatch(/^\[HTTP\/1\.1 403 Forbidden\r\n/)
      expect(answer.slice(answer.indexOf('<!doctype'), -2)).toBe(pages.otherUser.body.toString())
      for (const leave of ['end', 'reset']) expect(await runAsOtherUser(script, callbackUrl, leave)).toBe('[]\n')
      const { endpoint } = client
      expect(endpoint && (await runAsOtherUser(script, `http://${endpoint.endpoint}/callback`, 'stay'))).toBe(
        `[${REFUSED}]\n`,
      )
      expect(sandbox.count('/oauth/token')).toBe(0)
      expect(await client.call('status')).toMatchObject({ state: 'signing_in' })
      expect((await fetch(callbackUrl)).status).toBe(200)
      expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
      expect(daemon.child.exitCode).toBeNull()
    },
  )

  it.skipIf(!isLinux)('[B10 D6] cannot attach a debugger by a signal or by the environment', async () => {
    const { daemon, home } = await startDaemon()
    daemon.child.kill('SIGUSR1')
    const client = await daemon.connect()
    await client.call('status')
    const inspector = connect(9229, '127.0.0.1')
    await once(inspector, 'error')
    await daemon.stop()
    for (const [name, value] of [
      ['NODE_OPTIONS', '--inspect=127.0.0.1:0'],
      ['NODE_OPTIONS', '--heapsnapshot-signal=SIGUSR2'],
      ['NODE_OPTIONS', '--no-warnings -r /nowhere/hook.cjs'],
      ['NODE_DEBUG', 'http'],
      ['NODE_EXTRA_CA_CERTS', '/nowhere'],
      ['NODE_OPTIONS', '--no-warnings'],
    ] as const) {
      if (isDangerous(name, value)) {
        const { code, stderr } = await runProgram(['daemon'], { home, env: { [name]: value } })
        expect(code).not.toBe(0)
        if (!value.includes('-r ')) expect(stderr).toContain(`the daemon does not run with this ${name}`)
        expect(existsSync(daemon.discoveryFile)).toBe(false)
      }
      // A daemon in the background starts without the variable; additional authorities are inherited.
      if (value.includes('-r ')) continue // the command itself would not run
      const started = await runProgram(['status', '--json'], { home, env: { [name]: value } })
      expect(started.code).toBe(0)
      const { pid } = JSON.parse(started.stdout).daemon
      expect(await readFile(`/proc/${pid}/environ`, 'latin1')).not.toMatch(/NODE_(?!EXTRA_CA_CERTS)/)
      expect((await runProgram(['daemon', '--stop'], { home })).code).toBe(0)
    }
  })
})

const isDangerous = (name: string, value: string) => name !== 'NODE_EXTRA_CA_CERTS' && value !== '--no-warnings'

/** RFC 6455 section 4.2.2. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
