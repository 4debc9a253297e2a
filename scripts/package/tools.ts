// Runs the system's packaging tools, and walks through folders for them.
import { execFileSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * @param debian the package of Debian that has the tool
 * @throws an error with what the tool has printed, or one that names the package
 */
export function runTool(name: string, args: readonly string[], debian: string, env: NodeJS.ProcessEnv = {}): void {
  try {
    const all = { ...process.env, LC_ALL: 'C.UTF-8', ...env } // NSIS fails in another locale if a path is not ASCII
    execFileSync(name, args, { env: all, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as NodeJS.ErrnoException & { stdout?: string; stderr?: string }
    if (code === 'ENOENT') throw new Error(`${name} is needed (Debian: apt-get install ${debian})`)
    throw new Error(`${name} failed: ${stderr || stdout}`)
  }
}

/** The files and folders below a folder, and the folder itself. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true })
  return [...names.map((name) => join(folder, name)), folder]
}
