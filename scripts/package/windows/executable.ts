// Changes to a Windows executable: Node's signature goes, a copy opens no console window, and a certificate signs.
import { execFileSync } from 'node:child_process'
import { cp, open, readFile, rename, writeFile } from 'node:fs/promises'

const GUI = 2
const CONSOLE = 3
const SECURITY_DIRECTORY = 0xa8 // in a 64-bit PE file, from its header on

/** Copies node.exe without its signature, which is at the end and would be invalid for an executable made from it. */
export async function copyWithoutSignature(from: string, to: string): Promise<void> {
  const file = await readFile(from)
  const entry = file.readUInt32LE(0x3c) + SECURITY_DIRECTORY
  const [start, size] = [file.readUInt32LE(entry), file.readUInt32LE(entry + 4)]
  if (start > 0 && start + size !== file.length) throw new Error(`the signature of ${from} is not at its end`)
  file.fill(0, entry, entry + 8)
  await writeFile(to, start > 0 ? file.subarray(0, start) : file)
}

/** Copies a console program as a windowed program: one byte of the PE header decides. */
export async function copyWithoutConsole(from: string, to: string): Promise<void> {
  await cp(from, to)
  const file = await open(to, 'r+')
  try {
    const header = Buffer.alloc(4096)
    await file.read(header, 0, header.length, 0)
    const start = header.readUInt32LE(0x3c)
    const at = start + 0x5c
    if (header.toString('latin1', start, start + 4) !== 'PE\0\0' || header.readUInt16LE(at) !== CONSOLE)
      throw new Error(`${from} is not a console program of Windows`)
    await file.write(Buffer.from([GUI, 0]), 0, 2, at)
  } finally {
    await file.close()
  }
}

/** A certificate for code signing: a PKCS #12 file, and a file with its password. */
export interface Certificate {
  readonly file: string
  readonly passwordFile: string
  /** The address of an RFC 3161 time stamp server; without one, the signature ends with the certificate. */
  readonly timestamp?: string | undefined
}

/** Signing is off unless the environment names a certificate. */
export function certificateFrom(env: NodeJS.ProcessEnv): Certificate | undefined {
  const { WINDOWS_SIGN_PFX: file, WINDOWS_SIGN_PASSWORD_FILE: passwordFile, WINDOWS_SIGN_TIMESTAMP: timestamp } = env
  if (!file) return undefined
  if (!passwordFile) throw new Error('WINDOWS_SIGN_PFX needs WINDOWS_SIGN_PASSWORD_FILE')
  return { file, passwordFile, timestamp }
}

/** Signs an executable or an installer in place. @throws an error if osslsigncode is missing or fails */
export async function sign(path: string, { file, passwordFile, timestamp }: Certificate): Promise<void> {
  const signed = `${path}.signed`
  const arguments_ = ['sign', '-pkcs12', file, '-readpass', passwordFile, '-h', 'sha256', '-n', 'CADZERO sign-in']
  const stamp = timestamp ? ['-ts', timestamp] : []
  try {
    execFileSync('osslsigncode', [...arguments_, ...stamp, '-in', path, '-out', signed], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error('osslsigncode is needed to sign (Debian: apt-get install osslsigncode)')
  }
  await rename(signed, path)
}
