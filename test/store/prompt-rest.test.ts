// A dismissed prompt of the keyring rests for calls that no person has asked for.
import { describe, expect, it } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Ran } from '../../src/host/run.ts'
import { StoreError } from '../../src/store/errors.ts'
import { keyfileProvider, keyringProvider } from '../../src/store/key.ts'
import { type Keyring, limitedKeyring } from '../../src/store/keyring.ts'
import { PromptRest, restingKeyring } from '../../src/store/prompt-rest.ts'
import { isSecretServiceUnlocked } from '../../src/store/secret-service.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { TestClock } from '../support/clock.ts'
import { memoryKeyring } from '../support/store.ts'

function newRestingKeyring() {
  const ring = memoryKeyring()
  const clock = new TestClock()
  const rest = new PromptRest(clock)
  let isUnlocked = false
  let looks = 0
  const keyring = restingKeyring(ring.keyring, rest, clock, async () => {
    looks++
    return isUnlocked
  })
  return {
    ...{ ring, clock, rest, keyring },
    unlockElsewhere: () => {
      isUnlocked = true
      ring.state = 'open'
    },
    looks: () => looks,
  }
}

const LOCKED = { name: 'StoreError', code: 'key_locked' }

describe('a locked keyring', () => {
  it('[E1] is asked four times in a night by a client that polls', async () => {
    const { ring, keyring, clock } = newRestingKeyring()
    ring.state = 'locked'
    const askedAt: number[] = []
    for (let minute = 0; minute < 12 * 60; minute++) {
      const before = ring.reads
      await expect(keyring.get()).rejects.toMatchObject(LOCKED)
      if (ring.reads > before) askedAt.push(minute)
      clock.advance(60)
    }
    expect(askedAt).toEqual([0, 1, 16, 136])
  })

  it('rests for a save as well, and says how to be asked again', async () => {
    const { ring, keyring } = newRestingKeyring()
    ring.state = 'locked'
    await expect(keyring.get()).rejects.toMatchObject({ message: expect.not.stringContaining('dismissed') })
    await expect(keyring.set('key')).rejects.toMatchObject({
      ...LOCKED,
      message: expect.stringContaining('run cadzero-auth login to be asked again'),
    })
    expect({ reads: ring.reads, writes: ring.writes }).toEqual({ reads: 1, writes: 0 })
  })

  it('is asked again at once after a person has acted, and its rest starts from the first step', async () => {
    const { ring, keyring, rest, clock } = newRestingKeyring()
    ring.state = 'locked'
    for (const seconds of [60, 900, 7200]) {
      await keyring.get().catch(() => undefined)
      clock.advance(seconds)
    }
    await keyring.get().catch(() => undefined)
    clock.advance(86_400)
    await expect(keyring.get()).rejects.toMatchObject(LOCKED)
    expect(ring.reads).toBe(4)
    rest.end()
    await expect(keyring.get()).rejects.toMatchObject(LOCKED)
    clock.advance(60)
    await expect(keyring.get()).rejects.toMatchObject(LOCKED)
    expect(ring.reads).toBe(6)
  })

  it('is read within the rest once it was unlocked elsewhere, and is looked at every five seconds at most', async () => {
    const { ring, keyring, clock, unlockElsewhere, looks } = newRestingKeyring()
    await keyring.set('key')
    ring.state = 'locked'
    for (let n = 0; n < 100; n++) await keyring.get().catch(() => undefined)
    expect(looks()).toBe(1)
    unlockElsewhere()
    clock.advance(5)
    expect(await keyring.get()).toBe('key')
    expect(await keyring.get()).toBe('key') // the rest is over
    expect(looks()).toBe(2)
  })

  it('that is missing does not rest, since it raises no prompt', async () => {
    const { ring, keyring } = newRestingKeyring()
    ring.state = 'unavailable'
    for (let n = 0; n < 3; n++) await expect(keyring.get()).rejects.toMatchObject({ code: 'keyring_unavailable' })
    expect(ring.reads).toBe(3)
  })

  it('leaves the key file alone: a locked keyring is not replaced by one', async () => {
    const { ring, keyring } = newRestingKeyring()
    ring.state = 'locked'
    const keys = new StoreKeys([
      keyringProvider(keyring, systemRandom),
      keyfileProvider(systemFiles, '/does/not/exist', systemRandom),
    ])
    for (let n = 0; n < 3; n++) await expect(keys.current()).rejects.toMatchObject(LOCKED)
    expect(ring.reads).toBe(1)
  })
})

it('a prompt that stays open is one prompt, and its answer ends the wait of the next caller', async () => {
  const clock = new TestClock()
  const rest = new PromptRest(clock)
  let answer: (text: string) => void = () => undefined
  let prompts = 0
  const keyring: Keyring = {
    get: () => {
      prompts++
      return new Promise((resolve) => {
        answer = resolve
      })
    },
    set: async () => undefined,
    remove: async () => false,
  }
  const limited = limitedKeyring(
    restingKeyring(keyring, rest, clock, async () => false),
    clock,
  )
  for (let n = 0; n < 3; n++) {
    const call = limited.get()
    await new Promise(setImmediate)
    clock.advance(15)
    await expect(call).rejects.toMatchObject(LOCKED)
  }
  const last = limited.get()
  answer('key')
  expect(await last).toBe('key')
  expect(prompts).toBe(1)
  expect(rest.isOver).toBe(true)
})

describe('the Secret Service', () => {
  const ran =
    (stdout: string, status = 0) =>
    async (): Promise<Ran> => ({ status, stdout, stderr: '' })

  it('is unlocked only if it says so', async () => {
    const ask = (answer: () => Promise<Ran>, platform: NodeJS.Platform = 'linux', program: string | undefined = '/x') =>
      isSecretServiceUnlocked(answer, platform, program)
    expect(await ask(ran('   variant       boolean false'))).toBe(true)
    expect(await ask(ran('   variant       boolean true'))).toBe(false)
    expect(await ask(ran('boolean false', 1))).toBe(false)
    expect(await ask(ran(''))).toBe(false)
    expect(await ask(ran('boolean false'), 'darwin')).toBe(false)
    expect(await ask(ran('boolean false'), 'win32')).toBe(false)
  })

  it('is not asked without dbus-send', async () => {
    const run = () => Promise.reject(new StoreError('unreadable'))
    expect(await isSecretServiceUnlocked(run, 'linux', '')).toBe(false)
  })
})
