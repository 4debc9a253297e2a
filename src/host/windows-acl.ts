// On Windows: makes a folder the user's and the system's alone, and reads the rights back to be sure.
import { readFile, rm } from 'node:fs/promises'
import { join, win32 } from 'node:path'
import { systemClock } from './clock.ts'
import { systemRandom } from './random.ts'
import { systemRun } from './run.ts'

/** What is known of a folder's rights: ours alone; open to others; or not to be told. */
export type Access = 'own' | 'open' | 'unknown'

/** Runs a program of the system's folder by its arguments, without a shell; gives what it printed, or undefined where it failed. */
export type RunTool = (name: string, args: readonly string[]) => Promise<string | undefined>

export interface WindowsTools {
  readonly run: RunTool
  /** Reads a file that a tool has written, and removes it. */
  readonly take: (path: string) => Promise<Buffer | undefined>
}

const SYSTEM = 'S-1-5-18'

/**
 * Lets nobody in but the user and the system, where that is not so already. By SIDs: names are translated on each Windows.
 * @returns what the rights are now
 */
export async function restrictFolder(path: string, tools: WindowsTools = systemTools()): Promise<Access> {
  const sid = userSid(await tools.run('whoami.exe', ['/user', '/fo', 'csv', '/nh']))
  if (sid === undefined) return 'unknown'
  const before = await accessOf(path, sid, tools)
  if (before === 'own') return before
  // In this order: taken away first, inheritance would leave nobody in.
  await tools.run('icacls.exe', [path, '/grant:r', `*${sid}:(OI)(CI)F`, `*${SYSTEM}:(OI)(CI)F`])
  await tools.run('icacls.exe', [path, '/inheritance:r'])
  return await accessOf(path, sid, tools)
}

async function accessOf(path: string, sid: string, { run, take }: WindowsTools): Promise<Access> {
  const saved = join(path, `.acl-${systemRandom(8).toString('hex')}.tmp`)
  // What icacls prints has translated names in it; what it saves is SDDL.
  if ((await run('icacls.exe', [path, '/save', saved])) === undefined) return 'unknown'
  const text = (await take(saved))?.toString('utf16le')
  return text === undefined ? 'unknown' : judge(text, sid)
}

/** The SID in a line of `whoami /user /fo csv /nh`. */
export function userSid(line: string | undefined): string | undefined {
  return /"(S-1-5-[0-9-]+)"\s*$/.exec(line?.trim() ?? '')?.[1]
}

const OWN_KIND = ['SY', SYSTEM, 'BA', 'S-1-5-32-544'] // the system and administrators, who can do anything anyway
// Everyone, Users, Authenticated Users, Guests, Anonymous, Interactive, Network.
const BROAD = /^(WD|BU|AU|BG|AN|IU|NU|S-1-1-0|S-1-5-32-545|S-1-5-11|S-1-5-32-546|S-1-5-7|S-1-5-4|S-1-5-2)$/

/** Reads the DACL of an SDDL text: who is let in beside the user. A deny lets nobody in. */
export function judge(sddl: string, sid: string): Access {
  const [, flags = '', entries] = /D:([A-Z_]*)((?:\([^()]*\))*)/.exec(sddl) ?? []
  if (entries === undefined) return 'unknown'
  const aces = [...entries.matchAll(/\(([^()]*)\)/g)].map(([, ace = '']) => ace.split(';'))
  const allowed = aces.filter(([type]) => type?.endsWith('A')).map((ace) => ace[5] ?? '')
  // No entry at all lets everybody in where there is no list, and nobody where it is empty: not for us to tell.
  if (allowed.length === 0) return flags.includes('NO_ACCESS_CONTROL') ? 'open' : 'unknown'
  if (allowed.some((who) => BROAD.test(who))) return 'open'
  const isOwn = allowed.every((who) => who === sid || OWN_KIND.includes(who))
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
    take: async (path) => {
      const content = await readFile(path).catch(() => undefined)
      await rm(path, { force: true }).catch(() => undefined)
      return content
    },
  }
}
