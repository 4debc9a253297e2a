// What a release says about its files: update.json and its signature, the manifests of package managers, the changelog section.
import { spawnSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { requireNothingUnreleased, sectionOf } from '../../scripts/package/changelog.ts'
import { writeManifests } from '../../scripts/package/manifests.ts'
import { makeEmptyFolder, requireReplaceable } from '../../scripts/package/out.ts'
import { writeChecksums } from '../../scripts/package/package.ts'
import {
  keyOfPrograms,
  requireBaseUrl,
  requireReleaseVersion,
  requireTime,
  requireTools,
} from '../../scripts/package/releasable.ts'
import { targetsNamed } from '../../scripts/package/targets.ts'
import {
  isSigned,
  publicKeyOf,
  readSigningKey,
  signUpdate,
  temporaryKey,
  updateText,
} from '../../scripts/package/update.ts'
import { temporaryFolder } from '../support/folder.ts'

const hash = (digit: string) => digit.repeat(64)
const files = [
  'linux-arm64.tar.gz',
  'linux-x64.tar.gz',
  'macos-arm64.tar.gz',
  'macos-x64.tar.gz',
  'win-x64.zip',
  'win-x64-setup.exe',
].map((suffix, index) => ({ name: `cadzero-auth-1.2.3-${suffix}`, sha256: hash(String(index)), size: index }))
const release = { version: '1.2.3', baseUrl: 'https://releases.example/1.2.3', files }

describe('update.json', () => {
  const text = updateText({ version: '1.2.3', sequence: 1_800_000_000, files })

  it('has the version, the sequence, an end, and the size and the hash of each file', () => {
    expect(JSON.parse(text)).toEqual({
      format: 1,
      product: 'cadzero-auth',
      version: '1.2.3',
      sequence: 1_800_000_000,
      expiresAt: '2027-07-14T08:00:00Z',
      updatesFrom: '1.0.0',
      minimumSystem: { windows: '10.0.17763', darwin: '22.6', glibc: '2.28' },
      files,
    })
  })

  it('is signed over its exact bytes by one key alone', () => {
    const [key, other] = [temporaryKey(), temporaryKey()]
    const signature = signUpdate(text, key)
    const verifies = (one: string, by: typeof key) => isSigned(one, signature, createPublicKey(by))
    expect(verifies(text, key)).toBe(true)
    expect(verifies(text.replace('1.2.3', '1.2.4'), key)).toBe(false)
    expect(verifies(`${text} `, key)).toBe(false)
    expect(verifies(text, other)).toBe(false)
  })

  it('is signed by no key that programs trust in a dry run', { timeout: 120_000 }, () => {
    const args = ['node_modules/tsx/dist/cli.mjs', 'scripts/release.ts', '--dry-run', '--signing-key', 'private.pem']
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(status).toBe(1)
    expect(stderr).toMatch(/^error: --dry-run makes its own key: .*\nhint: .*\n$/)
  })

  it('has no version that programs do not accept', () => {
    for (const version of ['1.2.3-rc.1', '1.2', '01.2.3', '1.2.3+linux'])
      expect(() => requireReleaseVersion(version), version).toThrow('is not the version of a release')
    requireReleaseVersion('1.2.3')
    requireReleaseVersion(manifest.version)
  })

  it('is signed by an Ed25519 key only', async () => {
    const path = join(await temporaryFolder(), 'key.pem')
    const key = temporaryKey()
    await writeFile(path, key.export({ type: 'pkcs8', format: 'pem' }))
    expect(publicKeyOf(await readSigningKey(path))).toBe(publicKeyOf(key))
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    await expect(readSigningKey(path)).rejects.toThrow('no Ed25519 key')
  })
})

describe('before a release', () => {
  it('a key that cannot be read, a tag or a key that is missing ends it with a hint, and without a build', () => {
    const args = ['node_modules/tsx/dist/cli.mjs', 'scripts/release.ts', '--signing-key', '/nonexistent/private.pem']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^error: .+\nhint: .+\n$/)
  }, 120_000)

  it('refuses an address of the files that leads nowhere', () => {
    for (const url of ['releases.example/1.2.3', 'http://releases.example', 'https://releases.example/"', 'https://…'])
      expect(() => requireBaseUrl(url), url).toThrow('--base-url is no plain address')
    requireBaseUrl('https://github.com/cadzero/cadzero-auth/releases/download/v1.2.3')
  })

  it('refuses a commit from the future, and one whose release would have expired', () => {
    const now = 1_800_000_000
    for (const time of [now, now + 60, now - 179 * 86_400]) requireTime(time, now)
    expect(() => requireTime(now + 86_400, now)).toThrow('is in the future')
    expect(() => requireTime(now - 180 * 86_400, now)).toThrow('would have expired')
  })

  it('names the packages of tools that are not installed, for its targets alone', () => {
    const needed = (name: string) => () => requireTools(targetsNamed([name]), '/nonexistent')
    expect(needed('linux-x64')).toThrow('not installed: rpmbuild, dpkg-deb')
    expect(needed('win-x64')).toThrow(
      expect.objectContaining({ hint: 'sudo apt-get install nsis libarchive-tools' }) as Error,
    )
    expect(needed('macos-arm64')).not.toThrow()
  })

  it('the key to sign with is that of the programs in use, also while the release brings the next one', async () => {
    const folder = await temporaryFolder()
    const [file, previous] = [join(folder, 'update-key.pem'), join(folder, 'update-key.previous.pem')]
    const [old, next] = [publicKeyOf(temporaryKey()), publicKeyOf(temporaryKey())]
    expect(() => keyOfPrograms(file, previous)).toThrow('there is no')
    await writeFile(file, old)
    expect(keyOfPrograms(file, previous)).toBe(old)
    await rename(file, previous)
    await writeFile(file, next)
    expect(keyOfPrograms(file, previous)).toBe(old)
    await rm(previous)
    expect(keyOfPrograms(file, previous)).toBe(next)
    await writeFile(previous, next)
    expect(() => keyOfPrograms(file, previous)).toThrow('are the same key')
  })
})

describe('the folder of a build', () => {
  it('is made, or replaced if it has the files of an earlier build alone', async () => {
    const folder = join(await temporaryFolder(), 'a', 'build')
    for (let build = 0; build < 2; build++) {
      await makeEmptyFolder(folder)
      expect(await readdir(folder)).toEqual([])
      await mkdir(join(folder, 'manifests'))
      for (const name of ['cadzero-auth', 'manifests/cadzero-auth.rb']) await writeFile(join(folder, name), 'built')
      await writeChecksums(folder)
    }
  })

  it('is not emptied if it has other files, whether a build was there or not', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'cadzero-auth'), 'built')
    await expect(makeEmptyFolder(folder)).rejects.toThrow('has files of no build: cadzero-auth')
    await writeChecksums(folder)
    await writeFile(join(folder, 'private.pem'), 'mine')
    await expect(makeEmptyFolder(folder)).rejects.toThrow('has files of no build: private.pem')
    expect((await readdir(folder)).sort()).toEqual(['SHA256SUMS', 'cadzero-auth', 'private.pem'])
  })

  it('is replaced below dist-release, and is never the repository or a file', async () => {
    for (const folder of ['dist-release', 'dist-release/no such build']) await requireReplaceable(folder)
    for (const folder of ['.', '..', '/']) await expect(requireReplaceable(folder)).rejects.toThrow('of no build')
    await expect(requireReplaceable('package.json')).rejects.toMatchObject({ code: 'ENOTDIR' })
  })
})

describe('the manifests', () => {
  it('name the address and the hash of the right file', async () => {
    const folder = await temporaryFolder()
    await writeManifests(release, folder)
    const read = (path: string) => readFile(join(folder, path), 'utf8')
    const formula = await read('homebrew/cadzero-auth.rb')
    for (const { name, sha256 } of files.filter(({ name }) => name.endsWith('.tar.gz')))
      expect(formula).toContain(`url "https://releases.example/1.2.3/${name}"\n      sha256 "${sha256}"`)
    // The service that the program installs would name a version's own folder, which Homebrew removes after an upgrade.
    expect(formula).toContain('brew services start cadzero-auth')
    // `brew style` refuses the shells that Homebrew makes completions for anyway: bash, zsh and fish.
    expect(formula).toContain('generate_completions_from_executable(bin/"cadzero-auth", "completion")')
    expect(formula).toContain('doc.install "THIRD-PARTY-NOTICES.txt"')
    const scoop = JSON.parse(await read('scoop/cadzero-auth.json'))
    expect(scoop.architecture['64bit']).toEqual({
      url: 'https://releases.example/1.2.3/cadzero-auth-1.2.3-win-x64.zip',
      hash: hash('4'),
    })
    expect(scoop.notes.join(' ')).toContain('run "cadzero-auth daemon --stop" first')
    const winget = await read('winget/CADZERO.SignIn.installer.yaml')
    expect(winget).toContain('InstallerUrl: https://releases.example/1.2.3/cadzero-auth-1.2.3-win-x64-setup.exe')
    expect(winget).toContain(`InstallerSha256: ${hash('5')}`)
  })

  const hasRuby = spawnSync('ruby', ['--version']).status === 0
  it.skipIf(!hasRuby)(`have a formula that is correct Ruby${hasRuby ? '' : ' (skipped: needs ruby)'}`, async () => {
    const folder = await temporaryFolder()
    await writeManifests(release, folder)
    const check = (path: string) => spawnSync('ruby', ['-wc', path], { encoding: 'utf8' })
    const formula = join(folder, 'homebrew/cadzero-auth.rb')
    expect(check(formula)).toMatchObject({ status: 0, stdout: 'Syntax OK\n', stderr: '' })
    await writeFile(formula, (await readFile(formula, 'utf8')).replace('  end\n', ''))
    expect(check(formula).status).not.toBe(0)
  })

  it('are refused for a release that lacks a file', async () => {
    const without = { ...release, files: files.slice(1) }
    await expect(writeManifests(without, await temporaryFolder())).rejects.toThrow('ends with linux-arm64.tar.gz')
  })
})

describe('the section of the changelog', () => {
  const changelog =
    '# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-02\n\n### Fixed\n\n- A fault.\n\n## [1.2.2]\n\n- Old.\n'

  it('is that of the version', () => {
    expect(sectionOf(changelog, '1.2.3')).toBe('### Fixed\n\n- A fault.\n')
    expect(sectionOf(changelog, '1.2.2')).toBe('- Old.\n')
  })

  it('is the newest one with a text in a dry run, so that the commit of a release can be tried', () => {
    expect(sectionOf(changelog, undefined)).toBe('### Fixed\n\n- A fault.\n')
    expect(sectionOf(changelog.replace('[Unreleased]\n', '[Unreleased]\n\n- New.\n'), undefined)).toBe('- New.\n')
  })

  it('has everything that a release brings: none is made while there are unreleased changes', () => {
    requireNothingUnreleased(changelog)
    requireNothingUnreleased('# Changelog\n\n## [Unreleased]\n')
    for (const text of [
      changelog.replace('[Unreleased]\n', '[Unreleased]\n\n- New.\n'),
      '## [Unreleased]\n- Only this.',
    ])
      expect(() => requireNothingUnreleased(text), text).toThrow('has changes under «Unreleased»')
  })

  it('is an error if it is missing or empty', () => {
    expect(() => sectionOf(changelog, '9.9.9')).toThrow('no text for 9.9.9')
    expect(() => sectionOf('# Changelog\n\n## [Unreleased]\n', undefined)).toThrow('no text for any version')
  })
})
