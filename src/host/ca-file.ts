// A file of certificate authorities, as PEM or one as DER: its certificates, and whether it can be trusted.
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
    const pem = pemOf(await handle.readFile())
    return pem === undefined ? 'no_certificate' : { pem }
  } catch {
    return 'unreadable'
  } finally {
    await handle.close()
  }
}

/** Undefined unless every certificate is one. Windows exports a certificate as DER if it is not told otherwise. */
function pemOf(content: Buffer): string | undefined {
  const text = content.toString('latin1')
  const blocks = blocksOf(text)
  try {
    if (blocks.length === 0) return new X509Certificate(content).toString()
    for (const block of blocks) new X509Certificate(block)
    return text
  } catch {
    return undefined
  }
}
