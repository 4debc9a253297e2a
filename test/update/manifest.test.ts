// Which update.json is believed: the signature over its exact bytes, then its form.
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { updateText } from '../../scripts/package/update.ts'
import { programsFor, readManifest } from '../../src/update/manifest.ts'
import { manifestValue, releaseFile, SEQUENCE, sha256, signed, testPublicKey } from './releases.ts'

const read = (bytes: Buffer, signature: string, key = testPublicKey) => readManifest(bytes, signature, key)
const readValue = (value: unknown) => {
  const { bytes, signature } = signed(value)
  return read(bytes, signature)
}

describe('the signature', () => {
  const { bytes, signature } = signed(manifestValue())
  const other = generateKeyPairSync('ed25519')
  const otherSignature = signed(manifestValue(), other.privateKey).signature
  const changed = (at: number) => {
    const copy = Buffer.from(bytes)
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
    return copy
  }

  it('of the right key makes the manifest believed', () => {
    expect(read(bytes, signature)).toMatchObject({
      kind: 'manifest',
      manifest: { version: '1.1.0', sequence: SEQUENCE },
    })
  })

  it.each([
    ['another key', bytes, otherSignature],
    ['no text', bytes, ''],
    ['a text that is no Base64', bytes, 'x'.repeat(88)],
    ['two signatures', bytes, `${signature}${signature}`],
    ['a shorter one', bytes, `${signature.slice(0, 40)}\n`],
    ['a first byte that was changed', changed(0), signature],
    ['a last byte that was changed', changed(bytes.length - 1), signature],
    ['a space at the end', Buffer.concat([bytes, Buffer.from(' ')]), signature],
    ['a byte order mark', Buffer.concat([Buffer.from('\uFEFF'), bytes]), signature],
    ['Windows line ends', Buffer.from(bytes.toString().replace('\n', '\r\n')), signature],
    ['the same value in another order', Buffer.from(`${JSON.stringify({ x: 1, ...manifestValue() })}\n`), signature],
  ])('[I1] is refused with %s', (_name, content, text) => {
    expect(read(content, text)).toEqual({ kind: 'refused', reason: 'signature' })
  })

  it('[I1] is verified by an Ed25519 key only', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    expect(() => read(bytes, signature, pem)).toThrow('no Ed25519 key')
  })
})

describe('a signed manifest', () => {
  const file = releaseFile('linux-x64', 'cadzero-auth', Buffer.from('new')).file
  const withFile = (fields: object) => manifestValue({ files: [{ ...file, ...fields }] })
  const withProgram = (fields: object) => withFile({ program: { ...file.program, ...fields } })

  it.each([
    ['text that is no JSON', '{'],
    ['another format', manifestValue({ format: 2 })],
    ['another product', manifestValue({ product: 'cadzero' })],
    ['no product', manifestValue({ product: undefined })],
    ['a version under test', manifestValue({ version: '1.1.0-rc.1' })],
    ['a version of two numbers', manifestValue({ version: '1.1' })],
    ['a version with a path', manifestValue({ version: '../1.1.0' })],
    ['no sequence', manifestValue({ sequence: undefined })],
    ['a sequence as text', manifestValue({ sequence: '1' })],
    ['a sequence beyond exact numbers', manifestValue({ sequence: 2 ** 53 })],
    ['a sequence that no date can show', manifestValue({ sequence: Number.MAX_SAFE_INTEGER })],
    ['a negative sequence', manifestValue({ sequence: -1 })],
    ['no end', manifestValue({ expiresAt: undefined })],
    ['an end that is no time', manifestValue({ expiresAt: 'never' })],
    ['no oldest version', manifestValue({ updatesFrom: undefined })],
    ['no minimum system', manifestValue({ minimumSystem: {} })],
    ['no list of files', manifestValue({ files: {} as never })],
    ['more than 100 files', manifestValue({ files: Array(101).fill(file) })],
    ['a file name with a folder', withFile({ name: 'a/b' })],
    ['a file name with a parent folder', withFile({ name: '..' })],
    ['a file name with a backslash', withFile({ name: 'a\\b' })],
    ['a file name with a query', withFile({ name: 'a?b' })],
    ['a file name with an escape', withFile({ name: '%2e%2e' })],
    ['a file name that is an address', withFile({ name: 'https://evil.example/' })],
    ['an empty file name', withFile({ name: '' })],
    ['a size of 0', withFile({ size: 0 })],
    ['a size of 1 GiB', withFile({ size: 2 ** 30 })],
    ['a size with a fraction', withFile({ size: 1.5 })],
    ['a hash of another length', withFile({ sha256: 'ab' })],
    ['a hash in capitals', withFile({ sha256: sha256(Buffer.from('')).toUpperCase() })],
    ['a program of another name', withProgram({ name: 'bash' })],
    ['a program of 1 GiB', withProgram({ size: 2 ** 30 })],
    ['a list', []],
    ['null', null],
  ])('[I2] is refused with %s', (_name, value) => {
    expect(readValue(value)).toEqual({ kind: 'refused', reason: 'format' })
  })

  it('may have fields that this version does not know', () => {
    expect(readValue(manifestValue({ later: true }))).toMatchObject({ kind: 'manifest' })
  })

  it('is what the release writes', () => {
    const files = [file, { name: 'cadzero-auth-1.2.3.tgz', size: 1, sha256: sha256(Buffer.from('x')) }]
    const read = readValue(updateText({ version: '1.2.3', sequence: SEQUENCE, files }))
    if (read.kind !== 'manifest') return expect.fail(read.reason)
    const { program, ...download } = file
    const { name, size, sha256: hash } = program
    expect(programsFor('linux-x64', read.manifest)).toEqual([{ name, size, sha256: hash, file: download }])
    expect(programsFor('win-x64', read.manifest)).toEqual([])
  })
})
