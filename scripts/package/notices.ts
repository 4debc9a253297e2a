// The licences of the packages in an executable, which have to be distributed with it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** @param folders package folders by the name to show; a package that is not installed is left out */
export async function collectNotices(folders: Readonly<Record<string, string>>): Promise<string> {
  const parts: string[] = []
  for (const [name, folder] of Object.entries(folders)) {
    const files = (await readdir(folder).catch(() => [])).filter((file) => /^licen[cs]e/i.test(file)).sort()
    for (const file of files) parts.push(`${name}\n\n${(await readFile(join(folder, file), 'utf8')).trim()}\n`)
  }
  return parts.join(`\n${'-'.repeat(80)}\n\n`)
}
