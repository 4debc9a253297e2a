// Browsers that open by themselves: how often, and what ends the pause.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SignInError, UnavailableError } from '../../src/clerk/errors.ts'
import { BrowserError } from '../../src/host/browser.ts'
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
      await pause.failed()
      lengths.push(lengthOf(pause, clock))
    }
    expect(lengths).toEqual([60, 900, 7200, undefined])
    await pause.end()
    expect(pause.mayPrompt).toBe(true)
  })

  it('is a minute each time if a person cancels the sign-in', async () => {
    const { pause, clock } = await newPause()
    for (let n = 0; n < 5; n++) {
      await pause.cancelled()
      expect(lengthOf(pause, clock)).toBe(60)
    }
  })

  it('survives a restart, and counts on from there', async () => {
    const { pause, clock, open } = await newPause()
    await pause.failed()
    await pause.failed()
    const next = await open()
    expect(next.mayPrompt).toBe(false)
    expect(lengthOf(next, clock)).toBe(900)
    await next.failed()
    expect(lengthOf(await open(), clock)).toBe(7200)
  })

  it('lasts two hours at most after a restart, whatever the wall clock was when it began', async () => {
    const { pause, clock, open } = await newPause()
    await pause.cancelled()
    clock.setBack(86_400)
    expect(lengthOf(await open(), clock)).toBe(7200)
  })

  it('ends in time in this process although the wall clock is set back', async () => {
    const { pause, clock } = await newPause()
    await pause.cancelled()
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
  const NIGHT = 200 // calls, ten minutes apart

  /** @param answer what happens in the browser while the sign-in waits */
  async function newNight(answer: (all: Awaited<ReturnType<typeof newAuthenticator>>) => Promise<unknown>) {
    let onOpen: () => void = () => undefined
    const all = await newAuthenticator({ openBrowser: async () => onOpen() })
    const { authenticator, opened } = all
    const ask = async (userAsked = false) => {
      const before = opened.length
      const browser = new Promise<void>((resolve) => {
        onOpen = resolve
      })
      const header = authenticator.authHeader(10, true, userAsked).catch((error: unknown) => error)
      await Promise.race([browser, header])
      if (opened.length > before) await answer(all)
      return await header
    }
    return { ...all, ask }
  }

  it('opens four tabs at most, and one more when a person asks', async () => {
    const { authenticator, opened, clock, ask } = await newNight(async ({ clock }) => clock.advance(300))
    for (let n = 0; n < NIGHT; n++) {
      await ask()
      clock.advance(600)
    }
    expect(opened).toHaveLength(4)
    expect(authenticator.status().signIn).toMatchObject({ lastError: 'timeout' })
    await ask(true)
    expect(opened).toHaveLength(5)
  })

  // The browser is signed in at the provider, and comes back by itself.
  it.each([
    ['the provider denies each sign-in by itself', { error: 'access_denied' }, new SignInError('access_denied')],
    ['the provider takes no code', { code: 'code' }, new UnavailableError('server')],
    ['the answer proves nothing', { code: 'code' }, new SignInError('invalid_response')],
  ])('opens four tabs at most while %s', async (_name, query, error) => {
    const { opened, clock, ask } = await newNight(async ({ provider, comeBack }) => {
      provider.exchanges = [() => Promise.reject(error)]
      await comeBack(query)
    })
    for (let n = 0; n < NIGHT; n++) {
      await ask()
      clock.advance(600)
    }
    expect(opened).toHaveLength(4)
  })

  it('opens four tabs at most although every opener reports a failure', async () => {
    const { authenticator, opened, clock } = await newAuthenticator({
      openBrowser: () => Promise.reject(new BrowserError()),
    })
    for (let n = 0; n < NIGHT; n++) {
      await authenticator.authHeader(10, true).catch(() => undefined)
      clock.advance(600)
    }
    expect(opened).toHaveLength(4)
  })

  it('opens one tab for as long as the sign-in of an earlier call waits', async () => {
    const { authenticator, opened, clock } = await newAuthenticator()
    const automatic = { openBrowser: true, wait: false, timeoutSeconds: 300, userAsked: false }
    for (let n = 0; n < NIGHT; n++) {
      await authenticator.login(automatic)
      clock.advance(60)
    }
    expect(opened).toHaveLength(1)
    await authenticator.login({ ...automatic, userAsked: true })
    expect(opened).toHaveLength(2)
    await authenticator.cancelLogin()
  })

  it('opens four tabs at most although the daemon ends in the middle of each sign-in', async () => {
    const { home, clock, authenticator: first } = await newAuthenticator()
    first.stop()
    let tabs = 0
    for (let n = 0; n < NIGHT; n++) {
      let onOpen: () => void = () => undefined
      const browser = new Promise<void>((resolve) => {
        onOpen = resolve
      })
      const { authenticator, opened } = await newAuthenticator({ home, clock, openBrowser: async () => onOpen() })
      const header = authenticator.authHeader(10, true).catch(() => undefined)
      await Promise.race([header, browser])
      authenticator.stop()
      await authenticator.settled()
      await header
      tabs += opened.length
      clock.advance(600)
    }
    expect(tabs).toBe(4)
  })
})

describe('the file of the pause', () => {
  it('prolongs nothing if the wall clock is set back after a restart', async () => {
    const clock = new TestClock()
    const path = join(await temporaryFolder(), 'prompt-pause.json')
    await new PromptPause({ files: systemFiles, clock, path }).cancelled()
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
    const failed = pause.failed()
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
