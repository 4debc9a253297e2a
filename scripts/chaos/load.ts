// Floods, bombs and crowds (section 3E of the threats): the owner is served all the while, and the daemon does not grow.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { RpcClient } from '../../src/rpc/client.ts'
import { type Sandbox, startSandbox } from '../../test/sandbox/index.ts'
import { type Daemon, keep, settingsOf, signIn, startDaemon, TOKEN } from './daemon.ts'
import { endpointOf, frame, lengthOf64, openRaw, portOf, type RawClient } from './raw-client.ts'
import { type Chaos, eventually, outcomeOf, quantile, type Scenario } from './scenario.ts'

const OWNER_MS = 3000
const GROWTH_MB = 96 // what a flood may cost: V8 gives memory back when it likes
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

/** Milliseconds until the owner has connected and been given a header. */
async function ownerIsServed(chaos: Chaos, { daemon }: World, when: string): Promise<number> {
  const startedAt = performance.now()
  const outcome = await outcomeOf(
    daemon.connect().then(async (client) => {
      await client.call('getAuthHeader', { interactive: false })
      client.close()
    }),
  )
  const took = performance.now() - startedAt
  if (outcome !== 'ok') chaos.lost(`${when}: the owner is given ${outcome}`)
  if (took > OWNER_MS) chaos.lost(`${when}: the owner waits ${took.toFixed(0)} ms`)
  return took
}

/** Watches the memory of the daemon until it is told to stop; gives by how many MB it has grown at most. */
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
  about: 'thousands of sockets that say nothing, or their handshake at a byte a second',
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
      chaos.trial(WAVE)
      const wave = Array.from({ length: WAVE }, () => connectSocket(port, '127.0.0.1').on('error', () => undefined))
      held.push(...wave)
      await Promise.race([Promise.all(wave.map((socket) => once(socket, 'connect'))), once(wave[0] as Socket, 'close')])
      // Half of them drip.
      const drip = setInterval(() => {
        for (const socket of wave.slice(WAVE / 2)) if (!socket.destroyed) socket.write('G')
      }, 1000)
      chaos.after(() => clearInterval(drip))
      slowest = Math.max(slowest, await ownerIsServed(chaos, world, `${held.length} sockets`))
    }
    const closed = () => held.every((socket) => socket.readableEnded || socket.destroyed)
    for (const socket of held) socket.resume()
    if (!(await eventually(closed, 5))) chaos.lost('sockets that prove nothing are kept')
    if (!(await eventually(() => world.daemon.descriptors() <= before + 2, 5)))
      chaos.lost('descriptors are not given back')
    const grown = growth()
    if (grown > GROWTH_MB) chaos.lost(`it has grown by ${grown.toFixed(0)} MB`)
    return `the owner waited ${slowest.toFixed(0)} ms at most; ${grown.toFixed(0)} MB more`
  },
}

const FRAGMENTS = 300_000

/** What is sent, and what must come of it. */
const BOMBS: readonly (readonly [string, Buffer, string])[] = [
  ['a frame of 2^62 bytes', Buffer.concat([lengthOf64(0x81, 0x80, 2n ** 62n), Buffer.alloc(4)]), 'close 1009'],
  ['a frame of a gigabyte', Buffer.concat([lengthOf64(0x81, 0x80, 2n ** 30n), Buffer.alloc(4)]), 'close 1009'],
  ['a batch of 1 MiB', frame(1, `[${'1,'.repeat(524_287)}1]`), 'close 1009'],
  ['a batch of 64 KiB', frame(1, `[${'1,'.repeat(32_000)}1]`), '-32600'],
  ['300,000 fragments of a byte', fragments(), 'close 1008'],
  ['JSON 1,000 deep', frame(1, '['.repeat(1000)), '-32600'],
  ['JSON 60,000 deep', frame(1, '{"a":'.repeat(13_000)), '-32600'],
  ['JSON a million deep', frame(1, '['.repeat(1_000_000)), 'close 1009'],
  ['no JSON', frame(1, '{"jsonrpc":'), '-32700'],
  ['no UTF-8', frame(1, Buffer.from([0xc3, 0x28])), 'close 1007'],
  ['binary', frame(2, '{}'), 'close 1003'],
  ['no mask', frame(1, CALL, { masked: false }), 'close 1002'],
  ['a reserved bit', Buffer.concat([Buffer.from([0xc1]), frame(1, '{}').subarray(1)]), 'close 1002'],
  ['an unknown opcode', frame(11, ''), 'close 1002'],
  ['a ping of 126 bytes', frame(9, 'x'.repeat(126)), 'close 1002'],
  ['a close code that is none', frame(8, Buffer.from([0, 1])), 'close 1002'],
]

function fragments(): Buffer {
  const one = frame(0, '1', { fin: false })
  return Buffer.concat([frame(1, '1', { fin: false }), Buffer.alloc(one.length * FRAGMENTS, one)])
}

const ANSWER_MS = 5000

const frames: Scenario = {
  name: 'load-frames',
  about: 'giant frames, batch bombs, fragments, deep JSON, and frames by the dice',
  needs: ['linux'],
  rounds: { short: 300, full: 20_000 },
  seconds: { short: 8, full: 240 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const endpoint = endpointOf(world.home)
    const growth = watchMemory(world)
    for (const [what, bytes, expected] of BOMBS) {
      chaos.trial()
      const raw = await openRaw(endpoint)
      const answer = orLate(raw.next())
      void raw.send(bytes)
      const came = await answer
      if (came !== expected) chaos.lost(`${what}: ${came}, not ${expected}`)
      raw.socket.destroy()
      await ownerIsServed(chaos, world, what)
    }
    const answers = new Map<string, number>()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.trial()
      const raw = await openRaw(endpoint)
      const answer = raw.next()
      await raw.send(mutate(chaos))
      raw.socket.end()
      const came = await orLate(answer)
      answers.set(came, (answers.get(came) ?? 0) + 1)
      raw.socket.destroy()
    }
    await ownerIsServed(chaos, world, 'after the dice')
    if ((await world.client.call('status')).state !== 'signed_in') chaos.lost('it is signed out')
    const grown = growth()
    if (grown > GROWTH_MB) chaos.lost(`it has grown by ${grown.toFixed(0)} MB`)
    const most = [...answers].sort(([, a], [, b]) => b - a).map(([what, count]) => `${what} ${count}`)
    return `${BOMBS.length} bombs; by the dice: ${most.join(', ')}; ${grown.toFixed(0)} MB more`
  },
}

async function orLate(answer: Promise<string>): Promise<string> {
  let late: NodeJS.Timeout | undefined
  const over = new Promise<string>((resolve) => {
    late = setTimeout(() => resolve('nothing'), ANSWER_MS)
  })
  const came = await Promise.race([answer, over])
  clearTimeout(late)
  return came
}

/** A right frame with a few of its bytes, or of its JSON, changed. */
function mutate({ dice }: Chaos): Buffer {
  const texts = [CALL, `[${CALL},${CALL}]`, '{"jsonrpc":"2.0","method":"status","params":{"profile":"local"},"id":"x"}']
  let text = dice.pick(texts)
  for (let n = dice.below(4); n > 0; n--) {
    const at = dice.below(text.length)
    const piece = dice.pick([
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
    text = text.slice(0, at) + piece + text.slice(at + dice.below(8))
  }
  const bytes = frame(dice.pick([1, 1, 1, 1, 0, 2, 9]), text)
  for (let n = dice.below(3); n > 0; n--) bytes[dice.below(bytes.length)] = dice.below(256)
  return bytes
}

const CHUNK = 1000 // frames

/** Sends a frame again and again, never reading an answer, until all are sent or nobody reads them. */
async function flood(raw: RawClient, one: Buffer, total: number, isOver: () => boolean): Promise<number> {
  const chunk = Buffer.alloc(one.length * CHUNK, one)
  let sent = 0
  while (sent < total && !isOver() && (await raw.send(chunk))) sent += CHUNK
  return sent
}

const floods: Scenario = {
  name: 'load-floods',
  about: 'pings and calls by the hundred thousand from a client that never reads',
  needs: ['linux'],
  rounds: { short: 100_000, full: 400_000 },
  seconds: { short: 4, full: 60 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const endpoint = endpointOf(world.home)
    const told: string[] = []
    for (const [what, one, total] of [
      ['pings', frame(9, 'p'.repeat(125)), chaos.rounds],
      ['calls', frame(1, CALL), chaos.rounds / 2],
      ['calls that end in errors', frame(1, '[1,1,1,1,1,1,1,1]'), chaos.rounds / 2],
    ] as const) {
      chaos.trial()
      const growth = watchMemory(world)
      const raw = await openRaw(endpoint)
      const sending = flood(raw, one, total, chaos.isOver)
      const slowest = await ownerIsServed(chaos, world, what)
      const sent = await sending
      const grown = growth()
      raw.socket.destroy()
      if (grown > GROWTH_MB) chaos.lost(`${what}: it has grown by ${grown.toFixed(0)} MB`)
      told.push(`${what}: ${sent} taken, ${grown.toFixed(0)} MB more, the owner waited ${slowest.toFixed(0)} ms`)
    }
    return told.join('; ')
  },
}

const LOGIN_CONNECTIONS = 10

const logins: Scenario = {
  name: 'load-logins',
  about: 'thousands of sign-ins that wait: one listener, one answer for all, and the next one works at once',
  needs: ['linux'],
  rounds: { short: 1000, full: 5000 },
  seconds: { short: 10, full: 60 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const { daemon, client, sandbox } = world
    await client.call('logout')
    // The page of the sign-in before is shown for a moment yet.
    if (!(await eventually(() => listeners(daemon) === 1, 10))) chaos.lost(`${listeners(daemon)} listeners at rest`)
    const clients = await Promise.all(Array.from({ length: LOGIN_CONNECTIONS }, () => daemon.connect()))
    const each = Math.ceil(chaos.rounds / LOGIN_CONNECTIONS)
    const waiting = clients.flatMap((one) =>
      Array.from({ length: each }, () => outcomeOf(one.call('login', { openBrowser: false, timeoutSeconds: 60 }))),
    )
    chaos.trial(waiting.length)
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const during = listeners(daemon)
    if (during !== 2) chaos.lost(`${during - 1} listeners for ${waiting.length} sign-ins`)
    const urls = new Set((await Promise.all(clients.map((one) => one.call('status')))).map((s) => s.authorizationUrl))
    if (urls.size !== 1 || !urls.has(authorizationUrl)) chaos.lost(`${urls.size} addresses`)
    await client.call('cancelLogin')
    const outcomes = new Map<string, number>()
    for (const one of await Promise.all(waiting)) outcomes.set(one, (outcomes.get(one) ?? 0) + 1)
    if (outcomes.get('1002 cancelled') !== waiting.length) chaos.lost(JSON.stringify([...outcomes]))
    if (!(await eventually(() => listeners(daemon) === 1, 2))) chaos.lost('the listener is still there')
    await signIn(client, sandbox)
    for (const one of clients) one.close()
    return `${during - 1} listener`
  },
}

/** Ports that the process listens on. */
function listeners({ pid }: Daemon): number {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      } catch {
        return undefined // closed meanwhile
      }
    }),
  )
  return ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/net/${table}`, 'latin1').split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === '0A' && own.has(fields[9])).length
}

const TOKEN_SECONDS = 2
const OVER_PROVIDER_MS = 50

const expiry: Scenario = {
  name: 'load-expiry',
  about: '1,000 callers at an expiry: one token request, and all answered',
  needs: [],
  rounds: { short: 2, full: 100 },
  seconds: { short: 9, full: 400 },
  async run(chaos) {
    const { sandbox, home, client } = await newWorld(chaos, TOKEN_SECONDS)
    const callers = await startCallers(chaos, home)
    let { expiresAt } = await client.call('refresh') // the first one of a process pays for what is loaded late
    await callers() // so do they
    const over: number[] = []
    while (over.length < chaos.rounds && !chaos.isOver()) {
      chaos.trial()
      await new Promise((resolve) => setTimeout(resolve, expiresAt * 1000 - Date.now() + 5))
      const before = sandbox.count(TOKEN, 'refresh_token')
      let providerMs = 0
      sandbox.script(TOKEN, {
        kind: 'replace',
        body(answer) {
          providerMs = Date.now() - Number(sandbox.requests.at(-1)?.at)
          return answer
        },
      })
      const crowd = await callers()
      over.push(crowd.ms - providerMs)
      const requests = sandbox.count(TOKEN, 'refresh_token') - before
      if (requests !== 1) chaos.lost(`${requests} token requests`)
      if (crowd.texts.length !== 1 || !crowd.texts[0]?.includes('"Bearer '))
        chaos.lost(`${crowd.texts.length} different answers at one expiry`)
      ;({ expiresAt } = await client.call('getAuthHeader'))
    }
    const within = over.filter((ms) => ms <= OVER_PROVIDER_MS).length
    const ms = [0.5, 0.99].map((part) => quantile(over, part).toFixed(0)).join(' / ')
    return `until all 1,000 were answered beyond the provider’s time, median / p99, ms: ${ms}; ${within} of ${over.length} within ${OVER_PROVIDER_MS}`
  },
}

/** A thousand callers in a process of their own, since this one is the provider meanwhile. */
async function startCallers(chaos: Chaos, home: string) {
  const child = keep(spawn(process.execPath, [chaos.helper('callers'), home], { stdio: ['pipe', 'pipe', 'inherit'] }))
  chaos.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const next = async () => String((await once(lines, 'line'))[0])
  await next()
  return async () => {
    const answer = next()
    child.stdin.write('go\n')
    return JSON.parse(await answer) as { ms: number; texts: string[] }
  }
}

const LEAK_MB = 16
const LEAK_DESCRIPTORS = 4

const soak: Scenario = {
  name: 'soak',
  about: 'an hour’s life in minutes: descriptors and memory stay where they are',
  needs: ['linux'],
  rounds: { short: 100_000, full: 1_000_000 },
  seconds: { short: 4, full: 300 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const { daemon, client } = world
    const memory: number[] = []
    const descriptors = daemon.descriptors()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.trial()
      await doSomething(chaos, world)
      if (i % 20 > 0) continue
      memory.push(daemon.residentMegabytes())
    }
    await client.call('cancelLogin')
    // The least of each third: what is not freed shows there, and what only waits to be collected does not.
    const third = Math.floor(memory.length / 3)
    const [middle, end] = [memory.slice(third, 2 * third), memory.slice(-third)].map((part) => Math.min(...part))
    const few = () => daemon.descriptors() <= descriptors + LEAK_DESCRIPTORS
    if (!(await eventually(few, 5))) chaos.lost(`descriptors: ${descriptors}, then ${daemon.descriptors()}`)
    // A few seconds are too short to tell a leak from a heap that is being taken into use.
    if (!chaos.isShort && Number(end) > Number(middle) + LEAK_MB)
      chaos.lost(`memory: at least ${middle?.toFixed(0)} MB, then at least ${end?.toFixed(0)} MB`)
    if ((await client.call('status')).state !== 'signed_in') chaos.lost('it is signed out')
    const most = Math.max(...memory).toFixed(0)
    return `descriptors ${descriptors} → ${daemon.descriptors()}; MB at least ${middle?.toFixed(0)} in the second third, ${end?.toFixed(0)} in the last; at most ${most}`
  },
}

/** One of the things that happen in a daemon's life. */
async function doSomething(chaos: Chaos, world: World): Promise<void> {
  const { daemon, client, home } = world
  const endpoint = endpointOf(home)
  switch (chaos.dice.below(8)) {
    case 0: {
      const one = await daemon.connect()
      await one.call('status')
      one.close()
      return
    }
    case 1: {
      const raw = await openRaw(endpoint)
      await raw.send(frame(1, CALL))
      raw.socket.destroy() // without a word
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
      await raw.send(mutate(chaos))
      raw.socket.destroy()
      return
    }
    case 6:
      await outcomeOf(client.callAny('no such method', { x: chaos.dice.text('abc', 100) }))
      return
    default:
      await Promise.all(Array.from({ length: 50 }, () => client.call('getAuthHeader')))
  }
}

export const load: readonly Scenario[] = [sockets, frames, floods, logins, expiry, soak]
