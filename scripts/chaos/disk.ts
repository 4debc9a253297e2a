// Disk failures: the session in memory still serves, no token is spent unless it can be replaced, and the daemon saves as soon as possible.
import { spawnSync } from 'node:child_process'
import { chmodSync, closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { systemClock } from '../../src/host/clock.ts'
import type { RpcClient } from '../../src/rpc/client.ts'
import { type Sandbox, startSandbox } from '../../test/sandbox/index.ts'
import {
  type Daemon,
  mount,
  remount,
  sessionFile,
  settingsOf,
  signIn,
  startDaemon,
  TOKEN,
  temporaries,
} from './daemon.ts'
import { type Chaos, eventually, outcomeOf, type Scenario } from './scenario.ts'
import { generationOf } from './store.ts'
import { injectFaults } from './strace.ts'

const RECOVERY_SECONDS = 20 // the daemon retries by itself, at growing intervals
const AS_OTHER_USER = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

/** Breaks the disk; returns a function that repairs it. */
type BreakDisk = (world: World) => Promise<() => unknown> | (() => unknown)

interface World {
  readonly sandbox: Sandbox
  readonly home: string
  readonly sessions: string
  daemon: Daemon
  client: RpcClient
  /** Kills the daemon, if it runs, and starts it again. */
  restart(): Promise<void>
}

interface WorldOptions {
  readonly asOtherUser?: boolean
  /** Runs before the first start of the daemon. */
  readonly prepare?: (sessions: string) => unknown
  readonly before?: readonly string[]
}

async function newWorld(chaos: Chaos, options: WorldOptions = {}): Promise<World> {
  const sandbox = await startSandbox({ accessTokenTtl: 3600 })
  chaos.after(() => sandbox.close())
  const home = join(chaos.folder, 'home')
  const sessions = dirname(sessionFile(home))
  for (const folder of [home, join(home, 'config'), sessions]) {
    await mkdir(folder, { mode: 0o700 })
    if (options.asOtherUser) spawnSync('chown', ['65534:65534', folder])
  }
  options.prepare?.(sessions)
  const before = [...(options.asOtherUser ? AS_OTHER_USER : []), ...(options.before ?? [])]
  const start = () => startDaemon({ program: chaos.program, home, env: settingsOf(sandbox), before })
  const daemon = await start()
  const client = await daemon.connect()
  await signIn(client, sandbox)
  const world: World = {
    sandbox,
    home,
    sessions,
    daemon,
    client,
    async restart() {
      await world.daemon.kill()
      world.daemon = await start()
      world.client = await world.daemon.connect()
    },
  }
  chaos.after(() => world.daemon.kill())
  return world
}

interface Figures {
  /** The reasons of the errors while the disk was broken. */
  readonly reasons: Set<string>
}

const newFigures = (): Figures => ({ reasons: new Set() })

function summary({ reasons }: Figures): string {
  return `refreshes failed with ${[...reasons].join(', ')}, as in the status; they succeeded after the repair`
}

/** Breaks and repairs the disk while the token is valid, and checks all conditions. */
async function breakAndRepair(
  chaos: Chaos,
  world: World,
  name: string,
  breakDisk: BreakDisk,
  figures: Figures,
): Promise<void> {
  chaos.countTrials()
  const { sandbox, home } = world
  const lost = (what: string) => chaos.lost(`${name}: ${what}`)
  const requests = () => sandbox.count(TOKEN, 'refresh_token')
  const header = async () => (await world.client.call('getAuthHeader', { interactive: false })).headers.Authorization
  const before = await header()
  const repair = await breakDisk(world)
  let isBroken = true
  try {
    const { client } = world // breaking the disk may include a restart
    const spent = requests()
    for (let i = 0; i < 2; i++) {
      const outcome = await outcomeOf(client.call('refresh'))
      if (!outcome.startsWith('1005 ')) lost(`outcome of a refresh: ${outcome}`)
      figures.reasons.add(outcome.replace('1005 ', ''))
      const status = await client.call('status')
      if (status.state !== 'signed_in') lost(`the state is ${status.state}`)
      if (`1005 ${status.refresh.lastError}` !== outcome)
        lost(`the status reports ${status.refresh.lastError} for ${outcome}`)
    }
    if (requests() !== spent) lost('a refresh token was spent although its successor could not be saved')
    if ((await header()) !== before) lost('the session in memory is not served')
    await repair()
    isBroken = false
    const { headers } = await client.call('refresh')
    await world.restart()
    const after = await world.client.call('getAuthHeader', { interactive: false })
    if (after.headers.Authorization !== headers.Authorization) lost('the session is a different one after a kill')
    if (requests() !== spent + 1) lost('more than one refresh token was spent')
    if (temporaries(home).length > 0) lost(`temporary files after a start: ${temporaries(home).join(', ')}`)
  } finally {
    if (isBroken) await repair()
  }
}

/** Writes a file until the disk is full; returns its path. */
function fill(folder: string): string {
  const path = join(folder, 'filler')
  const file = openSync(path, 'w')
  for (const size of [65_536, 4096, 1]) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size))
    } catch {
      // no room for this size
    }
  }
  closeSync(file)
  return path
}

const SHORT_LIFETIME = 2 // s

const fullDisk: Scenario = {
  name: 'disk-full',
  about: 'a file system is full and gets space again; and a token expires while it is full',
  needs: ['linux', 'root', 'mount'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 10, full: 200 },
  async run(chaos) {
    const world = await newWorld(chaos, {
      prepare: (sessions) => chaos.after(mount(sessions, '-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs')),
    })
    const figures = newFigures()
    const full: BreakDisk = ({ sessions }) => {
      const filler = fill(sessions)
      return () => rmSync(filler)
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) await breakAndRepair(chaos, world, 'full', full, figures)
    await expireOnBrokenDisk(chaos, world, full)
    return summary(figures)
  },
}

/** Once the token in memory has expired, the daemon refreshes although it cannot save: otherwise all calls would fail. */
async function expireOnBrokenDisk(chaos: Chaos, world: World, breakDisk: BreakDisk): Promise<void> {
  chaos.countTrials()
  const { sandbox, client } = world
  sandbox.setAccessTokenTtl(SHORT_LIFETIME)
  const { expiresAt } = await client.call('refresh')
  const repair = await breakDisk(world)
  sandbox.setAccessTokenTtl(3600)
  await systemClock.wait(expiresAt - systemClock.now() + 0.01)
  const outcome = await outcomeOf(client.call('getAuthHeader', { interactive: false }))
  if (outcome !== 'ok') chaos.lost(`outcome with an expired token on a full disk: ${outcome}`)
  if ((await client.call('status')).store.persisted) chaos.lost('the status reports an unsaved session as persisted')
  await repair()
  // Only `status` from here on, which does not cause a refresh: the daemon must save by itself.
  if (!(await eventually(async () => (await client.call('status')).store.persisted, RECOVERY_SECONDS)))
    chaos.lost('the session is not saved after the repair')
}

const SMALLEST_FILE = 512 // bytes, less than a session

const fileSizeLimit: Scenario = {
  name: 'disk-limit',
  about: 'files cannot grow (EFBIG): a full disk, as far as possible without a mount',
  needs: ['linux', 'prlimit'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const figures = newFigures()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      await breakAndRepair(
        chaos,
        world,
        'EFBIG',
        ({ daemon }) => {
          limit(daemon, `--fsize=${SMALLEST_FILE}:unlimited`)
          return () => limit(daemon, '--fsize=unlimited:unlimited')
        },
        figures,
      )
    }
    return summary(figures)
  },
}

function limit({ pid }: Daemon, what: string): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), what], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`prlimit: ${stderr.trim()}`)
}

const readOnlyDisk: Scenario = {
  name: 'disk-readonly',
  about: 'a read-only mount (EROFS) under a running daemon, and at a start with temporary files of a crash',
  needs: ['linux', 'root', 'mount'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos, { prepare: (sessions) => chaos.after(mount(sessions, '--bind', sessions)) })
    const figures = newFigures()
    const readOnly: BreakDisk = ({ sessions }) => {
      remount(sessions, 'bind,ro')
      return () => remount(sessions, 'bind,rw')
    }
    const readOnlyAtStart: BreakDisk = async (one) => {
      await one.daemon.kill()
      await writeFile(join(one.sessions, '.production.jwe.0123456789abcdef.tmp'), 'half')
      const repair = await readOnly(one)
      await one.restart()
      return repair
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      await breakAndRepair(chaos, world, 'read-only', readOnly, figures)
      await breakAndRepair(chaos, world, 'read-only at the start', readOnlyAtStart, figures)
    }
    return summary(figures)
  },
}

const noPermission: Scenario = {
  name: 'disk-permission',
  about: 'a folder that its owner cannot write (EACCES), as a user other than root',
  needs: ['linux', 'root', 'setpriv'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos, { asOtherUser: true })
    const figures = newFigures()
    const notWritable: BreakDisk = ({ sessions }) => {
      chmodSync(sessions, 0o555)
      return () => chmod(sessions, 0o700)
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++)
      await breakAndRepair(chaos, world, '0555', notWritable, figures)
    return summary(figures)
  },
}

const immutableFolder: Scenario = {
  name: 'disk-immutable',
  about: 'an immutable folder (EPERM, chattr +i)',
  needs: ['linux', 'root', 'chattr'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const figures = newFigures()
    const makeMutable = () => spawnSync('chattr', ['-i', world.sessions])
    process.prependListener('exit', makeMutable) // otherwise an interrupted run could not remove the folder
    const immutable: BreakDisk = ({ sessions }) => {
      const { status, stderr } = spawnSync('chattr', ['+i', sessions], { encoding: 'utf8' })
      if (status !== 0) throw new Error(`chattr: ${stderr.trim()}`)
      return makeMutable
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++)
      await breakAndRepair(chaos, world, '+i', immutable, figures)
    return summary(figures)
  },
}

/** Without `write`: libuv's event loop writes too, and aborts if that fails. disk-full and disk-limit cover it. */
const ERRORS: readonly (readonly string[])[] = [
  ['fsync:error=EIO'],
  ['rename:error=ENOSPC'],
  ['openat:error=EMFILE'],
  ['fsync:error=EIO', 'unlink:error=EIO'],
  ['openat:error=ENOSPC'],
  ['openat:error=EACCES'],
  ['openat:error=EIO'],
  ['fchmod:error=EPERM'],
  ['fsync:error=ENOSPC'],
  ['fsync:error=EDQUOT'],
  ['rename:error=EIO'],
  ['rename:error=EROFS'],
  ['rename:error=EACCES'],
  ['close:error=EIO'],
]
const SHORT_RUN_ERRORS = 3

const failingCalls: Scenario = {
  name: 'disk-errors',
  about: 'an I/O error at each system call of the write path',
  needs: ['linux', 'strace'],
  rounds: { short: 1, full: 5 },
  seconds: { short: 8, full: 300 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const figures = newFigures()
    for (let i = 0; i < chaos.rounds; i++) {
      for (const injections of chaos.isShort ? ERRORS.slice(0, SHORT_RUN_ERRORS) : ERRORS) {
        if (chaos.isOver()) break
        const breakDisk: BreakDisk = async ({ daemon }) => {
          const faults = await injectFaults(daemon.pid, ...injections)
          return () => faults.stop()
        }
        await breakAndRepair(chaos, world, injections.join(' '), breakDisk, figures)
      }
    }
    return summary(figures)
  },
}

const FEW_DESCRIPTORS = 64
const UNAUTHENTICATED = 200 // sockets

const noDescriptors: Scenario = {
  name: 'disk-descriptors',
  about: 'no file descriptor is left; and unauthenticated sockets take all descriptors',
  needs: ['linux', 'prlimit'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 10, full: 200 },
  async run(chaos) {
    const world = await newWorld(chaos, { before: ['prlimit', `--nofile=${FEW_DESCRIPTORS}:4096`] })
    const outcomes = new Map<string, number>()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      const outcome = await exhaustDescriptors(chaos, world)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      await occupyConnections(chaos, world)
    }
    return `refreshes without a descriptor: ${[...outcomes].map(([what, count]) => `${what} ${count}`).join(', ')}`
  },
}

/** The daemon can open neither a file nor a connection to the provider. Returns the outcome of a refresh. */
async function exhaustDescriptors(chaos: Chaos, world: World): Promise<string> {
  chaos.countTrials()
  const { daemon, client } = world
  const { headers: before } = await client.call('getAuthHeader', { interactive: false })
  limit(daemon, `--nofile=${firstFree(daemon)}:4096`)
  const outcome = await outcomeOf(client.call('refresh'))
  if (outcome !== 'ok' && !/^100[35] /.test(outcome)) chaos.lost(`outcome of a refresh without descriptors: ${outcome}`)
  const { headers } = await client.call('getAuthHeader', { interactive: false })
  if ((headers.Authorization === before.Authorization) !== (outcome !== 'ok')) chaos.lost('the session changed')
  limit(daemon, `--nofile=${FEW_DESCRIPTORS}:4096`)
  await checkRecovery(chaos, world, 'after the descriptors ran out')
  return outcome
}

/** The lowest unused descriptor of the process. With this number as the limit, the process can open nothing. */
function firstFree({ pid }: Daemon): number {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number))
  let free = 0
  while (open.has(free)) free++
  return free
}

/** Unauthenticated sockets take every connection that the daemon can accept. */
async function occupyConnections(chaos: Chaos, world: World): Promise<void> {
  chaos.countTrials()
  const port = Number(world.client.endpoint.endpoint.split(':')[1])
  const sockets: Socket[] = []
  for (let i = 0; i < UNAUTHENTICATED; i++) {
    const socket = connectSocket(port, '127.0.0.1')
    socket.on('error', () => undefined)
    sockets.push(socket)
  }
  const header = await outcomeOf(world.client.call('getAuthHeader', { interactive: false }))
  if (header !== 'ok') chaos.lost(`outcome of a call among unauthenticated sockets: ${header}`)
  await checkRecovery(chaos, world, 'among unauthenticated sockets')
  for (const socket of sockets) socket.destroy()
}

/** Checks that a refresh succeeds within seconds, and that the session survives a kill. */
async function checkRecovery(chaos: Chaos, world: World, when: string): Promise<void> {
  const { client, home, sandbox } = world
  const refreshed = await eventually(async () => (await outcomeOf(client.call('refresh'))) === 'ok', RECOVERY_SECONDS)
  if (!refreshed) return chaos.lost(`no refresh succeeds ${when}`)
  if (!(await eventually(async () => (await client.call('status')).store.persisted, RECOVERY_SECONDS)))
    chaos.lost(`not saved ${when}`)
  const binding = { profile: 'production', issuer: sandbox.issuer, clientId: sandbox.clientId, broker: null }
  const { headers } = await client.call('getAuthHeader', { interactive: false })
  const generation = await generationOf(home, binding)
  await world.restart()
  const after = await world.client.call('getAuthHeader', { interactive: false })
  if (after.headers.Authorization !== headers.Authorization)
    chaos.lost(`${when}: generation ${generation} was lost by a kill`)
}

export const disk: readonly Scenario[] = [
  fullDisk,
  fileSizeLimit,
  readOnlyDisk,
  noPermission,
  immutableFolder,
  failingCalls,
  noDescriptors,
]
