// What every installer has to do: an upgrade over a running daemon keeps the session, and a downgrade loses nothing.
import { expect } from 'vitest'
import type { RpcClient } from '../../src/rpc/client.ts'
import { nextVersion, version } from './release.ts'

export interface Installation {
  /** Installs this release or the next one over the one that is installed. */
  install(which: 'this' | 'next'): Promise<void>
  /** Connects to the daemon of a version as soon as it responds. */
  connect(version: string): Promise<RpcClient>
  /** The content of the session file. */
  readSession(): Promise<string>
}

/** Begins with a signed-in daemon of this release, and ends with one of the next. @param header what the first one gives */
export async function upgradeAndDowngrade(
  { install, connect, readSession }: Installation,
  header: { readonly headers: unknown },
): Promise<void> {
  const silently = { interactive: false }
  await install('next')
  const newer = await connect(nextVersion)
  expect(await newer.call('getAuthHeader', silently)).toMatchObject({ headers: header.headers })
  const { headers } = await newer.call('refresh') // saves the session in the format of the next release
  const saved = await readSession()

  await install('this')
  const older = await connect(version)
  await expect(older.call('getAuthHeader', silently)).rejects.toMatchObject({
    code: 1005,
    data: { reason: 'newer_version', hint: expect.stringContaining('saved by a newer version') },
  })
  expect(await readSession()).toBe(saved)

  await install('next')
  const again = await connect(nextVersion)
  expect(await again.call('getAuthHeader', silently)).toMatchObject({ headers })
}
