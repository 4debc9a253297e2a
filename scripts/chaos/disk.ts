// Disks that fail: the session in memory goes on serving, no token that is not safe is spent, and it is saved as soon as it can be.
import { spawnSync } from 'node:child_process'
import { chmodSync, closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
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
import { sabotage } from './strace.ts'

const SAVED_SECONDS = 20 // the daemon tries again by itself, at growing intervals
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

/** How a disk is broken; what is given back mends it. */
type Break = (world: World) => Promise<() => unknown> | (() => unknown)

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
  readonly asNobody?: boolean
  /** Done before the daemon starts for the first time. */
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
    if (options.asNobody) spawnSync('chown', ['65534:65534', folder])
  }
  options.prepare?.(sessions)
  const before = [...(options.asNobody ? NOBODY : []), ...(options.before ?? [])]
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
  /** What a refresh was refused with while nothing could be written. */
  readonly reasons: Set<string>
}

const newFigures = (): Figures => ({ reasons: new Set() })

function told({ reasons }: Figures): string {
  return `refused with ${[...reasons].join(', ')}, and said so in the status; renewed once it could be`
}

/** One disk that breaks under a session whose token is good, and is mended: all that must hold. */
async function breakAndMend(chaos: Chaos, world: World, name: string, breakIt: Break, figures: Figures): Promise<void> {
  chaos.trial()
  const { sandbox, home } = world
  const lost = (what: string) => chaos.lost(`${name}: ${what}`)
  const requests = () => sandbox.count(TOKEN, 'refresh_token')
  const header = async () => (await world.client.call('getAuthHeader', { interactive: false })).headers.Authorization
  const before = await header()
  const mend = await breakIt(world)
  let isBroken = true
  try {
    const { client } = world // the breaking may have been a start
    const spent = requests()
    for (let i = 0; i < 2; i++) {
      const outcome = await outcomeOf(client.call('refresh'))
      if (!outcome.startsWith('1005 ')) lost(`a refresh came to ${outcome}`)
      figures.reasons.add(outcome.replace('1005 ', ''))
      const status = await client.call('status')
      if (status.state !== 'signed_in') lost(`the state is ${status.state}`)
      if (`1005 ${status.refresh.lastError}` !== outcome)
        lost(`the status gives ${status.refresh.lastError} for ${outcome}`)
    }
    if (requests() !== spent) lost('a token was spent whose successor could not have been saved')
    if ((await header()) !== before) lost('the session in memory does not serve')
    await mend()
    isBroken = false
    const { headers } = await client.call('refresh')
    await world.restart()
    const after = await world.client.call('getAuthHeader', { interactive: false })
    if (after.headers.Authorization !== headers.Authorization) lost('after a kill the session is another')
    if (requests() !== spent + 1) lost('more than one token was spent')
    if (temporaries(home).length > 0) lost(`left after a start: ${temporaries(home).join(', ')}`)
  } finally {
    if (isBroken) await mend()
  }
}

/** Writes until nothing more fits. */
function fill(folder: string): string {
  const path = join(folder, 'filler')
  const file = openSync(path, 'w')
  for (const size of [65_536, 4096, 1]) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size))
    } catch {
      // full for this size
    }
  }
  closeSync(file)
  return path
}

const LIFE_SECONDS = 2

const fullDisk: Scenario = {
  name: 'disk-full',
  about: 'a file system that is full, and has room again; and a token that ends while it is full',
  needs: ['linux', 'root', 'mount'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 10, full: 200 },
  async run(chaos) {
    const world = await newWorld(chaos, {
      prepare: (sessions) => chaos.after(mount(sessions, '-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs')),
    })
    const figures = newFigures()
    const full: Break = ({ sessions }) => {
      const filler = fill(sessions)
      return () => rmSync(filler)
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) await breakAndMend(chaos, world, 'full', full, figures)
    await outliveToken(chaos, world, full)
    return told(figures)
  },
}

/** Where the token in memory is dead, the one that is not on disk is spent after all: else nobody would be served. */
async function outliveToken(chaos: Chaos, world: World, breakIt: Break): Promise<void> {
  chaos.trial()
  const { sandbox, client } = world
  sandbox.setAccessTokenTtl(LIFE_SECONDS)
  const { expiresAt } = await client.call('refresh')
  const mend = await breakIt(world)
  sandbox.setAccessTokenTtl(3600)
  await new Promise((resolve) => setTimeout(resolve, expiresAt * 1000 - Date.now() + 10))
  const outcome = await outcomeOf(client.call('getAuthHeader', { interactive: false }))
  if (outcome !== 'ok') chaos.lost(`a dead token on a full disk: ${outcome}`)
  if ((await client.call('status')).store.persisted) chaos.lost('the status says that it is persisted')
  await mend()
  // A look at the status is no wish for a token: nobody calls for one.
  if (!(await eventually(async () => (await client.call('status')).store.persisted, SAVED_SECONDS)))
    chaos.lost('the session that outlived its token is not saved')
}

const SMALLEST_FILE = 512 // bytes; a session is longer

const fileSizeLimit: Scenario = {
  name: 'disk-limit',
  about: 'no file may grow (EFBIG): what can be had of a full disk without a mount',
  needs: ['linux', 'prlimit'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const figures = newFigures()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      await breakAndMend(
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
    return told(figures)
  },
}

function limit({ pid }: Daemon, what: string): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), what], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`prlimit: ${stderr.trim()}`)
}

const readOnlyDisk: Scenario = {
  name: 'disk-readonly',
  about: 'a read-only mount (EROFS) under a running daemon, and at a start with leftovers of a crash on it',
  needs: ['linux', 'root', 'mount'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos, { prepare: (sessions) => chaos.after(mount(sessions, '--bind', sessions)) })
    const figures = newFigures()
    const readOnly: Break = ({ sessions }) => {
      remount(sessions, 'bind,ro')
      return () => remount(sessions, 'bind,rw')
    }
    const readOnlyAtStart: Break = async (one) => {
      await one.daemon.kill()
      await writeFile(join(one.sessions, '.production.jwe.0123456789abcdef.tmp'), 'half')
      const mend = await readOnly(one)
      await one.restart()
      return mend
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      await breakAndMend(chaos, world, 'read-only', readOnly, figures)
      await breakAndMend(chaos, world, 'read-only at the start', readOnlyAtStart, figures)
    }
    return told(figures)
  },
}

const noPermission: Scenario = {
  name: 'disk-permission',
  about: 'a folder that its owner may not write (EACCES), as another user than root',
  needs: ['linux', 'root', 'setpriv'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos, { asNobody: true })
    const figures = newFigures()
    const closed: Break = ({ sessions }) => {
      chmodSync(sessions, 0o555)
      return () => chmod(sessions, 0o700)
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) await breakAndMend(chaos, world, '0555', closed, figures)
    return told(figures)
  },
}

const immutableFolder: Scenario = {
  name: 'disk-immutable',
  about: 'a folder that nobody may change (EPERM, chattr +i)',
  needs: ['linux', 'root', 'chattr'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 6, full: 120 },
  async run(chaos) {
    const world = await newWorld(chaos)
    const figures = newFigures()
    const thaw = () => spawnSync('chattr', ['-i', world.sessions])
    process.prependListener('exit', thaw) // else a run that is ended meanwhile could not remove it
    const frozen: Break = ({ sessions }) => {
      const { status, stderr } = spawnSync('chattr', ['+i', sessions], { encoding: 'utf8' })
      if (status !== 0) throw new Error(`chattr: ${stderr.trim()}`)
      return thaw
    }
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) await breakAndMend(chaos, world, '+i', frozen, figures)
    return told(figures)
  },
}

/** Not `write`: the event loop itself writes, and ends the process where that fails. A full disk and EFBIG stand for it. */
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
const FEW = 3

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
      for (const injections of chaos.isShort ? ERRORS.slice(0, FEW) : ERRORS) {
        if (chaos.isOver()) break
        const breakIt: Break = async ({ daemon }) => {
          const saboteur = await sabotage(daemon.pid, ...injections)
          return () => saboteur.leave()
        }
        await breakAndMend(chaos, world, injections.join(' '), breakIt, figures)
      }
    }
    return told(figures)
  },
}

const FEW_DESCRIPTORS = 64
const STRANGERS = 200

const noDescriptors: Scenario = {
  name: 'disk-descriptors',
  about: 'not one file descriptor left, and strangers who take all there are',
  needs: ['linux', 'prlimit'],
  rounds: { short: 1, full: 20 },
  seconds: { short: 10, full: 200 },
  async run(chaos) {
    const world = await newWorld(chaos, { before: ['prlimit', `--nofile=${FEW_DESCRIPTORS}:4096`] })
    const outcomes = new Map<string, number>()
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      const one = await runOut(chaos, world)
      outcomes.set(one, (outcomes.get(one) ?? 0) + 1)
      await crowdOut(chaos, world)
    }
    return `refreshes without a descriptor: ${[...outcomes].map(([what, count]) => `${what} ${count}`).join(', ')}`
  },
}

/** Nothing can be opened: neither a file nor a connection to the provider. */
async function runOut(chaos: Chaos, world: World): Promise<string> {
  chaos.trial()
  const { daemon, client } = world
  const { headers: before } = await client.call('getAuthHeader', { interactive: false })
  limit(daemon, `--nofile=${firstFree(daemon)}:4096`)
  const outcome = await outcomeOf(client.call('refresh'))
  if (outcome !== 'ok' && !/^100[35] /.test(outcome)) chaos.lost(`a refresh without a descriptor came to ${outcome}`)
  const { headers } = await client.call('getAuthHeader', { interactive: false })
  if ((headers.Authorization === before.Authorization) !== (outcome !== 'ok')) chaos.lost('the session changed')
  limit(daemon, `--nofile=${FEW_DESCRIPTORS}:4096`)
  await comesBack(chaos, world, 'after the descriptors ran out')
  return outcome
}

/** The lowest number that no descriptor of the process has: under that limit nothing more can be opened. */
function firstFree({ pid }: Daemon): number {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number))
  let free = 0
  while (open.has(free)) free++
  return free
}

/** Strangers hold every connection that the daemon can have. */
async function crowdOut(chaos: Chaos, world: World): Promise<void> {
  chaos.trial()
  const port = Number(world.client.endpoint.endpoint.split(':')[1])
  const strangers: Socket[] = []
  for (let i = 0; i < STRANGERS; i++) {
    const socket = connectSocket(port, '127.0.0.1')
    socket.on('error', () => undefined)
    strangers.push(socket)
  }
  const header = await outcomeOf(world.client.call('getAuthHeader', { interactive: false }))
  if (header !== 'ok') chaos.lost(`among strangers a header came to ${header}`)
  await comesBack(chaos, world, 'among strangers')
  for (const socket of strangers) socket.destroy()
}

/** The next refreshes succeed within seconds, and a kill takes nothing away. */
async function comesBack(chaos: Chaos, world: World, when: string): Promise<void> {
  const { client, home, sandbox } = world
  const refreshed = await eventually(async () => (await outcomeOf(client.call('refresh'))) === 'ok', SAVED_SECONDS)
  if (!refreshed) return chaos.lost(`no refresh succeeds ${when}`)
  if (!(await eventually(async () => (await client.call('status')).store.persisted, SAVED_SECONDS)))
    chaos.lost(`not saved ${when}`)
  const binding = { profile: 'production', issuer: sandbox.issuer, clientId: sandbox.clientId }
  const { headers } = await client.call('getAuthHeader', { interactive: false })
  const generation = await generationOf(home, binding)
  await world.restart()
  const after = await world.client.call('getAuthHeader', { interactive: false })
  if (after.headers.Authorization !== headers.Authorization) chaos.lost(`${when}: a kill took generation ${generation}`)
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
