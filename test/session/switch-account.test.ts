// Another account: a sign-in that asks again who the user is, by a person's wish or after a logout.
import { describe, expect, it } from 'vitest'
import { SessionEndedError } from '../../src/clerk/errors.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { newSession } from '../support/session.ts'

const BROWSER = { openBrowser: false, wait: false, timeoutSeconds: 300 } as const

async function signIn(all: Awaited<ReturnType<typeof newAuthenticator>>): Promise<void> {
  await all.authenticator.login(BROWSER)
  await all.comeBack()
}

describe('after a logout', () => {
  it('the next sign-in asks for the account, the one after it does not', async () => {
    const all = await newAuthenticator({ saved: newSession() })
    const { authenticator, provider } = all
    await authenticator.load()
    await authenticator.logout()
    await signIn(all)
    await signIn(all)
    expect(provider.authorizations).toEqual([{ prompt: 'login' }, {}])
  })

  it('each sign-in asks for the account until one succeeds, the automatic ones too', async () => {
    const { authenticator, provider } = await newAuthenticator({ saved: newSession() })
    await authenticator.load()
    await authenticator.logout()
    await authenticator.login(BROWSER)
    await authenticator.cancelLogin()
    authenticator.authHeader(10, true, true).catch(() => undefined)
    await expect.poll(() => provider.authorizations).toEqual([{ prompt: 'login' }, { prompt: 'login' }])
    await authenticator.cancelLogin()
  })

  it('the next daemon asks for the account', async () => {
    const before = await newAuthenticator({ saved: newSession() })
    await before.authenticator.load()
    await before.authenticator.logout()
    const after = await newAuthenticator({ home: before.home })
    await signIn(after)
    expect(after.provider.authorizations).toEqual([{ prompt: 'login' }])
  })

  it.each(['session_expired', 'session_revoked'] as const)('but not after the end %s', async (reason) => {
    const all = await newAuthenticator({ saved: newSession() })
    await all.authenticator.load()
    all.provider.script = [() => Promise.reject(new SessionEndedError(reason))]
    await expect(all.authenticator.refresh()).rejects.toMatchObject({ reason })
    await signIn(all)
    expect(all.provider.authorizations).toEqual([{}])
  })
})

describe('a sign-in with another account', () => {
  it('asks for the account, and does not name the known user', async () => {
    const { authenticator, provider, comeBack } = await newAuthenticator()
    await authenticator.importSession({
      token: 'expired',
      sessionId: null,
      user: { id: 'user_1', email: 'ada@example.com', name: null },
    })
    await authenticator.login({ ...BROWSER, prompt: 'login' })
    await comeBack()
    expect(provider.authorizations).toEqual([{ prompt: 'login' }])
  })

  it('replaces the session only when it has succeeded', async () => {
    const { authenticator, comeBack } = await newAuthenticator({ saved: newSession() })
    await authenticator.load()
    await authenticator.login({ ...BROWSER, prompt: 'login' })
    expect(authenticator.status().user?.id).toBe('user_1')
    await comeBack()
    expect(authenticator.status().user?.id).toBe('user_2')
  })

  it('replaces a running sign-in without it, whose callers are signed in by the new one', async () => {
    const { authenticator, provider, comeBack, logged } = await newAuthenticator()
    const earlier = authenticator.authHeader()
    await expect.poll(() => authenticator.status().authorizationUrl).not.toBeNull()
    const oldState = provider.state
    await authenticator.login({ ...BROWSER, prompt: 'login' })
    expect(provider.authorizations).toEqual([{}, { prompt: 'login' }])
    expect(provider.state).not.toBe(oldState)
    expect(logged).not.toContain('sign_in_failed')
    await comeBack()
    expect(await earlier).toMatchObject({ headers: { Authorization: 'Bearer token-1' } })
    expect(authenticator.status().signIn).toBeNull()
  })

  it('is joined by callers that have no wish of their own, and by callers with the same wish', async () => {
    const { authenticator, provider } = await newAuthenticator()
    await authenticator.login({ ...BROWSER, prompt: 'login' })
    await authenticator.login({ ...BROWSER, prompt: 'login', method: 'browser' })
    await authenticator.login(BROWSER)
    expect(provider.authorizations).toHaveLength(1)
    await authenticator.cancelLogin()
  })

  it('fails the earlier callers as well if it is cancelled', async () => {
    const { authenticator } = await newAuthenticator()
    const earlier = authenticator.login({ ...BROWSER, wait: true })
    earlier.catch(() => undefined)
    await authenticator.login({ ...BROWSER, prompt: 'login' })
    await authenticator.cancelLogin()
    await expect(earlier).rejects.toMatchObject({ name: 'SignInError', reason: 'cancelled' })
  })

  it('ends for an earlier caller when the time of that caller is over', async () => {
    const { authenticator, clock } = await newAuthenticator()
    const earlier = authenticator.login({ ...BROWSER, wait: true, timeoutSeconds: 30 })
    earlier.catch(() => undefined)
    await expect.poll(() => authenticator.status().authorizationUrl).not.toBeNull()
    clock.advance(10)
    await authenticator.login({ ...BROWSER, prompt: 'login' })
    clock.advance(19)
    expect(authenticator.status().state).toBe('signing_in')
    clock.advance(1)
    await expect(earlier).rejects.toMatchObject({ name: 'SignInError', reason: 'timeout' })
    expect(authenticator.status().state).toBe('signing_in')
    await authenticator.cancelLogin()
  })

  it('waits for a sign-in that is being saved, and starts after it', async () => {
    const [saving, saved] = [newSignal(), newSignal()]
    const files: FileSystem = {
      ...systemFiles,
      rename: async (from, to) => {
        if (String(to).endsWith('.jwe')) {
          saving.give()
          await saved.given
        }
        return await systemFiles.rename(from, to)
      },
    }
    const { authenticator, provider, comeBack } = await newAuthenticator({ files })
    await authenticator.login(BROWSER)
    const page = comeBack()
    await saving.given
    const other = authenticator.login({ ...BROWSER, prompt: 'login' })
    saved.give()
    expect(await (await page).text()).toContain('You are signed in')
    await other
    expect(authenticator.status()).toMatchObject({ state: 'signing_in', user: { id: 'user_2' } })
    expect(provider.authorizations).toEqual([{}, { prompt: 'login' }])
    await authenticator.cancelLogin()
  })
})

function newSignal() {
  let give: () => void = () => undefined
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give: () => give() }
}
