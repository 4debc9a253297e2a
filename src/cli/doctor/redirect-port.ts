// The doctor's check of the redirect port: the callback listener of a sign-in can use it.
import { createServer } from 'node:net'
import type { Profile } from '../../config/profile.ts'
import { errorCode } from '../../host/files.ts'
import { loopbackAddresses } from '../../host/network.ts'
import type { Finding } from './finding.ts'

const check = 'redirect port'

export async function checkRedirectPort({ name, redirectPort, kind }: Profile): Promise<Finding> {
  if (redirectPort === 0) return { check, verdict: 'ok', found: 'any free port' }
  try {
    // The page of the hand-off redirects to localhost, which is either of two addresses.
    for (const address of loopbackAddresses(kind === 'handoff' ? 'localhost' : '127.0.0.1')) {
      await listenOnce(redirectPort, address)
    }
    return { check, verdict: 'ok', found: `${redirectPort} is free` }
  } catch (error) {
    const hint = `finish the sign-in if one is running; otherwise end the other program, or change profiles.${name}.redirectPort`
    return { check, verdict: 'failed', found: `${redirectPort} cannot be used (${errorCode(error)})`, hint }
  }
}

const NO_SUCH_ADDRESS = ['EADDRNOTAVAIL', 'EAFNOSUPPORT']

/** @throws a system error, except if this computer does not have the address */
async function listenOnce(port: number, address: string): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, address, resolve)
    })
  } catch (error) {
    if (!NO_SUCH_ADDRESS.includes(errorCode(error) ?? '')) throw error
  } finally {
    server.close()
  }
}
