// Many starts at once, files that a crash leaves, and a replacement under load: one daemon runs, and no call is lost.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { systemClock } from '../../src/host/clock.ts'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { withTimeout } from '../../src/host/timeout.ts'
import { connect, type RpcClient } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { startSandbox } from '../../test/sandbox/index.ts'
import { keep } from '../bench/run-folder.ts'
import { environmentOf, settingsOf, signIn, startDaemon, temporaries } from './daemon.ts'
import { discoveryFile } from './raw-client.ts'
import { type Chaos, eventually, outcomeOf, quantile, type Scenario } from './scenario.ts'

const STARTERS = 20
const START_SECONDS = 30
const SINGLE_START_MS = 5000

/** Files that may exist at the path of the discovery file. */
const STALE_FILES: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  nothing: async () => undefined,
  'the file of the last daemon': async () => undefined,
  'an empty file': (path) => writeFile(path, '', { mode: 0o600 }),
  'half a file': (path) => writeFile(path, '{ "version": 1, "pid": 1', { mode: 0o600 }),
  'random bytes': (path) => writeFile(path, systemRandom(5000), { mode: 0o600 }),
  'a file of a gigabyte': (path) => writeSparse(path),
  'a file that all users can read': (path) => writeFile(path, staleEndpoint(), { mode: 0o644 }),
  'a stale file with the pid of a running process': (path) => writeFile(path, staleEndpoint(), { mode: 0o600 }),
  'a symbolic link': (path) => symlink('/etc/hostname', path),
  'a dangling link': (path) => symlink('/nowhere/at/all', path),
  'a file of another user': async (path) => {
    await writeFile(path, staleEndpoint(), { mode: 0o600 })
    if (process.getuid?.() === 0) await chown(path, 65534, 65534)
  },
}

function staleEndpoint(): string {
  const endpoint: Endpoint = {
    version: 1,
    pid: process.pid,
    endpoint: '127.0.0.1:9', // no process listens there
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

/** Leaves random files of a crash in a home; returns a description. */
async function leaveStaleFiles({ random }: Chaos, home: string): Promise<string> {
  const data = join(home, 'data')
  await mkdir(data, { recursive: true, mode: 0o700 })
  const what = random.pick(Object.keys(STALE_FILES))
  if (what !== 'the file of the last daemon') await rm(discoveryFile(home), { force: true })
  await STALE_FILES[what]?.(discoveryFile(home))
  const lock = random.pick(['left', 'absent', 'with text'] as const)
  if (lock === 'absent') await rm(join(data, 'daemon.lock'), { force: true })
  if (lock === 'with text') await writeFile(join(data, 'daemon.lock'), `${process.pid}\n`, { mode: 0o600 })
  if (random.below(2) === 0)
    await writeFile(join(data, `.endpoint.json.${random.text('0123456789abcdef', 16)}.tmp`), 'half')
  return what
}

const startOfProcesses: Scenario = {
  name: 'start-processes',
  about: `${STARTERS} processes start at once over the files of a crash: one becomes the daemon, the others end with exit code 0`,
  needs: ['linux'],
  rounds: { short: 1, full: 50 },
  seconds: { short: 10, full: 600 },
  async run(chaos) {
    const home = join(chaos.folder, 'home')
    const times: number[] = []
    while (times.length < chaos.rounds && !chaos.isOver()) {
      chaos.countTrials()
      const stale = await leaveStaleFiles(chaos, home)
      const lost = (what: string) => chaos.lost(`over ${stale}: ${what}`)
      const starters = Array.from({ length: STARTERS }, () => newWaitingDaemon(chaos.program, home))
      const startedAt = performance.now()
      for (const { child } of starters) child.stdin?.write('go\n')
      const ends = starters.map(({ ended }) => ended)
      const timeoutError = () => new Error('the starts took too long')
      // After a timeout, the checks below name the violation.
      await withTimeout(systemClock, START_SECONDS, countReached(ends, STARTERS - 1), timeoutError).catch(
        () => undefined,
      )
      times.push(performance.now() - startedAt)
      const alive = starters.filter(({ child }) => child.exitCode === null && child.signalCode === null)
      if (alive.length !== 1) lost(`${alive.length} daemons`)
      for (const { child, stderr } of starters)
        if (child.exitCode !== null && child.exitCode !== 0) lost(`exit code ${child.exitCode}: ${stderr().trim()}`)
      const serving = await servingPid(home)
      if (serving !== alive[0]?.child.pid) lost(`process ${serving} serves, ${alive[0]?.child.pid} runs`)
      // The first daemon of all creates its key at this time, by a temporary file.
      if (!(await eventually(() => temporaries(home).length === 0, 5)))
        lost(`temporary files after a start: ${temporaries(home)}`)
      // A crash, whose files the next round finds.
      for (const { child } of starters) child.kill('SIGKILL')
      await Promise.all(starters.map(({ ended }) => ended))
    }
    return `until all others had ended: median ${quantile(times, 0.5).toFixed(0)} ms`
  },
}

/** A daemon that starts when it gets a line on stdin. */
function newWaitingDaemon(program: string, home: string) {
  const args = ['-c', 'read go; exec "$@"', 'sh', process.execPath, program, 'daemon']
  const child = keep(spawn('sh', args, { env: environmentOf(home), stdio: ['pipe', 'ignore', 'pipe'] }))
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  return { child: child as ChildProcess, ended: once(child, 'exit'), stderr: () => stderr }
}

/** Resolves when this many of the promises have resolved. */
function countReached(promises: readonly Promise<unknown>[], count: number): Promise<void> {
  return new Promise((resolve) => {
    let done = 0
    for (const one of promises) void one.then(() => ++done === count && resolve())
  })
}

/** The pid of the daemon that proves the key of the discovery file; undefined if none does. */
async function servingPid(home: string): Promise<number | undefined> {
  const client = await connect(systemFiles, discoveryFile(home), systemRandom).catch(() => undefined)
  const status = await client?.call('status').catch(() => undefined)
  client?.close()
  return status?.daemon.pid
}

const startOfCode: Scenario = {
  name: 'start-code',
  about: `the same with ${STARTERS} processes that already run and only execute the daemon’s start, many more times`,
  needs: ['linux'],
  rounds: { short: 5, full: 1000 },
  seconds: { short: 10, full: 1500 },
  async run(chaos) {
    const home = join(chaos.folder, 'home')
    const starters = await Promise.all(Array.from({ length: STARTERS }, () => newStarter(chaos, home)))
    const times: number[] = []
    while (times.length < chaos.rounds && !chaos.isOver()) {
      chaos.countTrials()
      const stale = await leaveStaleFiles(chaos, home)
      const startedAt = performance.now()
      const results = await Promise.all(starters.map(({ send }) => send(`start ${home}`)))
      times.push(performance.now() - startedAt)
      const winner = starters[results.indexOf('running')]
      const others = results.filter((result) => result !== 'already_running')
      if (others.length !== 1 || !winner) chaos.lost(`over ${stale}: ${others.join(', ') || 'no daemon'}`)
      const serving = await servingPid(home)
      if (serving !== winner?.child.pid) chaos.lost(`over ${stale}: process ${serving} serves`)
      await Promise.all(starters.map(({ send }) => send('stop')))
    }
    for (const { child } of starters) child.stdin?.end()
    return `until all had a result: median ${quantile(times, 0.5).toFixed(0)} ms, longest ${Math.max(...times).toFixed(0)} ms`
  },
}

async function newStarter(chaos: Chaos, home: string) {
  const stdio: ['pipe', 'pipe', 'inherit'] = ['pipe', 'pipe', 'inherit']
  const child = keep(spawn(process.execPath, [chaos.helper('starter')], { env: environmentOf(home), stdio }))
  chaos.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const next = async () => String((await once(lines, 'line'))[0])
  await next()
  const send = (command: string) => {
    const result = next()
    child.stdin.write(`${command}\n`)
    return result
  }
  return { child: child as ChildProcess, send }
}

/** Files that no crash leaves, but that another program may create: the daemon names them in its error, or starts. */
const FOREIGN_FILES: readonly (readonly [string, (home: string) => Promise<unknown>])[] = [
  ['a folder as discovery file', (home) => mkdir(discoveryFile(home))],
  ['a folder as lock', (home) => mkdir(join(home, 'data', 'daemon.lock'))],
  ['a link as lock', (home) => symlink('/nowhere/at/all', join(home, 'data', 'daemon.lock'))],
]

const staleFiles: Scenario = {
  name: 'start-stale-files',
  about: 'each kind of stale file by itself: those of a crash do not prevent a start, others are named in the error',
  needs: ['linux'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 10, full: 300 },
  async run(chaos) {
    const times: number[] = []
    const named = new Set<string>()
    for (let round = 0; round < chaos.rounds && !chaos.isOver(); round++) {
      for (const [what, put] of Object.entries(STALE_FILES))
        if (!chaos.isOver()) times.push(await startOver(chaos, what, put))
      for (const [what, put] of FOREIGN_FILES) if (!(await startOverForeign(chaos, what, put))) named.add(what)
    }
    const slowest = Math.max(...times).toFixed(0)
    return `slowest start over a stale file ${slowest} ms; named in the error: ${[...named].join(', ') || 'none'}`
  },
}

async function newData(chaos: Chaos): Promise<string> {
  chaos.countTrials()
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
  if ((await servingPid(home)) !== daemon.pid) chaos.lost(`over ${what}: the daemon does not serve`)
  await daemon.kill()
  return took
}

/** Returns whether the daemon has started. */
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
const CALL_INTERVAL_MS = 20 // of each caller: a thousand calls per second in all
const RETRY_FOR_SECONDS = 15
const REPLACE_INTERVAL = 0.5 // s
const RETRY_INTERVAL = 0.01 // s
/** The daemon is stopping (RPC), the connection was closed (WebSocket), no daemon runs. */
const TRANSIENT = ['1006', '1012', 'NoDaemonError']

const replacing: Scenario = {
  name: 'replace',
  about: '--replace under a thousand calls per second: a client that reads the discovery file again loses none',
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
    const calls: Calls = { answered: 0, retries: 0, longest: 0 }
    const startedAt = performance.now()
    const calling = Promise.all(Array.from({ length: CALLERS }, () => keepCalling(chaos, home, calls, () => isCalling)))
    await systemClock.wait(REPLACE_INTERVAL)
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.countTrials()
      const next = await startDaemon({ ...options, args: ['--replace'] })
      const code = await daemon.ended
      if (code !== 0) chaos.lost(`exit code of the replaced daemon: ${code}`)
      const { pid } = JSON.parse(await readFile(discoveryFile(home), 'utf8'))
      if (pid !== next.pid) chaos.lost('the discovery file is not of the new daemon')
      daemon = next
      await systemClock.wait(REPLACE_INTERVAL)
    }
    isCalling = false
    await calling
    const rate = (calls.answered / (performance.now() - startedAt)) * 1000
    await daemon.stop()
    return `${calls.answered} calls (${rate.toFixed(0)}/s), ${calls.retries} retries, the slowest took ${calls.longest.toFixed(0)} ms`
  },
}

interface Calls {
  answered: number
  retries: number
  /** Milliseconds. */
  longest: number
}

async function keepCalling(chaos: Chaos, home: string, calls: Calls, isCalling: () => boolean): Promise<void> {
  let client: RpcClient | undefined
  const attempt = async () => {
    client ??= await connect(systemFiles, discoveryFile(home), systemRandom)
    await client.call('getAuthHeader', { interactive: false })
  }
  for (let due = performance.now(); isCalling(); due += CALL_INTERVAL_MS) {
    const startedAt = performance.now()
    for (;;) {
      const outcome = await outcomeOf(attempt())
      if (outcome === 'ok') {
        calls.answered++
        break
      }
      calls.retries++
      client?.close()
      client = undefined
      const isTransient = TRANSIENT.includes(outcome)
      if (!isTransient || performance.now() - startedAt > RETRY_FOR_SECONDS * 1000) {
        chaos.lost(`outcome of a call: ${outcome}`)
        break
      }
      await systemClock.wait(RETRY_INTERVAL)
    }
    calls.longest = Math.max(calls.longest, performance.now() - startedAt)
    await systemClock.wait((due + CALL_INTERVAL_MS - performance.now()) / 1000)
  }
  client?.close()
}

export const processes: readonly Scenario[] = [startOfProcesses, startOfCode, staleFiles, replacing]
