// The start of a daemon: what a client asks before the start is over.
import { expect, it } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { startLocalDaemon } from '../support/daemon.ts'
import { temporaryFolder } from '../support/folder.ts'

it('a shutdown that is asked for as soon as the discovery file is there ends the daemon', async () => {
  const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
  const files: FileSystem = {
    ...systemFiles,
    rename: async (from, to) => {
      await systemFiles.rename(from, to)
      if (to !== folders.discoveryFile) return
      const client = await connect(systemFiles, folders.discoveryFile, systemRandom)
      await client.call('shutdown')
      client.close()
    },
  }
  const { daemon } = await startLocalDaemon({ folders, host: { files } })
  await expect(daemon.stopped).resolves.toBeUndefined()
})
