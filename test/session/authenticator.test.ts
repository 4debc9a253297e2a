// The authenticator: when it refreshes, what it shares, and that nothing overlaps that must not.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { RejectedError, SessionEndedError, SignInError, UnavailableError } from '../../src/clerk/errors.ts'
import type { Renewal } from '../../src/clerk/identity-provider.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { newSession } from '../support/session.ts'

const signedIn = async (lifetime = 60) => {
  const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_000_000, lifetime } })
  const all = await newAuthenticator({ saved })
  await all.authenticator.load()
  return { ...all, saved }
}

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })

/** A refresh that ends when the test says so. */
function held() {
  let finish: (renewal: Renewal) => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  let begun: () => void = () => undefined
  const started = new Promise<void>((resolve) => {
    begun = resolve
  })
  const answer = new Promise<Renewal>((resolve, reject) => {
    finish = resolve
    fail = reject
  })
  const run = () => {
    begun()
    return answer
  }
  return { run, started, finish, fail }
}

describe('a header', () => {
  it('comes from memory while the token lasts, and is the same object each time', async () => {
    const { authenticator, provider, clock } = await signedIn()
    const first = await authenticator.authHeader()
    clock.advance(40)
    expect(await authenticator.authHeader()).toBe(first)
    expect(first).toMatchObject({ ...bearer('saved'), expiresAt: 1_800_000_060 })
    expect(provider.refreshed).toHaveLength(0)
  })

  it('is fetched anew behind the answer when four fifths of its life are over', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.advance(49)
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    await authenticator.settled()
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
  })

  it('is waited for when the token has less left than is asked', async () => {
    const { authenticator, clock } = await signedIn()
    clock.advance(35)
    expect(await authenticator.authHeader(26)).toMatchObject(bearer('token-1'))
  })

  it('is not refreshed at each call by one who asks for more than a token ever has', async () => {
    const { authenticator, provider, clock } = await signedIn()
    for (let i = 0; i < 20; i++) {
      await authenticator.authHeader(3600)
      clock.advance(1)
    }
    expect(provider.refreshed).toHaveLength(0)
    clock.advance(11)
    await authenticator.authHeader(3600)
    expect(provider.refreshed).toHaveLength(1)
  })

  it('is refreshed once for a thousand who wait', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.advance(61)
    const all = await Promise.all(Array.from({ length: 1000 }, () => authenticator.authHeader()))
    expect(new Set(all).size).toBe(1)
    expect(all[0]).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
  })

  it('that is being fetched is promised to whoever comes meanwhile', async () => {
    const { authenticator, clock } = await signedIn()
    clock.advance(61)
    expect(authenticator.serveFromMemory()).toBeUndefined()
    const first = authenticator.refresh()
    while (authenticator.serveFromMemory() === undefined) await Promise.resolve()
    expect(await authenticator.serveFromMemory()).toBe(await first)
  })

  it('is refreshed after the machine has slept, though its monotonic clock stood still', async () => {
    const { authenticator, clock } = await signedIn()
    clock.sleep(3600)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
  })

  it('is refreshed in time though the wall clock was set back a day', async () => {
    const { authenticator, clock } = await signedIn()
    clock.setBack(86_400)
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    clock.advance(61)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
  })

  it('of a token that seems to come from the future is not trusted after a start', async () => {
    const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_100_000, lifetime: 60 } })
    const { authenticator } = await newAuthenticator({ saved })
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
  })

  it('of a token that lives for ever causes no storm', async () => {
    const { authenticator, provider, clock } = await signedIn()
    provider.lifetime = 1e12
    clock.advance(61)
    const header = await authenticator.authHeader()
    expect(Number.isSafeInteger(header.expiresAt)).toBe(true)
    expect(provider.refreshed).toHaveLength(1)
  })

  it('of a token that is dead on arrival is no answer, and not asked for by each caller', async () => {
    const { authenticator, provider, clock, openStore } = await signedIn()
    provider.lifetime = 0
    clock.advance(61)
    for (let n = 0; n < 5; n++) {
      await expect(authenticator.authHeader()).rejects.toMatchObject({ name: 'UnavailableError', reason: 'server' })
    }
    expect(provider.refreshed).toHaveLength(1)
    expect((await openStore().load())?.refreshToken).toBe('refresh-1') // the new one is kept all the same
  })
})

describe('a refresh', () => {
  it('gives a token newly issued', async () => {
    const { authenticator } = await signedIn()
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
  })

  it('gives the current one without a request where another was rejected', async () => {
    const { authenticator, provider } = await signedIn()
    expect(await authenticator.refresh('Bearer older')).toMatchObject(bearer('saved'))
    expect(provider.refreshed).toHaveLength(0)
    expect(await authenticator.refresh('Bearer saved')).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
  })

  it.each(['saved', 'bearer saved', 'Bearer saved\r\n'])(
    'is made where %j was rejected, which is the current one',
    async (text) => {
      const { authenticator } = await signedIn()
      expect(await authenticator.refresh(text)).toMatchObject(bearer('token-1'))
    },
  )

  it('is on disk before anybody is given what it brought', async () => {
    const { authenticator, openStore, saved } = await signedIn()
    await authenticator.refresh()
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1', generation: 2, user: saved.user })
  })

  it('that the network fails keeps the session, and the token while it is good', async () => {
    const { authenticator, provider, clock, openStore } = await signedIn()
    provider.script = [() => Promise.reject(new UnavailableError('network'))]
    clock.advance(55)
    expect(await authenticator.authHeader(10)).toMatchObject(bearer('saved'))
    clock.advance(6)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(await openStore().load()).toBeDefined()
  })

  it('that has failed is not tried again at once, and says when', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.advance(61)
    provider.script = [() => Promise.reject(new UnavailableError('rate_limited', 30))]
    const failure = await authenticator.authHeader().catch((error: unknown) => error)
    expect(failure).toMatchObject({ reason: 'rate_limited', retryAfterSeconds: expect.any(Number) })
    const wait = (failure as UnavailableError).retryAfterSeconds as number
    expect(wait).toBeGreaterThanOrEqual(30)
    expect(wait).toBeLessThanOrEqual(60)
    clock.advance(29)
    const still = { reason: 'rate_limited', retryAfterSeconds: wait - 29 }
    await expect(authenticator.authHeader()).rejects.toMatchObject(still)
    expect(provider.refreshed).toHaveLength(1)
    clock.advance(wait - 29)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(authenticator.status().refresh).toMatchObject({ lastError: null })
  })

  it('tells of the new token together with its refresh, and no longer of the failure before it', async () => {
    const { authenticator, provider, clock, told } = await signedIn()
    provider.script = [() => Promise.reject(new UnavailableError('network'))]
    await expect(authenticator.refresh()).rejects.toMatchObject({ reason: 'network' })
    clock.advance(61)
    const { expiresAt } = await authenticator.refresh()
    const status = { tokenExpiresAt: expiresAt, refresh: { lastAt: Math.floor(clock.now()), lastError: null } }
    expect(told.at(-1)).toMatchObject(status)
    expect(authenticator.status()).toMatchObject(status)
  })

  it('that is refused for the set-up’s sake signs nobody out', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.advance(61)
    provider.script = [() => Promise.reject(new RejectedError('invalid_client'))]
    await expect(authenticator.authHeader()).rejects.toMatchObject({ reason: 'invalid_client' })
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', refresh: { lastError: 'invalid_client' } })
  })

  it('that finds the session ended signs out, here and on disk', async () => {
    const { authenticator, provider, openStore } = await signedIn()
    provider.script = [() => Promise.reject(new SessionEndedError('session_revoked'))]
    const failure = { name: 'InteractionRequiredError', reason: 'session_revoked' }
    await expect(authenticator.refresh()).rejects.toMatchObject(failure)
    await expect(authenticator.authHeader(10, false)).rejects.toMatchObject(failure)
    expect(await openStore().load()).toBeUndefined()
  })
})

describe('turns', () => {
  it('logging out during a refresh leaves nothing on disk, and revokes the newest token', async () => {
    const { authenticator, provider, openStore } = await signedIn()
    const refresh = held()
    provider.script = [refresh.run]
    const refreshing = authenticator.refresh()
    await refresh.started
    const loggedOut = authenticator.logout()
    refresh.finish({ accessToken: { value: 'late', receivedAt: 1_800_000_000, lifetime: 60 }, refreshToken: 'newest' })
    await refreshing
    expect(await loggedOut).toMatchObject({ revoked: true })
    expect(await openStore().load()).toBeUndefined()
    expect(provider.revoked.map(({ refreshToken }) => refreshToken)).toEqual(['newest'])
    expect(authenticator.status().state).toBe('signed_out')
  })

  it('a refresh that waits behind a logout asks the provider nothing', async () => {
    const { authenticator, provider } = await signedIn()
    const refresh = held()
    provider.script = [refresh.run]
    const first = authenticator.refresh()
    await refresh.started
    const loggedOut = authenticator.logout()
    const late = first.then(() => authenticator.refresh())
    refresh.finish({ accessToken: { value: 'late', receivedAt: 1_800_000_000, lifetime: 60 }, refreshToken: 'newest' })
    await expect(late).rejects.toMatchObject({ reason: 'signed_out' })
    await loggedOut
    expect(provider.refreshed).toHaveLength(1)
  })

  it('logging out while the code is exchanged keeps nothing, and revokes what came', async () => {
    const { authenticator, provider, comeBack, openStore } = await newAuthenticator()
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    let finish: () => void = () => undefined
    const until = new Promise<void>((resolve) => {
      finish = resolve
    })
    let asked: () => void = () => undefined
    const exchanging = new Promise<void>((resolve) => {
      asked = resolve
    })
    provider.exchanges = [
      async () => {
        asked()
        await until
        return newSession({ refreshToken: 'orphan' })
      },
    ]
    const page = comeBack()
    await exchanging
    await authenticator.logout()
    finish()
    expect(await (await page).text()).toContain('could not')
    expect(await openStore().load()).toBeUndefined()
    expect(provider.revoked.map(({ refreshToken }) => refreshToken)).toEqual(['orphan'])
  })
})

describe('a sign-in', () => {
  it('opens one browser for all who ask, and serves them all', async () => {
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

  it('is not started by itself again for a minute after it was cancelled', async () => {
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

  it('ends when nobody signs in in time, and can be started again at once', async () => {
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

  it('goes on when strangers knock, and takes the right callback once', async () => {
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

  it('opens the browser once more when Clerk has lost the request, and goes on', async () => {
    const { authenticator, comeBack, opened } = await newAuthenticator()
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    for (let i = 0; i < 3; i++) {
      const page = await comeBack({ state: '', error: 'unsupported_response_type' })
      expect(page.status).toBe(400)
    }
    expect(opened).toHaveLength(2)
    expect(await (await comeBack()).text()).toContain('You are signed in')
  })

  it('that is being saved is found by whoever asks, and no second browser opens', async () => {
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

  it('that is cancelled while the provider fails leaves no port open', async () => {
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

  it('goes on for who shows the link, where another’s browser does not open', async () => {
    const openBrowser = () => Promise.reject(new Error('no browser'))
    const { authenticator, comeBack } = await newAuthenticator({ openBrowser })
    const byLink = authenticator.login({ openBrowser: false, wait: true, timeoutSeconds: 300 })
    const byBrowser = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 300 })
    await expect(byBrowser).rejects.toMatchObject({ name: 'SignInError', reason: 'browser' })
    await comeBack()
    await byLink
    expect(authenticator.status().state).toBe('signed_in')
  })

  it('ends where the browser was the only way, and does not open', async () => {
    const openBrowser = () => Promise.reject(new Error('no browser'))
    const { authenticator } = await newAuthenticator({ openBrowser })
    const login = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 300 })
    await expect(login).rejects.toMatchObject({ name: 'SignInError', reason: 'browser' })
    expect(authenticator.status().state).toBe('signed_out')
  })

  it('that cannot be taken over leaves nothing at the provider', async () => {
    const { authenticator, provider, comeBack, folder, openStore } = await newAuthenticator()
    await openStore().save(newSession())
    await rm(join(folder, '..', 'store-key.jwk')) // the old file stays, and is to be set aside
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    provider.exchanges = [async () => newSession({ refreshToken: 'orphan' })]
    await rm(folder, { recursive: true })
    expect(await (await comeBack()).text()).toContain('could not')
    await expect.poll(() => provider.revoked.map(({ refreshToken }) => refreshToken)).toEqual(['orphan'])
  })

  it('that fails leaves the session from before as it was', async () => {
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

  it('replaces the session from before, and revokes that one', async () => {
    const { authenticator, provider, comeBack, saved, openStore } = await signedIn()
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    await comeBack()
    await authenticator.settled()
    expect(await openStore().load()).toMatchObject({ user: { id: 'user_2' }, generation: 2 })
    expect(provider.revoked).toEqual([saved])
  })
})

describe('a disk that cannot be written', () => {
  const failing = () => {
    const disk = { full: false }
    const files: FileSystem = {
      ...systemFiles,
      rename: async (...args) => {
        if (disk.full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        return await systemFiles.rename(...args)
      },
    }
    return { disk, files }
  }

  it('is not written to by each caller whose token ages', async () => {
    let writes = 0
    const { disk, files } = failing()
    const counting: FileSystem = {
      ...files,
      rename: (...args) => {
        writes++
        return files.rename(...args)
      },
    }
    const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_000_000, lifetime: 60 } })
    const { authenticator, clock } = await newAuthenticator({ saved, files: counting })
    await authenticator.load()
    disk.full = true
    clock.advance(49)
    await authenticator.settled() // it has been tried again by itself meanwhile
    writes = 0
    for (let n = 0; n < 100; n++) {
      await authenticator.authHeader()
      await authenticator.settled()
    }
    expect(writes).toBe(1)
  })

  it('has the session as soon as it can be written, though nobody calls', async () => {
    const { disk, files } = failing()
    const { authenticator, clock, openStore } = await newAuthenticator({ saved: newSession(), files })
    await authenticator.load()
    clock.advance(61) // only a token that is dead is renewed while nothing can be saved
    disk.full = true
    await authenticator.refresh()
    for (let i = 0; i < 3; i++) {
      clock.advance(60)
      await authenticator.settled()
    }
    expect(authenticator.status().store.persisted).toBe(false)
    disk.full = false
    await vi.waitFor(() => {
      clock.advance(60)
      expect(authenticator.status().store.persisted).toBe(true)
    })
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1' })
  })

  it('that can be written again by the time of a stop has the session then', async () => {
    const { disk, files } = failing()
    const { authenticator, clock, openStore } = await newAuthenticator({ saved: newSession(), files })
    await authenticator.load()
    clock.advance(61) // only a token that is dead is renewed while nothing can be saved
    disk.full = true
    await authenticator.refresh()
    disk.full = false
    authenticator.stop()
    await authenticator.settled()
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1' })
  })

  it('does not stop the session in memory, and no token that is not safe is spent', async () => {
    const { disk, files } = failing()
    const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_000_000, lifetime: 60 } })
    const { authenticator, provider, clock, openStore } = await newAuthenticator({ saved, files })
    await authenticator.load()
    disk.full = true
    await expect(authenticator.refresh()).rejects.toMatchObject({ name: 'StoreError', code: 'disk_full' })
    clock.advance(55)
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    const onDisk = { store: { persisted: true }, refresh: { lastError: 'disk_full' } }
    expect(authenticator.status()).toMatchObject(onDisk)
    expect(provider.refreshed).toHaveLength(0)
    clock.advance(6) // a dead token is of no use to anybody: only now is the one on disk spent
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    const inMemory = { store: { persisted: false }, refresh: { lastError: 'disk_full' } }
    expect(authenticator.status()).toMatchObject(inMemory)
    expect(await openStore().load()).toMatchObject({ refreshToken: saved.refreshToken })
    clock.advance(55)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
    disk.full = false
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-2'))
    expect(authenticator.status().store.persisted).toBe(true)
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-2' })
  })
})
