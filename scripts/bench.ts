// Benchmarks the daemon against bare programs: throughput, starts, memory, rest, an expiry under load, and a wake-up.
import { cp, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startSandbox } from '../test/sandbox/index.ts'
import { beginBench } from './bench/begin.ts'
import { type Expiry, measureExpiry, PROVIDER_MS } from './bench/expiry.ts'
import { type Idle, measureIdle } from './bench/idle.ts'
import { ask, load, loadOfConnects, type Sample } from './bench/load.ts'
import { compare, median, type Pair, rounds, spreadOf } from './bench/rounds.ts'
import {
  type DaemonOptions,
  discoveryFile,
  type ServerProcess,
  startBare,
  startDaemon,
  startProving,
} from './bench/servers.ts'
import { signIn } from './bench/sign-in.ts'
import { timeToFirstHeader, timeToLoadWs, timeToRun } from './bench/start.ts'
import { type Row, rowsOrReason, tableOf } from './bench/table.ts'
import { measureWakeUps, type WakeUps } from './bench/wake.ts'

const DIST = fileURLToPath(new URL('../dist', import.meta.url))
const MIN_THROUGHPUT = 0.8
const MIN_CONNECTS = 0.75
const MAX_START = 1.35
const MAX_HEADER = 1.3
const MAX_BURST_MS = 20
const MAX_WAKE_MS = 1000
const MAX_IDLE = { connected: 6, alone: 2, cpuSeconds: 5, megabytes: 20 }

const say = (text: string) => void process.stdout.write(`${text}\n`)
const rows: Row[] = []
const { quick, runFolder } = beginBench('bench', { onLate: () => say(`\n${tableOf(rows)}`) })
const ROUNDS = quick ? 5 : 15 // many short ones, so that other load on the machine affects both sides alike
const ROUND_SECONDS = quick ? 0.2 : 0.3
const STARTS = quick ? 5 : 11
const EXPIRIES = quick ? 2 : 5
const REST_SECONDS = quick ? 3 : 5
const WAKE_UPS = quick ? 1 : 5
const IDLE_SECONDS = 120 // the rarest timer runs once a minute

const folder = runFolder.path
say(`Node ${process.version}, ${availableParallelism()} processors; ${ROUNDS} rounds of ${ROUND_SECONDS} s a side`)
const program = await copyOfProgram()
const add = async (what: string, measure: () => Promise<readonly Row[]>) => {
  rows.push(...(await rowsOrReason(what, measure)))
}
// Beside the others: their load adds no wake-up to it.
const idle = rowsOrReason('11 at rest', async () => (quick ? [] : await measureRest(program)))
await add('1 to 7 one session', () => measureDaemon(program))
await add('8 an expiry', measureExpiries)
await add('10 a wake-up', async () => [rowOfWake(await measureWakeUps(program, folder, WAKE_UPS))])
await add('11 at rest', () => idle)
say(`\n${tableOf(rows)}`)
await runFolder.end()
process.exit() // speed depends on the machine and fails no run; the numbers of requests do not

async function measureExpiries(): Promise<Row[]> {
  const expiry = await measureExpiry(program, join(folder, 'expiry'), EXPIRIES, REST_SECONDS)
  if (expiry.idleRequests > 0 || expiry.bursts.some(({ refreshes }) => refreshes !== 1)) process.exitCode = 1
  return rowsOfExpiry(expiry)
}

/** The bench runs a copy, because another build would replace the files of a running bench. */
async function copyOfProgram(): Promise<string> {
  const copy = join(folder, 'program')
  await cp(DIST, join(copy, 'dist'), { recursive: true })
  await writeFile(join(copy, 'package.json'), '{ "type": "module" }\n')
  return join(copy, 'dist', 'cadzero-auth.cjs')
}

/** Rows 1 to 7: one session whose token stays valid, on the daemon and on the bare server side by side. */
async function measureDaemon(program: string): Promise<Row[]> {
  const sandbox = await startSandbox({ accessTokenTtl: 3600 })
  const { issuer, clientId } = sandbox
  const options = { program, home: join(folder, 'warm'), issuer, clientId }
  try {
    const daemon = await startDaemon(options)
    await signIn(sandbox, discoveryFile(options.home))
    const socket = await daemon.connect()
    const answer = String(await ask(socket))
    socket.terminate()
    const bare = await startBare(answer)
    const bytes = Buffer.byteLength(answer)
    say(`one answer: ${bytes} bytes`)
    const ofLoad = await rowsOrReason('1 to 4 load', () => rowsOfLoad(daemon, bare, answer))
    const ofHeader = await rowsOrReason('5 cadzero-auth header', async () => [await rowOfHeader(options)])
    await Promise.all([daemon.stop(), bare.stop()])
    const ofStart = await rowsOrReason('6 start to first header', () => rowsOfStart(options, bytes))
    return [...ofLoad, ...ofHeader, ...ofStart, await rowOfMemory(options, answer)]
  } finally {
    await sandbox.close()
  }
}

async function rowsOfLoad(daemon: ServerProcess, bare: ServerProcess, answer: string): Promise<Row[]> {
  const answerBytes = Buffer.byteLength(answer)
  const calls = async (connections: number, inFlight: number) => {
    const options = { inFlight, seconds: ROUND_SECONDS, answerBytes }
    const [ofDaemon, ofBare] = [await connectAll(daemon, connections), await connectAll(bare, connections)]
    const pairs = await rounds(
      ROUNDS,
      () => load(daemon, ofDaemon, options),
      () => load(bare, ofBare, options),
    )
    for (const socket of [...ofDaemon, ...ofBare]) socket.terminate()
    return pairs
  }
  const sequential = await calls(1, 1)
  const pipelined = await calls(1, 64)
  const parallel = await calls(50, 1)
  const connects = await rounds(
    ROUNDS,
    () => loadOfConnects(daemon, ROUND_SECONDS, answerBytes),
    () => loadOfConnects(bare, ROUND_SECONDS, answerBytes),
  )
  const proof = await startProving(answer)
  const proving = await rounds(
    ROUNDS,
    () => loadOfConnects(proof, ROUND_SECONDS, answerBytes),
    () => loadOfConnects(bare, ROUND_SECONDS, answerBytes),
  )
  await proof.stop()
  return [
    rowOfRate('1 one call after the other, calls/s', sequential),
    rowOfNumber('    p50, µs', sequential, (one) => one.p50),
    rowOfNumber('    p99, µs', sequential, (one) => one.p99),
    ...rowsOfRate('2 64 in flight on one connection, calls/s', pipelined),
    ...rowsOfRate('3 50 connections, one call each, calls/s', parallel),
    ...rowsOfRate('4 connect, prove, first answer, /s', connects, MIN_CONNECTS),
    rowOfNumber('    a server with the proof alone, /s', proving, (one) => one.perSecond),
  ]
}

async function connectAll(server: ServerProcess, count: number) {
  return await Promise.all(Array.from({ length: count }, () => server.connect()))
}

function rowsOfRate(what: string, pairs: readonly Pair<Sample>[], least = MIN_THROUGHPUT): Row[] {
  return [rowOfRate(what, pairs, least), rowOfNumber('    CPU time for one, µs', pairs, (one) => one.cpu)]
}

function rowOfRate(what: string, pairs: readonly Pair<Sample>[], least = MIN_THROUGHPUT): Row {
  const row = rowOfNumber(what, pairs, (one) => one.perSecond)
  return { ...row, target: `≥ ${least}`, met: (row.ratio ?? 0) >= least }
}

function rowOfNumber<T>(what: string, pairs: readonly Pair<T>[], value: (one: T) => number, digits = 0): Row {
  const { daemon, bare, ratio, spread } = compare(pairs, value)
  if (Number.isNaN(ratio)) return { what, daemon: 'not measured: no /proc here' }
  return { what, daemon: daemon.toFixed(digits), bare: bare.toFixed(digits), ratio, spread }
}

/** The whole process of the command, while the daemon runs. */
async function rowOfHeader({ program, home }: DaemonOptions): Promise<Row> {
  const pairs = await rounds(
    STARTS,
    () => timeToRun([process.execPath, program, 'header'], { CADZERO_AUTH_HOME: home }),
    () => timeToRun([process.execPath, '-e', '0']),
  )
  const row = rowOfNumber('5 cadzero-auth header, against node -e 0, ms', pairs, (ms) => ms)
  return { ...row, target: `≤ ${MAX_HEADER}`, met: (row.ratio ?? Number.NaN) <= MAX_HEADER }
}

async function rowsOfStart(options: DaemonOptions, answerBytes: number): Promise<Row[]> {
  const pairs = await rounds(STARTS, () => timeToFirstHeader(options, answerBytes), timeToLoadWs)
  const row = rowOfNumber('6 start to first header, against loading ws, ms', pairs, (one) => one.done)
  return [
    { ...row, target: `≤ ${MAX_START}`, met: (row.ratio ?? Number.NaN) <= MAX_START },
    { what: '    start to ready, ms', daemon: median(pairs.map(({ daemon }) => daemon.ready)).toFixed(0) },
  ]
}

/** Measures fresh processes that have only started. */
async function rowOfMemory(options: DaemonOptions, answer: string): Promise<Row> {
  const what = '7 resident at rest, MB'
  const [daemon, bare] = [await startDaemon(options), await startBare(answer)]
  await wait(REST_SECONDS * 1000)
  const [ofDaemon, ofBare] = [daemon.residentMegabytes(), bare.residentMegabytes()]
  await Promise.all([daemon.stop(), bare.stop()])
  if (ofDaemon === undefined || ofBare === undefined) return { what, daemon: 'not measured: no /proc here' }
  const difference = (ofDaemon - ofBare).toFixed(1)
  return {
    what: `${what} (${difference} more)`,
    daemon: ofDaemon.toFixed(1),
    bare: ofBare.toFixed(1),
    ratio: ofDaemon / ofBare,
  }
}

function rowsOfExpiry({ bursts, idleRequests }: Expiry): Row[] {
  const all = bursts.map(({ refreshes }) => refreshes)
  const beyond = median(bursts.map(({ ms }) => ms - PROVIDER_MS))
  const once = all.every((refreshes) => refreshes === 1)
  return [
    {
      what: '8 token requests for 1,000 callers at an expiry',
      daemon: once ? '1' : all.join(' '),
      target: '1',
      met: once,
    },
    {
      what: `    until all have an answer, beyond the provider's ${PROVIDER_MS} ms, ms`,
      daemon: beyond.toFixed(0),
      bare: median(bursts.map(({ bareMs }) => bareMs - PROVIDER_MS)).toFixed(0),
      spread: spreadOf(
        bursts.map(({ ms }) => ms - PROVIDER_MS),
        0,
      ),
      target: `≤ ${MAX_BURST_MS}`,
      met: beyond <= MAX_BURST_MS,
    },
    {
      what: '    the same for one caller: the refresh itself, ms',
      daemon: median(bursts.map(({ singleMs }) => singleMs - PROVIDER_MS)).toFixed(0),
    },
    {
      what: '    CPU time for the 1,000 without the refresh, ms',
      daemon: median(bursts.map(({ cpu }) => cpu.all - cpu.single)).toFixed(1),
      bare: median(bursts.map(({ cpu }) => cpu.bare)).toFixed(1),
      ratio: median(bursts.map(({ cpu }) => (cpu.all - cpu.single) / cpu.bare)),
    },
    {
      what: `9 requests in ${REST_SECONDS} s without a call, token expired`,
      daemon: String(idleRequests),
      target: '0',
      met: idleRequests === 0,
    },
  ]
}

function rowOfWake({ frozenBy, times }: WakeUps): Row {
  const ms = median(times)
  const what = `10 network back after a sleep (${frozenBy}) to first header, ms`
  return { what, daemon: ms.toFixed(0), spread: spreadOf(times, 0), target: `≤ ${MAX_WAKE_MS}`, met: ms <= MAX_WAKE_MS }
}

async function measureRest(program: string): Promise<Row[]> {
  const sandbox = await startSandbox({ accessTokenTtl: 3600 })
  try {
    const measure = (connected: boolean) =>
      measureIdle({ sandbox, program, home: join(folder, `idle-${connected}`), seconds: IDLE_SECONDS, connected })
    const [connected, alone] = await Promise.all([measure(true), measure(false)])
    if (!connected || !alone) return [{ what: '11 at rest', daemon: 'not measured: no /proc here' }]
    return rowsOfRest(connected, alone)
  } finally {
    await sandbox.close()
  }
}

function rowsOfRest(connected: Idle, alone: Idle): Row[] {
  const row = (what: string, value: number, most: number, digits = 0): Row => ({
    what,
    daemon: value.toFixed(digits),
    target: `≤ ${most}`,
    met: Number(value.toFixed(digits)) <= most,
  })
  return [
    row('11 wake-ups a minute at rest, a client connected', connected.wakeUps, MAX_IDLE.connected),
    row('    without a client', alone.wakeUps, MAX_IDLE.alone),
    row('    processor seconds a day, a client connected', connected.cpuSecondsADay, MAX_IDLE.cpuSeconds, 1),
    row('    private memory, MB', connected.privateMegabytes, MAX_IDLE.megabytes, 1),
  ]
}
