// Many starts at once, leftovers of all kinds, and a takeover under load: one daemon, and no call lost.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, type RpcClient } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { startSandbox } from '../../test/sandbox/index.ts'
import { discoveryFile, environmentOf, keep, settingsOf, signIn, startDaemon, temporaries } from './daemon.ts'
import { type Chaos, eventually, outcomeOf, quantile, type Scenario } from './scenario.ts'

const STARTERS = 20
const START_SECONDS = 30
const SINGLE_START_MS = 5000

/** What may lie where the discovery file goes. */
const STALE: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  nothing: async () => undefined,
  'what the last one left': async () => undefined,
  'an empty file': (path) => writeFile(path, '', { mode: 0o600 }),
  'half a file': (path) => writeFile(path, '{ "version": 1, "pid": 1', { mode: 0o600 }),
  garbage: (path) => writeFile(path, systemRandom(5000), { mode: 0o600 }),
  'a file of a gigabyte': (path) => writeSparse(path),
  'a file that all may read': (path) => writeFile(path, staleEndpoint(), { mode: 0o644 }),
  'a stale file of a process that lives': (path) => writeFile(path, staleEndpoint(), { mode: 0o600 }),
  'a symbolic link': (path) => symlink('/etc/hostname', path),
  'a link to nowhere': (path) => symlink('/nowhere/at/all', path),
  'a file of another user': async (path) => {
    await writeFile(path, staleEndpoint(), { mode: 0o600 })
    if (process.getuid?.() === 0) await chown(path, 65534, 65534)
  },
}

function staleEndpoint(): string {
  const endpoint: Endpoint = {
    version: 1,
    pid: process.pid,
    endpoint: '127.0.0.1:9', // nobody listens there
    path: '/rpc',
    instance: systemRandom(16).toString('base64url'),
    key: systemRandom(32).toString('base64url'),
    startedAt: new Date(0).toISOString(),
    daemonVersion: '0.0.1',
  }
  return JSON.stringify(endpoint)
}

async function writeSparse(path: string): Promise<void> {
  const handle = await systemFiles.open(path, 'w', 0o600)
  await handle.truncate(2 ** 30)
  await handle.close()
}

/** Puts leftovers of a crash into a home, by the dice; says which. */
async function litter({ dice }: Chaos, home: string): Promise<string> {
  const data = join(home, 'data')
  await mkdir(data, { recursive: true, mode: 0o700 })
  const what = dice.pick(Object.keys(STALE))
  if (what !== 'what the last one left') await rm(discoveryFile(home), { force: true })
  await STALE[what]?.(discoveryFile(home))
  const lock = dice.pick(['left', 'absent', 'with text'] as const)
  if (lock === 'absent') await rm(join(data, 'daemon.lock'), { force: true })
  if (lock === 'with text') await writeFile(join(data, 'daemon.lock'), `${process.pid}\n`, { mode: 0o600 })
  if (dice.below(2) === 0)
    await writeFile(join(data, `.endpoint.json.${dice.text('0123456789abcdef', 16)}.tmp`), 'half')
  return what
}

const startOfProcesses: Scenario = {
  name: 'start-processes',
  about: `${STARTERS} processes that start at once over leftovers of a crash: one daemon, the others end with 0`,
  needs: ['linux'],
  rounds: { short: 1, full: 50 },
  seconds: { short: 10, full: 600 },
  async run(chaos) {
    const home = join(chaos.folder, 'home')
    const times: number[] = []
    while (times.length < chaos.rounds && !chaos.isOver()) {
      chaos.trial()
      const leftover = await litter(chaos, home)
      const lost = (what: string) => chaos.lost(`over ${leftover}: ${what}`)
      const starters = Array.from({ length: STARTERS }, () => waitAtBarrier(chaos.program, home))
      const startedAt = performance.now()
      for (const { child } of starters) child.stdin?.write('go\n')
      await atMost(
        START_SECONDS,
        enough(
          starters.map(({ ended }) => ended),
          STARTERS - 1,
        ),
      )
      times.push(performance.now() - startedAt)
      const alive = starters.filter(({ child }) => child.exitCode === null && child.signalCode === null)
      if (alive.length !== 1) lost(`${alive.length} daemons`)
      for (const { child, said } of starters)
        if (child.exitCode !== null && child.exitCode !== 0) lost(`one ended with ${child.exitCode}: ${said().trim()}`)
      const serving = await servingPid(home)
      if (serving !== alive[0]?.child.pid) lost(`process ${serving} serves, ${alive[0]?.child.pid} runs`)
      // The first of all makes its key meanwhile, by such a file.
      if (!(await eventually(() => temporaries(home).length === 0, 5))) lost(`left after a start: ${temporaries(home)}`)
      // A crash, so that the next round finds what it leaves.
      for (const { child } of starters) child.kill('SIGKILL')
      await Promise.all(starters.map(({ ended }) => ended))
    }
    return `until all others had ended: median ${quantile(times, 0.5).toFixed(0)} ms`
  },
}

/** A daemon that starts as soon as it is told to on stdin. */
function waitAtBarrier(program: string, home: string) {
  const args = ['-c', 'read go; exec "$@"', 'sh', process.execPath, program, 'daemon']
  const child = keep(spawn('sh', args, { env: environmentOf(home), stdio: ['pipe', 'ignore', 'pipe'] }))
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  return { child: child as ChildProcess, ended: once(child, 'exit'), said: () => said }
}

/** Resolves when so many of them have. */
function enough(promises: readonly Promise<unknown>[], count: number): Promise<void> {
  return new Promise((resolve) => {
    let done = 0
    for (const one of promises) void one.then(() => ++done === count && resolve())
  })
}

async function atMost(seconds: number, promise: Promise<unknown>): Promise<void> {
  let late: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => {
    late = setTimeout(resolve, seconds * 1000)
  })
  await Promise.race([promise, over])
  clearTimeout(late)
}

/** Which process answers to the discovery file's key; undefined where none does. */
async function servingPid(home: string): Promise<number | undefined> {
  const client = await connect(systemFiles, discoveryFile(home), systemRandom).catch(() => undefined)
  const status = await client?.call('status').catch(() => undefined)
  client?.close()
  return status?.daemon.pid
}

const startOfCode: Scenario = {
  name: 'start-code',
  about: `the same with ${STARTERS} processes that stand ready and run the daemon’s start alone, many more times`,
  needs: ['linux'],
  rounds: { short: 5, full: 1000 },
  seconds: { short: 10, full: 1500 },
  async run(chaos) {
    const home = join(chaos.folder, 'home')
    const starters = await Promise.all(Array.from({ length: STARTERS }, () => newStarter(chaos, home)))
    const times: number[] = []
    while (times.length < chaos.rounds && !chaos.isOver()) {
      chaos.trial()
      const leftover = await litter(chaos, home)
      const startedAt = performance.now()
      const answers = await Promise.all(starters.map(({ tell }) => tell(`start ${home}`)))
      times.push(performance.now() - startedAt)
      const winner = starters[answers.indexOf('running')]
      const wrong = answers.filter((answer) => answer !== 'already_running')
      if (wrong.length !== 1 || !winner) chaos.lost(`over ${leftover}: ${wrong.join(', ') || 'no daemon'}`)
      const serving = await servingPid(home)
      if (serving !== winner?.child.pid) chaos.lost(`over ${leftover}: process ${serving} serves`)
      await Promise.all(starters.map(({ tell }) => tell('stop')))
    }
    for (const { child } of starters) child.stdin?.end()
    return `until all had an answer: median ${quantile(times, 0.5).toFixed(0)} ms, longest ${Math.max(...times).toFixed(0)} ms`
  },
}

async function newStarter(chaos: Chaos, home: string) {
  const stdio: ['pipe', 'pipe', 'inherit'] = ['pipe', 'pipe', 'inherit']
  const child = keep(spawn(process.execPath, [chaos.helper('starter')], { env: environmentOf(home), stdio }))
  chaos.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const next = async () => String((await once(lines, 'line'))[0])
  await next()
  const tell = (word: string) => {
    const answer = next()
    child.stdin.write(`${word}\n`)
    return answer
  }
  return { child: child as ChildProcess, tell }
}

/** What no crash leaves, but somebody may have put there: it is refused by its name, or it does no harm. */
const FOREIGN: readonly (readonly [string, (home: string) => Promise<unknown>])[] = [
  ['a folder as discovery file', (home) => mkdir(discoveryFile(home))],
  ['a folder as lock', (home) => mkdir(join(home, 'data', 'daemon.lock'))],
  ['a link as lock', (home) => symlink('/nowhere/at/all', join(home, 'data', 'daemon.lock'))],
]

const leftovers: Scenario = {
  name: 'start-leftovers',
  about: 'each kind of leftover by itself: those of a crash block no start, others are named',
  needs: ['linux'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 10, full: 300 },
  async run(chaos) {
    const times: number[] = []
    const refused = new Set<string>()
    for (let round = 0; round < chaos.rounds && !chaos.isOver(); round++) {
      for (const [what, put] of Object.entries(STALE))
        if (!chaos.isOver()) times.push(await startOver(chaos, what, put))
      for (const [what, put] of FOREIGN) if (!(await startOverForeign(chaos, what, put))) refused.add(what)
    }
    const slowest = Math.max(...times).toFixed(0)
    return `slowest start over a leftover ${slowest} ms; refused by name: ${[...refused].join(', ') || 'none'}`
  },
}

async function newData(chaos: Chaos): Promise<string> {
  chaos.trial()
  const home = join(chaos.folder, 'home')
  await rm(home, { recursive: true, force: true })
  await mkdir(join(home, 'data'), { recursive: true, mode: 0o700 })
  return home
}

async function startOver(chaos: Chaos, what: string, put: (path: string) => Promise<unknown>): Promise<number> {
  const home = await newData(chaos)
  await put(discoveryFile(home))
  const startedAt = performance.now()
  const daemon = await startDaemon({ program: chaos.program, home })
  const took = performance.now() - startedAt
  if (took > SINGLE_START_MS) chaos.lost(`over ${what}: ${took.toFixed(0)} ms`)
  if ((await servingPid(home)) !== daemon.pid) chaos.lost(`over ${what}: it does not serve`)
  await daemon.kill()
  return took
}

/** @returns whether it has started */
async function startOverForeign(chaos: Chaos, what: string, put: (home: string) => Promise<unknown>): Promise<boolean> {
  const home = await newData(chaos)
  await put(home)
  try {
    await (await startDaemon({ program: chaos.program, home })).kill()
    return true
  } catch (error) {
    if (!/error: .*(endpoint\.json|daemon\.lock)/.test(String(error))) chaos.lost(`${what}: ${error}`)
    return false
  }
}

const CALLERS = 20
const CALL_EVERY_MS = 20 // each of them: a thousand calls a second in all
const PATIENCE_SECONDS = 15
const REST_MS = 500
const RETRY_MS = 10
/** The daemon stops (RPC), it has closed the connection (WebSocket), the connection broke, nobody is there. */
const PASSING = ['1006', '1012', 'NoDaemonError']

const replacing: Scenario = {
  name: 'replace',
  about: '--replace under a thousand calls a second: none is lost to a client that reads the discovery file again',
  needs: [],
  rounds: { short: 2, full: 50 },
  seconds: { short: 8, full: 300 },
  async run(chaos) {
    const sandbox = await startSandbox({ accessTokenTtl: 3600 })
    chaos.after(() => sandbox.close())
    const home = join(chaos.folder, 'home')
    const options = { program: chaos.program, home, env: settingsOf(sandbox) }
    await mkdir(home)
    let daemon = await startDaemon(options)
    await signIn(await daemon.connect(), sandbox)
    let isCalling = true
    const calls: Calls = { answered: 0, again: 0, longest: 0 }
    const startedAt = performance.now()
    const calling = Promise.all(Array.from({ length: CALLERS }, () => keepCalling(chaos, home, calls, () => isCalling)))
    await pause(REST_MS)
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.trial()
      const next = await startDaemon({ ...options, args: ['--replace'] })
      const code = await daemon.ended
      if (code !== 0) chaos.lost(`the one that was replaced ended with ${code}`)
      const { pid } = JSON.parse(await readFile(discoveryFile(home), 'utf8'))
      if (pid !== next.pid) chaos.lost('the discovery file is not the new one’s')
      daemon = next
      await pause(REST_MS)
    }
    isCalling = false
    await calling
    const rate = (calls.answered / (performance.now() - startedAt)) * 1000
    await daemon.stop()
    return `${calls.answered} calls (${rate.toFixed(0)}/s), ${calls.again} tried again, the longest waited ${calls.longest.toFixed(0)} ms`
  },
}

interface Calls {
  answered: number
  /** Times that a client had to try again. */
  again: number
  /** Milliseconds. */
  longest: number
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function keepCalling(chaos: Chaos, home: string, calls: Calls, goesOn: () => boolean): Promise<void> {
  let client: RpcClient | undefined
  const attempt = async () => {
    client ??= await connect(systemFiles, discoveryFile(home), systemRandom)
    await client.call('getAuthHeader', { interactive: false })
  }
  for (let due = performance.now(); goesOn(); due += CALL_EVERY_MS) {
    const startedAt = performance.now()
    for (;;) {
      const outcome = await outcomeOf(attempt())
      if (outcome === 'ok') {
        calls.answered++
        break
      }
      calls.again++
      client?.close()
      client = undefined
      const isPassing = PASSING.includes(outcome)
      if (!isPassing || performance.now() - startedAt > PATIENCE_SECONDS * 1000) {
        chaos.lost(`a call came to ${outcome}`)
        break
      }
      await pause(RETRY_MS)
    }
    calls.longest = Math.max(calls.longest, performance.now() - startedAt)
    await pause(Math.max(0, due + CALL_EVERY_MS - performance.now()))
  }
  client?.close()
}

export const processes: readonly Scenario[] = [startOfProcesses, startOfCode, leftovers, replacing]
