// The built program as another version of itself.
import { cp, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { temporaryFolder } from './folder.ts'
import { PROGRAM } from './program.ts'

/** @param storeVersion that of the session files that it reads and writes @returns its command */
export async function programOfVersion(version: string, storeVersion = 1): Promise<readonly [string, string]> {
  const folder = await temporaryFolder()
  await copyProgram(folder, version, storeVersion)
  return [process.execPath, join(folder, 'cadzero-auth.cjs')]
}

/** Copies the built program into a folder, over another one if there is one. */
export async function copyProgram(folder: string, version: string, storeVersion = 1): Promise<void> {
  await cp(dirname(PROGRAM), folder, { recursive: true })
  const program = join(folder, 'program.cjs')
  const text = await readFile(program, 'utf8')
  const changed = text
    .replace(/\{name:"cadzero-auth",version:"[^"]+"/, `{name:"cadzero-auth",version:"${version}"`)
    .replace('ENVELOPE_VERSION=1}', `ENVELOPE_VERSION=${storeVersion}}`)
  if (!changed.includes(`version:"${version}"`) || !changed.includes(`ENVELOPE_VERSION=${storeVersion}}`))
    throw new Error('the built program does not contain its version in the expected form')
  await writeFile(program, changed)
}
