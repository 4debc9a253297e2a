// Measures how long the drop-in for the add-in keeps Fusion's main thread waiting, in each state of the daemon.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Sandbox, startSandbox } from '../test/sandbox/index.ts'
import { beginBench, reasonOf } from './bench/begin.ts'
import { keep } from './bench/run-folder.ts'
import { discoveryFile } from './bench/servers.ts'
import { signIn } from './bench/sign-in.ts'
import { plainEnvironment } from './plain-environment.ts'
import { formatTable } from './table.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DRIVER = join(ROOT, 'scripts/bench/add_in.py')
const CALLS = 2000
const MISSING = '/no/such/program'

interface Run {
  readonly headers: readonly number[]
  readonly users: readonly number[]
  readonly answers: Readonly<Record<string, number>>
}

interface State {
  readonly name: string
  readonly run: () => Promise<Run>
}

const rows: string[][] = []
const { runFolder } = beginBench('bench:python', { hasQuick: false, onLate: printTable })
const folder = runFolder.path

const program = join(folder, 'program', 'dist', 'cadzero-auth.cjs')
await cp(join(ROOT, 'dist'), join(folder, 'program', 'dist'), { recursive: true })
const sandbox = await startSandbox({ accessTokenTtl: 3600 })
const homes = { signedIn: await newHome(), signedOut: await newHome() }
const daemons = { signedIn: await startDaemon(homes.signedIn), signedOut: await startDaemon(homes.signedOut) }
await signIn(sandbox, discoveryFile(homes.signedIn))

const states: readonly State[] = [
  { name: 'not installed', run: async () => measure(await newHome(), `calls ${CALLS}`, [MISSING]) },
  { name: 'signed out', run: () => measure(homes.signedOut, `calls ${CALLS}`) },
  { name: 'signed in', run: () => warm(homes.signedIn, `calls ${CALLS}`) },
  { name: 'two instances', run: () => twoInstances() },
  { name: 'stop and run', run: () => warm(homes.signedIn, 'restart 50') },
  { name: 'hung daemon', run: () => hung(`calls ${CALLS}`) },
  { name: 'timeout=0, hung', run: () => hung(`zero ${CALLS}`) },
  { name: 'sign-out, hung', run: () => hung('sign_out') },
  { name: 'logout in another client', run: () => elsewhere() },
  { name: 'kill -9', run: () => killed() },
  { name: 'starting', run: () => starting() },
  { name: 'provider hangs', run: () => providerHangs() },
  { name: 'stranger on the port', run: () => stranger() },
  {
    name: 'never ready',
    run: async () => measure(await newHome(), `calls ${CALLS}`, ['/bin/sh', '-c', 'sleep 30', 'sh']),
  },
  { name: 'disk full', run: () => diskFull() },
]
const python = spawnSync('python3', ['--version'], { encoding: 'utf8' })
if (python.status !== 0) {
  process.stdout.write('not measured: python3 is not installed\n')
  await runFolder.end()
  process.exit()
}
process.stdout.write(`${python.stdout.trim()}, ${availableParallelism()} processors; ${CALLS} calls of each function\n`)
const bare = await measure(homes.signedOut, `bare ${CALLS}`)
rows.push(rowOf('bare: a function that copies a dict', bare))
for (const { name, run } of states) {
  rows.push(
    await run().then(
      (one) => rowOf(name, one),
      (error: unknown) => [name, `not measured: ${reasonOf(error)}`],
    ),
  )
}
printTable()
await runFolder.end() // with the daemons that add-ins have started
process.exit() // speed depends on the machine and fails no run

function printTable(): void {
  const head = ['', 'headers p50', 'p99.9', 'max', 'against bare', 'user p50', 'p99.9', 'max', 'answers']
  process.stdout.write(`\n${formatTable([head, ...rows], [0, 8])}\n`)
}

async function newHome(): Promise<string> {
  return await mkdtemp(join(folder, 'home-'))
}

function environmentOf(home: string, issuer: Sandbox = sandbox): NodeJS.ProcessEnv {
  return {
    ...plainEnvironment(),
    CADZERO_AUTH_HOME: home,
    CADZERO_AUTH_ISSUER: issuer.issuer,
    CADZERO_AUTH_CLIENT_ID: issuer.clientId,
    CADZERO_AUTH_KEY_PROTECTION: 'keyfile',
  }
}

async function startDaemon(home: string, issuer: Sandbox = sandbox): Promise<ChildProcess> {
  const child = keep(
    spawn(process.execPath, [program, 'daemon'], {
      env: environmentOf(home, issuer),
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  )
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  return child
}

/** An add-in; `ask` sends it a command and resolves with the times. */
function startAddIn(home: string, command: readonly string[] = [process.execPath, program], issuer: Sandbox = sandbox) {
  const env = { ...environmentOf(home, issuer), CADZERO_AUTH_COMMAND: JSON.stringify(command) }
  const child = keep(
    spawn('python3', ['-B', DRIVER, join(ROOT, 'embed/python')], { env, stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    async ask(text: string): Promise<Run> {
      child.stdin.write(`${text}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error('the add-in has ended')
      return JSON.parse(value) as Run
    },
    async end(): Promise<void> {
      child.stdin.end()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

async function measure(home: string, text: string, command?: readonly string[], issuer?: Sandbox): Promise<Run> {
  const addIn = startAddIn(home, command, issuer)
  const run = await addIn.ask(text)
  await addIn.end()
  return run
}

/** Measures an add-in that has called before. */
async function warm(home: string, text: string): Promise<Run> {
  const addIn = startAddIn(home)
  await addIn.ask('until signed_in')
  const run = await addIn.ask(text)
  await addIn.end()
  return run
}

async function twoInstances(): Promise<Run> {
  const [first] = await Promise.all([warm(homes.signedIn, `calls ${CALLS}`), warm(homes.signedIn, `calls ${CALLS}`)])
  return first
}

async function hung(text: string): Promise<Run> {
  const addIn = startAddIn(homes.signedIn)
  if (text === 'sign_out') await addIn.ask('until signed_in')
  daemons.signedIn.kill('SIGSTOP')
  try {
    return await addIn.ask(text)
  } finally {
    const ended = addIn.end()
    await ended
    daemons.signedIn.kill('SIGCONT')
    if (text === 'sign_out') await restoreSession()
  }
}

/** The sign-out of a hung daemon is done once it goes on. */
async function restoreSession(): Promise<void> {
  await wait(1000)
  await signIn(sandbox, discoveryFile(homes.signedIn)).catch(() => undefined)
}

/** From the start of the logout until the header is dropped: the daemon deletes the session's files in between. */
async function elsewhere(): Promise<Run> {
  const runs: Run[] = []
  for (let round = 0; round < 10; round++) {
    runs.push(await warm(homes.signedIn, 'elsewhere'))
    await signIn(sandbox, discoveryFile(homes.signedIn))
  }
  return { headers: runs.flatMap(({ headers }) => headers), users: [], answers: { dropped: runs.length } }
}

async function killed(): Promise<Run> {
  const addIn = startAddIn(homes.signedIn)
  await addIn.ask('until signed_in')
  const run = addIn.ask('during 4')
  await wait(1000)
  daemons.signedIn.kill('SIGKILL')
  const measured = await run
  await addIn.end()
  return measured
}

async function starting(): Promise<Run> {
  spawnSync(process.execPath, [program, 'daemon', '--stop'], { env: environmentOf(homes.signedIn) })
  return await measure(homes.signedIn, 'until signed_in')
}

async function providerHangs(): Promise<Run> {
  const issuer = await startSandbox({ accessTokenTtl: 2 })
  const home = await newHome()
  const daemon = await startDaemon(home, issuer)
  await signIn(issuer, discoveryFile(home))
  issuer.script('/oauth/token', ...Array.from({ length: 50 }, () => ({ kind: 'hangAfter' }) as const))
  await wait(2500)
  const run = await measure(home, 'during 3', undefined, issuer)
  daemon.kill('SIGKILL')
  await issuer.close().catch(() => undefined)
  return run
}

async function stranger(): Promise<Run> {
  const server = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const home = await newHome()
  const genuine = JSON.parse(await readFile(discoveryFile(homes.signedOut), 'utf8'))
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`
  await mkdir(join(home, 'data'), { mode: 0o700 })
  await writeFile(discoveryFile(home), JSON.stringify({ ...genuine, endpoint }), { mode: 0o600 })
  return await measure(home, `calls ${CALLS}`, [MISSING])
}

async function diskFull(): Promise<Run> {
  const home = await newHome()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', home])
  if (mounted.status !== 0) throw new Error('needs root to mount a small disk')
  try {
    spawnSync('dd', ['if=/dev/zero', `of=${join(home, 'filler')}`], { stdio: 'ignore' })
    const run = await measure(home, `calls ${CALLS}`)
    spawnSync(process.execPath, [program, 'daemon', '--stop'], { env: environmentOf(home) })
    return run
  } finally {
    spawnSync('umount', ['-l', home])
  }
}

function rowOf(name: string, { headers, users, answers }: Run): string[] {
  const ratio = quantile(headers, 0.5) / quantile(bare.headers, 0.5)
  const words = Object.entries(answers).map(([answer, count]) => `${answer}: ${count}`)
  return [name, ...timesOf(headers), ratio.toFixed(1), ...timesOf(users), words.join('; ')]
}

function timesOf(values: readonly number[]): string[] {
  return [0.5, 0.999, 1].map((part) => (values.length === 0 ? '' : duration(quantile(values, part))))
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

function duration(microseconds: number): string {
  return microseconds < 1000 ? `${microseconds.toFixed(1)} µs` : `${(microseconds / 1000).toFixed(1)} ms`
}
