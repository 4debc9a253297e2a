// Signs the daemon in at the sandbox without a browser.
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import type { Sandbox } from '../../test/sandbox/index.ts'

export async function signIn(sandbox: Sandbox, discoveryFile: string): Promise<void> {
  const client = await connect(systemFiles, discoveryFile, systemRandom)
  try {
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    if (authorizationUrl === null) throw new Error('the sign-in has no authorization URL')
    const signedIn = client.call('login', { openBrowser: false, timeoutSeconds: 20 })
    await sandbox.signIn(authorizationUrl)
    await signedIn
  } finally {
    client.close()
  }
}
