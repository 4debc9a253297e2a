// A refresh whose answer is lost after the provider has rotated the refresh token: the daemon is killed, cut off or stopped.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SandboxOptions } from '../sandbox/index.ts'
import { startDaemonProcess } from '../support/program.ts'
import { newWorld, nextStatus, signIn, waitUntil } from '../support/world.ts'

const TOKEN = '/oauth/token'

/** A daemon, signed in, then killed after the provider has rotated the refresh token and before it has answered. */
async function newKilledWorld(options: SandboxOptions) {
  const world = await newWorld(options)
  await world.signIn()
  const before = await world.client.call('getAuthHeader')
  let latest = { daemon: world.daemon, client: world.client }
  const killInRefresh = async () => {
    const { daemon, client } = latest
    const rotated = new Promise<void>((then) => world.sandbox.script(TOKEN, { kind: 'hangAfter', then }))
    client.call('refresh').catch(() => undefined)
    await rotated
    await daemon.stop('SIGKILL')
  }
  const restart = async () => {
    const daemon = await startDaemonProcess({ home: world.home, env: world.env })
    latest = { daemon, client: await daemon.connect() }
    return latest
  }
  await killInRefresh()
  const refreshes = () => world.sandbox.count(TOKEN, 'refresh_token')
  const log = async () => await readFile(join(world.home, 'log', 'daemon.log'), 'utf8')
  const signIns = () => world.sandbox.count(TOKEN, 'authorization_code')
  return { ...world, before, killInRefresh, restart, refreshes, signIns, log }
}

describe('a daemon that is killed in a refresh', () => {
  it('retries with the previous refresh token, without a sign-in, if the provider accepts that once more', async () => {
    const world = await newKilledWorld({ refreshReuse: 'forgiving' })
    expect(world.refreshes()).toBe(1)
    const { client, daemon } = await world.restart()
    // Not the whole result: `refreshAt` says after an interrupted refresh that the daemon refreshes at the next call.
    const headers = async () => (await client.call('getAuthHeader', { interactive: false })).headers
    expect(await headers()).toEqual(world.before.headers) // still valid, so it needs no refresh
    await expect.poll(headers, { timeout: 10_000 }).not.toEqual(world.before.headers)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    expect({ refreshes: world.refreshes(), signIns: world.signIns() }).toEqual({ refreshes: 2, signIns: 1 })
    await client.call('refresh') // with the refresh token of the retry
    await daemon.stop()
    expect(await world.log()).toContain('refresh_interrupted')
    const after = await world.restart()
    expect(await after.client.call('getAuthHeader', { interactive: false })).toMatchObject({ headers: {} })
    await after.daemon.stop()
    expect((await world.log()).match(/refresh_interrupted/g)).toHaveLength(1)
  })

  it('needs one request and no sign-in after each of three crashes', async () => {
    const world = await newKilledWorld({ refreshReuse: 'forgiving' })
    for (let n = 1; n <= 3; n++) {
      const { client } = await world.restart()
      const before = world.refreshes()
      await client.call('refresh')
      expect(world.refreshes() - before).toBe(1)
      await world.killInRefresh()
    }
    const { client } = await world.restart()
    await client.call('refresh')
    expect(world.signIns()).toBe(1)
  })

  it('asks a strict provider once more, then needs one sign-in, however many calls and restarts follow', async () => {
    const world = await newKilledWorld({ refreshReuse: 'strict' })
    const { client } = await world.restart()
    const signedOut = nextStatus(client, ({ state }) => state === 'signed_out')
    await client.call('getAuthHeader', { interactive: false })
    await signedOut
    const ended = { code: 1001, data: { reason: 'session_revoked' } }
    for (let n = 0; n < 5; n++) {
      await expect(client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject(ended)
      await expect(client.call('refresh')).rejects.toMatchObject(ended)
    }
    expect(world.refreshes()).toBe(2)
    expect(await readdir(join(world.home, 'config', 'sessions'))).toEqual([])
    await client.call('shutdown')
    const again = await world.restart()
    await expect(again.client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject({ code: 1001 })
    expect(world.refreshes()).toBe(2)
    expect(await signIn(again.client, world.sandbox)).toMatchObject({ state: 'signed_in' })
    await again.client.call('refresh')
    expect(world.signIns()).toBe(2)
  })
})

describe('a refresh whose connection ends before the answer', () => {
  const retryAfterOf = async (call: Promise<unknown>): Promise<number> => {
    const failure = await call.then(
      () => expect.unreachable('the refresh succeeds'),
      (error: { code: number; data: { retryAfterSeconds: number } }) => error,
    )
    expect(failure.code).toBe(1003)
    return failure.data.retryAfterSeconds
  }

  it.each(['dropAfter', 'truncate'] as const)(
    'succeeds at the retry if the provider accepts the previous refresh token once more (%s)',
    async (kind) => {
      const { sandbox, client, signIn } = await newWorld({ refreshReuse: 'forgiving' })
      await signIn()
      sandbox.script(TOKEN, { kind })
      await waitUntil(Date.now() / 1000 + (await retryAfterOf(client.call('refresh'))))
      const retried = await client.call('refresh').catch((error: { data: unknown }) => error.data)
      expect(retried).toMatchObject({ headers: {} })
      expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
      expect(sandbox.count(TOKEN, 'authorization_code')).toBe(1)
    },
  )

  it('costs one more request and one sign-in at a strict provider', async () => {
    const { sandbox, client, signIn: signInFirst } = await newWorld({ refreshReuse: 'strict' })
    await signInFirst()
    sandbox.script(TOKEN, { kind: 'dropAfter' })
    await waitUntil(Date.now() / 1000 + (await retryAfterOf(client.call('refresh'))))
    for (let n = 0; n < 5; n++) {
      await expect(client.call('refresh')).rejects.toMatchObject({ code: 1001, data: { reason: 'session_revoked' } })
    }
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
    expect(await signIn(client, sandbox)).toMatchObject({ state: 'signed_in' })
  })
})

describe.skipIf(process.platform === 'win32')('a daemon that is suspended until its token has expired', () => {
  it('gives all waiting clients a new token by one refresh when it resumes', async () => {
    const { sandbox, client, signIn, daemon } = await newWorld({ accessTokenTtl: 2 })
    await signIn()
    const before = await client.call('refresh') // new, so that no refresh runs in the background
    daemon.child.kill('SIGSTOP')
    try {
      sandbox.setAccessTokenTtl(60)
      await waitUntil(before.expiresAt + 1)
      const calls = Array.from({ length: 50 }, () => client.call('getAuthHeader', { interactive: false }))
      daemon.child.kill('SIGCONT')
      for (const { headers, expiresAt } of await Promise.all(calls)) {
        expect(headers).not.toEqual(before.headers)
        expect(expiresAt).toBeGreaterThan(before.expiresAt + 1)
      }
    } finally {
      daemon.child.kill('SIGCONT')
    }
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
  })
})
