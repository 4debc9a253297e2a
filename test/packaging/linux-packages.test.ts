// The Debian package of a small program: what apt shows about it before it installs.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeDeb } from '../../scripts/package/linux/packages.ts'
import { temporaryFolder } from '../support/folder.ts'

const hasDpkg = spawnSync('dpkg-deb', ['--version']).status === 0

it.skipIf(!hasDpkg)(
  `the package says how much space it takes${hasDpkg ? '' : ' (skipped: needs dpkg-deb)'}`,
  async () => {
    const folder = await temporaryFolder()
    const [executable, notices, work] = [join(folder, 'program'), join(folder, 'notices'), join(folder, 'work')]
    await writeFile(executable, Buffer.alloc(3_000_000))
    await writeFile(notices, 'notices\n')
    await mkdir(work)
    const path = await makeDeb({ executable, notices, version: '1.2.3', cpu: 'x64', time: 1_800_000_000 }, folder, work)
    const field = (name: string) => execFileSync('dpkg-deb', ['--field', path, name], { encoding: 'utf8' }).trim()
    expect(field('Version')).toBe('1.2.3')
    const kibibytes = Number(field('Installed-Size'))
    expect(kibibytes).toBeGreaterThan(3_000_000 / 1024)
    expect(kibibytes).toBeLessThan(3_000_000 / 1024 + 50)
  },
)
