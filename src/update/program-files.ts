// The files of this program while it is updated. At every moment, also after a kill or a loss of power, there is a complete program:
//
// 1. The new one is made whole in a folder of its own beside the program, durable and checked.
// 2. A copy of the present one gets the name `.previous`, in one step.
// 3. The new one takes the place of the present one, in one step.
// 4. `.previous` is removed when the new daemon is ready; until then it is renamed back if anything fails.
//
// So `.previous` exists exactly while an update is not finished. Windows has two programs. They are kept and replaced in one order, and
// their `.previous` are removed in the other, so that the last one that exists tells how far an update had got.
import { dirname, join } from 'node:path'
import { errorCode, FileError, type FileSystem, removePrivateFile, setAsideFile } from '../host/files.ts'
import { type Content, copyLargeFile, createFile, digestOf, type NewFile } from '../host/large-file.ts'
import { syncFolder } from '../host/sync.ts'
import type { ProgramName } from './manifest.ts'

const STAGING = '.cadzero-auth-update'
const MODE = 0o755
const UNDO = 'undo' // exists while the previous programs are put back

/** A program of this installation: its path, and its name in releases. */
export interface InstalledProgram {
  readonly path: string
  readonly name: ProgramName
}

export class ProgramFiles {
  readonly #files: FileSystem
  readonly #isWindows: boolean
  /** The last one is what users start. */
  readonly programs: readonly InstalledProgram[]
  readonly folder: string
  readonly #staging: string

  /** @param programs files of one folder */
  constructor(
    files: FileSystem,
    programs: readonly [InstalledProgram, ...InstalledProgram[]],
    platform = process.platform,
  ) {
    this.#files = files
    this.#isWindows = platform === 'win32'
    this.programs = programs
    this.folder = dirname(programs[0].path)
    this.#staging = join(this.folder, STAGING)
  }

  get #paths(): readonly string[] {
    return this.programs.map(({ path }) => path)
  }

  get lockFile(): string {
    return join(this.folder, '.cadzero-auth-lock') // that of the add-in's installer
  }

  staged(name: string): string {
    return join(this.#staging, name)
  }

  /** Makes the empty folder for new files. @throws a system error */
  async stage(): Promise<void> {
    await this.clean()
    await this.#files.mkdir(this.#staging, { mode: 0o700 })
  }

  /** Removes the folder for new files, and programs that were running when they were replaced. Never throws. */
  async clean(): Promise<void> {
    const isFolder = await this.#files.lstat(this.#staging).then(
      (found) => found.isDirectory(),
      () => false,
    )
    const names = isFolder ? await this.#files.readdir(this.#staging).catch(() => []) : [] // never of a link's target
    const old = this.#isWindows ? this.#paths.map((path) => `${path}.old`) : []
    for (const path of [...names.map((name) => this.staged(name)), ...old])
      await this.#files.unlink(path).catch(() => undefined)
    await (isFolder ? this.#files.rmdir(this.#staging) : this.#files.unlink(this.#staging)).catch(() => undefined)
  }

  /** @throws a system error */
  async newFile(name: string): Promise<NewFile> {
    return await createFile(this.#files, this.staged(name), 0o600)
  }

  /**
   * Unpacks a staged file into another one, which is then durable and executable.
   * @param maxBytes the size at which it gives up
   * @throws RangeError if it is larger; an error of zlib, or a system error
   */
  async unpack(from: string, to: string, maxBytes: number): Promise<Content> {
    const options = { mode: MODE, isCompressed: true, maxBytes }
    return await copyLargeFile(this.#files, this.staged(from), this.staged(to), options)
  }

  /** Removes a staged file. @throws a system error */
  async discard(name: string): Promise<void> {
    await this.#files.unlink(this.staged(name))
  }

  /** Keeps a copy of each program as `.previous`. @throws a system error */
  async keepPrevious(): Promise<void> {
    for (const { path, name: program } of this.programs) {
      const name = `${program}.previous`
      await copyLargeFile(this.#files, path, this.staged(name), { mode: MODE })
      await this.#files.rename(this.staged(name), previousOf(path))
    }
    await syncFolder(this.#files, this.folder)
  }

  /** Puts the staged programs in the places of the present ones. @throws a system error */
  async replace(): Promise<void> {
    for (const { path, name } of this.programs) await this.#move(this.staged(name), path)
    await syncFolder(this.#files, this.folder)
  }

  /** Whether an update has not been finished. @throws FileError if something else has the name, or a system error */
  async hasPrevious(): Promise<boolean> {
    let isThere = false
    for (const path of this.#paths.map(previousOf)) {
      if (!(await exists(this.#files, path))) continue
      if (!(await this.#files.lstat(path)).isFile()) throw new FileError('not_regular', path)
      isThere = true
    }
    return isThere
  }

  /** Whether an update that has not been finished had replaced all programs, and was not being undone. @throws a system error */
  async isReplaced(): Promise<boolean> {
    if (await exists(this.#files, this.staged(UNDO))) return false
    const kept: string[] = []
    for (const path of this.#paths) if (await exists(this.#files, previousOf(path))) kept.push(path)
    const last = kept.at(-1)
    if (last === undefined || !(await exists(this.#files, last))) return false
    return (await digestOf(this.#files, last)) !== (await digestOf(this.#files, previousOf(last)))
  }

  /** Puts the previous programs back, those that there are. @throws a system error */
  async restorePrevious(): Promise<void> {
    await this.#files.mkdir(this.#staging, { mode: 0o700 }).catch(() => undefined)
    await this.newFile(UNDO).then(
      (file) => file.close(),
      () => undefined,
    ) // a full disk must not prevent the rest
    for (const path of this.#paths) {
      if (await exists(this.#files, previousOf(path))) await this.#move(previousOf(path), path)
    }
    await syncFolder(this.#files, this.folder)
    await this.clean()
  }

  /** @throws a system error */
  async discardPrevious(): Promise<void> {
    for (const path of [...this.#paths].reverse()) await removePrivateFile(this.#files, previousOf(path))
  }

  /** Windows does not replace a program that runs, but lets it be renamed. */
  async #move(from: string, to: string): Promise<void> {
    try {
      await this.#files.rename(from, to)
    } catch (error) {
      if (!this.#isWindows || !['EPERM', 'EACCES', 'EBUSY'].includes(errorCode(error) ?? '')) throw error
      const old = `${to}.old`
      await this.#files.unlink(old).catch(() => undefined)
      await setAsideFile(this.#files, to, old)
      try {
        await setAsideFile(this.#files, from, to)
      } catch (failure) {
        await setAsideFile(this.#files, old, to)
        throw failure
      }
    }
  }
}

const previousOf = (path: string) => `${path}.previous`

async function exists(files: FileSystem, path: string): Promise<boolean> {
  try {
    await files.lstat(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}
