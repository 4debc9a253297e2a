// One folder for the temporary files of a test run. When the run ends, however it ends, none of its daemons goes on.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const REAPER = fileURLToPath(new URL('reaper.mjs', import.meta.url))

/** Vitest calls it before the tests, once for each project. @returns what it calls after them */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env.TEST_RUN_FOLDER) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'ca-')) // short: the path of a socket has at most 107 characters
  await chmod(folder, 0o1777) // as /tmp: some tests run programs as another user
  process.env.TEST_RUN_FOLDER = folder
  process.env.TMPDIR = folder
  return startReaper(folder, 'inherit')
}

/** Ends all processes of a folder, and removes it, when this process ends. @returns what does that now */
export function startReaper(folder: string, stderr: 'inherit' | 'ignore'): () => Promise<void> {
  // Detached: Ctrl-C in a terminal ends this process, and the reaper after it.
  const reaper = spawn(process.execPath, [REAPER, folder], { detached: true, stdio: ['pipe', 'ignore', stderr] })
  reaper.unref()
  const ended = once(reaper, 'exit')
  return async () => {
    reaper.ref()
    reaper.stdin?.end()
    await ended
  }
}
