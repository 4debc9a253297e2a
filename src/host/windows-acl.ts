// On Windows: restricts a folder to the user and the system, and reads the permissions back to verify that.
import { readFile, rm } from 'node:fs/promises'
import { join, win32 } from 'node:path'
import { systemClock } from './clock.ts'
import { systemRandom } from './random.ts'
import { systemRun } from './run.ts'

/** Who has access to a folder: only the user (beside the system), others as well, or not known. */
export type FolderAccess = 'own' | 'open' | 'unknown'

/** Runs a program of the System32 folder without a shell. @returns its output; undefined if it failed */
export type RunTool = (name: string, args: readonly string[]) => Promise<string | undefined>

export interface WindowsTools {
  readonly run: RunTool
  /** Reads a file that a tool has written, and removes it; undefined if it cannot be read. */
  readonly readAndRemove: (path: string) => Promise<Buffer | undefined>
}

const SYSTEM = 'S-1-5-18'

/**
 * Restricts a folder to the user and the system, unless it is already. By SIDs, since Windows translates account names.
 * @returns who has access now
 */
export async function restrictFolder(path: string, tools: WindowsTools = systemTools()): Promise<FolderAccess> {
  const sid = userSid(await tools.run('whoami.exe', ['/user', '/fo', 'csv', '/nh']))
  if (sid === undefined) return 'unknown'
  const before = await accessOf(path, sid, tools)
  if (before === 'own') return before
  // In this order: without inheritance and before the grant, the folder would be closed to the user as well.
  await tools.run('icacls.exe', [path, '/grant:r', `*${sid}:(OI)(CI)F`, `*${SYSTEM}:(OI)(CI)F`])
  await tools.run('icacls.exe', [path, '/inheritance:r'])
  return await accessOf(path, sid, tools)
}

async function accessOf(path: string, sid: string, { run, readAndRemove }: WindowsTools): Promise<FolderAccess> {
  const saved = join(path, `.acl-${systemRandom(8).toString('hex')}.tmp`)
  // icacls prints translated names, but it saves SDDL.
  if ((await run('icacls.exe', [path, '/save', saved])) === undefined) return 'unknown'
  const text = (await readAndRemove(saved))?.toString('utf16le')
  return text === undefined ? 'unknown' : accessOfSddl(text, sid)
}

/** The SID in a line of `whoami /user /fo csv /nh`: S-1-5-21-… of a computer or a domain, S-1-12-1-… of Entra ID. */
export function userSid(line: string | undefined): string | undefined {
  return /"(S-1-\d+(?:-\d+)+)"\s*$/.exec(line?.trim() ?? '')?.[1]
}

const TRUSTED = ['SY', SYSTEM, 'BA', 'S-1-5-32-544'] // the system and administrators, who have access to everything anyway
// Everyone, Users, Authenticated Users, Guests, Anonymous, Interactive, Network.
const BROAD = /^(WD|BU|AU|BG|AN|IU|NU|S-1-1-0|S-1-5-32-545|S-1-5-11|S-1-5-32-546|S-1-5-7|S-1-5-4|S-1-5-2)$/

/** Who has access by the DACL of an SDDL text. Entries that deny access are ignored. */
export function accessOfSddl(sddl: string, sid: string): FolderAccess {
  // An entry with a condition has parentheses of its own: then nothing matches, and the answer is not known.
  const [, flags = '', entries] = /D:([A-Z_]*)((?:\([^()]*\))*)(?=\s|S:|$)/.exec(sddl) ?? []
  if (entries === undefined) return 'unknown'
  const aces = [...entries.matchAll(/\(([^()]*)\)/g)].map(([, ace = '']) => ace.split(';'))
  const allowed = aces.filter(([type]) => type?.endsWith('A')).map((ace) => ace[5] ?? '')
  // A missing list gives everyone access. An empty list gives no access, not even to the user: not a case to decide on.
  if (allowed.length === 0) return flags.includes('NO_ACCESS_CONTROL') ? 'open' : 'unknown'
  if (allowed.some((trustee) => BROAD.test(trustee))) return 'open'
  const isOwn = allowed.every((trustee) => trustee === sid || TRUSTED.includes(trustee))
  return isOwn && flags.includes('P') ? 'own' : 'unknown'
}

function systemTools(): WindowsTools {
  const folder = win32.join(process.env.SystemRoot ?? 'C:\\Windows', 'System32')
  const run = systemRun(systemClock, process.env)
  return {
    run: async (name, args) => {
      const { status, stdout } = await run(win32.join(folder, name), args)
      return status === 0 ? stdout : undefined
    },
    readAndRemove: async (path) => {
      const content = await readFile(path).catch(() => undefined)
      await rm(path, { force: true }).catch(() => undefined)
      return content
    },
  }
}
