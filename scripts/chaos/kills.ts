// Kills at any moment: the old session or the new one is there after it, never neither, and nothing acknowledged is older.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startSandbox } from '../../test/sandbox/index.ts'
import { keep, settingsOf, signIn, startDaemon, temporaries } from './daemon.ts'
import type { Chaos, Scenario } from './scenario.ts'
import { generationOf, makeFolders } from './store.ts'
import { sabotage } from './strace.ts'

const PARALLEL = 3 // while one is started, another writes
const WRITING_MS = 60

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
        chaos.trial()
        const life = await liveAndDie(chaos, home, acknowledged)
        for (const what of wrongWith(life, acknowledged)) chaos.lost(what)
        saves += life.saved
        acknowledged = Math.max(acknowledged, life.last)
      }
      if ((await generationOf(home)) < acknowledged) chaos.lost(`generation ${acknowledged} is gone at the end`)
    }
    const homes = Array.from({ length: PARALLEL }, (_, i) => join(chaos.folder, String(i)))
    await Promise.all(homes.map(line))
    return `${saves} acknowledged saves between the kills`
  },
}

interface Life {
  /** What it found when it started; undefined where it was killed before. */
  readonly found: number | undefined
  readonly leftovers: number
  /** The last generation that it said is safe. */
  readonly last: number
  readonly saved: number
}

/** One writer from its start to its kill. */
async function liveAndDie({ helper, dice }: Chaos, home: string, lastGeneration: number): Promise<Life> {
  const child = startWriter([helper('writer'), home, String(lastGeneration)])
  const lines = collect(child)
  const delay = dice.below(WRITING_MS * 1000) / 1000
  // Some are killed while they start: a sweep or a first key that was cut short must harm nobody either.
  if (dice.below(10) > 0) await lines.first
  const timer = setTimeout(() => child.kill('SIGKILL'), delay)
  await once(child, 'close')
  clearTimeout(timer)
  const [, found, leftovers = '0'] = /^loaded (\d+) (\d+)$/.exec(lines.all[0] ?? '') ?? []
  const done = lines.all.slice(1).map((text) => Number(text.split(' ')[1]))
  return {
    found: found === undefined ? undefined : Number(found),
    leftovers: Number(leftovers),
    last: done.at(-1) ?? 0,
    saved: done.length,
  }
}

function wrongWith({ found, leftovers }: Life, acknowledged: number): string[] {
  if (found === undefined) return []
  const wrong: string[] = []
  if (found < acknowledged) wrong.push(`generation ${acknowledged} was acknowledged, ${found} was found`)
  if (leftovers > 0) wrong.push(`${leftovers} temporary files left after a start`)
  return wrong
}

function startWriter(args: readonly string[]) {
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' } // strace counts calls a thread
  return keep(spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] }))
}

/** The whole lines that a process says. What it was killed in the middle of it has not said. */
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
  about: 'kill -9 at each system call of the write path, one after the other, until none is left',
  needs: ['linux', 'strace'],
  rounds: { short: 1, full: 1 },
  seconds: { short: 3, full: 300 },
  async run(chaos) {
    const points: string[] = []
    // A first start makes the key as well; later ones save, save, sign out and save again.
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

/** @returns whether the n-th such call was reached, and the process killed there */
async function killAtCall(chaos: Chaos, call: string, n: number, steps: string, isFirst: boolean): Promise<boolean> {
  chaos.trial()
  const home = join(chaos.folder, isFirst ? `first-${call}-${n}` : 'later')
  const before = isFirst ? 0 : await lastGeneration(home)
  const child = startWriter([chaos.helper('writer'), home, String(before), steps])
  const lines = collect(child)
  await lines.first
  const [, found = 'none', leftovers] = /^loaded (\d+) (\d+)$/.exec(lines.all[0] ?? '') ?? []
  if (leftovers !== '0') chaos.lost(`${leftovers} temporary files left after a start`)
  const saboteur = await sabotage(child.pid as number, `${call}:signal=KILL:when=${n}`)
  child.stdin.write('go')
  await once(child, 'close')
  await saboteur.leave()
  const expected = statesOf(Number(found), before, steps)
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

/** What is on disk after each step; 0 is nobody. */
function statesOf(found: number, before: number, steps: string): number[] {
  let generation = Math.max(found, before)
  return [found, ...[...steps].map((step) => (step === 's' ? ++generation : 0))]
}

const killsOfDaemon: Scenario = {
  name: 'kill-daemon',
  about: 'kill -9 of the whole daemon at random moments while it refreshes, then a start',
  needs: [],
  rounds: { short: 5, full: 500 },
  seconds: { short: 3, full: 900 },
  async run(chaos) {
    const sandbox = await startSandbox({ refreshReuse: 'forgiving', accessTokenTtl: 3600 })
    chaos.after(() => sandbox.close())
    const home = join(chaos.folder, 'home')
    await mkdir(home)
    const env = settingsOf(sandbox)
    const binding = { profile: 'production', issuer: sandbox.issuer, clientId: sandbox.clientId }
    let daemon = await startDaemon({ program: chaos.program, home, env })
    await signIn(await daemon.connect(), sandbox)
    const starts: number[] = []
    let refreshes = 0
    while (chaos.rounds > starts.length && !chaos.isOver()) {
      chaos.trial()
      const client = await daemon.connect()
      const before = await generationOf(home, binding)
      // One that is acknowledged first: a refresh token is good twice, not three times.
      await client.call('refresh')
      let acknowledged = before + 1
      const timer = setTimeout(() => daemon.child.kill('SIGKILL'), chaos.dice.below(80_000) / 1000)
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
      if (temporaries(home).length > 0) chaos.lost(`left after a start: ${temporaries(home).join(', ')}`)
      const status = await (await daemon.connect()).call('status')
      if (status.state !== 'signed_in') chaos.lost(`${status.state} after a kill`)
    }
    await daemon.stop()
    const signIns = sandbox.count('/oauth/authorize')
    if (signIns > 3) chaos.lost(`${signIns} requests to sign in`)
    const slowest = Math.max(...starts).toFixed(0)
    return `${refreshes} acknowledged refreshes; slowest start after a kill ${slowest} ms`
  },
}

export const kills: readonly Scenario[] = [killsOfWriter, killsAtCalls, killsOfDaemon]
