// The authenticator: when it refreshes, what callers share, and that no two operations overlap.
import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { RejectedError, SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import type { Renewal } from '../../src/clerk/identity-provider.ts'
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

describe('handing out a header', () => {
  it('gives the same header from memory while the token is valid', async () => {
    const { authenticator, provider, clock } = await signedIn()
    const first = await authenticator.authHeader()
    clock.advance(40)
    expect(await authenticator.authHeader()).toBe(first)
    expect(first).toMatchObject({ ...bearer('saved'), expiresAt: 1_800_000_060 })
    expect(provider.refreshed).toHaveLength(0)
  })

  it('refreshes in the background once four fifths of the token’s life are over', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.advance(49)
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    await authenticator.settled()
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
  })

  it('waits for a refresh if the token has less validity left than the caller asks for', async () => {
    const { authenticator, clock } = await signedIn()
    clock.advance(35)
    expect(await authenticator.authHeader(26)).toMatchObject(bearer('token-1'))
  })

  it('does not refresh at each call for a caller that asks for more validity than a token ever has', async () => {
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

  it('refreshes once for a thousand waiting callers', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.advance(61)
    const all = await Promise.all(Array.from({ length: 1000 }, () => authenticator.authHeader()))
    expect(new Set(all).size).toBe(1)
    expect(all[0]).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
  })

  it('gives a caller that arrives during a refresh the promise of that refresh', async () => {
    const { authenticator, clock } = await signedIn()
    clock.advance(61)
    expect(authenticator.serveFromMemory()).toBeUndefined()
    const first = authenticator.refresh()
    while (authenticator.serveFromMemory() === undefined) await Promise.resolve()
    expect(await authenticator.serveFromMemory()).toBe(await first)
  })

  it('refreshes after the machine has slept, although the monotonic clock stood still', async () => {
    const { authenticator, clock } = await signedIn()
    clock.sleep(3600)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
  })

  it('refreshes in time although the wall clock was set back a day', async () => {
    const { authenticator, clock } = await signedIn()
    clock.setBack(86_400)
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    clock.advance(61)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
  })

  it('refreshes a saved token that seems to come from the future', async () => {
    const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_100_000, lifetime: 60 } })
    const { authenticator } = await newAuthenticator({ saved })
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
  })

  it('sends one refresh for a token that lives for ever', async () => {
    const { authenticator, provider, clock } = await signedIn()
    provider.lifetime = 1e12
    clock.advance(61)
    const header = await authenticator.authHeader()
    expect(Number.isSafeInteger(header.expiresAt)).toBe(true)
    expect(provider.refreshed).toHaveLength(1)
  })

  it('treats a token that expired on arrival as an outage, and asks once for all callers', async () => {
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

describe('refreshing', () => {
  it('gives a newly issued token', async () => {
    const { authenticator } = await signedIn()
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
  })

  it('gives the current header without a request if an older one was rejected', async () => {
    const { authenticator, provider } = await signedIn()
    expect(await authenticator.refresh('Bearer older')).toMatchObject(bearer('saved'))
    expect(provider.refreshed).toHaveLength(0)
    expect(await authenticator.refresh('Bearer saved')).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
  })

  it.each(['saved', 'bearer saved', 'Bearer saved\r\n'])(
    'refreshes if %j was rejected, which is the current token',
    async (text) => {
      const { authenticator } = await signedIn()
      expect(await authenticator.refresh(text)).toMatchObject(bearer('token-1'))
    },
  )

  it('saves the new session before a caller gets its header', async () => {
    const { authenticator, openStore, saved } = await signedIn()
    await authenticator.refresh()
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1', generation: 2, user: saved.user })
  })

  it('keeps the session if the network fails, and the token while it is valid', async () => {
    const { authenticator, provider, clock, openStore } = await signedIn()
    provider.script = [() => Promise.reject(new UnavailableError('network'))]
    clock.advance(55)
    expect(await authenticator.authHeader(10)).toMatchObject(bearer('saved'))
    clock.advance(6)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(await openStore().load()).toBeDefined()
  })

  it('does not retry at once after a failure, and says when it will', async () => {
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

  it('notifies clients of the new token and its refresh together, without the earlier failure', async () => {
    const { authenticator, provider, clock, told } = await signedIn()
    provider.script = [() => Promise.reject(new UnavailableError('network'))]
    await expect(authenticator.refresh()).rejects.toMatchObject({ reason: 'network' })
    clock.advance(61)
    const { expiresAt } = await authenticator.refresh()
    const status = { tokenExpiresAt: expiresAt, refresh: { lastAt: Math.floor(clock.now()), lastError: null } }
    expect(told.at(-1)).toMatchObject(status)
    expect(authenticator.status()).toMatchObject(status)
  })

  it('keeps the session if the provider rejects the client’s configuration', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.advance(61)
    provider.script = [() => Promise.reject(new RejectedError('invalid_client'))]
    await expect(authenticator.authHeader()).rejects.toMatchObject({ reason: 'invalid_client' })
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', refresh: { lastError: 'invalid_client' } })
  })

  it('signs out in memory and on disk if the provider says that the session has ended', async () => {
    const { authenticator, provider, openStore } = await signedIn()
    provider.script = [() => Promise.reject(new SessionEndedError('session_revoked'))]
    const failure = { name: 'InteractionRequiredError', reason: 'session_revoked' }
    await expect(authenticator.refresh()).rejects.toMatchObject(failure)
    await expect(authenticator.authHeader(10, false)).rejects.toMatchObject(failure)
    expect(await openStore().load()).toBeUndefined()
  })
})

describe('one operation at a time', () => {
  it('deletes the session and revokes the newest token if a logout arrives during a refresh', async () => {
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

  it('sends no request for a refresh that waits behind a logout', async () => {
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

  it('keeps nothing and revokes the new grant if a logout arrives while the code is exchanged', async () => {
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

describe('a newer session on disk', () => {
  const newer = (receivedAt: number, value = 'theirs') => ({
    generation: 9,
    refreshToken: 'refresh-9',
    accessToken: { value, receivedAt, lifetime: 60 },
  })

  it('answers a refresh whose own token the provider rejects', async () => {
    const { authenticator, provider, saved, openStore } = await signedIn()
    provider.script = [
      async () => {
        await openStore().save({ ...saved, ...newer(1_800_000_001) })
        throw new SessionEndedError('session_revoked')
      },
    ]
    expect(await authenticator.refresh()).toMatchObject(bearer('theirs'))
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', refresh: { lastError: null } })
  })

  it('is refreshed once more if its token is stale', async () => {
    const { authenticator, provider, clock, saved, openStore } = await signedIn()
    clock.advance(120)
    provider.script = [
      async () => {
        await openStore().save({ ...saved, ...newer(1_800_000_030) })
        throw new SessionEndedError('session_revoked')
      },
    ]
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual([saved.refreshToken, 'refresh-9'])
  })

  it('is refreshed once more if its token is the rejected one', async () => {
    const { authenticator, provider, saved, openStore } = await signedIn()
    const theirs = { ...saved, ...newer(1_800_000_001, 'saved') }
    await openStore().save(theirs)
    expect(await authenticator.refresh('Bearer saved')).toMatchObject(bearer('token-1'))
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-9'])
  })
})

describe('reading', () => {
  it('sends nothing, notifies no client and keeps the file, whatever the state', async () => {
    const { authenticator, provider, clock, changes, folder } = await signedIn()
    provider.canRefresh = () => false
    const final = await newAuthenticator({ saved: newSession({ refreshToken: null, sessionId: null }) })
    final.provider.canRefresh = () => false
    for (const one of [authenticator, final.authenticator]) await one.load()
    const before = [changes.length, final.changes.length]
    clock.advance(50) // ageing
    for (const read of ['readHeader', 'status'] as const) authenticator[read]()
    final.clock.sleep(1e6) // over, and no timer has fired
    for (const read of ['readHeader', 'status'] as const) final.authenticator[read]()
    await Promise.all([authenticator.settled(), final.authenticator.settled()])
    expect(provider.refreshed).toHaveLength(0)
    expect([changes.length, final.changes.length]).toEqual(before)
    expect(final.authenticator.status()).toMatchObject({ state: 'signed_out', tokenExpiresAt: null, user: null })
    for (const each of [folder, final.folder]) expect(await readdir(each)).toEqual(['test.jwe'])
  })

  it('leaves the end of a session to the next call that needs it', async () => {
    const { authenticator, provider, clock, changes, folder } = await newAuthenticator({
      saved: newSession({ refreshToken: null, sessionId: null }),
    })
    provider.canRefresh = () => false
    await authenticator.load()
    clock.sleep(1e6)
    authenticator.followClock()
    await authenticator.settled()
    expect(changes.at(-1)).toBe('signed_out')
    expect(await readdir(folder)).toEqual([])
    await expect(authenticator.authHeader(10, false)).rejects.toMatchObject({ reason: 'session_expired' })
  })
})

describe('signing out of one session', () => {
  const saved = newSession({ sessionId: 'sess_1' })

  it('signs out if it is still the session', async () => {
    const { authenticator, provider } = await newAuthenticator({ saved })
    expect(await authenticator.logout('sess_1')).toEqual({ revoked: true, accessTokenValidUntil: null })
    expect(provider.revoked).toEqual([saved])
    expect(authenticator.status().state).toBe('signed_out')
  })

  it('changes nothing if another session has taken its place, and lets a sign-in go on', async () => {
    const { authenticator, provider, openStore } = await newAuthenticator({ saved })
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    expect(await authenticator.logout('sess_0')).toEqual({ revoked: false, accessTokenValidUntil: null })
    expect(provider.revoked).toEqual([])
    expect(authenticator.status()).toMatchObject({ state: 'signing_in', sessionId: 'sess_1' })
    expect(await openStore().load()).toEqual(saved)
    await authenticator.cancelLogin()
  })

  it('changes nothing if no person is signed in', async () => {
    const { authenticator } = await newAuthenticator()
    expect(await authenticator.logout('sess_1')).toEqual({ revoked: false, accessTokenValidUntil: null })
  })
})

it('announces the end of a session once, also after refreshes', async () => {
  const end = 1_800_000_000 + 7200
  const { authenticator, clock, expiring } = await newAuthenticator({ saved: newSession({ sessionExpiresAt: end }) })
  await authenticator.load()
  expect(expiring).toEqual([{ sessionExpiresAt: end, inSeconds: 7200 }])
  await authenticator.refresh()
  clock.advance(3600)
  await authenticator.refresh()
  expect(expiring).toEqual([
    { sessionExpiresAt: end, inSeconds: 7200 },
    { sessionExpiresAt: end, inSeconds: 3600 },
  ])
})

it('says in the status why the last sign-in failed, until one succeeds', async () => {
  const { authenticator, comeBack, clock } = await newAuthenticator()
  await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
  await authenticator.cancelLogin()
  expect(authenticator.status().signIn).toEqual({ lastError: 'cancelled', at: clock.now() })
  await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
  await comeBack()
  expect(authenticator.status().signIn).toBeNull()
})

describe('a wall clock that is set', () => {
  it.each([3600, 86_400, 600])('back by %i s corrects the times that clients read, and tells them', async (seconds) => {
    const { authenticator, clock, told } = await signedIn()
    clock.advance(20)
    clock.setBack(seconds)
    const before = told.length
    const { expiresAt, refreshAt } = await authenticator.authHeader()
    expect(expiresAt).toBe(clock.now() + 40)
    expect(refreshAt).toBe(clock.now() + 28)
    expect(told.slice(before)).toMatchObject([{ tokenExpiresAt: clock.now() + 40, state: 'signed_in' }])
    await authenticator.authHeader()
    expect(told).toHaveLength(before + 1)
  })

  it('back is noticed by the regular check without a call', async () => {
    const { authenticator, clock, told } = await signedIn()
    clock.setBack(3600)
    authenticator.followClock()
    expect(told.at(-1)).toMatchObject({ tokenExpiresAt: clock.now() + 60 })
  })

  it('ahead makes the token expire, and the next one has the right times', async () => {
    const { authenticator, provider, clock } = await signedIn()
    clock.sleep(3600)
    expect(await authenticator.authHeader()).toMatchObject({ expiresAt: clock.now() + 60 })
    expect(provider.refreshed).toHaveLength(1)
  })
})

describe('a stop', () => {
  it('leaves the file of a session that ends afterwards to the next daemon', async () => {
    const saved = newSession({ refreshToken: null })
    const { authenticator, clock, folder } = await newAuthenticator({ saved })
    await authenticator.load()
    authenticator.stop()
    await authenticator.settled()
    clock.advance(61)
    await authenticator.settled()
    expect(await readdir(folder)).toEqual(['test.jwe'])
  })
})

describe('a clock that is set back after a failed refresh', () => {
  it('does not make clients ask again at once', async () => {
    const { authenticator, provider, clock } = await newAuthenticator({ saved: newSession() })
    await authenticator.load()
    provider.script = [() => Promise.reject(new UnavailableError('network'))]
    await authenticator.refresh().catch(() => undefined)
    clock.advance(5)
    clock.setBack(1000)
    authenticator.followClock()
    const header = authenticator.serveFromMemory() as { refreshAt: number; expiresAt: number }
    expect(header.expiresAt - header.refreshAt).toBe(12)
  })
})
