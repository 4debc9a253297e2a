// A daemon that is told to end at any moment, or stands still for a while: nothing acknowledged is lost, and there is one.
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startSandbox } from '../../test/sandbox/index.ts'
import { discoveryFile, settingsOf, signIn, startDaemon } from './daemon.ts'
import { type Chaos, outcomeOf, quantile, type Scenario } from './scenario.ts'
import { generationOf } from './store.ts'

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
const END_MS = 2000
const LONGEST_END_MS = 10_000 // a busy machine stands still for seconds; this is no such thing

async function newHome(chaos: Chaos) {
  const sandbox = await startSandbox({ accessTokenTtl: 3600 })
  chaos.after(() => sandbox.close())
  const home = join(chaos.folder, 'home')
  await mkdir(home)
  const start = () => startDaemon({ program: chaos.program, home, env: settingsOf(sandbox) })
  const binding = { profile: 'production', issuer: sandbox.issuer, clientId: sandbox.clientId }
  return { sandbox, home, start, generation: () => generationOf(home, binding) }
}

const signals: Scenario = {
  name: 'end-signals',
  about: `SIGTERM, SIGINT and SIGHUP at random moments of a refresh: a clean end, nothing lost`,
  needs: [],
  rounds: { short: 3, full: 200 },
  seconds: { short: 3, full: 200 },
  async run(chaos) {
    const { sandbox, home, start, generation } = await newHome(chaos)
    let daemon = await start()
    await signIn(await daemon.connect(), sandbox)
    const times: number[] = []
    while (times.length < chaos.rounds && !chaos.isOver()) {
      chaos.trial()
      const signal = chaos.dice.pick(SIGNALS)
      const client = await daemon.connect()
      let acknowledged = await generation()
      let toldAt = 0
      setTimeout(() => {
        toldAt = performance.now()
        daemon.child.kill(signal)
      }, chaos.dice.below(40))
      while ((await outcomeOf(client.call('refresh'))) === 'ok') acknowledged++
      const code = await daemon.ended
      times.push(performance.now() - toldAt)
      if (code !== 0) chaos.lost(`${signal}: it ended with ${code}`)
      if ((times.at(-1) ?? 0) > LONGEST_END_MS) chaos.lost(`${signal}: it took ${times.at(-1)?.toFixed(0)} ms to end`)
      if (existsSync(discoveryFile(home))) chaos.lost(`${signal}: the discovery file is still there`)
      // A refresh that was under way is finished: the strict provider would end the grant for a token that comes again.
      const found = await generation()
      if (found !== acknowledged && found !== acknowledged + 1)
        chaos.lost(`${signal}: generation ${acknowledged} was acknowledged, ${found} is on disk`)
      daemon = await start()
      const outcome = await outcomeOf((await daemon.connect()).call('refresh'))
      if (outcome !== 'ok') chaos.lost(`${signal}: a refresh after it came to ${outcome}`)
    }
    await daemon.stop()
    const within = times.filter((ms) => ms <= END_MS).length
    return `${within} of ${times.length} within ${END_MS} ms; median ${quantile(times, 0.5).toFixed(0)}, longest ${Math.max(...times).toFixed(0)} ms`
  },
}

const STILL_MS = 30_000

const standstill: Scenario = {
  name: 'end-standstill',
  about:
    'a daemon that is stopped (SIGSTOP) and goes on: another start meanwhile says so, and does not become a second one',
  needs: [],
  rounds: { short: 0, full: 1 },
  seconds: { short: 0, full: 60 },
  async run(chaos) {
    if (chaos.rounds === 0) return 'takes half a minute: not in a short round'
    const { sandbox, start } = await newHome(chaos)
    const daemon = await start()
    const client = await daemon.connect()
    await signIn(client, sandbox)
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.trial()
      daemon.child.kill('SIGSTOP')
      const goesOn = new Promise((resolve) => setTimeout(resolve, STILL_MS))
      const second = await start().then(
        async (one) => {
          await one.kill()
          return 'it started'
        },
        (error: unknown) => String(error),
      )
      if (!second.includes('does not respond')) chaos.lost(`a second start: ${second}`)
      await goesOn
      daemon.child.kill('SIGCONT')
      const outcome = await outcomeOf(client.call('refresh'))
      if (outcome !== 'ok') chaos.lost(`after the standstill a refresh came to ${outcome}`)
    }
    await daemon.stop()
    return `stood still for ${STILL_MS / 1000} s`
  },
}

export const ends: readonly Scenario[] = [signals, standstill]
