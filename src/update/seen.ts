// The largest sequence number that this installation has seen in a signed update.json, so that an older one is noticed.
import { dirname } from 'node:path'
import { ensurePrivateFolder, type FileSystem, readPrivateFile, writePrivateFile } from '../host/files.ts'

const LARGEST_BYTES = 1024

/** 0 if none is known. A damaged file counts as none: the time of the program's own commit is still a lower bound. */
export async function readSeen(files: FileSystem, path: string): Promise<number> {
  try {
    const { sequence } = JSON.parse(String(await readPrivateFile(files, path, LARGEST_BYTES))) as { sequence?: unknown }
    return typeof sequence === 'number' && Number.isSafeInteger(sequence) ? sequence : 0
  } catch {
    return 0
  }
}

/** Never replaces a larger number. @throws FileError, or a system error */
export async function rememberSeen(files: FileSystem, path: string, sequence: number): Promise<void> {
  if ((await readSeen(files, path)) >= sequence) return
  await ensurePrivateFolder(files, dirname(path))
  await writePrivateFile(files, path, `${JSON.stringify({ sequence })}\n`)
}
