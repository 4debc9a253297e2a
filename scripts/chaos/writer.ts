// A child process that saves sessions with the daemon's own store and reports each save, until a scenario kills it.
import { readdirSync, writeSync } from 'node:fs'
import { ensurePrivateFolder, sweepTemporaries, systemFiles } from '../../src/host/files.ts'
import { newSession } from '../../test/support/session.ts'
import { foldersOf, openStore } from './store.ts'

// With `steps` it waits for input on stdin, takes these steps and ends; without, it saves until it is killed.
const [home = '', lastGeneration = '0', steps = ''] = process.argv.slice(2)

const say = (text: string) => void writeSync(1, `${text}\n`)

async function main(): Promise<void> {
  const { data, sessions } = foldersOf(home)
  for (const folder of [data, sessions]) {
    await ensurePrivateFolder(systemFiles, folder)
    await sweepTemporaries(systemFiles, folder)
  }
  const leftovers = [data, sessions].flatMap((folder) => readdirSync(folder)).filter((name) => name.endsWith('.tmp'))
  const store = openStore(home)
  const loaded = await store.load()
  say(`loaded ${loaded?.generation ?? 0} ${leftovers.length}`)
  let generation = Math.max(loaded?.generation ?? 0, Number(lastGeneration))
  const save = async () => {
    generation++
    await store.save(newSession({ generation, refreshToken: 'r'.repeat(1 + ((generation * 977) % 6000)) }))
    say(`done ${generation}`)
  }
  if (steps === '') for (;;) await save()
  await new Promise((resolve) => process.stdin.once('data', resolve))
  for (const step of steps) {
    if (step === 's') await save()
    else {
      await store.remove()
      say('done 0')
    }
  }
  say('end')
  process.exit(0)
}

void main()
