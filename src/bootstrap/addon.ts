// Loads the keyring addon out of the executable. The system wants a file for that: a private one, compared before each load.
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { locateFolders } from '../config/paths.ts'

const ownUid = process.getuid?.() // none on Windows

/** @throws where the file cannot be kept, or the system does not load it */
export function loadAddon(content: Buffer): unknown {
  const { data } = locateFolders(process.env)
  const folder = join(data, 'addon')
  for (const path of [data, folder]) makePrivate(path)
  const addon = { exports: {} }
  process.dlopen(addon, placeFile(folder, content))
  return addon.exports
}

function makePrivate(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = lstatSync(folder)
  if (!found.isDirectory() || (ownUid !== undefined && found.uid !== ownUid)) throw new Error('not a folder of our own')
  if (ownUid !== undefined && (found.mode & 0o777) !== 0o700) chmodSync(folder, 0o700)
}

function placeFile(folder: string, content: Buffer): string {
  const digest = createHash('sha256').update(content).digest('hex')
  const path = join(folder, `${digest}.node`) // another version's file has another name, and may be in use
  if (holds(path, content)) return path
  const fresh = `${path}.${process.pid}`
  rmSync(fresh, { force: true })
  writeFileSync(fresh, content, { flag: 'wx', mode: 0o600 })
  renameSync(fresh, path)
  if (!holds(path, content)) throw new Error('the file is not what was written')
  return path
}

/** Whether this is a file of our own with just this content. */
function holds(path: string, content: Buffer): boolean {
  let file: number
  try {
    file = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  } catch {
    return false
  }
  try {
    const { mode, size, uid } = fstatSync(file)
    const isOurs = ownUid === undefined || (uid === ownUid && (mode & 0o022) === 0)
    return isOurs && size === content.length && readFileSync(file).equals(content)
  } finally {
    closeSync(file)
  }
}
