// Kills between the provider's rotation and the session on disk: what is spent there, and how long that window is open.
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { systemFiles, writePrivateFile } from '../../src/host/files.ts'
import { type Sandbox, startSandbox } from '../../test/sandbox/index.ts'
import { type Daemon, sessionFile, settingsOf, signIn, startDaemon, TOKEN, temporaries } from './daemon.ts'
import { type Chaos, outcomeOf, quantile, type Scenario } from './scenario.ts'

const AFTER_REPLY_MS = 20
const MOST_REQUESTS = 2 // a restart: the old token once, and once more where it was under way when the kill came
const ASKED_AGAIN = 3

/** When the kill comes. Only at the first is the refresh token not spent yet. */
const MOMENTS = ['request arrived', 'rotated, no reply', 'half a reply', 'after the reply'] as const
type Moment = (typeof MOMENTS)[number]

const forgivingWindow: Scenario = {
  name: 'window-forgiving',
  about: 'kills in the refresh window, the provider takes a spent token once more: nobody signs in again',
  needs: [],
  rounds: { short: 8, full: 1000 },
  seconds: { short: 2, full: 1200 },
  run: (chaos) => killInWindow(chaos, 'forgiving'),
}

const strictWindow: Scenario = {
  name: 'window-strict',
  about: 'the same with a provider that ends the grant: one sign-in at most, two token requests, no loop',
  needs: [],
  rounds: { short: 8, full: 500 },
  seconds: { short: 2, full: 900 },
  run: (chaos) => killInWindow(chaos, 'strict'),
}

async function killInWindow(chaos: Chaos, refreshReuse: 'forgiving' | 'strict'): Promise<string> {
  const { sandbox, home, start } = await newHome(chaos, refreshReuse)
  let daemon = await start()
  await signIn(await daemon.connect(), sandbox)
  const signIns = new Map<Moment, number>()
  const requests: number[] = []
  for (let round = 0; round < chaos.rounds && !chaos.isOver(); round++) {
    chaos.trial()
    const moment = MOMENTS[round % MOMENTS.length] as Moment
    await killAt(moment, daemon, sandbox, chaos)
    const before = sandbox.count(TOKEN, 'refresh_token')
    daemon = await start()
    if (temporaries(home).length > 0) chaos.lost(`left after a start: ${temporaries(home).join(', ')}`)
    const client = await daemon.connect()
    const outcome = await outcomeOf(client.call('refresh'))
    const isSignedOut = outcome.startsWith('1001 ')
    if (outcome !== 'ok' && !isSignedOut) chaos.lost(`${moment}: a refresh after the restart came to ${outcome}`)
    if (isSignedOut) {
      if (refreshReuse === 'forgiving' || moment === 'request arrived') chaos.lost(`${moment}: ${outcome}`)
      for (let i = 0; i < ASKED_AGAIN; i++) await outcomeOf(client.call('getAuthHeader', { interactive: false }))
      signIns.set(moment, (signIns.get(moment) ?? 0) + 1)
    }
    const asked = sandbox.count(TOKEN, 'refresh_token') - before
    requests.push(asked)
    if (asked > MOST_REQUESTS) chaos.lost(`${moment}: ${asked} token requests after one restart`)
    if (isSignedOut) await signIn(client, sandbox)
    client.close()
  }
  await daemon.stop()
  const total = [...signIns.values()].reduce((a, b) => a + b, 0)
  const which = [...signIns].map(([moment, count]) => `${moment} ${count}`).join(', ')
  return `${total} new sign-ins${total > 0 ? ` (${which})` : ''}; at most ${Math.max(...requests)} token requests a restart`
}

/** Has the daemon refresh, and kills it at the moment. */
async function killAt(moment: Moment, daemon: Daemon, sandbox: Sandbox, { dice }: Chaos): Promise<void> {
  const kill = () => void daemon.child.kill('SIGKILL')
  const client = await daemon.connect()
  switch (moment) {
    case 'request arrived':
      sandbox.script(TOKEN, { kind: 'hang' })
      void sandbox.arrived(TOKEN).then(kill)
      break
    case 'rotated, no reply':
      sandbox.script(TOKEN, { kind: 'replace', body: passing(kill) })
      break
    case 'half a reply':
      sandbox.script(TOKEN, { kind: 'stall' })
      void sandbox.arrived(TOKEN).then(() => setTimeout(kill, AFTER_REPLY_MS + dice.below(AFTER_REPLY_MS)))
      break
    case 'after the reply': {
      const delay = dice.below(AFTER_REPLY_MS * 1000) / 1000
      sandbox.script(TOKEN, { kind: 'replace', body: passing(() => setTimeout(kill, delay)) })
      break
    }
  }
  await outcomeOf(client.call('refresh'))
  await daemon.ended
}

/** A look at the answer just before it is sent. */
function passing(look: () => unknown) {
  return (answer: Record<string, unknown>) => {
    look()
    return answer
  }
}

async function newHome(chaos: Chaos, refreshReuse: 'forgiving' | 'strict') {
  const sandbox = await startSandbox({ refreshReuse, accessTokenTtl: 3600 })
  chaos.after(() => sandbox.close())
  const home = join(chaos.folder, 'home')
  await mkdir(home)
  const start = () => startDaemon({ program: chaos.program, home, env: settingsOf(sandbox) })
  return { sandbox, home, start }
}

const MEDIAN_MS = 5
const P99_MS = 20
const BARE = 'x'.repeat(4096) // as long as a session

const windowLength: Scenario = {
  name: 'window-length',
  about: `from the provider’s answer to the session on disk: ${MEDIAN_MS} ms at the median, ${P99_MS} ms at the 99th percentile`,
  needs: [],
  rounds: { short: 40, full: 1000 },
  seconds: { short: 2, full: 300 },
  async run(chaos) {
    const { sandbox, home, start } = await newHome(chaos, 'strict')
    const daemon = await start()
    const client = await daemon.connect()
    await signIn(client, sandbox)
    await client.call('refresh') // the first one of a process pays for what is loaded late
    const watcher = await watchFolder(dirname(sessionFile(home)))
    chaos.after(() => watcher.terminate())
    const renamed: number[] = []
    const answered: number[] = []
    const bare: number[] = []
    while (renamed.length < chaos.rounds && !chaos.isOver()) {
      chaos.trial()
      let sentAt = 0n
      sandbox.script(TOKEN, { kind: 'replace', body: passing(() => (sentAt = process.hrtime.bigint())) })
      await client.call('refresh')
      answered.push(Number(process.hrtime.bigint() - sentAt) / 1e6)
      renamed.push(Number((await watcher.after(sentAt)) - sentAt) / 1e6)
      const startedAt = performance.now()
      await writePrivateFile(systemFiles, join(chaos.folder, 'bare'), BARE)
      bare.push(performance.now() - startedAt)
    }
    await daemon.stop()
    const [median, p99] = [quantile(renamed, 0.5), quantile(renamed, 0.99)]
    // How fast a disk is, and how busy a machine, is no loss of ours: the same write alone stands beside it.
    const verdict = median <= MEDIAN_MS && p99 <= P99_MS ? 'reached' : 'missed'
    const figures = (values: readonly number[]) =>
      [0.5, 0.99].map((part) => quantile(values, part).toFixed(1)).join(' / ')
    return `median / p99, ms: answer to renamed ${figures(renamed)} (target ${verdict}), to caller answered ${figures(answered)}, a bare write of a file meanwhile ${figures(bare)}`
  },
}

// In a thread of its own: this process is the provider meanwhile, and busy.
const WATCH = `
  const { workerData, parentPort } = require('node:worker_threads')
  require('node:fs').watch(workerData, (event, name) => {
    const at = process.hrtime.bigint()
    if (event === 'rename' && name === 'production.jwe') parentPort.postMessage(at)
  })
  parentPort.postMessage(0n)`

/** The file is written before the request as well, to note it: what counts is the write after the answer. */
async function watchFolder(folder: string) {
  const worker = new Worker(WATCH, { eval: true, workerData: folder })
  const seen: bigint[] = []
  let tell: () => void = () => undefined
  worker.on('message', (at: bigint) => {
    seen.push(at)
    tell()
  })
  const next = () =>
    new Promise<void>((resolve) => {
      tell = resolve
    })
  await next()
  const after = async (time: bigint): Promise<bigint> => {
    for (;;) {
      const found = seen.find((at) => at > time)
      if (found !== undefined) return found
      await next()
    }
  }
  return { after, terminate: () => worker.terminate() }
}

export const refreshWindow: readonly Scenario[] = [forgivingWindow, strictWindow, windowLength]
