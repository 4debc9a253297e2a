// The signing step for Windows, with a certificate that the test makes: osslsigncode signs, and verifies against that certificate alone.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { certificateFrom, copyWithoutSignature, sign } from '../../scripts/package/windows/executable.ts'
import { temporaryFolder } from '../support/folder.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
// In a process of its own: the types of resedit bring those of browsers along.
const EMPTY_PROGRAM = `
  import { NtExecutable } from 'resedit'
  import { writeFileSync } from 'node:fs'
  writeFileSync(process.argv[1], Buffer.from(NtExecutable.createEmpty(false, false).generate()))`
const lacksTools = await Promise.all([run('osslsigncode', ['--version']), run('openssl', ['version'])]).then(
  () => '',
  () => ' (skipped: needs osslsigncode and openssl)',
)

/** A certificate for code signing, as files. */
async function newCertificate() {
  const folder = await temporaryFolder()
  const [key, certificate, file, passwordFile] = ['key.pem', 'certificate.pem', 'signer.pfx', 'password'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string]
  await writeFile(passwordFile, 'a password of the test\n')
  const subject = ['-subj', '/CN=A publisher of the test', '-days', '2', '-addext', 'extendedKeyUsage=codeSigning']
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    certificate,
    ...subject,
  ])
  const bundle = ['-inkey', key, '-in', certificate, '-out', file, '-passout', `file:${passwordFile}`]
  await run('openssl', ['pkcs12', '-export', ...bundle])
  return { file, passwordFile, certificate }
}

const verify = async (path: string, certificate: string) =>
  await run('osslsigncode', ['verify', '-CAfile', certificate, '-in', path])

describe.skipIf(lacksTools !== '')(`a signature for Windows${lacksTools}`, () => {
  const newProgram = async () => {
    const path = join(await temporaryFolder(), 'program.exe')
    await run(process.execPath, ['--input-type=module', '--eval', EMPTY_PROGRAM, path], { cwd: ROOT })
    return path
  }

  it('is valid for the certificate and the bytes, and can be taken off again', async () => {
    const [path, { certificate, ...signer }] = [await newProgram(), await newCertificate()]
    const before = await readFile(path)
    await sign(path, signer)
    const { stdout } = await verify(path, certificate)
    expect(stdout).toContain('Signature verification: ok')
    expect(stdout).toContain('A publisher of the test')
    expect(stdout).toContain('CADZERO sign-in')

    const signed = await readFile(path)
    const changed = Buffer.from(signed)
    changed.writeUInt8(changed.readUInt8(before.length - 1) ^ 1, before.length - 1)
    await writeFile(path, changed)
    await expect(verify(path, certificate)).rejects.toMatchObject({ stdout: expect.stringContaining('MISMATCH') })
    await writeFile(path, signed)
    await expect(verify(path, (await newCertificate()).certificate)).rejects.toThrow()

    const bare = `${path}.bare`
    await copyWithoutSignature(path, bare)
    expect((await readFile(bare)).includes(Buffer.from('A publisher of the test'))).toBe(false)
  })

  it('is an error with a wrong password, and the file stays as it was', async () => {
    const [path, signer] = [await newProgram(), await newCertificate()]
    const before = await readFile(path)
    await writeFile(signer.passwordFile, 'another password\n')
    await expect(sign(path, signer)).rejects.toThrow()
    expect((await readFile(path)).equals(before)).toBe(true)
  })
})

it('signing is off unless the environment names a certificate and the file of its password', () => {
  expect(certificateFrom({})).toBeUndefined()
  expect(() => certificateFrom({ WINDOWS_SIGN_PFX: 'signer.pfx' })).toThrow('WINDOWS_SIGN_PASSWORD_FILE')
  const env = { WINDOWS_SIGN_PFX: 'signer.pfx', WINDOWS_SIGN_PASSWORD_FILE: 'password' }
  expect(certificateFrom(env)).toMatchObject({ file: 'signer.pfx', passwordFile: 'password' })
})
