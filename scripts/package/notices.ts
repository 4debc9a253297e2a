// The licences of all that is in an executable, which they want to go along with it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** @param folders of packages: the name to show, and where it is; one that is not installed here is left out */
export async function notices(folders: Readonly<Record<string, string>>): Promise<string> {
  const parts: string[] = []
  for (const [name, folder] of Object.entries(folders)) {
    const files = (await readdir(folder).catch(() => [])).filter((file) => /^licen[cs]e/i.test(file)).sort()
    for (const file of files) parts.push(`${name}\n\n${(await readFile(join(folder, file), 'utf8')).trim()}\n`)
  }
  return parts.join(`\n${'-'.repeat(80)}\n\n`)
}
