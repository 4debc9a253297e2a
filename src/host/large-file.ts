// Files that are too large for memory: written once, in pieces, durable, and with their size and hash.
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { FileSystem } from './file-system.ts'
import { syncFile } from './sync.ts'

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = constants
const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0 // absent on Windows
const PIECE = 1024 * 1024

export interface Content {
  /** In bytes. */
  readonly size: number
  readonly sha256: string
}

/** A new file that is being written. */
export interface NewFile {
  write(piece: Uint8Array): Promise<void>
  /** Resolves with what was written, when it is durable. */
  finish(): Promise<Content>
  /** Closes the file, if it is open. */
  close(): Promise<void>
}

/** @param mode its permissions once it is finished; until then only its owner has any @throws a system error */
export async function createFile(files: FileSystem, path: string, mode: number): Promise<NewFile> {
  const handle = await files.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  const hash = createHash('sha256')
  let [size, isOpen] = [0, true]
  const close = async () => {
    if (isOpen) await handle.close()
    isOpen = false
  }
  return {
    write: async (piece) => {
      hash.update(piece)
      size += piece.length
      await handle.writeFile(piece) // at the current position
    },
    finish: async () => {
      await handle.chmod(mode) // whatever the umask is
      await syncFile(handle)
      await close()
      return { size, sha256: hash.digest('hex') }
    },
    close,
  }
}

export interface CopyOptions {
  readonly mode: number
  /** Whether `from` is compressed by gzip, and `to` is to have its content. */
  readonly isCompressed?: boolean
  /** The size of the new file at which the copy is given up. */
  readonly maxBytes?: number
}

/** @throws RangeError if the file is larger than `maxBytes`; an error of zlib, or a system error */
export async function copyLargeFile(
  files: FileSystem,
  from: string,
  to: string,
  { mode, isCompressed = false, maxBytes = Number.POSITIVE_INFINITY }: CopyOptions,
): Promise<Content> {
  const source = await files.open(from, O_RDONLY | O_NOFOLLOW)
  let target: NewFile | undefined
  let size = 0
  const write = async (pieces: AsyncIterable<Buffer>) => {
    for await (const piece of pieces) {
      size += piece.length
      if (size > maxBytes) throw new RangeError('the file is too large')
      await target?.write(piece)
    }
  }
  try {
    target = await createFile(files, to, mode)
    const pieces = Readable.from(piecesOf(source))
    await (isCompressed ? pipeline(pieces, createGunzip(), write) : pipeline(pieces, write))
    return await target.finish()
  } finally {
    await source.close()
    await target?.close()
  }
}

/** The SHA-256 of a file. @throws a system error */
export async function digestOf(files: FileSystem, path: string): Promise<string> {
  const handle = await files.open(path, O_RDONLY | O_NOFOLLOW)
  const hash = createHash('sha256')
  try {
    for await (const piece of piecesOf(handle)) hash.update(piece)
    return hash.digest('hex')
  } finally {
    await handle.close()
  }
}

/** A stream of the handle would close it, or keep it from being closed. */
async function* piecesOf(handle: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(PIECE), 0, PIECE)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}
