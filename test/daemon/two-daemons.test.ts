// Two daemons with two data folders and one session folder: they write at once, and no session is overwritten or revoked.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Folders, locateFolders } from '../../src/config/paths.ts'
import type { RpcClient } from '../../src/rpc/client.ts'
import { startLocalDaemon } from '../support/daemon.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'

const ROUNDS = 10

/** The folders of an installation whose sessions are in a folder that another one uses as well. */
async function foldersWith(sessions: string): Promise<Folders> {
  return { ...locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() }), sessions }
}

const isPersisted = async (client: RpcClient) => (await client.call('status')).store.persisted

it('both keep their session when they sign in and refresh at once; one has it on disk, the other says why not', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const sandbox = await newSandbox()
    const env = settingsOf(sandbox)
    const sessions = join(await temporaryFolder(), 'sessions')
    const both = [await foldersWith(sessions), await foldersWith(sessions)]
    const start = () => Promise.all(both.map((folders) => startLocalDaemon({ folders, env })))
    const daemons = await start()
    const clients = await Promise.all(daemons.map((daemon) => daemon.connect()))

    await Promise.all(clients.map((client) => signIn(client, sandbox)))
    await Promise.allSettled(clients.map((client) => client.call('refresh')))
    for (const client of clients) {
      expect(await client.call('getAuthHeader', { interactive: false })).toMatchObject({ headers: {} })
      expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
    }
    expect((await Promise.all(clients.map(isPersisted))).sort()).toEqual([false, true])
    expect(await readdir(sessions)).toEqual(['production.jwe'])

    for (const { daemon } of daemons) await daemon.stop('test')
    const again = await Promise.all((await start()).map((daemon) => daemon.connect()))
    const found = await Promise.allSettled(again.map((client) => client.call('getAuthHeader', { interactive: false })))
    expect(found.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(found.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 1005, data: { reason: 'other_installation' } } },
    ])
    expect(sandbox.count('/oauth/token/revoke')).toBe(0)
  }
})
