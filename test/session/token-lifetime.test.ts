// Clocks that sleep, jump and stand still: no expired token is handed out, and no jump becomes a storm of refreshes.
import { describe, expect, it } from 'vitest'
import type { Renewal } from '../../src/clerk/identity-provider.ts'
import { systemClock } from '../../src/host/clock.ts'
import { currentInstant, remainingSeconds, tokenLifetime } from '../../src/session/token-lifetime.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { TestClock } from '../support/clock.ts'
import { newSession } from '../support/session.ts'

const DAY = 86_400
const NOW = 1_800_000_000

const signedIn = async (options: { now?: number; lifetime?: number; receivedAt?: number } = {}) => {
  const { now = NOW, lifetime = 60, receivedAt = now } = options
  const saved = newSession({ accessToken: { value: 'saved', receivedAt, lifetime } })
  const all = await newAuthenticator({ saved, clock: new TestClock(now) })
  await all.authenticator.load()
  const token = async () => (await all.authenticator.authHeader(10, false)).headers.Authorization.slice(7)
  return { ...all, token }
}

describe('a machine that sleeps', () => {
  it.each([59, 61, 600, DAY, 30 * DAY])('gives no expired token after %i s of sleep', async (seconds) => {
    const { token, clock, provider } = await signedIn()
    clock.sleep(seconds)
    expect(await token()).toBe('token-1')
    expect(await token()).toBe('token-1')
    expect(provider.refreshed).toHaveLength(1)
  })

  it('gives the token that is still valid after a short sleep, and refreshes in the background', async () => {
    const { authenticator, token, clock } = await signedIn()
    clock.sleep(49)
    expect(await token()).toBe('saved')
    await authenticator.settled()
    expect(await token()).toBe('token-1')
  })

  it('asks a provider that was failing at once after waking', async () => {
    const { authenticator, token, clock, provider } = await signedIn()
    const { UnavailableError } = await import('../../src/clerk/errors.ts')
    provider.script = Array.from({ length: 10 }, () => () => Promise.reject(new UnavailableError('network', 300)))
    for (let n = 0; n < 10; n++) {
      await authenticator.refresh().catch(() => undefined)
      clock.advance(400)
    }
    await authenticator.refresh().catch(() => undefined)
    clock.sleep(DAY)
    expect(await token()).toMatch(/^token-/)
  })
})

describe('a wall clock that jumps', () => {
  it.each([
    ['a day ahead', -DAY],
    ['five minutes ahead', -300],
  ])('causes one refresh if it jumps %s, and none when it jumps back', async (_name, seconds) => {
    const { token, clock, provider } = await signedIn()
    clock.setBack(seconds)
    expect(await token()).toBe('token-1')
    clock.setBack(-seconds)
    for (let n = 0; n < 40; n++) {
      expect(await token()).toBe('token-1')
      clock.advance(1)
    }
    expect(provider.refreshed).toHaveLength(1)
    clock.advance(21)
    expect(await token()).toBe('token-2')
  })

  it.each([
    ['a day back', DAY],
    ['five minutes back', 300],
    ['to 1970', NOW],
  ])('does not make a token live longer if it jumps %s', async (_name, seconds) => {
    const { token, clock, provider } = await signedIn()
    clock.setBack(seconds)
    for (let n = 0; n < 40; n++) {
      expect(await token()).toBe('saved')
      clock.advance(1)
    }
    expect(provider.refreshed).toHaveLength(0)
    clock.advance(21)
    expect(await token()).toBe('token-1')
  })

  it('causes at most one refresh for each jump ahead', async () => {
    const { token, clock, provider } = await signedIn()
    for (let n = 0; n < 10; n++) {
      clock.setBack(-DAY)
      await token()
      clock.setBack(DAY)
      await token()
    }
    expect(provider.refreshed.length).toBeLessThanOrEqual(10)
  })

  it.each([
    ['a day back', DAY, 1],
    ['five minutes back', 300, 1],
    ['three seconds back', 3, 0],
  ])(
    'causes at most one refresh if it jumped %s while the daemon was off, and no expired token (case %#)',
    async (_name, seconds, refreshes) => {
      const { token, clock, provider } = await signedIn({ receivedAt: NOW + seconds })
      const first = await token()
      expect(first).toBe(refreshes === 1 ? 'token-1' : 'saved')
      for (let n = 0; n < 30; n++) {
        await token()
        clock.advance(1)
      }
      expect(provider.refreshed).toHaveLength(refreshes)
    },
  )
})

describe('a year', () => {
  it.each([
    ['2038', 2 ** 31 - 30],
    ['2106', 2 ** 32 - 30],
    ['9999', 253_402_300_000],
  ])('%s is like any other', async (_name, now) => {
    const { token, clock, authenticator, openStore } = await signedIn({ now })
    expect(await token()).toBe('saved')
    expect(authenticator.status().tokenExpiresAt).toBe(now + 60)
    clock.advance(61) // over the edge
    expect(await token()).toBe('token-1')
    expect(authenticator.status()).toMatchObject({ tokenExpiresAt: now + 121, refresh: { lastAt: now + 61 } })
    expect(await openStore().load()).toMatchObject({ accessToken: { receivedAt: now + 61 } })
  })
})

describe('a lifetime', () => {
  const renewal = (lifetime: number, n: number): Renewal => ({
    accessToken: { value: `odd-${n}`, receivedAt: NOW + 61, lifetime },
    refreshToken: `refresh-${n}`,
  })

  it.each([0, 0.001, 1, 60, 3600, 30 * DAY, 1e9, 1e12, Number.MAX_VALUE])(
    'of %d s never gives an expired token, and never causes a storm of requests',
    async (lifetime) => {
      const { authenticator, clock, provider } = await signedIn()
      clock.advance(61)
      provider.script = Array.from({ length: 1000 }, (_, n) => async () => ({
        ...renewal(lifetime, n),
        accessToken: { value: `odd-${n}`, receivedAt: clock.now(), lifetime },
      }))
      for (let second = 0; second < 120; second++) {
        for (let caller = 0; caller < 5; caller++) {
          const header = await authenticator.authHeader(10, false).catch(() => undefined)
          if (header) expect(Number.isSafeInteger(header.expiresAt)).toBe(true)
          // What is handed out was good when it was: the end is rounded down to whole seconds.
          if (header) expect(header.expiresAt).toBeGreaterThan(clock.now() - 1)
        }
        clock.advance(1)
      }
      expect(provider.refreshed.length).toBeLessThanOrEqual(Math.max(10, (3 * 120) / Math.max(1, lifetime)))
    },
  )

  it('of 0 s after a sign-in gives no token', async () => {
    const { authenticator, provider, comeBack } = await newAuthenticator()
    provider.lifetime = 0
    const waiting = authenticator.authHeader()
    waiting.catch(() => undefined)
    await authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
    await comeBack()
    await expect(waiting).rejects.toMatchObject({ name: 'UnavailableError', reason: 'server' })
    expect(authenticator.status().state).toBe('signed_in') // the refresh token may do better later
    expect(provider.refreshed).toHaveLength(1)
  })

  it('is counted from receipt on the local clock, whatever its time', () => {
    for (const skew of [-DAY, -300, 0, 300, DAY]) {
      const clock = new TestClock(NOW + skew)
      const lifetime = tokenLifetime({ value: 'x', receivedAt: clock.now(), lifetime: 60 }, currentInstant(clock))
      expect(remainingSeconds(lifetime, currentInstant(clock))).toBe(60)
      clock.advance(60)
      expect(remainingSeconds(lifetime, currentInstant(clock))).toBe(0)
    }
  })
})

describe('a timer', () => {
  it('for more than 24 days does not fire at once', async () => {
    let fired = 0
    const warnings: string[] = []
    const onWarning = ({ name }: Error) => void warnings.push(name)
    process.on('warning', onWarning)
    const cancels = [2 ** 31 / 1000, 30 * DAY, 1e12, Number.MAX_VALUE, Number.POSITIVE_INFINITY].map((seconds) =>
      systemClock.after(seconds, () => fired++),
    )
    await systemClock.wait(0.05)
    process.off('warning', onWarning)
    for (const cancel of cancels) cancel()
    expect({ fired, warnings }).toEqual({ fired: 0, warnings: [] })
  })

  it('that fires before the end of a long life is set again', async () => {
    const { authenticator, provider, clock, changes } = await newAuthenticator({
      saved: newSession({ refreshToken: null, accessToken: { value: 'long', receivedAt: NOW, lifetime: 100 * DAY } }),
    })
    provider.canRefresh = () => false
    const after = clock.after.bind(clock)
    clock.after = (seconds, action) => after(Math.min(seconds, (2 ** 31 - 1) / 1000), action)
    await authenticator.load()
    for (let day = 0; day < 99; day++) clock.advance(DAY)
    expect(authenticator.status().state).toBe('signed_in')
    clock.advance(2 * DAY)
    expect(changes.at(-1)).toBe('signed_out')
  })
})
