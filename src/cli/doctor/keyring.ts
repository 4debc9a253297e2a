// The doctor's check of the system keyring, if the configuration lets the store use it.
import type { Config } from '../../config/config.ts'
import { inspectKeyring } from '../../store/inspect.ts'
import type { Context } from '../context.ts'
import type { Finding } from './finding.ts'

const check = 'keyring'

/** @param keyProtection as configured; undefined if the configuration cannot be read */
export async function checkKeyring(
  { host }: Context,
  keyProtection: Config['keyProtection'] | undefined,
): Promise<Finding> {
  if (keyProtection === 'keyfile' || keyProtection === 'passphrase') {
    return { check, verdict: 'ok', found: `not used (keyProtection is ${keyProtection})` }
  }
  const isRequired = keyProtection === 'keyring'
  const verdict = isRequired ? 'failed' : 'warning'
  const alternative = isRequired
    ? 'set keyProtection to auto, keyfile or passphrase'
    : 'set keyProtection to passphrase for better protection, unless a service starts the daemon, which cannot know it: without a keyring, the key is in a file'
  switch (await inspectKeyring(host.clock)) {
    case 'responds':
      return { check, verdict: 'ok', found: 'it responds' }
    case 'locked':
      return { check, verdict: 'failed', found: 'it is locked', hint: 'unlock the keyring' }
    case 'unavailable':
      return {
        check,
        verdict,
        found: 'this system has no keyring, or one without a collection that can hold the key',
        hint: alternative,
      }
    case 'addon_missing': {
      const cure = process.platform === 'win32' ? 'install the Microsoft Visual C++ Redistributable (x64), or ' : ''
      const hint = `${cure}${alternative}`
      return { check, verdict, found: 'the keyring addon (@napi-rs/keyring) does not load', hint }
    }
  }
}
