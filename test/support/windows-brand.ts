// Reads the name, version and icons of a Windows program.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ICON = fileURLToPath(new URL('../../scripts/package/windows/icon.ico', import.meta.url))
const READ = `
  import { Data, NtExecutable, NtExecutableResource, Resource } from 'resedit'
  import { readFileSync } from 'node:fs'
  const [path, icon] = process.argv.slice(1)
  const { entries } = NtExecutableResource.from(NtExecutable.from(readFileSync(path)))
  const hex = (image) => Buffer.from(image.isRaw() ? image.bin : image.generate()).toString('hex')
  const info = Resource.VersionInfo.fromEntries(entries)
  const groups = Resource.IconGroupEntry.fromEntries(entries)
  console.log(JSON.stringify({
    values: info.map((one) => one.getStringValues({ lang: 1033, codepage: 1200 })),
    numbers: info.map(({ fixedInfo }) => [fixedInfo.fileVersionMS, fixedInfo.productVersionMS, fixedInfo.fileVersionLS]),
    icons: groups.map((group) => group.getIconItemsFromEntries(entries).map(hex)),
    expected: Data.IconFile.from(readFileSync(icon)).icons.map(({ data }) => hex(data)),
  }))`

export interface Brand {
  /** The texts of each version resource. */
  readonly values: readonly Readonly<Record<string, string>>[]
  /** The numbers of the file and of the product: two of 16 bits in each. */
  readonly numbers: readonly (readonly number[])[]
  /** The images of each icon, in hex. */
  readonly icons: readonly (readonly string[])[]
  /** The images of CADZERO's icon. */
  readonly expected: readonly string[]
}

/** Runs a module with the packages of this repository, and returns its output: the types of resedit bring those of browsers along. */
export async function evaluate(code: string, ...args: string[]): Promise<string> {
  const options = { cwd: ROOT, maxBuffer: 1e8 }
  return (await run(process.execPath, ['--input-type=module', '--eval', code, ...args], options)).stdout
}

export async function readBrand(path: string): Promise<Brand> {
  return JSON.parse(await evaluate(READ, path, ICON)) as Brand
}
