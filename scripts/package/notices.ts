// The licences of the packages in an executable, which have to be distributed with it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * @param folders package folders by the name to show
 * @throws an error for a package without any licence text
 */
export async function collectNotices(folders: Readonly<Record<string, string>>): Promise<string> {
  const parts: string[] = []
  for (const [name, folder] of Object.entries(folders)) {
    const texts = await licencesIn(folder)
    if (texts.length === 0) throw new Error(`${folder} has no licence text for ${name}`)
    for (const text of texts) parts.push(`${name}\n\n${text.trim()}\n`)
  }
  return parts.join(`\n${'-'.repeat(80)}\n\n`)
}

async function licencesIn(folder: string): Promise<string[]> {
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort()
  return await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
}
