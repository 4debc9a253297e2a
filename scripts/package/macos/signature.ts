// An ad-hoc signature of a Mach-O executable, byte for byte as Apple's linker writes it. Apple silicon starts signed files only.
//
// The signature is the last thing in the file and in the segment __LINKEDIT. It holds one blob, a CodeDirectory, with the hash of
// each page before it. The layout is that of <kern/cs_blobs.h>: big-endian, unlike the rest of the file.
import { createHash } from 'node:crypto'

const MAGIC_64 = 0xfeedfacf
const LC_SEGMENT_64 = 0x19
const LC_CODE_SIGNATURE = 0x1d
const EXECUTE = 2 // file type

const SUPER_BLOB = 0xfade0cc0
const CODE_DIRECTORY = 0xfade0c02
const VERSION = 0x20400 // the first with the limits of the executable segment
const ADHOC_AND_LINKER_SIGNED = 0x20002
const SHA256 = 2
const PAGE_BITS = 12
const PAGE = 1 << PAGE_BITS
const HASH_BYTES = 32
const HEADER_BYTES = 88
const SUPER_HEADER_BYTES = 20 // with an index of one blob
const MAIN_BINARY = 1n

const LINKEDIT_ALIGNMENT = { x64: 0x1000, arm64: 0x4000 } as const // the page size of the system

interface Layout {
  /** Where the commands end, and where the first section begins. */
  readonly end: number
  readonly firstSection: number
  readonly text: number
  readonly linkedit: number
  /** The command of a signature; undefined if the file has none. */
  readonly signature: number | undefined
}

/**
 * @param file a Mach-O file for one 64-bit processor
 * @param identifier the name in the signature
 * @returns the file with an ad-hoc signature, in place of any it had
 * @throws an error if the file is of another kind, or has no room for the command
 */
export function signAdHoc(file: Buffer, identifier: string, cpu: 'x64' | 'arm64'): Buffer {
  if (file.readUInt32LE(0) !== MAGIC_64) throw new Error('not a Mach-O file for one 64-bit processor')
  const layout = layoutOf(file)
  const start = layout.signature === undefined ? align(file.length, 16) : file.readUInt32LE(layout.signature + 8)
  const code = Buffer.alloc(start)
  file.copy(code, 0, 0, Math.min(file.length, start))
  const command = layout.signature ?? addCommand(code, layout)

  const name = Buffer.from(`${identifier}\0`)
  const slots = Math.ceil(start / PAGE)
  const hashes = HEADER_BYTES + name.length
  const directoryBytes = hashes + slots * HASH_BYTES
  const size = align(SUPER_HEADER_BYTES + directoryBytes, 16)
  code.writeUInt32LE(start, command + 8)
  code.writeUInt32LE(size, command + 12)
  growLinkedit(code, layout.linkedit, start + size, LINKEDIT_ALIGNMENT[cpu])

  // The commands are final from here on: their page is hashed, too.
  const signature = Buffer.alloc(size)
  writeWords(signature, [SUPER_BLOB, SUPER_HEADER_BYTES + directoryBytes, 1, 0, SUPER_HEADER_BYTES])
  const directory = signature.subarray(SUPER_HEADER_BYTES)
  const flags = ADHOC_AND_LINKER_SIGNED
  writeWords(directory, [CODE_DIRECTORY, directoryBytes, VERSION, flags, hashes, HEADER_BYTES, 0, slots, start])
  directory.set([HASH_BYTES, SHA256, 0, PAGE_BITS], 36)
  directory.writeBigUInt64BE(code.readBigUInt64LE(layout.text + 40), 64) // __TEXT's place in the file
  directory.writeBigUInt64BE(code.readBigUInt64LE(layout.text + 48), 72) // and its size
  directory.writeBigUInt64BE(code.readUInt32LE(12) === EXECUTE ? MAIN_BINARY : 0n, 80)
  name.copy(directory, HEADER_BYTES)
  for (let slot = 0; slot < slots; slot++) {
    const page = code.subarray(slot * PAGE, Math.min((slot + 1) * PAGE, start))
    createHash('sha256')
      .update(page)
      .digest()
      .copy(directory, hashes + slot * HASH_BYTES)
  }
  return Buffer.concat([code, signature])
}

function layoutOf(file: Buffer): Layout {
  let [at, text, linkedit] = [32, 0, 0]
  let signature: number | undefined
  let firstSection = Number.POSITIVE_INFINITY
  for (let left = file.readUInt32LE(16); left > 0; left--) {
    const [kind, size] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)]
    if (kind === LC_CODE_SIGNATURE) signature = at
    if (kind === LC_SEGMENT_64) {
      const segment = file.toString('latin1', at + 8, at + 24).replace(/\0.*/s, '')
      if (segment === '__TEXT') text = at
      if (segment === '__LINKEDIT') linkedit = at
      for (let section = 0; section < file.readUInt32LE(at + 64); section++) {
        const place = file.readUInt32LE(at + 72 + section * 80 + 48)
        if (place > 0) firstSection = Math.min(firstSection, place)
      }
    }
    at += size
  }
  if (text === 0 || linkedit === 0) throw new Error('the Mach-O file has no __TEXT or no __LINKEDIT')
  const linkeditEnd = Number(file.readBigUInt64LE(linkedit + 40) + file.readBigUInt64LE(linkedit + 48))
  if (linkeditEnd !== file.length) throw new Error('the Mach-O file has data after __LINKEDIT')
  return { end: at, firstSection, text, linkedit, signature }
}

/** @returns the place of a new command for the signature */
function addCommand(code: Buffer, { end, firstSection }: Layout): number {
  if (end + 16 > firstSection) throw new Error('the Mach-O file has no room for the command of a signature')
  code.fill(0, end, end + 16)
  code.writeUInt32LE(LC_CODE_SIGNATURE, end)
  code.writeUInt32LE(16, end + 4)
  code.writeUInt32LE(code.readUInt32LE(16) + 1, 16)
  code.writeUInt32LE(code.readUInt32LE(20) + 16, 20)
  return end
}

function growLinkedit(code: Buffer, segment: number, end: number, alignment: number): void {
  const size = end - Number(code.readBigUInt64LE(segment + 40))
  code.writeBigUInt64LE(BigInt(size), segment + 48)
  code.writeBigUInt64LE(BigInt(align(size, alignment)), segment + 32)
}

function writeWords(target: Buffer, words: readonly number[]): void {
  for (const [index, word] of words.entries()) target.writeUInt32BE(word, index * 4)
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to
}
