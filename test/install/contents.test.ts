// What a release says about its files is true, and its npm package runs.
import { execFile } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { digestOf } from '../../scripts/package/package.ts'
import { validateSbom } from '../../scripts/package/sbom.ts'
import { isSigned } from '../../scripts/package/update.ts'
import { temporaryFolder } from '../support/folder.ts'
import { readBrand } from '../support/windows-brand.ts'
import { releaseFile, version } from './release.ts'

const run = promisify(execFile)
const read = (name: string) => readFile(releaseFile(name), 'utf8')

it('all checksums are right, and the bill of materials follows its schema', { timeout: 60_000 }, async () => {
  const folder = dirname(releaseFile('SHA256SUMS'))
  const { stdout } = await run('sha256sum', ['--check', 'SHA256SUMS'], { cwd: folder })
  expect(stdout.trim().split('\n').length).toBeGreaterThan(8)
  await validateSbom(await read('sbom.cdx.json'))
})

it('update.json is signed, and names each file with its size and its hash', { timeout: 60_000 }, async () => {
  const text = await read('update.json')
  const key = createPublicKey(await read('update-key.pem'))
  expect(isSigned(text, await read('update.json.sig'), key)).toBe(true)
  const update = JSON.parse(text) as { version: string; files: { name: string; size: number; sha256: string }[] }
  expect(update.version).toBe(version)
  for (const { name, size, sha256 } of update.files) {
    expect((await stat(releaseFile(name))).size).toBe(size)
    expect(await digestOf(releaseFile(name))).toBe(sha256)
  }
})

it('the installer for Windows has at most 30 MB', async () => {
  const { size } = await stat(releaseFile(`cadzero-auth-${version}-win-x64-setup.exe`))
  expect(size).toBeLessThanOrEqual(30_000_000)
})

it('both programs for Windows and their installer have the name, version and icon of CADZERO', async () => {
  const folder = await temporaryFolder()
  await run('bsdtar', ['-xf', releaseFile(`cadzero-auth-${version}-win-x64.zip`), '-C', folder])
  const programs = ['cadzero-auth.exe', 'cadzero-authd.exe'].map((name) => join(folder, name))
  for (const path of [...programs, releaseFile(`cadzero-auth-${version}-win-x64-setup.exe`)]) {
    const { values, icons, expected } = await readBrand(path)
    expect(values).toMatchObject([{ ProductName: 'CADZERO sign-in', FileVersion: version }])
    expect(icons.map((images) => images.toSorted())).toEqual([expected.toSorted()]) // NSIS has an order of its own
  }
})

it('npx runs the packed npm package', { timeout: 120_000 }, async () => {
  const cwd = await temporaryFolder()
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, CADZERO_AUTH_HOME: cwd }
  const tarball = releaseFile(`cadzero-auth-${version}.tgz`)
  const { stdout } = await run('npx', ['--yes', `--package=${tarball}`, 'cadzero-auth', '--version'], { cwd, env })
  expect(stdout).toContain(version)
})
