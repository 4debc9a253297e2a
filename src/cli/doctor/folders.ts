// The doctor's check of folders and private files: they exist, and only their owner can access them.
import { ensurePrivateFolder, errorCode, FileError, readPrivateFile } from '../../host/files.ts'
import type { Context } from '../context.ts'
import { type Finding, findingOf } from './finding.ts'

const LARGEST_BYTES = 1024 * 1024

/** Creates missing folders and repairs their permissions, as a start of the daemon does. */
export async function checkFolders({ host, folders }: Context): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const path of [folders.config, folders.data, folders.log, folders.sessions]) {
    findings.push(
      await findingFrom(`folder ${path}`, async () => {
        const before = (await host.files.stat(path).catch(() => undefined))?.mode
        await ensurePrivateFolder(host.files, path)
        // Only Windows has more to ask: elsewhere the line above has set the permissions.
        const access = await host.restrictFolder(path)
        if (access === 'open') throw new FileError('too_open', path)
        if (access === 'unknown') return UNKNOWN_ACCESS
        const repaired = before !== undefined && process.platform !== 'win32' && (before & 0o777) !== 0o700
        return repaired ? 'its permissions are repaired: now only you can access it' : 'only you can access it'
      }),
    )
  }
  const names = await host.files.readdir(folders.sessions).catch(() => [])
  const sessions = names.filter((name) => name.endsWith('.jwe')).map((name) => `${folders.sessions}/${name}`)
  for (const path of [...sessions, folders.discoveryFile, folders.keyFile, folders.wrappedKeyFile]) {
    if (!(await host.files.lstat(path).catch(() => undefined))) continue
    findings.push(
      await findingFrom(`file ${path}`, async () => {
        await readPrivateFile(host.files, path, LARGEST_BYTES)
        return process.platform === 'win32' ? 'it can be read; its folder decides who can' : 'only you can read it'
      }),
    )
  }
  return findings
}

const NO_ACCESS = 'give yourself access to it, or set CADZERO_AUTH_HOME to a folder of your own'

const UNKNOWN_ACCESS = {
  verdict: 'warning',
  found: 'Windows does not tell who can access it',
  hint: 'look at its Properties, Security: only you, SYSTEM and Administrators should be listed',
} as const

/** @param action returns what it found; as a text if that is all right */
async function findingFrom(check: string, action: () => Promise<string | Omit<Finding, 'check'>>): Promise<Finding> {
  try {
    const found = await action()
    return typeof found === 'string' ? { check, verdict: 'ok', found } : { check, ...found }
  } catch (error) {
    const finding = findingOf(check, error)
    const isSystemError = errorCode(error) !== undefined && 'syscall' in (error as Error)
    return isSystemError ? { ...finding, hint: NO_ACCESS } : finding
  }
}
