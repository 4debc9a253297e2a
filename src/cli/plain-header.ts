// `header` without options and with a running daemon, as shells call it: no parser of arguments, no start, no text of an error.
import { usableFolders } from '../config/paths.ts'
import { systemFiles } from '../host/files.ts'
import { systemRandom } from '../host/random.ts'
import { connect } from '../rpc/client.ts'
import { printAndExit, watchOutput } from './terminal.ts'

const HANDSHAKE_MS = 1000 // a daemon answers within milliseconds; the whole program waits longer, and says what is wrong

/** Whether it has printed the header. If not, the whole program has to try again: it starts the daemon, or says what is wrong. */
export async function printPlainHeader(env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    const client = await connect(systemFiles, usableFolders(env).discoveryFile, systemRandom, HANDSHAKE_MS)
    try {
      const { headers } = await client.call('getAuthHeader', { interactive: false })
      watchOutput()
      printAndExit(`Authorization: ${headers.Authorization}`)
      return true
    } finally {
      client.close()
    }
  } catch {
    return false
  }
}
