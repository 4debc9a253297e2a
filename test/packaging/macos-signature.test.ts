// The ad-hoc signature of macOS files: equal to the linker's, byte by byte, and read by an independent parser.
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import lock from '../../package-lock.json' with { type: 'json' }
import { signAdHoc } from '../../scripts/package/macos/signature.ts'
import { temporaryFolder } from '../support/folder.ts'

// A library for macOS that Apple's linker has signed, from a package that this project depends on.
const LINKED = 'lightningcss-darwin-arm64'
const IDENTIFIER = 'lightningcss.darwin-arm64.node'
const READER = fileURLToPath(new URL('read-signature.py', import.meta.url))

const PYTHON = '/usr/bin/python3'
const hasReader = spawnSync(PYTHON, ['-c', 'import macholib']).status === 0

async function downloaded(): Promise<Buffer> {
  const { version, integrity } = lock.packages[`node_modules/${LINKED}`]
  const folder = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
  try {
    const pack = ['pack', '--silent', `${LINKED}@${version}`]
    const name = execFileSync('npm', pack, { cwd: folder, encoding: 'utf8' }).trim()
    const archive = await readFile(join(folder, name))
    expect(`sha512-${createHash('sha512').update(archive).digest('base64')}`).toBe(integrity)
    execFileSync('tar', ['-xzf', name], { cwd: folder })
    return await readFile(join(folder, 'package', IDENTIFIER))
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** The place of the command of the signature in a Mach-O file. It is the last command. */
function signatureCommand(file: Buffer): number {
  let at = 32
  for (let left = file.readUInt32LE(16); left > 1; left--) at += file.readUInt32LE(at + 4)
  expect(file.readUInt32LE(at)).toBe(0x1d)
  return at
}

/** The same file as before it was signed. */
function unsigned(file: Buffer): Buffer {
  const command = signatureCommand(file)
  const bare = Buffer.from(file.subarray(0, file.readUInt32LE(command + 8)))
  bare.fill(0, command, command + 16)
  bare.writeUInt32LE(bare.readUInt32LE(16) - 1, 16)
  bare.writeUInt32LE(bare.readUInt32LE(20) - 16, 20)
  let at = 32
  for (let left = bare.readUInt32LE(16); left > 0; left--) {
    if (bare.toString('latin1', at + 8, at + 18) === '__LINKEDIT') {
      bare.writeBigUInt64LE(BigInt(bare.length) - bare.readBigUInt64LE(at + 40), at + 48)
    }
    at += bare.readUInt32LE(at + 4)
  }
  return bare
}

describe('the ad-hoc signature', () => {
  let linked: Buffer
  beforeAll(async () => {
    linked = await downloaded()
  }, 60_000)

  it('is the one that Apple’s linker has written, for a file that has it and for one without', () => {
    expect(signAdHoc(linked, IDENTIFIER, 'arm64').equals(linked)).toBe(true)
    const bare = unsigned(linked)
    expect(bare.length).toBeLessThan(linked.length)
    expect(signAdHoc(bare, IDENTIFIER, 'arm64').equals(linked)).toBe(true)
  })

  it('replaces one with another identifier', () => {
    const other = signAdHoc(linked, 'com.example.another-identifier', 'arm64')
    expect(other.equals(linked)).toBe(false)
    expect(signAdHoc(other, IDENTIFIER, 'arm64').equals(linked)).toBe(true)
  })

  const skipped = hasReader ? '' : ' (skipped: needs python3-macholib)'
  it.skipIf(!hasReader)(
    `passes a reader that shares no code with it, unless a byte of a page changes${skipped}`,
    async () => {
      const path = join(await temporaryFolder(), 'signed')
      await writeFile(path, signAdHoc(unsigned(linked), 'com.cadzero.cadzero-auth', 'arm64'))
      const read = () => spawnSync(PYTHON, [READER, path], { encoding: 'utf8' })
      expect(read()).toMatchObject({ status: 0, stdout: 'com.cadzero.cadzero-auth 0x20002\n' })
      const changed = await readFile(path)
      changed.writeUInt8(changed.readUInt8(50_000) ^ 1, 50_000)
      await writeFile(path, changed)
      expect(read()).toMatchObject({ status: 1, stderr: expect.stringContaining('page 12') })
    },
  )

  it('is refused for a file that is no Mach-O file, or has data after its last segment', () => {
    expect(() => signAdHoc(Buffer.alloc(64), 'x', 'arm64')).toThrow('not a Mach-O file')
    expect(() => signAdHoc(Buffer.concat([linked, Buffer.from('x')]), 'x', 'arm64')).toThrow('data after __LINKEDIT')
  })
})
