// The script that makes `.pkg` installers on a Mac, with stand-ins for the tools of a Mac that record how they are called.
import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'

const run = promisify(execFile)
const SCRIPT = fileURLToPath(new URL('../../scripts/package/macos/pkg.sh', import.meta.url))
const skipped = process.platform === 'win32' ? ' (skipped: needs a POSIX shell)' : ''

/** @returns the calls of the tools, one a line, and the files that pkgbuild was given */
async function makePackage(env: NodeJS.ProcessEnv): Promise<{ calls: string[]; content: string }> {
  const [folder, bin] = [await temporaryFolder(), await temporaryFolder()]
  const name = 'cadzero-auth-1.2.3-macos-arm64'
  await mkdir(join(folder, name))
  for (const file of ['cadzero-auth', 'cadzero-auth.1', 'install.sh', 'THIRD-PARTY-NOTICES.txt'])
    await writeFile(join(folder, name, file), file)
  await run('tar', ['-czf', `${name}.tar.gz`, name], { cwd: folder })
  const record = `#!/bin/sh\necho "\${0##*/} $*" >>'${bin}/calls'\n`
  const lists = `[ "\${0##*/}" != pkgbuild ] || (cd "$2" && find . -type f | sort >'${bin}/content')\n`
  for (const tool of ['codesign', 'pkgbuild', 'xcrun']) {
    await writeFile(join(bin, tool), record + lists)
    await chmod(join(bin, tool), 0o755)
  }
  await run('sh', [SCRIPT, folder], { env: { PATH: `${bin}:${process.env.PATH}`, ...env } })
  const calls = (await readFile(join(bin, 'calls'), 'utf8')).trimEnd().split('\n')
  return {
    calls: calls.map((call) => call.replaceAll(folder, 'OUT')),
    content: await readFile(join(bin, 'content'), 'utf8'),
  }
}

it.skipIf(skipped !== '')(
  `a package has the program, its licences and its man page, unsigned without identities${skipped}`,
  async () => {
    const { calls, content } = await makePackage({})
    expect(content.trimEnd().split('\n')).toEqual([
      './bin/cadzero-auth',
      './share/doc/cadzero-auth/THIRD-PARTY-NOTICES.txt',
      './share/man/man1/cadzero-auth.1',
    ])
    expect(calls).toEqual([
      expect.stringMatching(/^codesign --verify --strict .*\/bin\/cadzero-auth$/),
      expect.stringMatching(
        /^pkgbuild --root \S+ --identifier com\.cadzero\.cadzero-auth --version 1\.2\.3 --install-location \/usr\/local OUT\/cadzero-auth-1\.2\.3-macos-arm64\.pkg$/,
      ),
    ])
  },
)

it.skipIf(skipped !== '')(
  `with identities, the program is signed first, then the package, which is notarised last${skipped}`,
  async () => {
    const env = { SIGN_IDENTITY: 'Developer', INSTALLER_IDENTITY: 'Installer', NOTARY_PROFILE: 'profile' }
    const { calls } = await makePackage(env)
    expect(calls).toEqual([
      expect.stringMatching(
        /^codesign --force --sign Developer --timestamp --options runtime --entitlements \S+entitlements\.plist /,
      ),
      expect.stringMatching(/^codesign --verify/),
      expect.stringMatching(/^pkgbuild .* --sign Installer --timestamp OUT\/.*\.pkg$/),
      expect.stringMatching(/^xcrun notarytool submit OUT\/.*\.pkg --keychain-profile profile --wait$/),
      expect.stringMatching(/^xcrun stapler staple OUT\/.*\.pkg$/),
    ])
  },
)
