// Floods, oversized messages and many clients: the daemon serves its user throughout, and its memory does not grow.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { systemClock } from '../../src/host/clock.ts'
import { withTimeout } from '../../src/host/timeout.ts'
import type { RpcClient } from '../../src/rpc/client.ts'
import { type Sandbox, startSandbox } from '../../test/sandbox/index.ts'
import { keep } from '../bench/run-folder.ts'
import { type Daemon, settingsOf, signIn, startDaemon, TOKEN } from './daemon.ts'
import { endpointOf, frame, lengthOf64, openRaw, portOf, type RawClient } from './raw-client.ts'
import { type Chaos, eventually, outcomeOf, quantile, type Scenario } from './scenario.ts'

const USER_MS = 3000 // the longest wait of the user
const GROWTH_MB = 96 // the growth that a flood may cause: V8 does not release memory at once
const CALL = '{"jsonrpc":"2.0","method":"getAuthHeader","params":{"interactive":false},"id":1}'

interface World {
  readonly sandbox: Sandbox
  readonly home: string
  readonly daemon: Daemon
  readonly client: RpcClient
}

async function newWorld(chaos: Chaos, accessTokenTtl = 3600): Promise<World> {
  const sandbox = await startSandbox({ accessTokenTtl })
  chaos.after(() => sandbox.close())
  const home = join(chaos.folder, 'home')
  await mkdir(home)
  const daemon = await startDaemon({ program: chaos.program, home, env: settingsOf(sandbox) })
  chaos.after(() => daemon.kill())
  const client = await daemon.connect()
  await signIn(client, sandbox)
  return { sandbox, home, daemon, client }
}

/** Connects and gets a header as the user's client does; returns the milliseconds that it took. */
async function checkUserIsServed(chaos: Chaos, { daemon }: World, when: string): Promise<number> {
  const startedAt = performance.now()
  const outcome = await outcomeOf(
    daemon.connect().then(async (client) => {
      await client.call('getAuthHeader', { interactive: false })
      client.close()
    }),
  )
  const took = performance.now() - startedAt
  if (outcome !== 'ok') chaos.lost(`${when}: outcome for the user: ${outcome}`)
  if (took > USER_MS) chaos.lost(`${when}: the user waits ${took.toFixed(0)} ms`)
  return took
}

/** Watches the memory of the daemon. Returns a function that stops and returns the largest growth in MB. */
function watchMemory({ daemon }: World): () => number {
  const before = daemon.residentMegabytes()
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, daemon.residentMegabytes())
  }, 50)
  return () => {
    clearInterval(timer)
    return Math.max(most, daemon.residentMegabytes()) - before
  }
}

const WAVE = 500

const sockets: Scenario = {
  name: 'load-sockets',
  about: 'thousands of sockets that send nothing, or their handshake at one byte per second',
  needs: ['linux'],
  rounds: { short: 2000, full: 10_000 },
  seconds: { short: 8, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const port = portOf(endpointOf(world.home))
    const before = world.daemon.descriptors()
    const growth = watchMemory(world)
    const held: Socket[] = []
    let slowest = 0
    while (held.length < chaos.rounds && !chaos.isOver()) {
      chaos.countTrials(WAVE)
      const wave = Array.from({ length: WAVE }, () => connectSocket(port, '127.0.0.1').on('error', () => undefined))
      held.push(...wave)
      await Promise.race([Promise.all(wave.map((socket) => once(socket, 'connect'))), once(wave[0] as Socket, 'close')])
      // Half of them send a byte now and then.
      const timer = setInterval(() => {
        for (const socket of wave.slice(WAVE / 2)) if (!socket.destroyed) socket.write('G')
      }, 1000)
      chaos.after(() => clearInterval(timer))
      slowest = Math.max(slowest, await checkUserIsServed(chaos, world, `${held.length} sockets`))
    }
    const closed = () => held.every((socket) => socket.readableEnded || socket.destroyed)
    for (const socket of held) socket.resume()
    if (!(await eventually(closed, 5))) chaos.lost('unauthenticated sockets stay open')
    if (!(await eventually(() => world.daemon.descriptors() <= before + 2, 5))) chaos.lost('descriptors are not closed')
    const grown = growth()
    if (grown > GROWTH_MB) chaos.lost(`the memory has grown by ${grown.toFixed(0)} MB`)
    return `the user waited ${slowest.toFixed(0)} ms at most; ${grown.toFixed(0)} MB more`
  },
}

const FRAGMENTS = 300_000

/** Name, message, and the expected response. */
const HOSTILE_MESSAGES: readonly (readonly [string, Buffer, string])[] = [
  ['a frame of 2^62 bytes', Buffer.concat([lengthOf64(0x81, 0x80, 2n ** 62n), Buffer.alloc(4)]), 'close 1009'],
  ['a frame of a gigabyte', Buffer.concat([lengthOf64(0x81, 0x80, 2n ** 30n), Buffer.alloc(4)]), 'close 1009'],
  ['a 1 MiB batch', frame(1, `[${'1,'.repeat(524_287)}1]`), 'close 1009'],
  ['a 64 KiB batch', frame(1, `[${'1,'.repeat(32_000)}1]`), '-32600'],
  ['300,000 fragments of one byte', fragments(), 'close 1008'],
  ['JSON 1,000 deep', frame(1, '['.repeat(1000)), '-32600'],
  ['JSON 60,000 deep', frame(1, '{"a":'.repeat(13_000)), '-32600'],
  ['JSON a million deep', frame(1, '['.repeat(1_000_000)), 'close 1009'],
  ['invalid JSON', frame(1, '{"jsonrpc":'), '-32700'],
  ['invalid UTF-8', frame(1, Buffer.from([0xc3, 0x28])), 'close 1007'],
  ['a binary message', frame(2, '{}'), 'close 1003'],
  ['an unmasked frame', frame(1, CALL, { masked: false }), 'close 1002'],
  ['a reserved bit', Buffer.concat([Buffer.from([0xc1]), frame(1, '{}').subarray(1)]), 'close 1002'],
  ['an unknown opcode', frame(11, ''), 'close 1002'],
  ['a ping of 126 bytes', frame(9, 'x'.repeat(126)), 'close 1002'],
  ['an invalid close code', frame(8, Buffer.from([0, 1])), 'close 1002'],
]

function fragments(): Buffer {
  const one = frame(0, '1', { fin: false })
  return Buffer.concat([frame(1, '1', { fin: false }), Buffer.alloc(one.length * FRAGMENTS, one)])
}

const RESPONSE_SECONDS = 5

const frames: Scenario = {
  name: 'load-frames',
  about: 'giant frames, oversized batches, fragments, deep JSON, and random frames',
  needs: ['linux'],
  rounds: { short: 300, full: 20_000 },
  seconds: { short: 8, full: 240 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const endpoint = endpointOf(world.home)
    const growth = watchMemory(world)
    for (const [what, bytes, expected] of HOSTILE_MESSAGES) {
      chaos.countTrials()
      const raw = await openRaw(endpoint)
      const response = orNothing(raw.next())
      void raw.send(bytes)
      const received = await response
      if (received !== expected) chaos.lost(`${what}: ${received}, not ${expected}`)
      raw.socket.destroy()
      await checkUserIsServed(chaos, world, what)
    }
    const responses = new Map<string, number>()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.countTrials()
      const raw = await openRaw(endpoint)
      const response = raw.next()
      await raw.send(mutatedFrame(chaos))
      raw.socket.end()
      const received = await orNothing(response)
      responses.set(received, (responses.get(received) ?? 0) + 1)
      raw.socket.destroy()
    }
    await checkUserIsServed(chaos, world, 'after the random frames')
    if ((await world.client.call('status')).state !== 'signed_in') chaos.lost('the daemon is signed out')
    const grown = growth()
    if (grown > GROWTH_MB) chaos.lost(`the memory has grown by ${grown.toFixed(0)} MB`)
    const counts = [...responses].sort(([, a], [, b]) => b - a).map(([what, count]) => `${what} ${count}`)
    return `${HOSTILE_MESSAGES.length} hostile messages; responses to random frames: ${counts.join(', ')}; ${grown.toFixed(0)} MB more`
  },
}

/** The response; `nothing` if it does not arrive in time. */
async function orNothing(response: Promise<string>): Promise<string> {
  const timeoutError = () => new Error('no response in time')
  return await withTimeout(systemClock, RESPONSE_SECONDS, response, timeoutError).catch(() => 'nothing')
}

/** A valid frame with random changes in its JSON or its bytes. */
function mutatedFrame({ random }: Chaos): Buffer {
  const texts = [CALL, `[${CALL},${CALL}]`, '{"jsonrpc":"2.0","method":"status","params":{"profile":"local"},"id":"x"}']
  let text = random.pick(texts)
  for (let n = random.below(4); n > 0; n--) {
    const at = random.below(text.length)
    const piece = random.pick([
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      '\u0000',
      '9'.repeat(400),
      '-',
      'null',
      '__proto__',
      ',,',
      '\ud800',
    ])
    text = text.slice(0, at) + piece + text.slice(at + random.below(8))
  }
  const bytes = frame(random.pick([1, 1, 1, 1, 0, 2, 9]), text)
  for (let n = random.below(3); n > 0; n--) bytes[random.below(bytes.length)] = random.below(256)
  return bytes
}

const CHUNK = 1000 // frames

/** Sends a frame again and again without reading, until all are sent or the daemon stops reading. Returns the number sent. */
async function flood(raw: RawClient, one: Buffer, total: number, isOver: () => boolean): Promise<number> {
  const chunk = Buffer.alloc(one.length * CHUNK, one)
  let sent = 0
  while (sent < total && !isOver() && (await raw.send(chunk))) sent += CHUNK
  return sent
}

const floods: Scenario = {
  name: 'load-floods',
  about: 'hundreds of thousands of pings and calls from a client that does not read',
  needs: ['linux'],
  rounds: { short: 100_000, full: 400_000 },
  seconds: { short: 4, full: 60 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const endpoint = endpointOf(world.home)
    const figures: string[] = []
    for (const [what, one, total] of [
      ['pings', frame(9, 'p'.repeat(125)), chaos.rounds],
      ['calls', frame(1, CALL), chaos.rounds / 2],
      ['invalid calls', frame(1, '[1,1,1,1,1,1,1,1]'), chaos.rounds / 2],
    ] as const) {
      chaos.countTrials()
      const growth = watchMemory(world)
      const raw = await openRaw(endpoint)
      const sending = flood(raw, one, total, chaos.isOver)
      const slowest = await checkUserIsServed(chaos, world, what)
      const sent = await sending
      const grown = growth()
      raw.socket.destroy()
      if (grown > GROWTH_MB) chaos.lost(`${what}: the memory has grown by ${grown.toFixed(0)} MB`)
      figures.push(`${what}: ${sent} sent, ${grown.toFixed(0)} MB more, the user waited ${slowest.toFixed(0)} ms`)
    }
    return figures.join('; ')
  },
}

const LOGIN_CONNECTIONS = 10

const logins: Scenario = {
  name: 'load-logins',
  about: 'thousands of concurrent sign-ins share one listener and one result, and the next sign-in works at once',
  needs: ['linux'],
  rounds: { short: 1000, full: 5000 },
  seconds: { short: 10, full: 60 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const { daemon, client, sandbox } = world
    await client.call('logout')
    // The listener of the previous sign-in stays open for a moment, to show its last page.
    if (!(await eventually(() => listeners(daemon) === 1, 10))) chaos.lost(`${listeners(daemon)} listeners when idle`)
    const clients = await Promise.all(Array.from({ length: LOGIN_CONNECTIONS }, () => daemon.connect()))
    const each = Math.ceil(chaos.rounds / LOGIN_CONNECTIONS)
    const waiting = clients.flatMap((one) =>
      Array.from({ length: each }, () => outcomeOf(one.call('login', { openBrowser: false, timeoutSeconds: 60 }))),
    )
    chaos.countTrials(waiting.length)
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const during = listeners(daemon)
    if (during !== 2) chaos.lost(`${during - 1} listeners for ${waiting.length} sign-ins`)
    const urls = new Set((await Promise.all(clients.map((one) => one.call('status')))).map((s) => s.authorizationUrl))
    if (urls.size !== 1 || !urls.has(authorizationUrl)) chaos.lost(`${urls.size} authorization URLs`)
    await client.call('cancelLogin')
    const outcomes = new Map<string, number>()
    for (const one of await Promise.all(waiting)) outcomes.set(one, (outcomes.get(one) ?? 0) + 1)
    if (outcomes.get('1002 cancelled') !== waiting.length) chaos.lost(JSON.stringify([...outcomes]))
    if (!(await eventually(() => listeners(daemon) === 1, 2))) chaos.lost('the callback listener is still open')
    await signIn(client, sandbox)
    for (const one of clients) one.close()
    return `${during - 1} listener`
  },
}

/** The number of TCP ports on which the process listens. */
function listeners({ pid }: Daemon): number {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      } catch {
        return undefined // closed in the meantime
      }
    }),
  )
  return ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/net/${table}`, 'latin1').split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === '0A' && own.has(fields[9])).length
}

const TOKEN_SECONDS = 2
const TARGET_MS = 50 // beyond the provider's time

const expiry: Scenario = {
  name: 'load-expiry',
  about: '1,000 callers at the expiry of a token: one token request serves all',
  needs: [],
  rounds: { short: 2, full: 100 },
  seconds: { short: 9, full: 400 },
  async run(chaos) {
    const { sandbox, home, client } = await newWorld(chaos, TOKEN_SECONDS)
    const callers = await startCallers(chaos, home)
    let { expiresAt } = await client.call('refresh') // the first one is slower, because modules are loaded lazily
    await callers() // for the same reason
    const beyondProvider: number[] = []
    while (beyondProvider.length < chaos.rounds && !chaos.isOver()) {
      chaos.countTrials()
      await systemClock.wait(expiresAt - systemClock.now() + 0.005)
      const before = sandbox.count(TOKEN, 'refresh_token')
      let providerMs = 0
      sandbox.script(TOKEN, {
        kind: 'replace',
        body(answer) {
          providerMs = Date.now() - Number(sandbox.requests.at(-1)?.at)
          return answer
        },
      })
      const result = await callers()
      beyondProvider.push(result.ms - providerMs)
      const requests = sandbox.count(TOKEN, 'refresh_token') - before
      if (requests !== 1) chaos.lost(`${requests} token requests`)
      if (result.texts.length !== 1 || !result.texts[0]?.includes('"Bearer '))
        chaos.lost(`${result.texts.length} distinct responses at one expiry`)
      ;({ expiresAt } = await client.call('getAuthHeader'))
    }
    const within = beyondProvider.filter((ms) => ms <= TARGET_MS).length
    const ms = [0.5, 0.99].map((part) => quantile(beyondProvider, part).toFixed(0)).join(' / ')
    return `until all 1,000 responses arrived, beyond the provider’s time, median / p99, ms: ${ms}; ${within} of ${beyondProvider.length} within ${TARGET_MS}`
  },
}

/** Starts a thousand callers in a separate process, because this process is busy as the provider. */
async function startCallers(chaos: Chaos, home: string) {
  const child = keep(spawn(process.execPath, [chaos.helper('callers'), home], { stdio: ['pipe', 'pipe', 'inherit'] }))
  chaos.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const next = async () => String((await once(lines, 'line'))[0])
  await next()
  return async () => {
    const line = next()
    child.stdin.write('go\n')
    return JSON.parse(await line) as { ms: number; texts: string[] }
  }
}

const LEAK_MB = 16
const LEAK_DESCRIPTORS = 4

const soak: Scenario = {
  name: 'soak',
  about: 'the activity of an hour in minutes: descriptors and memory do not grow',
  needs: ['linux'],
  rounds: { short: 100_000, full: 1_000_000 },
  seconds: { short: 4, full: 300 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const { daemon, client } = world
    const memory: number[] = []
    const descriptors = daemon.descriptors()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.countTrials()
      await randomActivity(chaos, world)
      if (i % 20 > 0) continue
      memory.push(daemon.residentMegabytes())
    }
    await client.call('cancelLogin')
    // The minimum of each third shows memory that is never freed, but not memory that waits for the garbage collector.
    const third = Math.floor(memory.length / 3)
    const [middle, end] = [memory.slice(third, 2 * third), memory.slice(-third)].map((part) => Math.min(...part))
    const isSame = () => daemon.descriptors() <= descriptors + LEAK_DESCRIPTORS
    if (!(await eventually(isSame, 5))) chaos.lost(`descriptors: ${descriptors}, then ${daemon.descriptors()}`)
    // In a short run, a leak cannot be distinguished from a heap that is still growing to its normal size.
    if (!chaos.isShort && Number(end) > Number(middle) + LEAK_MB)
      chaos.lost(`memory: at least ${middle?.toFixed(0)} MB, then at least ${end?.toFixed(0)} MB`)
    if ((await client.call('status')).state !== 'signed_in') chaos.lost('the daemon is signed out')
    const most = Math.max(...memory).toFixed(0)
    return `descriptors ${descriptors} → ${daemon.descriptors()}; MB at least ${middle?.toFixed(0)} in the second third, ${end?.toFixed(0)} in the last; at most ${most}`
  },
}

/** One random activity of a client. */
async function randomActivity(chaos: Chaos, world: World): Promise<void> {
  const { daemon, client, home } = world
  const endpoint = endpointOf(home)
  switch (chaos.random.below(8)) {
    case 0: {
      const one = await daemon.connect()
      await one.call('status')
      one.close()
      return
    }
    case 1: {
      const raw = await openRaw(endpoint)
      await raw.send(frame(1, CALL))
      raw.socket.destroy() // without a close frame
      return
    }
    case 2:
      connectSocket(portOf(endpoint), '127.0.0.1')
        .on('error', () => undefined)
        .end('GET / HTTP/1.1\r\n\r\n')
        .resume()
      return
    case 3:
      await client.call('refresh')
      return
    case 4:
      await client.call('login', { openBrowser: false, wait: false })
      await client.call('cancelLogin')
      return
    case 5: {
      const raw = await openRaw(endpoint)
      await raw.send(mutatedFrame(chaos))
      raw.socket.destroy()
      return
    }
    case 6:
      await outcomeOf(client.callAny('no such method', { x: chaos.random.text('abc', 100) }))
      return
    default:
      await Promise.all(Array.from({ length: 50 }, () => client.call('getAuthHeader')))
  }
}

export const load: readonly Scenario[] = [sockets, frames, floods, logins, expiry, soak]
