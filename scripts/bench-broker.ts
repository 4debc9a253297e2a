// Benchmarks the broker against a bare server that makes the same request to Clerk: throughput, memory, and Clerk's outages.
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beginBench, reasonOf } from './bench/begin.ts'
import { Client, type LoadRequest, percentile, sendAll, sendAtRate } from './bench/broker/load.ts'
import { type ServerProcess, startBare, startBroker, startClerk } from './bench/broker/processes.ts'
import { type BenchSession, newSessions } from './bench/broker/sessions.ts'
import { median } from './bench/rounds.ts'
import { formatTable } from './table.ts'

const PROGRAM = fileURLToPath(new URL('../dist/cadzero-auth.cjs', import.meta.url))
const PUBLIC_URL = 'https://api.example.com'
const PATH = '/api/auth/refresh'
const [MIN_RATIO, MAX_MEMORY, MAX_LIVEZ_MS, MAX_SECONDS_AFTER_429] = [0.6, 120, 50, 2]

const say = (text: string) => void process.stdout.write(`${text}\n`)
const rows: string[][] = []
const table = () => formatTable([['', 'broker', 'bare', 'ratio', 'target', ''], ...rows], [0, 5])
const { quick, runFolder } = beginBench('bench:broker', { onLate: () => say(`\n${table()}`) })
const ROUNDS = quick ? 3 : 9
const SESSIONS = quick ? 500 : 2000 // each has a key of its own
const MEMORY_SESSIONS = quick ? 5000 : 100_000
const HANG_SECONDS = quick ? 5 : 20
const BATCH = 5000 // sessions whose refreshes are prepared at once
const BATCH_KEYS = 256 // of a batch: in the whole run more than the copy keeps
const RATE = 200 // requests per second while Clerk hangs

const key = randomBytes(32)
const clerk = await startClerk()
const start = (env: Record<string, string> = {}) =>
  startBroker({
    program: PROGRAM,
    key,
    clerk: clerk.url,
    publicUrl: PUBLIC_URL,
    env: { CADZERO_BROKER_USER_REQUESTS: '100000', ...env },
  })
const control = async (command = 'state') =>
  (await (await fetch(`${clerk.url}/_control/${command}`)).json()) as { sockets: number }

say(`Node ${process.version}, ${availableParallelism()} processors; ${ROUNDS} rounds of ${SESSIONS} refreshes a side`)
const measures: readonly (readonly [string, () => Promise<string[][]>])[] = [
  ['refreshes per CPU second', async () => [await rowOfThroughput()]],
  ['memory', async () => [await rowOfMemory()]],
  ['Clerk hangs', rowsOfHang],
  ['Clerk answers 429', async () => [await rowOfLimit()]],
]
for (const [what, measure] of measures)
  rows.push(...(await measure().catch((error: unknown) => [[what, `not measured: ${reasonOf(error)}`]])))
say(`\n${table()}`)
await runFolder.end()
process.exit() // speed depends on the machine and fails no run

function refreshOf({ sessionId, refreshToken, proof }: BenchSession): LoadRequest {
  const body = JSON.stringify({ refresh_token: refreshToken, session_id: sessionId })
  return { path: PATH, headers: { dpop: proof(`${PUBLIC_URL}${PATH}`) }, body }
}

/** Refreshes per CPU second of the server. */
async function perCpuSecond(server: ServerProcess, sessions: readonly BenchSession[]): Promise<number> {
  const client = new Client(server.url)
  const requests = sessions.map(refreshOf)
  const before = server.cpuSeconds()
  const replies = await sendAll(client, requests, 16)
  const used = server.cpuSeconds() - before
  client.close()
  const refused = replies.find(({ status }) => status !== 200)
  if (refused) throw new Error(`a refresh was answered with ${refused.status} ${refused.error}`)
  return replies.length / used
}

async function rowOfThroughput(): Promise<string[]> {
  const [broker, bare] = [await start(), await startBare(clerk.url)]
  const sessions = await newSessions(SESSIONS, key, clerk.url, SESSIONS)
  const pairs: { broker: number; bare: number; ratio: number }[] = []
  for (let round = -2; round < ROUNDS; round++) {
    const [one, other] = [await perCpuSecond(broker, sessions), await perCpuSecond(bare, sessions)]
    if (round >= 0) pairs.push({ broker: one, bare: other, ratio: one / other }) // the first two warm up
  }
  await Promise.all([broker.stop(), bare.stop()])
  const [ours, theirs, ratio] = [
    median(pairs.map((pair) => pair.broker)),
    median(pairs.map((pair) => pair.bare)),
    median(pairs.map((pair) => pair.ratio)),
  ]
  return row('refreshes per CPU second', ours.toFixed(0), {
    bare: theirs.toFixed(0),
    ratio,
    target: `${MIN_RATIO}`,
    met: ratio >= MIN_RATIO,
  })
}

async function rowOfMemory(): Promise<string[]> {
  const [broker, bare] = [await start(), await startBare(clerk.url)]
  const [ours, theirs] = [await highestMemory(broker), await highestMemory(bare)]
  await Promise.all([broker.stop(), bare.stop()])
  return row(`memory, ${MEMORY_SESSIONS} sessions refreshed`, `${ours.toFixed(0)} MB`, {
    bare: `${theirs.toFixed(0)} MB`,
    target: `${MAX_MEMORY} MB`,
    met: ours <= MAX_MEMORY,
  })
}

/** In megabytes, after each batch of sessions. */
async function highestMemory(server: ServerProcess): Promise<number> {
  const client = new Client(server.url)
  let highest = 0
  for (let sent = 0; sent < MEMORY_SESSIONS; sent += BATCH) {
    const sessions = await newSessions(BATCH, key, clerk.url, BATCH_KEYS, sent)
    const replies = await sendAll(client, sessions.map(refreshOf), 32)
    if (replies.some(({ status }) => status !== 200)) throw new Error('a refresh failed')
    highest = Math.max(highest, server.residentMegabytes())
  }
  client.close()
  return highest
}

async function rowsOfHang(): Promise<string[][]> {
  const broker = await start({ CADZERO_BROKER_METRICS_PORT: '0' })
  const client = new Client(broker.url)
  const sessions = await newSessions(1000, key, clerk.url, 64)
  await sendAll(client, sessions.slice(0, 100).map(refreshOf), 16)
  client.close()
  await wait(500)
  const [before, clerkBefore] = [broker.sockets(), (await control()).sockets]
  await control('mode/hang')
  const flood = new Client(broker.url)
  const [alive, idle, clerkSockets] = [[] as number[], [] as number[], [] as number[]]
  let isOver = false
  const probe = (async () => {
    while (!isOver) {
      const startedAt = performance.now()
      await (await fetch(`${broker.url}/livez`)).text()
      alive.push(performance.now() - startedAt)
      const askedAt = performance.now()
      clerkSockets.push((await control()).sockets)
      idle.push(performance.now() - askedAt) // a server with nothing to do: what the machine adds
      await wait(50)
    }
  })()
  const replies = await sendAtRate(
    flood,
    (n) => refreshOf(sessions[n % sessions.length] as BenchSession),
    RATE,
    HANG_SECONDS,
  )
  isOver = true
  await probe
  flood.close()
  await control('mode/ok')
  const endedAt = performance.now()
  const isBack = async () => broker.sockets() <= before + 2 && (await control()).sockets <= clerkBefore + 64
  while (!(await isBack()) && performance.now() - endedAt < 30_000) await wait(100)
  const seconds = (performance.now() - endedAt) / 1000
  await broker.stop()
  const livez = percentile(alive, 0.99)
  const ended = replies.filter(({ error }) => error === 'invalid_grant').length
  return [
    row(`Clerk hangs, ${RATE} a second: connections to Clerk at most`, String(Math.max(...clerkSockets)), {
      target: '66',
      met: Math.max(...clerkSockets) <= 66,
    }),
    row('  sockets back to the start after its end', `${seconds.toFixed(1)} s`, { target: '5 s', met: seconds <= 5 }),
    row('  /livez, p99 (beside it: an idle server)', `${livez.toFixed(0)} ms`, {
      bare: `${percentile(idle, 0.99).toFixed(0)} ms`,
      target: `${MAX_LIVEZ_MS} ms`,
      met: livez < MAX_LIVEZ_MS,
    }),
    row('  sessions that were ended', String(ended), { target: '0', met: ended === 0 }),
  ]
}

/** After a 429 with `Retry-After: 3`: the time from the end of the window to the first refresh of another session. */
async function rowOfLimit(): Promise<string[]> {
  const broker = await start()
  const client = new Client(broker.url)
  const sessions = await newSessions(50, key, clerk.url, 8)
  await control('mode/limited')
  const windowEnds = performance.now() + 3000
  await client.post(refreshOf(sessions[0] as BenchSession))
  await control('mode/ok')
  let served = 0
  const endsAt = performance.now() + 20_000
  for (let n = 1; served === 0 && performance.now() < endsAt; n++) {
    const { status } = await client.post(refreshOf(sessions[n % 50] as BenchSession))
    if (status === 200) served = performance.now()
    else await wait(50)
  }
  client.close()
  await broker.stop()
  const seconds = Math.max(0, (served - windowEnds) / 1000)
  return row('Clerk answers 429: others are served after its window', `${seconds.toFixed(1)} s`, {
    target: `${MAX_SECONDS_AFTER_429} s`,
    met: served > 0 && seconds <= MAX_SECONDS_AFTER_429,
  })
}

interface Measured {
  readonly bare?: string
  readonly ratio?: number
  readonly target: string
  readonly met: boolean
}

function row(what: string, broker: string, { bare = '', ratio, target, met }: Measured): string[] {
  return [what, broker, bare, ratio === undefined ? '' : ratio.toFixed(2), target, met ? 'ok' : 'missed']
}
