// The end of a daemon whose session could not be saved: what ends it says so.
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { type UninstallWarning, uninstall } from '../../src/daemon/uninstall.ts'
import { systemHost } from '../../src/host/host.ts'
import { runProgram } from '../support/program.ts'
import { newWorld, type World } from '../support/world.ts'

const WARNING =
  /^warning: the session of production could not be saved on the disk, and may have ended with the daemon: .*\n$/

async function stop({ home, env }: World) {
  const { code, stderr } = await runProgram(['daemon', '--stop'], { home, env })
  return { code, stderr }
}

/** The warnings of the uninstaller, without the service manager of this computer. */
async function warningsOfUninstall({ home }: World) {
  const warnings: UninstallWarning[] = []
  await uninstall({
    host: systemHost(),
    folders: locateFolders({ CADZERO_AUTH_HOME: home }),
    env: {},
    purge: false,
    connectToDaemon: () => Promise.reject(new Error('not expected')),
    removeEntry: () => Promise.resolve(false),
    onWarning: (warning) => warnings.push(warning),
  })
  return warnings
}

async function newUnsaved() {
  const world = await newWorld()
  await world.signIn()
  const sessions = join(world.home, 'config', 'sessions')
  await rename(sessions, `${sessions}.away`) // as a disk that is no longer there
  await expect(world.client.call('refresh')).rejects.toMatchObject({ code: 1005 })
  expect(await world.client.call('status')).toMatchObject({ state: 'signed_in', store: { persisted: false } })
  return world
}

it('daemon --stop warns that a session was in memory only', async () => {
  expect(await stop(await newUnsaved())).toEqual({ code: 0, stderr: expect.stringMatching(WARNING) })
})

it('the uninstaller warns that a session was in memory only', async () => {
  expect(await warningsOfUninstall(await newUnsaved())).toEqual([{ kind: 'unsaved', profile: 'production' }])
})

it.each([
  ['daemon --stop', stop, { code: 0, stderr: '' }],
  ['the uninstaller', warningsOfUninstall, []],
])('%s warns of nothing if the session is on the disk', async (_name, end, expected) => {
  const world = await newWorld()
  await world.signIn()
  expect(await end(world)).toEqual(expected)
})
