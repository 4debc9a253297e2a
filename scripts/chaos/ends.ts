// A daemon that is stopped at a random moment, or paused for a while: no acknowledged session is lost, and one daemon runs.
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../src/host/clock.ts'
import { startSandbox } from '../../test/sandbox/index.ts'
import { settingsOf, signIn, startDaemon } from './daemon.ts'
import { discoveryFile } from './raw-client.ts'
import { type Chaos, outcomeOf, quantile, type Scenario } from './scenario.ts'
import { generationOf } from './store.ts'

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
const TARGET_MS = 2000
const LONGEST_MS = 10_000 // a busy machine may stall for seconds, but not for this long

async function newHome(chaos: Chaos) {
  const sandbox = await startSandbox({ accessTokenTtl: 3600 })
  chaos.after(() => sandbox.close())
  const home = join(chaos.folder, 'home')
  await mkdir(home)
  const start = () => startDaemon({ program: chaos.program, home, env: settingsOf(sandbox) })
  const binding = { profile: 'production', issuer: sandbox.issuer, clientId: sandbox.clientId, broker: null }
  return { sandbox, home, start, generation: () => generationOf(home, binding) }
}

const signals: Scenario = {
  name: 'end-signals',
  about: 'SIGTERM, SIGINT and SIGHUP at random moments of a refresh: a clean exit, no session lost',
  needs: [],
  rounds: { short: 3, full: 200 },
  seconds: { short: 3, full: 200 },
  async run(chaos) {
    const { sandbox, home, start, generation } = await newHome(chaos)
    let daemon = await start()
    await signIn(await daemon.connect(), sandbox)
    const times: number[] = []
    while (times.length < chaos.rounds && !chaos.isOver()) {
      chaos.countTrials()
      const signal = chaos.random.pick(SIGNALS)
      const client = await daemon.connect()
      let acknowledged = await generation()
      let signalledAt = 0
      setTimeout(() => {
        signalledAt = performance.now()
        daemon.child.kill(signal)
      }, chaos.random.below(40))
      while ((await outcomeOf(client.call('refresh'))) === 'ok') acknowledged++
      const code = await daemon.ended
      times.push(performance.now() - signalledAt)
      if (code !== 0) chaos.lost(`${signal}: exit code ${code}`)
      if ((times.at(-1) ?? 0) > LONGEST_MS) chaos.lost(`${signal}: it took ${times.at(-1)?.toFixed(0)} ms to end`)
      if (existsSync(discoveryFile(home))) chaos.lost(`${signal}: the discovery file still exists`)
      // The daemon completes a refresh in flight: the strict provider ends the grant if a spent token is used again.
      const found = await generation()
      if (found !== acknowledged && found !== acknowledged + 1)
        chaos.lost(`${signal}: generation ${acknowledged} was acknowledged, ${found} is on disk`)
      daemon = await start()
      const outcome = await outcomeOf((await daemon.connect()).call('refresh'))
      if (outcome !== 'ok') chaos.lost(`${signal}: outcome of a refresh after the restart: ${outcome}`)
    }
    await daemon.stop()
    const within = times.filter((ms) => ms <= TARGET_MS).length
    return `${within} of ${times.length} within ${TARGET_MS} ms; median ${quantile(times, 0.5).toFixed(0)}, longest ${Math.max(...times).toFixed(0)} ms`
  },
}

const PAUSE_SECONDS = 30

const pausedDaemon: Scenario = {
  name: 'end-pause',
  about: 'a daemon is paused (SIGSTOP) and resumed: a start in between reports it, and starts no second daemon',
  needs: [],
  rounds: { short: 0, full: 1 },
  seconds: { short: 0, full: 60 },
  async run(chaos) {
    if (chaos.rounds === 0) return 'takes half a minute: not in a short run'
    const { sandbox, start } = await newHome(chaos)
    const daemon = await start()
    const client = await daemon.connect()
    await signIn(client, sandbox)
    for (let i = 0; i < chaos.rounds && !chaos.isOver(); i++) {
      chaos.countTrials()
      daemon.child.kill('SIGSTOP')
      const pause = systemClock.wait(PAUSE_SECONDS)
      const second = await start().then(
        async (one) => {
          await one.kill()
          return 'a second daemon started'
        },
        (error: unknown) => String(error),
      )
      if (!second.includes('does not respond')) chaos.lost(`a second start: ${second}`)
      await pause
      daemon.child.kill('SIGCONT')
      const outcome = await outcomeOf(client.call('refresh'))
      if (outcome !== 'ok') chaos.lost(`outcome of a refresh after the pause: ${outcome}`)
    }
    await daemon.stop()
    return `paused for ${PAUSE_SECONDS} s`
  },
}

export const ends: readonly Scenario[] = [signals, pausedDaemon]
