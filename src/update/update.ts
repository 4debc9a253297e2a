// Looks for a newer release, and installs it. What it changes, and in which order: see program-files.ts.
import type { Clock } from '../host/clock.ts'
import type { Download } from '../host/download.ts'
import { errorCode, type FileSystem } from '../host/files.ts'
import { type Lock, takeLock } from '../host/lock.ts'
import { type Decision, decide, type ThisProgram } from './decision.ts'
import { UpdateError } from './errors.ts'
import { MANIFEST_BYTES, type ReadManifest, type ReleasedProgram, readManifest, SIGNATURE_BYTES } from './manifest.ts'
import type { ProgramFiles } from './program-files.ts'
import { readSeen, rememberSeen } from './seen.ts'

export interface Source {
  readonly download: Download
  /** The address of update.json. Its signature and the files are beside it. */
  readonly url: URL
  /** The key of the releases, in PEM form. */
  readonly publicKey: string
}

export interface Updater extends Source {
  readonly files: FileSystem
  readonly clock: Clock
  readonly program: ThisProgram
  /** The file that remembers the newest release that was seen. */
  readonly seenFile: string
  readonly programs: ProgramFiles
  /** The version that a program prints; undefined if it does not run. */
  readonly versionOf: (path: string) => Promise<string | undefined>
  /**
   * Has the programs that are in place take over from the running daemon.
   * @param version a daemon of this version or a newer one is left alone; undefined to replace every daemon
   * @throws unless their daemon is ready
   */
  readonly takeOver: (version: string | undefined) => Promise<void>
}

export type Found = Decision | Extract<ReadManifest, { kind: 'refused' }>

/** Looks for a newer release. Changes nothing but what was seen. @throws NetworkError, DownloadError, FileError, or a system error */
export async function findUpdate(updater: Updater): Promise<Found> {
  const { files, clock, program, seenFile, publicKey, url } = updater
  const bytes = await downloadSmall(updater, url, MANIFEST_BYTES)
  const signature = await downloadSmall(updater, new URL(`${url.href}.sig`), SIGNATURE_BYTES)
  const read = readManifest(bytes, signature.toString('latin1'), publicKey)
  if (read.kind === 'refused') return read
  const decision = decide(read.manifest, program, await readSeen(files, seenFile), clock.now())
  const isBelieved = decision.kind !== 'refused' || !['clock_behind', 'expired', 'replayed'].includes(decision.reason)
  if (isBelieved) await rememberSeen(files, seenFile, read.manifest.sequence)
  return decision
}

async function downloadSmall({ download }: Source, url: URL, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  await download(url, { maxBytes, onChunk: (chunk) => void chunks.push(chunk) })
  return Buffer.concat(chunks)
}

/**
 * Runs an action while no other program changes the files of this one.
 * @throws UpdateError if another one does, or this user may not; LockError, or a system error
 */
export async function exclusively<T>({ files, programs }: Updater, action: () => Promise<T>): Promise<T> {
  await requireOwnFolder(files, programs)
  const lock = await lockFolder(files, programs)
  try {
    return await action()
  } finally {
    const remove = () => files.unlink(programs.lockFile).catch(() => undefined)
    if (process.platform !== 'win32') await remove() // while it is held
    await lock.release()
    if (process.platform === 'win32') await remove() // which fails if another process has it open by now
  }
}

async function lockFolder(files: FileSystem, { lockFile, folder }: ProgramFiles): Promise<Lock> {
  let lock: Lock | undefined
  try {
    lock = await takeLock(files, lockFile)
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes(errorCode(error) ?? '')) throw notWritable(folder)
    throw error
  }
  // The process that held the lock before may have removed the file after this one had opened it.
  if (await lock?.isCurrent()) return lock as Lock
  await lock?.release()
  throw new UpdateError('another program is installing cadzero-auth', 'wait until it has ended, then try again')
}

/** What another user can write there would run as this user; and root must not leave its files to a user. */
async function requireOwnFolder(files: FileSystem, { folder, programs }: ProgramFiles): Promise<void> {
  const uid = process.getuid?.()
  if (uid === undefined) return
  const found = await Promise.all([folder, ...programs.map(({ path }) => path)].map((path) => files.stat(path)))
  if (found.some((one) => one.uid !== uid)) throw notWritable(folder)
  if (found.some(isWritableByOthers)) {
    const paths = [folder, ...programs.map(({ path }) => path)].map((path) => `'${path}'`)
    throw new UpdateError(`other users can write to ${folder}`, `chmod go-w ${paths.join(' ')}`)
  }
}

const MACOS_ADMINISTRATORS = 80 // Homebrew gives them /usr/local/bin; they can become root anyway

/** A group with the number of its user is a group of that user alone, as Debian and Fedora make it. */
function isWritableByOthers({ mode, uid, gid }: Record<'mode' | 'uid' | 'gid', number>): boolean {
  if ((mode & 0o002) !== 0) return true
  const isTrusted = gid === uid || (process.platform === 'darwin' && gid === MACOS_ADMINISTRATORS)
  return (mode & 0o020) !== 0 && !isTrusted
}

function notWritable(folder: string): UpdateError {
  return new UpdateError(
    `this user may not change the program in ${folder}`,
    'run the update as the user who installed it, or install the newer version as you have installed this one',
  )
}

/**
 * Finishes an update that was interrupted, or undoes it.
 * @returns what it did; undefined if there was nothing to do
 * @throws UpdateError if the daemon of the new version did not get ready, or if this process is of the version that was undone; the
 * previous one is then in place
 */
export async function finishInterrupted(updater: Updater): Promise<'finished' | 'undone' | undefined> {
  const { programs, program } = updater
  if (!(await programs.hasPrevious())) {
    await programs.clean()
    return undefined
  }
  if (!(await programs.isReplaced())) {
    await programs.restorePrevious()
    await requireInPlace(updater)
    return 'undone'
  }
  await takeOverOrUndo(updater, program.version, undefined)
  return 'finished'
}

/** An interrupted way back is completed by the very program that it removes, which must not go on as the one that is installed. */
async function requireInPlace({ programs, program, versionOf, takeOver }: Updater): Promise<void> {
  const version = await versionOf(String(programs.programs.at(-1)?.path))
  if (version === undefined || version === program.version) return
  await takeOver(undefined).catch(() => undefined) // every command starts it, and says why that fails
  throw new UpdateError(
    `an update that had been interrupted was undone: version ${version} is in place again`,
    'run cadzero-auth update to try again; your session is kept',
  )
}

/** @throws UpdateError, NetworkError, DownloadError, or a system error; the program is then as it was, and its daemon runs */
export async function installUpdate(
  updater: Updater,
  version: string,
  released: readonly ReleasedProgram[],
): Promise<void> {
  const { programs, program } = updater
  try {
    await programs.stage()
    for (const one of released) await fetchProgram(updater, one)
    await requireRuns(updater, version, released)
    await programs.keepPrevious()
    await programs.replace()
  } catch (error) {
    await programs.restorePrevious()
    throw error
  }
  await takeOverOrUndo(updater, version, program.version)
}

const DOWNLOAD = 'download'

/** Downloads a program, checks it and unpacks it. @throws as installUpdate does */
async function fetchProgram(updater: Updater, { file, ...released }: ReleasedProgram): Promise<void> {
  const { programs, download, url } = updater
  const target = await programs.newFile(DOWNLOAD)
  try {
    const { size } = file
    await download(new URL(file.name, url), { maxBytes: size, onChunk: (chunk) => target.write(chunk) })
    const found = await target.finish()
    if (found.size !== size || found.sha256 !== file.sha256) throw damaged(file.name)
  } finally {
    await target.close()
  }
  const unpacked = await programs.unpack(DOWNLOAD, released.name, released.size).catch((error: unknown) => {
    throw errorCode(error)?.startsWith('Z_') || error instanceof RangeError ? damaged(file.name) : error
  })
  if (unpacked.size !== released.size || unpacked.sha256 !== released.sha256) throw damaged(file.name)
  await programs.discard(DOWNLOAD)
}

function damaged(name: string): UpdateError {
  return new UpdateError(`${name} was not downloaded completely, or is not what update.json names`, 'try again later')
}

/** Runs the new program once, before it is in anyone's way: a library may be missing here. */
async function requireRuns({ programs, versionOf }: Updater, version: string, released: readonly ReleasedProgram[]) {
  for (const { name } of released.filter((one) => one.name !== 'cadzero-authd.exe')) {
    if ((await versionOf(programs.staged(name))) === version) continue
    throw new UpdateError(
      `version ${version} does not run on this computer; nothing was changed`,
      'install what docs/install.md lists, then try again',
    )
  }
}

/** @param previous the version to go back to; undefined if it is not known */
async function takeOverOrUndo(updater: Updater, version: string, previous: string | undefined): Promise<void> {
  const { programs, takeOver } = updater
  try {
    await takeOver(version)
  } catch (error) {
    await programs.restorePrevious()
    const isBack = await takeOver(undefined).then(
      () => true,
      () => false, // every command starts it, and says why that fails
    )
    const cause = error instanceof Error ? error.message : 'an unknown cause'
    const back = `version ${previous ?? 'before it'} is in place again${isBack ? ', and its daemon runs' : ''}`
    throw new UpdateError(
      `the daemon of version ${version} did not get ready: ${cause}; ${back}`,
      'run cadzero-auth doctor; your session is kept',
    )
  }
  await programs.discardPrevious()
  await programs.clean()
}
