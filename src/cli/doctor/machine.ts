// The doctor's look at this machine: folders and their rights, the configuration, the keyring, the redirect port.
import { createServer } from 'node:net'
import { type Config, loadConfig } from '../../config/config.ts'
import { ConfigurationError } from '../../config/errors.ts'
import type { Profile } from '../../config/profile.ts'
import { ensurePrivateFolder, errorCode, readPrivateFile } from '../../host/files.ts'
import { loopbackAddresses } from '../../host/network.ts'
import { StoreError } from '../../store/errors.ts'
import { keyringAddonLoads, systemKeyring } from '../../store/keyring.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../failure.ts'
import type { Finding } from './doctor.ts'

const LARGEST = 1024 * 1024

export async function checkFolders({ host, folders }: Context): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const path of [folders.config, folders.data, folders.log, folders.sessions]) {
    findings.push(
      await look(`folder ${path}`, async () => {
        const before = (await host.files.lstat(path).catch(() => undefined))?.mode
        await ensurePrivateFolder(host.files, path)
        const repaired = before !== undefined && process.platform !== 'win32' && (before & 0o777) !== 0o700
        return repaired ? 'its rights were repaired: you alone may enter now' : 'you alone may enter'
      }),
    )
  }
  const names = await host.files.readdir(folders.sessions).catch(() => [])
  const sessions = names.filter((name) => name.endsWith('.jwe')).map((name) => `${folders.sessions}/${name}`)
  for (const path of [...sessions, folders.discoveryFile, folders.keyFile, folders.wrappedKeyFile]) {
    if (!(await host.files.lstat(path).catch(() => undefined))) continue
    findings.push(
      await look(`file ${path}`, async () => {
        await readPrivateFile(host.files, path, LARGEST)
        return 'you alone may read it'
      }),
    )
  }
  return findings
}

const RIGHTS = 'give yourself the rights to it, or set CADZERO_AUTH_HOME to a folder of your own'

async function look(check: string, action: () => Promise<string>): Promise<Finding> {
  try {
    return { check, verdict: 'ok', found: await action() }
  } catch (error) {
    const { error: found, hint } =
      errorCode(error) === undefined ? failureOf(error) : { ...failureOf(error), hint: RIGHTS }
    return { check, verdict: 'failed', found, ...(hint === undefined ? {} : { hint }) }
  }
}

interface Loaded {
  readonly finding: Finding
  readonly config?: Config
  readonly profile?: Profile
}

export async function loadProfile({ host, folders }: Context, name: string | undefined): Promise<Loaded> {
  const check = 'configuration'
  try {
    const config = await loadConfig(host.files, folders.configFile, process.env)
    const wanted = name ?? config.defaultProfile
    const profile = config.profiles.get(wanted)
    if (!profile) {
      const hint = `one of ${[...config.profiles.keys()].join(', ')}`
      return { config, finding: { check, verdict: 'failed', found: 'no such profile', hint } }
    }
    if (profile instanceof ConfigurationError) {
      const hint = `set profiles.${wanted}.clientId (OAuth) or .signInUrl (hand-off) in ${folders.configFile}`
      const found = `profile ${wanted} has no sign-in method configured`
      return { config, finding: { check, verdict: 'failed', found, hint } }
    }
    return { config, profile, finding: { check, verdict: 'ok', found: `profile ${wanted}, issuer ${profile.issuer}` } }
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    const { error: found, hint } = failureOf(error)
    return { finding: { check, verdict: 'failed', found, ...(hint === undefined ? {} : { hint }) } }
  }
}

export async function checkKeyring({ host }: Context, wanted: Config['keyProtection'] | undefined): Promise<Finding> {
  const check = 'keyring'
  if (wanted === 'keyfile' || wanted === 'passphrase') {
    return { check, verdict: 'ok', found: `not used (keyProtection is ${wanted})` }
  }
  try {
    // An entry that nobody makes: whether the keyring answers is all that is asked.
    await systemKeyring(host.clock, 'doctor').get()
    return { check, verdict: 'ok', found: 'it answers' }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    if (error.code === 'key_locked') return { check, verdict: 'failed', found: 'it is locked', hint: 'unlock it' }
    const verdict = wanted === 'keyring' ? 'failed' : 'warning'
    const kept = 'the key is kept in a file that you alone may read; keyProtection passphrase protects it better'
    if (await keyringAddonLoads()) return { check, verdict, found: 'there is none', hint: kept }
    const cure =
      process.platform === 'win32' ? 'install the Microsoft Visual C++ Redistributable (x64); until then ' : ''
    return { check, verdict, found: 'what speaks to it (@napi-rs/keyring) does not load here', hint: `${cure}${kept}` }
  }
}

export async function checkPort({ name, redirectPort, kind }: Profile): Promise<Finding> {
  const check = 'redirect port'
  if (redirectPort === 0) return { check, verdict: 'ok', found: 'any that is free' }
  try {
    const host = kind === 'handoff' ? 'localhost' : '127.0.0.1'
    for (const address of loopbackAddresses(host)) await tryPort(redirectPort, address)
    return { check, verdict: 'ok', found: `${redirectPort} is free` }
  } catch (error) {
    const hint = `a sign-in may be running; else end the other program, or change profiles.${name}.redirectPort`
    return { check, verdict: 'failed', found: `${redirectPort} cannot be used (${errorCode(error)})`, hint }
  }
}

async function tryPort(port: number, host: string): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
  } catch (error) {
    if (!['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(errorCode(error) ?? '')) throw error // no such address here at all
  } finally {
    server.close()
  }
}
