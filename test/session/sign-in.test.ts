// A sign-in: one browser for all callers, one outcome, and what happens to a grant that is not kept.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SignInError, UnavailableError } from '../../src/clerk/errors.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { newSession } from '../support/session.ts'

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })

async function signedIn() {
  const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_000_000, lifetime: 60 } })
  const all = await newAuthenticator({ saved })
  await all.authenticator.load()
  return { ...all, saved }
}

describe('signing in', () => {
  it('opens one browser for all callers, and serves them all', async () => {
    const { authenticator, opened, comeBack, clock, openStore } = await newAuthenticator()
    const waiting = Array.from({ length: 50 }, () => authenticator.authHeader())
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    expect(authenticator.status().state).toBe('signing_in')
    const page = await comeBack()
    expect(await page.text()).toContain('You are signed in')
    expect(page.url).not.toContain('code')
    const headers = await Promise.all(waiting)
    expect(new Set(headers).size).toBe(1)
    expect(headers[0]).toMatchObject(bearer('token-1'))
    expect(opened).toHaveLength(1)
    expect(await openStore().load()).toMatchObject({ user: { id: 'user_2' } })
    clock.advance(1)
  })

  it('opens no browser by itself for a minute after a cancelled sign-in', async () => {
    const { authenticator, opened, clock } = await newAuthenticator()
    const waiting = authenticator.authHeader()
    waiting.catch(() => undefined)
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    await authenticator.cancelLogin()
    await expect(waiting).rejects.toMatchObject({ name: 'SignInError', reason: 'cancelled' })
    clock.advance(59)
    await expect(authenticator.authHeader()).rejects.toMatchObject({ reason: 'signed_out' })
    clock.advance(1)
    const again = authenticator.authHeader()
    again.catch(() => undefined)
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    expect(opened).toHaveLength(2)
    await authenticator.cancelLogin()
  })

  it('times out, and can be started again at once', async () => {
    const { authenticator, clock } = await newAuthenticator()
    const first = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 30 })
    first.catch(() => undefined)
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 5 })
    clock.advance(31)
    await expect(first).rejects.toMatchObject({ reason: 'timeout' })
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', authorizationUrl: null })
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 30 })
    expect(authenticator.status().state).toBe('signing_in')
    await authenticator.cancelLogin()
  })

  it('keeps waiting after forged callbacks, and exchanges the right one once', async () => {
    const { authenticator, provider, comeBack } = await newAuthenticator()
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    let exchanged = 0
    provider.exchanges = [
      async () => {
        exchanged++
        return newSession()
      },
    ]
    for (let i = 0; i < 50; i++) {
      expect((await comeBack({ state: `wrong-${i}`, code: 'stolen' })).status).toBe(400)
      expect((await comeBack({ state: `wrong-${i}`, error: 'access_denied' })).status).toBe(400)
    }
    const pages = await Promise.all([comeBack(), comeBack()])
    for (const page of pages) expect(await page.text()).toContain('You are signed in')
    expect(exchanged).toBe(1)
    expect(authenticator.status().state).toBe('signed_in')
  })

  it('opens the browser once more if Clerk has lost the request', async () => {
    const { authenticator, comeBack, opened } = await newAuthenticator()
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    for (let i = 0; i < 3; i++) {
      const page = await comeBack({ state: '', error: 'unsupported_response_type' })
      expect(page.status).toBe(400)
    }
    expect(opened).toHaveLength(2)
    expect(await (await comeBack()).text()).toContain('You are signed in')
  })

  it('is joined by callers that ask while it is being saved, without a second browser', async () => {
    let save: () => void = () => undefined
    const saved = new Promise<void>((resolve) => {
      save = resolve
    })
    let saving: () => void = () => undefined
    const isSaving = new Promise<void>((resolve) => {
      saving = resolve
    })
    const files: FileSystem = {
      ...systemFiles,
      rename: async (from, to) => {
        if (String(to).endsWith('.jwe')) {
          saving()
          await saved
        }
        return await systemFiles.rename(from, to)
      },
    }
    const { authenticator, comeBack, opened } = await newAuthenticator({ files })
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    const page = comeBack()
    await isSaving
    const header = authenticator.authHeader()
    save()
    expect(await header).toMatchObject(bearer('token-1'))
    expect(await (await page).text()).toContain('You are signed in')
    expect({ opened: opened.length, state: authenticator.status().state }).toEqual({ opened: 1, state: 'signed_in' })
  })

  it('leaves no port open if it is cancelled while the provider fails', async () => {
    const { authenticator, provider } = await newAuthenticator()
    let redirectUri = ''
    let asked: () => void = () => undefined
    const authorizing = new Promise<void>((resolve) => {
      asked = resolve
    })
    let fail: (error: Error) => void = () => undefined
    provider.authorize = (uri) => {
      redirectUri = uri
      asked()
      return new Promise((_resolve, reject) => {
        fail = reject
      })
    }
    authenticator.login({ openBrowser: false, wait: true, timeoutSeconds: 300 }).catch(() => undefined)
    await authorizing
    await authenticator.cancelLogin()
    fail(new UnavailableError('network'))
    await expect.poll(() => fetch(redirectUri).catch(() => 'closed')).toBe('closed')
  })

  it('goes on for a caller that shows the link if another caller’s browser does not open', async () => {
    const openBrowser = () => Promise.reject(new Error('no browser'))
    const { authenticator, comeBack } = await newAuthenticator({ openBrowser })
    const byLink = authenticator.login({ openBrowser: false, wait: true, timeoutSeconds: 300 })
    const byBrowser = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 300 })
    await expect(byBrowser).rejects.toMatchObject({ name: 'SignInError', reason: 'browser' })
    await comeBack()
    await byLink
    expect(authenticator.status().state).toBe('signed_in')
  })

  it('fails if the browser does not open and no caller shows the link', async () => {
    const openBrowser = () => Promise.reject(new Error('no browser'))
    const { authenticator } = await newAuthenticator({ openBrowser })
    const login = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 300 })
    await expect(login).rejects.toMatchObject({ name: 'SignInError', reason: 'browser' })
    expect(authenticator.status().state).toBe('signed_out')
  })

  it('revokes the new grant if it cannot be saved over an unreadable file', async () => {
    const { authenticator, provider, comeBack, folder, openStore } = await newAuthenticator()
    await openStore().save(newSession())
    await rm(join(folder, '..', 'store-key.jwk')) // the old file stays, and is to be set aside
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    provider.exchanges = [async () => newSession({ refreshToken: 'orphan' })]
    await rm(folder, { recursive: true })
    expect(await (await comeBack()).text()).toContain('could not')
    await expect.poll(() => provider.revoked.map(({ refreshToken }) => refreshToken)).toEqual(['orphan'])
  })

  it('keeps the old session if it fails', async () => {
    const { authenticator, provider, comeBack, saved, openStore } = await signedIn()
    const login = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 300 })
    login.catch(() => undefined)
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    provider.exchanges = [() => Promise.reject(new SignInError('access_denied'))]
    expect(await (await comeBack()).text()).toContain('declined')
    await expect(login).rejects.toMatchObject({ reason: 'access_denied' })
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    expect(await openStore().load()).toEqual(saved)
  })

  it('replaces the old session, and revokes it', async () => {
    const { authenticator, provider, comeBack, saved, openStore } = await signedIn()
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    await comeBack()
    await authenticator.settled()
    expect(await openStore().load()).toMatchObject({ user: { id: 'user_2' }, generation: 2 })
    expect(provider.revoked).toEqual([saved])
  })

  it('replaces a session before its end without a gap: clients have a header at every moment', async () => {
    const end = 1_800_000_000 + 1800
    const saved = newSession({ sessionExpiresAt: end })
    const { authenticator, provider, comeBack, expiring, told } = await newAuthenticator({ saved })
    await authenticator.load()
    expect(expiring).toEqual([{ sessionExpiresAt: end, inSeconds: 1800 }])
    const header = () => authenticator.authHeader(0, false)
    const before = await header()
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    expect(await header()).toBe(before)
    let isExchanging: () => void = () => undefined
    const exchanging = new Promise<void>((resolve) => {
      isExchanging = resolve
    })
    let grant: () => void = () => undefined
    const granted = new Promise<void>((resolve) => {
      grant = resolve
    })
    provider.exchanges = [
      async () => {
        isExchanging()
        await granted
        return newSession({ sessionExpiresAt: end + 86_400 })
      },
    ]
    const page = comeBack()
    await exchanging
    expect(await header()).toBe(before)
    grant()
    expect(await (await page).text()).toContain('You are signed in')
    expect(await header()).not.toBe(before)
    expect(told.map(({ state }) => state)).not.toContain('signed_out')
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', sessionExpiresAt: end + 86_400 })
  })

  it('saves one grant if two callbacks are valid, shows both as signed in, and retires the other grant', async () => {
    const { authenticator, provider, comeBack, openStore } = await newAuthenticator()
    const { authorize } = provider
    provider.authorize = async (redirectUri) => ({ ...(await authorize(redirectUri)), state: null })
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    let exchangeBoth: () => void = () => undefined
    const bothCame = new Promise<void>((resolve) => {
      exchangeBoth = resolve
    })
    const grant = (refreshToken: string, isLast: boolean) => async () => {
      if (isLast) exchangeBoth()
      await bothCame
      return newSession({ refreshToken })
    }
    provider.exchanges = [grant('first', false), grant('second', true)]
    const pages = await Promise.all([comeBack({ code: 'a' }), comeBack({ code: 'b' })])
    for (const page of pages) expect(await page.text()).toContain('You are signed in')
    const kept = (await openStore().load())?.refreshToken
    expect(['first', 'second']).toContain(kept)
    expect(provider.revoked.map(({ refreshToken }) => refreshToken)).toEqual([kept === 'first' ? 'second' : 'first'])
  })
})

describe('the status after a sign-in', () => {
  it('does not tell of the failure before it, in the notification either', async () => {
    const { authenticator, told, comeBack } = await newAuthenticator()
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await authenticator.cancelLogin()
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await comeBack()
    await authenticator.settled()
    expect(authenticator.status().signIn).toBeNull()
    expect(told.at(-1)).toMatchObject({ state: 'signed_in', signIn: null })
  })
})

describe('a person who has just asked', () => {
  it('gets the session that another caller has signed in meanwhile, without a browser', async () => {
    let open: () => void = () => undefined
    let gate: Promise<void> | undefined
    const files: FileSystem = {
      ...systemFiles,
      unlink: async (path) => {
        if (String(path).includes('prompt-pause')) await gate
        return await systemFiles.unlink(path)
      },
    }
    let onOpen: () => void = () => undefined
    const browser = new Promise<void>((resolve) => {
      onOpen = resolve
    })
    const { authenticator, comeBack } = await newAuthenticator({ files, openBrowser: async () => onOpen() })
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await authenticator.cancelLogin()
    gate = new Promise((resolve) => {
      open = resolve
    })
    const asked = authenticator.authHeader(10, true, true)
    asked.catch(() => undefined)
    await new Promise(setImmediate)
    const login = authenticator.login({ openBrowser: false, wait: true, timeoutSeconds: 300 })
    await expect.poll(() => authenticator.status().authorizationUrl).not.toBeNull()
    await comeBack()
    open()
    await login
    expect(await Promise.race([asked, browser.then(() => 'browser')])).toMatchObject({ expiresAt: 1_800_000_060 })
  })
})
