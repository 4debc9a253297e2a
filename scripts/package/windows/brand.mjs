// Gives a Windows executable its name, version and icon. In JavaScript: the types of resedit bring those of a browser.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Data, NtExecutable, NtExecutableResource, Resource } from 'resedit'

const ENGLISH = 1033
const UNICODE = 1200
const ICON = fileURLToPath(new URL('icon.ico', import.meta.url))

/**
 * Gives an executable the name, version and icon of the program in place of Node's. After the program was put into it, since
 * the tool that does that does not read what resedit writes.
 * @param {string} path
 * @param {string} version three numbers, perhaps with a suffix (1.2.3-rc.1)
 */
export async function brand(path, version) {
  const executable = NtExecutable.from(await readFile(path))
  const resources = NtExecutableResource.from(executable)
  const [info] = Resource.VersionInfo.fromEntries(resources.entries)
  const [group] = Resource.IconGroupEntry.fromEntries(resources.entries)
  if (info === undefined || group === undefined) throw new Error(`${path} has no version or no icon`)
  const numbers = version.replace(/-.*/, '').split('.').map(Number)
  info.setFileVersion(...numbers, 0, ENGLISH)
  info.setProductVersion(...numbers, 0, ENGLISH)
  info.setStringValues(
    { lang: ENGLISH, codepage: UNICODE },
    {
      CompanyName: 'CADZERO',
      ProductName: 'CADZERO sign-in',
      FileDescription: 'CADZERO sign-in',
      FileVersion: version,
      ProductVersion: version,
      InternalName: 'cadzero-auth',
      OriginalFilename: 'cadzero-auth.exe',
      LegalCopyright: 'CADZERO. Contains Node.js, copyright Node.js contributors, MIT licence.',
    },
  )
  info.outputToResourceEntries(resources.entries)
  const icons = Data.IconFile.from(await readFile(ICON)).icons.map(({ data }) => data)
  Resource.IconGroupEntry.replaceIconsForResource(resources.entries, group.id, group.lang, icons)
  resources.outputResource(executable)
  await writeFile(path, Buffer.from(executable.generate()))
}
