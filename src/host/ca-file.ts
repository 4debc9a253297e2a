// A file of certificate authorities in PEM form: its certificates, and whether it can be trusted.
import { X509Certificate } from 'node:crypto'
import { constants } from 'node:fs'
import { errorCode, type FileSystem } from './files.ts'

export const LARGEST_CA_FILE = 8 * 1024 * 1024 // bytes; the store of a distribution has a quarter of a MiB

/** The certificates of a text, each as its own PEM. */
export function blocksOf(text: string): string[] {
  return (
    text.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ?? []
  )
}

export type CaFileProblem = 'missing' | 'unreadable' | 'foreign_owner' | 'too_open' | 'not_regular' | 'no_certificate'

/** What is wrong with a file of additional authorities; undefined if it can be trusted. */
export async function checkCaFile(files: FileSystem, path: string): Promise<CaFileProblem | undefined> {
  const found = await readCaFile(files, path)
  return typeof found === 'string' ? found : undefined
}

/**
 * Reads a file of additional authorities, or says what is wrong with it. It may belong to root, since an administrator often
 * installs it, and everyone may read it. What is checked is what is read: the file may be exchanged at any time.
 */
export async function readCaFile(files: FileSystem, path: string): Promise<{ readonly pem: string } | CaFileProblem> {
  let handle: Awaited<ReturnType<FileSystem['open']>>
  try {
    handle = await files.open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? 'missing' : 'unreadable'
  }
  try {
    const found = await handle.stat()
    if (!found.isFile() || found.size > LARGEST_CA_FILE) return 'not_regular'
    const ownUid = process.getuid?.()
    if (ownUid !== undefined && found.uid !== ownUid && found.uid !== 0) return 'foreign_owner'
    if (ownUid !== undefined && (found.mode & 0o022) !== 0) return 'too_open'
    const pem = await handle.readFile('latin1')
    return isPem(pem) ? { pem } : 'no_certificate'
  } catch {
    return 'unreadable'
  } finally {
    await handle.close()
  }
}

function isPem(text: string): boolean {
  const blocks = blocksOf(text)
  try {
    return blocks.length > 0 && blocks.every((block) => new X509Certificate(block))
  } catch {
    return false
  }
}
