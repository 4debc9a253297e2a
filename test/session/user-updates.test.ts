// The user's name, e-mail address and organization follow the provider, and no answer of it delays or harms a session.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { UserDescription } from '../../src/clerk/identity-provider.ts'
import { headerInMemory, newAuthenticator } from '../support/authenticator.ts'
import { newSession } from '../support/session.ts'

const DAY = 86_400
const RENAMED: UserDescription = {
  user: { id: 'user_1', email: 'ada.byron@example.com', name: 'Ada Byron' },
  organization: { id: 'org_1', slug: 'acme', role: null },
}

async function signedIn(describe: () => Promise<UserDescription> = async () => RENAMED) {
  const all = await newAuthenticator({ saved: newSession() })
  let asked = 0
  all.provider.describeUser = () => {
    asked++
    return describe()
  }
  await all.authenticator.load()
  const user = () => all.authenticator.status().user
  return { ...all, user, asked: () => asked }
}

describe('after a refresh', () => {
  it('the user has the new name, e-mail address and organization: in the status, in a notification and on disk', async () => {
    const { authenticator, user, told, openStore } = await signedIn()
    await authenticator.refresh()
    await expect.poll(user).toEqual(RENAMED.user)
    expect(told.at(-1)).toMatchObject(RENAMED)
    expect(await openStore().load()).toMatchObject({ ...RENAMED, accessToken: { value: 'token-1' } })
  })

  it('clients keep the header that they have', async () => {
    const { authenticator, user } = await signedIn()
    const header = await authenticator.refresh()
    await expect.poll(user).toEqual(RENAMED.user)
    expect(headerInMemory(authenticator)).toBe(header)
  })

  it('the provider is asked once a day, and again if the clock was set back', async () => {
    const { authenticator, clock, asked } = await signedIn()
    for (let n = 0; n < 3; n++) await authenticator.refresh()
    expect(asked()).toBe(1)
    clock.sleep(DAY - 1)
    await authenticator.refresh()
    expect(asked()).toBe(1)
    clock.sleep(1)
    await authenticator.refresh()
    expect(asked()).toBe(2)
    clock.setBack(30 * DAY)
    await authenticator.refresh()
    expect(asked()).toBe(3)
  })

  it('the provider is not asked on the day of a sign-in, which has brought the data', async () => {
    const { authenticator, asked, comeBack } = await signedIn()
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await comeBack()
    await authenticator.refresh()
    expect(asked()).toBe(0)
  })

  it('nothing is notified or written if nothing has changed', async () => {
    const { id, email, name } = newSession().user
    const { authenticator, changes, clock, asked } = await signedIn(async () => ({ user: { id, email, name } }))
    await authenticator.refresh()
    await authenticator.settled()
    const before = changes.length
    clock.sleep(DAY)
    await authenticator.refresh()
    await authenticator.settled()
    expect({ asked: asked(), changes: changes.length }).toEqual({ asked: 2, changes: before + 1 })
  })

  it('a provider that fails to answer changes nothing, and is asked again an hour later', async () => {
    const { authenticator, user, clock, asked } = await signedIn(() => Promise.reject(new Error('down')))
    const before = user()
    await authenticator.refresh()
    clock.sleep(3599)
    await authenticator.refresh()
    expect(asked()).toBe(1)
    clock.sleep(1)
    await authenticator.refresh()
    expect(asked()).toBe(2)
    expect(user()).toEqual(before)
    expect(authenticator.status().refresh.lastError).toBeNull()
  })

  it('a provider that never answers delays no caller', async () => {
    const { authenticator } = await signedIn(() => new Promise(() => undefined))
    await authenticator.refresh()
    expect(await authenticator.refresh()).toMatchObject({ headers: { Authorization: 'Bearer token-2' } })
  })
})

describe('an answer that comes late', () => {
  async function asking() {
    let answer: () => void = () => undefined
    const answered = new Promise<UserDescription>((resolve) => {
      answer = () => resolve(RENAMED)
    })
    const all = await signedIn(() => answered)
    await all.authenticator.refresh()
    const arrive = async () => {
      answer()
      await answered
      await all.authenticator.settled()
    }
    return { ...all, arrive }
  }

  it('applies to the token of a later refresh', async () => {
    const { authenticator, arrive, openStore } = await asking()
    await authenticator.refresh()
    await arrive()
    expect(await openStore().load()).toMatchObject({ ...RENAMED, accessToken: { value: 'token-2' } })
  })

  it('does not bring back a session that was signed out', async () => {
    const { authenticator, arrive, openStore } = await asking()
    await authenticator.logout()
    await arrive()
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', user: null })
    expect(await openStore().load()).toBeUndefined()
  })

  it('does not bring back a file that the user has deleted', async () => {
    const { arrive, folder, openStore } = await asking()
    await rm(join(folder, 'test.jwe'))
    await arrive()
    expect(await openStore().load()).toBeUndefined()
  })

  it('does not describe another user who has signed in meanwhile', async () => {
    const { authenticator, arrive, comeBack, user } = await asking()
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await comeBack()
    await arrive()
    expect(user()).toEqual({ id: 'user_2', email: null, name: null })
  })

  it('does not overwrite a later state of the session that is on disk', async () => {
    const { arrive, openStore } = await asking()
    const saved = await openStore().load()
    if (!saved) throw new Error('no session')
    const later = { ...saved, generation: 9, accessToken: { ...saved.accessToken, receivedAt: 1_800_000_001 } }
    await openStore().save(later)
    await arrive()
    expect(await openStore().load()).toEqual(later)
  })
})

describe('an answer that comes after a stop', () => {
  it('is not written: the next daemon may have the file', async () => {
    const { authenticator, provider, folder } = await newAuthenticator({ saved: newSession() })
    let answer: () => void = () => undefined
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    provider.describeUser = async () => {
      await answered
      return { user: { id: 'user_1', email: 'new@example.com', name: 'New' }, organization: null }
    }
    await authenticator.load()
    await authenticator.refresh()
    authenticator.stop()
    await authenticator.settled()
    const before = await readFile(join(folder, 'test.jwe'), 'utf8')
    answer()
    await answered
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    await authenticator.settled()
    expect(await readFile(join(folder, 'test.jwe'), 'utf8')).toBe(before)
  })
})
