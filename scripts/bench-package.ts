// Benchmarks the single executable against the script on the same Node, and against a bare `ws` server.
import { cp } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import manifest from '../package.json' with { type: 'json' }
import { beginBench } from './bench/begin.ts'
import { compare, type Pair, rounds } from './bench/rounds.ts'
import { startBare, startDaemon } from './bench/servers.ts'
import { timeToLoadWs, timeToRun } from './bench/start.ts'
import { type Row, tableOf } from './bench/table.ts'
import { fetchTarget } from './package/fetch.ts'
import { hostTarget } from './package/targets.ts'
import { writeCodeCaches } from './write-code-caches.ts'

const ROUNDS = 15
const REST_ROUNDS = 3
const REST_SECONDS = 3

const { runFolder } = beginBench('bench:package', { hasQuick: false })
const folder = runFolder.path
const host = hostTarget()
// Both are fresh copies: how much of a file the system maps at once depends on how the page cache got it.
const executable = join(folder, 'cadzero-auth')
const node = join(folder, 'node') // the Node that the executable contains
await cp(resolve(`dist-bin/bench/cadzero-auth-${manifest.version}-${host.name}`), executable)
await cp(join(await fetchTarget(host), host.node), node)
const program = await copyOfProgram()

const options = {
  program,
  executable,
  home: folder,
  issuer: 'https://clerk.example.com',
  clientId: 'client_1',
}
const rows = [
  ...rowOf(
    '1 --version, ms, against the script',
    await rounds(
      ROUNDS,
      () => timeToRun([executable, '--version']),
      () => timeToRun([node, program, '--version']),
    ),
    1.3,
  ),
  ...rowOf(
    '2 daemon ready, ms, against loading ws',
    await rounds(ROUNDS, timeToReady, async () => (await timeToLoadWs(node)).ready),
    1.6,
  ),
  ...rowOf('3 resident at rest, MB, against ws', await rounds(REST_ROUNDS, memoryOfDaemon, memoryOfBare), 1.3),
]
process.stdout.write(`${host.node}, ${availableParallelism()} processors; medians of ${ROUNDS} rounds\n`)
process.stdout.write(`${tableOf(rows)}\n`)
await runFolder.end()

/** Copies the program with code caches that this Node accepts. */
async function copyOfProgram(): Promise<string> {
  const dist = join(folder, 'dist')
  await cp('dist', dist, { recursive: true })
  await writeCodeCaches(dist, dist, node)
  return join(dist, 'cadzero-auth.cjs')
}

function rowOf(what: string, pairs: readonly Pair<number>[], most: number): Row[] {
  const { daemon, bare, ratio, spread } = compare(pairs, (one) => one)
  return [
    { what, daemon: daemon.toFixed(0), bare: bare.toFixed(0), ratio, spread, target: `≤ ${most}`, met: ratio <= most },
  ]
}

async function timeToReady(): Promise<number> {
  const daemon = await startDaemon(options)
  await daemon.stop()
  return daemon.readyAfter
}

async function memoryOfDaemon(): Promise<number> {
  return await memoryAtRest(await startDaemon(options))
}

async function memoryOfBare(): Promise<number> {
  return await memoryAtRest(await startBare('{}', node))
}

async function memoryAtRest(server: Awaited<ReturnType<typeof startBare>>): Promise<number> {
  await wait(REST_SECONDS * 1000)
  const megabytes = server.residentMegabytes() ?? Number.NaN
  await server.stop()
  return megabytes
}
