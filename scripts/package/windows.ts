// Changes to a Windows executable: removes the invalid signature, and makes a copy that opens no console window.
import { execFileSync } from 'node:child_process'
import { cp, open } from 'node:fs/promises'

const GUI = 2
const CONSOLE = 3

/** Node's signature is invalid for an executable made from Node. */
export function removeSignature(from: string, to: string): void {
  try {
    execFileSync('osslsigncode', ['remove-signature', '-in', from, '-out', to], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error('osslsigncode is needed for Windows (Debian: apt-get install osslsigncode)')
  }
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
