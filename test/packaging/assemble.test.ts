// The packages of all systems, made twice out of the same stand-ins for the executables. `npm run test:reproducible` makes whole releases.
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { packForNpm } from '../../scripts/package/npm.ts'
import { digestOf } from '../../scripts/package/package.ts'
import { temporaryFolder } from '../support/folder.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TSX = createRequire(import.meta.url).resolve('tsx/cli')
const SCRIPT = fileURLToPath(new URL('assemble-stand-ins.ts', import.meta.url))
const TOOLS = { makensis: ['-VERSION'], rpmbuild: ['--version'], bsdtar: ['--version'], 'dpkg-deb': ['--version'] }

const missing = Object.entries(TOOLS).flatMap(([name, args]) => (spawnSync(name, args).status === 0 ? [] : [name]))
const skipped = missing.length === 0 ? '' : ` (skipped: needs ${missing.join(', ')})`

async function packagesOf(umask: string, name: string, env: NodeJS.ProcessEnv): Promise<ReadonlyMap<string, string>> {
  const [out, work, home] = [await temporaryFolder(), join(await temporaryFolder(), name), await temporaryFolder()]
  await mkdir(work)
  const command = [process.execPath, TSX, SCRIPT, out, work]
  const options = { cwd: ROOT, env: { PATH: process.env.PATH, HOME: home, TMPDIR: work, ...env } }
  await run('sh', ['-c', `umask ${umask} && exec "$@"`, 'sh', ...command], options)
  const names = (await readdir(out)).sort()
  return new Map(await Promise.all(names.map(async (name) => [name, await digestOf(join(out, name))] as const)))
}

it.skipIf(missing.length > 0)(
  `the packages have the same bytes in another folder, at another time, with another home and umask${skipped}`,
  { timeout: 300_000 },
  async () => {
    const first = await packagesOf('022', 'work', { LANG: 'C.UTF-8', TZ: 'UTC' })
    const second = await packagesOf('077', 'Zoë’s work folder', { LANG: 'C', TZ: 'Asia/Tokyo' })
    expect(first.size).toBeGreaterThan(15)
    expect(second).toEqual(first)
  },
)

it('the npm package has the licences of the packages that are bundled in it', { timeout: 120_000 }, async () => {
  const [out, work] = [await temporaryFolder(), await temporaryFolder()]
  const notices = join(work, 'THIRD-PARTY-NOTICES.txt')
  await writeFile(notices, 'the licences')
  await packForNpm(notices, out, work)
  const [name = ''] = await readdir(out)
  const { stdout } = await run('tar', ['-xOzf', join(out, name), 'package/dist/THIRD-PARTY-NOTICES.txt'])
  expect(stdout).toBe('the licences')
})
