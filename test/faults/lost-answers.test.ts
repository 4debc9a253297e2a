// A refresh whose answer is lost after the provider has rotated: the real daemon, killed or cut off, at both kinds of provider.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SandboxOptions } from '../sandbox/index.ts'
import { startDaemonProcess } from '../support/program.ts'
import { changed, newWorld, signIn, until } from '../support/world.ts'

const TOKEN = '/oauth/token'

/** Signed in, and killed in the moment when the provider has rotated and nothing of its answer has come. */
async function killedInRefresh(options: SandboxOptions) {
  const world = await newWorld(options)
  await world.signIn()
  const before = await world.client.call('getAuthHeader')
  const kill = async () => {
    const { daemon, client } = latest
    const rotated = new Promise<void>((then) => world.sandbox.script(TOKEN, { kind: 'hangAfter', then }))
    client.call('refresh').catch(() => undefined)
    await rotated
    await daemon.stop('SIGKILL')
  }
  let latest = { daemon: world.daemon, client: world.client }
  const restart = async () => {
    const daemon = await startDaemonProcess({ home: world.home, env: world.env })
    latest = { daemon, client: await daemon.connect() }
    return latest
  }
  await kill()
  const asked = () => world.sandbox.count(TOKEN, 'refresh_token')
  const log = async () => await readFile(join(world.home, 'log', 'daemon.log'), 'utf8')
  const signIns = () => world.sandbox.count(TOKEN, 'authorization_code')
  return { ...world, before, kill, restart, asked, signIns, log }
}

describe('a daemon that is killed after the provider has rotated', () => {
  it('goes on with the old token where the provider lets it be used once more, without a person', async () => {
    const world = await killedInRefresh({ refreshReuse: 'forgiving' })
    expect(world.asked()).toBe(1)
    const { client, daemon } = await world.restart()
    expect(await client.call('getAuthHeader', { interactive: false })).toEqual(world.before) // still good, and served at once
    const header = () => client.call('getAuthHeader', { interactive: false })
    await expect.poll(header, { timeout: 10_000 }).not.toEqual(world.before)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    expect({ asked: world.asked(), signIns: world.signIns() }).toEqual({ asked: 2, signIns: 1 })
    await client.call('refresh') // the rotation goes on from there
    await daemon.stop()
    expect(await world.log()).toContain('refresh_interrupted')
    const after = await world.restart()
    expect(await after.client.call('getAuthHeader', { interactive: false })).toMatchObject({ headers: {} })
    await after.daemon.stop()
    expect((await world.log()).match(/refresh_interrupted/g)).toHaveLength(1)
  })

  it('again and again needs no person, and one request each time', async () => {
    const world = await killedInRefresh({ refreshReuse: 'forgiving' })
    for (let n = 1; n <= 3; n++) {
      const { client } = await world.restart()
      const asked = world.asked()
      await client.call('refresh')
      expect(world.asked() - asked).toBe(1)
      await world.kill()
    }
    const { client } = await world.restart()
    await client.call('refresh')
    expect(world.signIns()).toBe(1)
  })

  it('asks a strict provider once, and then a person once: no loop over any number of calls and starts', async () => {
    const world = await killedInRefresh({ refreshReuse: 'strict' })
    const { client } = await world.restart()
    const signedOut = changed(client, ({ state }) => state === 'signed_out')
    await client.call('getAuthHeader', { interactive: false })
    await signedOut
    const ended = { code: 1001, data: { reason: 'session_revoked' } }
    for (let n = 0; n < 5; n++) {
      await expect(client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject(ended)
      await expect(client.call('refresh')).rejects.toMatchObject(ended)
    }
    expect(world.asked()).toBe(2)
    expect(await readdir(join(world.home, 'config', 'sessions'))).toEqual([])
    await client.call('shutdown')
    const again = await world.restart()
    await expect(again.client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject({ code: 1001 })
    expect(world.asked()).toBe(2)
    expect(await signIn(again.client, world.sandbox)).toMatchObject({ state: 'signed_in' })
    await again.client.call('refresh')
    expect(world.signIns()).toBe(2)
  })
})

describe('a refresh whose connection is cut after the provider has rotated', () => {
  const retryAfter = async (answer: Promise<unknown>): Promise<number> => {
    const failure = await answer.then(
      () => expect.unreachable('there is no answer'),
      (error: { code: number; data: { retryAfterSeconds: number } }) => error,
    )
    expect(failure.code).toBe(1003)
    return failure.data.retryAfterSeconds
  }

  it.each(['dropAfter', 'truncate'] as const)(
    'by %s is sent again, and a forgiving provider forgives',
    async (kind) => {
      const { sandbox, client, signIn } = await newWorld({ refreshReuse: 'forgiving' })
      await signIn()
      sandbox.script(TOKEN, { kind })
      await until(Date.now() / 1000 + (await retryAfter(client.call('refresh'))))
      const again = await client.call('refresh').catch((error: { data: unknown }) => error.data)
      expect(again).toMatchObject({ headers: {} })
      expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
      expect(sandbox.count(TOKEN, 'authorization_code')).toBe(1)
    },
  )

  it('is one sign-in at a strict provider, and two requests', async () => {
    const { sandbox, client, signIn: first } = await newWorld({ refreshReuse: 'strict' })
    await first()
    sandbox.script(TOKEN, { kind: 'dropAfter' })
    await until(Date.now() / 1000 + (await retryAfter(client.call('refresh'))))
    for (let n = 0; n < 5; n++) {
      await expect(client.call('refresh')).rejects.toMatchObject({ code: 1001, data: { reason: 'session_revoked' } })
    }
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
    expect(await signIn(client, sandbox)).toMatchObject({ state: 'signed_in' })
  })
})

describe.skipIf(process.platform === 'win32')('a daemon that is stopped', () => {
  it('over the end of its token gives no dead one when it goes on, and asks once for all who wait', async () => {
    const { sandbox, client, signIn, daemon } = await newWorld({ accessTokenTtl: 2 })
    await signIn()
    const before = await client.call('refresh') // fresh, so that nothing is fetched behind it
    daemon.child.kill('SIGSTOP')
    try {
      sandbox.setAccessTokenTtl(60)
      await until(before.expiresAt + 1)
      const asked = Array.from({ length: 50 }, () => client.call('getAuthHeader', { interactive: false }))
      daemon.child.kill('SIGCONT')
      for (const { headers, expiresAt } of await Promise.all(asked)) {
        expect(headers).not.toEqual(before.headers)
        expect(expiresAt).toBeGreaterThan(before.expiresAt + 1)
      }
    } finally {
      daemon.child.kill('SIGCONT')
    }
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
  })
})
