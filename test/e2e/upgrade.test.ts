// Upgrade and downgrade: a newer version replaces the daemon and keeps the session; an older one never changes a newer store.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { programOfVersion } from '../support/other-version.ts'
import { runProgram, startDaemonProcess } from '../support/program.ts'
import { newWorld } from '../support/world.ts'

it('a newer version replaces the running daemon, and keeps its session and its store', async () => {
  const { home, env, client, signIn, sandbox } = await newWorld()
  await signIn()
  const before = await client.call('getAuthHeader')
  const program = await programOfVersion('99.1.0', 1)
  const daemon = await startDaemonProcess({ home, env, program }, '--replace')
  expect(await client.closed).toBe(1012)
  const next = await daemon.connect()
  expect(await next.call('status')).toMatchObject({ state: 'signed_in', daemon: { version: '99.1.0' } })
  expect(await next.call('getAuthHeader')).toEqual(before)
  // The command of an older copy names the one whose daemon runs.
  const { stdout } = await runProgram(['doctor'], { home, env })
  expect(stdout).toMatch(/99\.1\.0, process \d+, .*\n.*hint: use .*cadzero-auth\.cjs, which is newer than this program/)
  expect((await next.call('refresh')).headers).not.toEqual(before.headers)
  expect(sandbox.requests.filter(({ path }) => path === '/oauth/authorize')).toHaveLength(1)
  // Downgrade: the version of the store is still the same.
  const older = await startDaemonProcess({ home, env }, '--replace')
  expect(await (await older.connect()).call('status')).toMatchObject({
    state: 'signed_in',
    daemon: { version: manifest.version },
  })
})

it('an older version reports a newer store, and does not change it', async () => {
  const { home, env, client, signIn, sandbox, daemon } = await newWorld()
  await signIn()
  await daemon.stop()
  await client.closed
  const program = await programOfVersion('2.0.0', 2)
  // The newer version has to sign in again, because it does not read version 1 in this test. Only its file matters.
  const newer = await startDaemonProcess({ home, env, program })
  const other = await newer.connect()
  const { authorizationUrl } = await other.call('login', { openBrowser: false, wait: false })
  await sandbox.signIn(String(authorizationUrl))
  await newer.stop()

  const sessions = join(home, 'config', 'sessions')
  const files = async () =>
    Object.fromEntries(
      await Promise.all(
        (await readdir(sessions)).map(async (name) => [name, await readFile(join(sessions, name), 'utf8')] as const),
      ),
    )
  const before = await files()
  const requests = sandbox.requests.length
  const older = await startDaemonProcess({ home, env })
  const old = await older.connect()
  for (const method of ['getAuthHeader', 'refresh', 'login'] as const) {
    await expect(old.call(method), method).rejects.toMatchObject({ code: 1005, data: { reason: 'newer_version' } })
  }
  const { code, stderr } = await runProgram(['header'], { home, env })
  expect(code).toBe(1)
  expect(stderr).toContain('newer version')
  await older.stop()
  expect(await files()).toEqual(before)
  expect(sandbox.requests.slice(requests).filter(({ path }) => path.startsWith('/oauth/'))).toEqual([])
  const again = await startDaemonProcess({ home, env, program })
  expect(await (await again.connect()).call('status')).toMatchObject({ state: 'signed_in' })
})
