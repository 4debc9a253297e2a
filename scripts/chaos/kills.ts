// Kills at any moment: afterwards the old or the new session is on disk, and no acknowledged session is lost.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startSandbox } from '../../test/sandbox/index.ts'
import { keep } from '../bench/run-folder.ts'
import { settingsOf, signIn, startDaemon, temporaries } from './daemon.ts'
import type { Chaos, Scenario } from './scenario.ts'
import { generationOf, makeFolders } from './store.ts'
import { injectFaults } from './strace.ts'

const PARALLEL = 3 // one starts while another writes
const LONGEST_WRITING_MS = 60

const killsOfWriter: Scenario = {
  name: 'kill-store',
  about: 'kill -9 at random moments of a process that writes sessions with the store’s own code',
  needs: [],
  rounds: { short: 30, full: 10_000 },
  seconds: { short: 3, full: 1500 },
  async run(chaos) {
    let kills = 0
    let saves = 0
    const line = async (home: string) => {
      let acknowledged = 0
      while (kills < chaos.rounds && !chaos.isOver()) {
        kills++
        chaos.countTrials()
        const run = await runUntilKilled(chaos, home, acknowledged)
        for (const violation of violationsIn(run, acknowledged)) chaos.lost(violation)
        saves += run.saves
        acknowledged = Math.max(acknowledged, run.last)
      }
      if ((await generationOf(home)) < acknowledged) chaos.lost(`generation ${acknowledged} is lost at the end`)
    }
    const homes = Array.from({ length: PARALLEL }, (_, i) => join(chaos.folder, String(i)))
    await Promise.all(homes.map(line))
    return `${saves} acknowledged saves between the kills`
  },
}

interface Run {
  /** The generation at its start; undefined if it was killed before. */
  readonly found: number | undefined
  /** Temporary files after the sweep at its start. */
  readonly temporaryFiles: number
  /** The last acknowledged generation. */
  readonly last: number
  readonly saves: number
}

/** Runs a writer until it is killed at a random moment. */
async function runUntilKilled({ helper, random }: Chaos, home: string, lastGeneration: number): Promise<Run> {
  const child = startWriter([helper('writer'), home, String(lastGeneration)])
  const lines = collect(child)
  const delay = random.below(LONGEST_WRITING_MS * 1000) / 1000
  // One in ten is killed while it starts: an interrupted sweep or first key must not do harm either.
  if (random.below(10) > 0) await lines.first
  const timer = setTimeout(() => child.kill('SIGKILL'), delay)
  await once(child, 'close')
  clearTimeout(timer)
  const [, found, temporaryFiles = '0'] = /^loaded (\d+) (\d+)$/.exec(lines.all[0] ?? '') ?? []
  const done = lines.all.slice(1).map((text) => Number(text.split(' ')[1]))
  return {
    found: found === undefined ? undefined : Number(found),
    temporaryFiles: Number(temporaryFiles),
    last: done.at(-1) ?? 0,
    saves: done.length,
  }
}

function violationsIn({ found, temporaryFiles }: Run, acknowledged: number): string[] {
  if (found === undefined) return []
  const violations: string[] = []
  if (found < acknowledged) violations.push(`generation ${acknowledged} was acknowledged, ${found} was found`)
  if (temporaryFiles > 0) violations.push(`${temporaryFiles} temporary files after a start`)
  return violations
}

function startWriter(args: readonly string[]) {
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' } // strace counts the calls of each thread separately
  return keep(spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] }))
}

/** The complete lines of a process's output. A line that the kill cut short does not count. */
function collect(child: ChildProcess): { readonly all: readonly string[]; readonly first: Promise<unknown> } {
  const all: string[] = []
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  lines.on('line', (line) => all.push(line))
  return { all, first: Promise.race([once(lines, 'line'), once(child, 'close')]) }
}

const CALLS = ['openat', 'write', 'fchmod', 'fsync', 'rename', 'close', 'unlink'] as const
const MOST_CALLS = 200

const killsAtCalls: Scenario = {
  name: 'kill-calls',
  about: 'kill -9 at each system call of the write path, one after the other',
  needs: ['linux', 'strace'],
  rounds: { short: 1, full: 1 },
  seconds: { short: 3, full: 300 },
  async run(chaos) {
    const points: string[] = []
    // The first start also creates the key. The later ones save (s) twice, remove (r) the session, and save again.
    const plans = chaos.isShort
      ? [{ steps: 's', isFirst: true, calls: ['rename', 'fsync', 'openat'] as const }]
      : [
          { steps: 's', isFirst: true, calls: CALLS },
          { steps: 'ssrs', isFirst: false, calls: CALLS },
        ]
    for (const { steps, isFirst, calls } of plans) {
      for (const call of calls) {
        let n = 1
        while (n < MOST_CALLS && !chaos.isOver() && (await killAtCall(chaos, call, n, steps, isFirst))) n++
        points.push(`${call} ${n - 1}`)
      }
    }
    return `killed at ${points.join(', ')}`
  },
}

/** Kills the process at the n-th call of this kind; returns whether the process has reached it. */
async function killAtCall(chaos: Chaos, call: string, n: number, steps: string, isFirst: boolean): Promise<boolean> {
  chaos.countTrials()
  const home = join(chaos.folder, isFirst ? `first-${call}-${n}` : 'later')
  const before = isFirst ? 0 : await lastGeneration(home)
  const child = startWriter([chaos.helper('writer'), home, String(before), steps])
  const lines = collect(child)
  await lines.first
  const [, found = 'none', temporaryFiles] = /^loaded (\d+) (\d+)$/.exec(lines.all[0] ?? '') ?? []
  if (temporaryFiles !== '0') chaos.lost(`${temporaryFiles} temporary files after a start`)
  const faults = await injectFaults(child.pid as number, `${call}:signal=KILL:when=${n}`)
  child.stdin.write('go')
  await once(child, 'close')
  await faults.stop()
  const expected = generationsAfter(Number(found), before, steps)
  const done = lines.all.filter((line) => line.startsWith('done ')).length
  const onDisk = await generationOf(home).catch((error: { code: string }) => error.code)
  const allowed = [expected[done], expected[done + 1]]
  const where = `killed at ${call} ${n} after ${done} of "${steps}"`
  if (!allowed.includes(onDisk as number)) chaos.lost(`${where}: ${onDisk} on disk, not ${allowed.join(' or ')}`)
  if (isFirst) await rm(home, { recursive: true })
  return child.signalCode === 'SIGKILL'
}

let laterGeneration = 0
async function lastGeneration(home: string): Promise<number> {
  await makeFolders(home)
  laterGeneration = Math.max(laterGeneration, await generationOf(home)) + 10
  return laterGeneration
}

/** The generation on disk before the first and after each step; 0 is no session. */
function generationsAfter(found: number, before: number, steps: string): number[] {
  let generation = Math.max(found, before)
  return [found, ...[...steps].map((step) => (step === 's' ? ++generation : 0))]
}

const killsOfDaemon: Scenario = {
  name: 'kill-daemon',
  about: 'kill -9 of the daemon at random moments while it refreshes, then a restart',
  needs: [],
  rounds: { short: 5, full: 500 },
  seconds: { short: 3, full: 900 },
  async run(chaos) {
    const sandbox = await startSandbox({ refreshReuse: 'forgiving', accessTokenTtl: 3600 })
    chaos.after(() => sandbox.close())
    const home = join(chaos.folder, 'home')
    await mkdir(home)
    const env = settingsOf(sandbox)
    const binding = { profile: 'production', issuer: sandbox.issuer, clientId: sandbox.clientId, broker: null }
    let daemon = await startDaemon({ program: chaos.program, home, env })
    await signIn(await daemon.connect(), sandbox)
    const starts: number[] = []
    let refreshes = 0
    while (chaos.rounds > starts.length && !chaos.isOver()) {
      chaos.countTrials()
      const client = await daemon.connect()
      const before = await generationOf(home, binding)
      // One acknowledged refresh first: the provider accepts a refresh token twice, not three times.
      await client.call('refresh')
      let acknowledged = before + 1
      const timer = setTimeout(() => daemon.child.kill('SIGKILL'), chaos.random.below(80_000) / 1000)
      try {
        for (;;) {
          await client.call('refresh')
          acknowledged++
        }
      } catch {
        // the kill
      }
      await daemon.ended
      clearTimeout(timer)
      refreshes += acknowledged - before
      const found = await generationOf(home, binding)
      if (found !== acknowledged && found !== acknowledged + 1)
        chaos.lost(`generation ${acknowledged} was acknowledged, ${found} is on disk`)
      const startedAt = performance.now()
      daemon = await startDaemon({ program: chaos.program, home, env })
      starts.push(performance.now() - startedAt)
      if (temporaries(home).length > 0) chaos.lost(`temporary files after a start: ${temporaries(home).join(', ')}`)
      const status = await (await daemon.connect()).call('status')
      if (status.state !== 'signed_in') chaos.lost(`${status.state} after a kill`)
    }
    await daemon.stop()
    const signIns = sandbox.count('/oauth/authorize')
    if (signIns > 3) chaos.lost(`${signIns} authorization requests`)
    const slowest = Math.max(...starts).toFixed(0)
    return `${refreshes} acknowledged refreshes; slowest start after a kill ${slowest} ms`
  },
}

export const kills: readonly Scenario[] = [killsOfWriter, killsAtCalls, killsOfDaemon]
