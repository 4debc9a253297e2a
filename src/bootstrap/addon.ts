// Loads the keyring addon of the single executable. The system loads addons only from files: this one is private, and is
// compared with the executable's copy before each load.
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { locateFolders } from '../config/paths.ts'
import { isRunning } from '../host/process-id.ts'

const ownUid = process.getuid?.() // undefined on Windows

/** @returns what the addon exports @throws if the file cannot be written, or the system does not load it */
export function loadAddon(content: Buffer): unknown {
  const { data, addon } = locateFolders(process.env)
  ensurePrivateFolder(data, statSync) // it may be a link, which the daemon has checked before it needs a key
  const module = { exports: {} }
  const path = placeAddon(addon, content)
  try {
    process.dlopen(module, path)
  } catch (error) {
    if (existsSync(path)) throw error
    process.dlopen(module, placeAddon(addon, content)) // another version has removed the file in between
  }
  return module.exports
}

/**
 * Writes the addon into a private folder, unless it is there already, intact.
 * @returns the path of the file
 * @throws if the folder belongs to another user, or the file cannot be written
 */
export function placeAddon(folder: string, content: Buffer): string {
  ensurePrivateFolder(folder)
  const digest = createHash('sha256').update(content).digest('hex')
  const name = `${digest}.node`
  const path = join(folder, name)
  if (!isIntact(path, content)) {
    try {
      write(path, content)
    } catch (error) {
      // Another process has written it meanwhile: Windows replaces no file that is loaded.
      if (!isIntact(path, content)) throw error
    }
    if (!isIntact(path, content)) throw new Error('the addon was changed while it was written')
  }
  removeOthers(folder, name)
  return path
}

function write(path: string, content: Buffer): void {
  const temporary = `${path}.${process.pid}`
  try {
    rmSync(temporary, { force: true })
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o600 })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true }) // on a full disk it would take what is left for the session
    throw error
  }
}

/**
 * Removes the addons of other versions, and what an interrupted start has left. At each start: Windows does not remove a file
 * that a process has loaded. On other systems that process keeps it.
 */
function removeOthers(folder: string, own: string): void {
  for (const name of readdirSync(folder)) {
    const [isAddon, writer] = /^[0-9a-f]{64}\.node(?:\.(\d+))?$/.exec(name) ?? []
    if (isAddon === undefined || name === own || (writer !== undefined && isRunning(Number(writer)))) continue
    try {
      rmSync(join(folder, name), { force: true })
    } catch {}
  }
}

function ensurePrivateFolder(folder: string, stat: typeof lstatSync | typeof statSync = lstatSync): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = stat(folder)
  const isOwn = ownUid === undefined || found.uid === ownUid
  if (!found.isDirectory() || !isOwn) throw new Error(`${folder}: not a folder of this user`)
  if (ownUid !== undefined && (found.mode & 0o777) !== 0o700) chmodSync(folder, 0o700)
}

/** Whether this is a regular file of the user that others cannot write, with exactly this content. */
function isIntact(path: string, content: Buffer): boolean {
  let file: number
  try {
    file = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  } catch {
    return false
  }
  try {
    const { mode, size, uid } = fstatSync(file)
    const isPrivate = ownUid === undefined || (uid === ownUid && (mode & 0o022) === 0)
    return isPrivate && size === content.length && readFileSync(file).equals(content)
  } finally {
    closeSync(file)
  }
}
