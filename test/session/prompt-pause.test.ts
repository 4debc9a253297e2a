// Browsers that open by themselves: how often, and what ends the pause.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { PromptPause } from '../../src/session/prompt-pause.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'

async function newPause() {
  const clock = new TestClock()
  const path = join(await temporaryFolder(), 'prompt-pause.json')
  const open = async () => {
    const pause = new PromptPause({ files: systemFiles, clock, path })
    await pause.load()
    return pause
  }
  return { clock, path, open, pause: await open() }
}

/** Seconds until the pause ends, in steps of a second; undefined if it lasts longer than a day. */
function lengthOf(pause: PromptPause, clock: TestClock): number | undefined {
  for (let seconds = 0; seconds <= 86_400; seconds++) {
    if (pause.mayPrompt) return seconds
    clock.advance(1)
  }
  return undefined
}

describe('the pause', () => {
  it('grows with each sign-in that no person answers, and then lasts until a person asks', async () => {
    const { pause, clock } = await newPause()
    const lengths: (number | undefined)[] = []
    for (let n = 0; n < 4; n++) {
      await pause.failed(true)
      lengths.push(lengthOf(pause, clock))
    }
    expect(lengths).toEqual([60, 900, 7200, undefined])
    await pause.end()
    expect(pause.mayPrompt).toBe(true)
  })

  it('is a minute each time if a person closes or denies the sign-in', async () => {
    const { pause, clock } = await newPause()
    for (let n = 0; n < 5; n++) {
      await pause.failed(false)
      expect(lengthOf(pause, clock)).toBe(60)
    }
  })

  it('survives a restart, and counts on from there', async () => {
    const { pause, clock, open } = await newPause()
    await pause.failed(true)
    await pause.failed(true)
    const next = await open()
    expect(next.mayPrompt).toBe(false)
    expect(lengthOf(next, clock)).toBe(900)
    await next.failed(true)
    expect(lengthOf(await open(), clock)).toBe(7200)
  })

  it('lasts two hours at most after a restart, whatever the wall clock was when it began', async () => {
    const { pause, clock, open } = await newPause()
    await pause.failed(false)
    clock.setBack(86_400)
    expect(lengthOf(await open(), clock)).toBe(7200)
  })

  it('ends in time in this process although the wall clock is set back', async () => {
    const { pause, clock } = await newPause()
    await pause.failed(false)
    clock.setBack(86_400)
    expect(lengthOf(pause, clock)).toBe(60)
  })

  it.each(['', '{', '{"unanswered":-1,"until":0}', '[]'])('is none if its file holds %j', async (text) => {
    const { path, open } = await newPause()
    await systemFiles.open(path, 'w', 0o600).then(async (file) => {
      await file.writeFile(text)
      await file.close()
    })
    expect((await open()).mayPrompt).toBe(true)
  })
})

describe('a client that asks all night', () => {
  it('opens four tabs at most, and one more when a person asks', async () => {
    let onOpen: () => void = () => undefined
    const { authenticator, opened, clock } = await newAuthenticator({ openBrowser: async () => onOpen() })
    const ask = async (userAsked = false) => {
      const before = opened.length
      const browser = new Promise<void>((resolve) => {
        onOpen = resolve
      })
      const header = authenticator.authHeader(10, true, userAsked).catch((error: unknown) => error)
      await Promise.race([browser, header])
      if (opened.length > before) clock.advance(300)
      return await header
    }
    for (let n = 0; n < 200; n++) {
      await ask()
      clock.advance(600)
    }
    expect(opened).toHaveLength(4)
    expect(authenticator.status().signIn).toMatchObject({ lastError: 'timeout' })
    await ask(true)
    expect(opened).toHaveLength(5)
  })
})

describe('the file of the pause', () => {
  it('prolongs nothing if the wall clock is set back after a restart', async () => {
    const clock = new TestClock()
    const path = join(await temporaryFolder(), 'prompt-pause.json')
    await new PromptPause({ files: systemFiles, clock, path }).failed(false)
    const next = new PromptPause({ files: systemFiles, clock, path })
    await next.load()
    clock.setBack(86_400)
    clock.advance(61)
    expect(next.mayPrompt).toBe(true)
  })

  it('is gone if the pause ends while it is being written', async () => {
    const clock = new TestClock()
    const path = join(await temporaryFolder(), 'prompt-pause.json')
    let open: () => void = () => undefined
    let gate: Promise<void> | undefined = new Promise((resolve) => {
      open = resolve
    })
    const files: FileSystem = {
      ...systemFiles,
      rename: async (...args) => {
        await gate
        return await systemFiles.rename(...args)
      },
    }
    const pause = new PromptPause({ files, clock, path })
    const failed = pause.failed(true)
    const ended = pause.end()
    open()
    gate = undefined
    await Promise.all([failed, ended])
    await pause.end()
    const next = new PromptPause({ files: systemFiles, clock, path })
    await next.load()
    expect(next.mayPrompt).toBe(true)
  })
})
