// Folders that were copied to a second computer (a restored backup, a disk image), with the id of the installation in them.
import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { startLocalDaemon } from '../support/daemon.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'

/** A signed-in daemon, and one that starts with a copy of its folders. */
async function newClone() {
  const sandbox = await newSandbox()
  const env = settingsOf(sandbox)
  const [home, copy] = [await temporaryFolder(), await temporaryFolder()]
  const start = async (folder: string) => {
    const local = await startLocalDaemon({ folders: locateFolders({ CADZERO_AUTH_HOME: folder }), env })
    return { ...local, client: await local.connect() }
  }
  const first = await start(home)
  await signIn(first.client, sandbox)
  await first.daemon.stop('test')
  await cp(home, copy, { recursive: true, preserveTimestamps: true })
  const file = (folder: string) => readFile(join(folder, 'config', 'sessions', 'production.jwe'), 'utf8')
  return { sandbox, home, copy, start, file }
}

const QUIET = { interactive: false }

it('a copied session serves both computers while its token is valid, and neither touches the other’s file', async () => {
  const { home, copy, start, file } = await newClone()
  const [one, two] = [await start(home), await start(copy)]
  const before = await file(home)
  expect(await two.client.call('getAuthHeader', QUIET)).toEqual(await one.client.call('getAuthHeader', QUIET))
  await two.client.call('refresh')
  expect(await file(copy)).not.toBe(before)
  expect(await file(home)).toBe(before)
})

it('the computer that refreshes second has a spent token: it asks for one sign-in, and revokes nothing itself', async () => {
  const { sandbox, home, copy, start } = await newClone()
  const [one, two] = [await start(home), await start(copy)]
  await two.client.call('refresh')
  await expect(one.client.call('refresh')).rejects.toMatchObject({ code: 1001, data: { reason: 'session_revoked' } })
  expect(sandbox.count('/oauth/token/revoke')).toBe(0)

  await signIn(one.client, sandbox)
  await signIn(two.client, sandbox)
  for (const { client } of [one, two, two, one]) {
    expect(await client.call('refresh')).toMatchObject({ headers: {} }) // each has a grant of its own from now on
  }
})

it('a copy without the session files starts signed out, and the first computer keeps its session', async () => {
  const { sandbox, copy, home, start } = await newClone()
  await rm(join(copy, 'config', 'sessions'), { recursive: true })
  const [one, two] = [await start(home), await start(copy)]
  await expect(two.client.call('getAuthHeader', QUIET)).rejects.toMatchObject({
    code: 1001,
    data: { reason: 'signed_out' },
  })
  await signIn(two.client, sandbox)
  for (const { client } of [one, two, one]) expect(await client.call('refresh')).toMatchObject({ headers: {} })
  expect(sandbox.count('/oauth/token/revoke')).toBe(0)
})
