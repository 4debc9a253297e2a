// The download of the parts: a failed one leaves nothing that a later build would take for complete.
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { fetchPackages } from '../../scripts/package/fetch.ts'
import { temporaryFolder } from '../support/folder.ts'

const FETCH = fileURLToPath(new URL('../../scripts/package/fetch.ts', import.meta.url))
const PACKAGES = { name: 'linux-x64', os: 'linux', cpu: 'x64', files: ['node/bin/node', 'addon/addon.node'] } as const

/** An npm that is first in the path and runs this script. */
async function newNpm(script: string) {
  const [manifest, cache, bin] = [await temporaryFolder(), await temporaryFolder(), await temporaryFolder()]
  await writeFile(join(manifest, 'package.json'), '{}')
  await writeFile(join(manifest, 'package-lock.json'), '{}')
  const before = process.env.PATH
  process.env.PATH = `${bin}${delimiter}${before}`
  onTestFinished(() => {
    process.env.PATH = before
  })
  const install = async (text: string) => {
    await writeFile(join(bin, 'npm'), `#!/bin/sh\n${text}\n`)
    await chmod(join(bin, 'npm'), 0o755)
  }
  await install(script)
  return { cache, install, fetch: () => fetchPackages(PACKAGES, { manifest, cache }) }
}

const NODE_ALONE = 'mkdir -p node_modules/node/bin; echo node >node_modules/node/bin/node'
const COMPLETE = `${NODE_ALONE}; mkdir -p node_modules/addon; echo addon >node_modules/addon/addon.node`

it('fails, and caches nothing, if npm ends with 0 without an optional package', async () => {
  const { cache, install, fetch } = await newNpm(NODE_ALONE)
  await expect(fetch()).rejects.toThrow('npm did not install addon/addon.node')
  expect(await readdir(cache)).toEqual([])
  await install(COMPLETE)
  expect(await readFile(join(await fetch(), 'addon/addon.node'), 'utf8')).toBe('addon\n')
})

it('fails, and caches nothing, if npm fails', async () => {
  const { cache, fetch } = await newNpm('exit 1')
  await expect(fetch()).rejects.toThrow('npm ci')
  expect(await readdir(cache)).toEqual([])
})

it('fails, and caches nothing, if npm could not write a file to its end and ends with 0', async () => {
  const warning = 'npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write'
  const { cache, install, fetch } = await newNpm(`${COMPLETE}; echo '${warning}' >&2`)
  await expect(fetch()).rejects.toThrow('npm could not write a file: TAR_ENTRY_ERROR ENOSPC')
  expect(await readdir(cache)).toEqual([])
  await install(COMPLETE)
  await fetch()
})

const canMount = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0
it.skipIf(!canMount)(
  `fails with the real npm on a full disk${canMount ? '' : ' (skipped: needs root to mount)'}`,
  { timeout: 60_000 },
  async () => {
    const [manifest, disk] = [await temporaryFolder(), await temporaryFolder()]
    await mkdir(join(manifest, 'package'))
    await writeFile(join(manifest, 'package/package.json'), '{ "name": "large", "version": "1.0.0" }')
    await writeFile(join(manifest, 'package/large'), Buffer.alloc(4 * 1024 * 1024))
    const tarball = join(manifest, 'large.tgz')
    const run = (program: string, args: readonly string[]) =>
      spawnSync(program, args, { cwd: manifest, encoding: 'utf8' })
    run('tar', ['-czf', tarball, 'package'])
    const optionalDependencies = { large: `file:${tarball}` }
    await writeFile(join(manifest, 'package.json'), JSON.stringify({ name: 'x', optionalDependencies }))
    run('npm', ['install', '--package-lock-only', '--silent', '--no-audit', '--no-fund'])
    const code = `import { fetchPackages } from '${pathToFileURL(FETCH)}'
      const packages = { name: 'x', os: 'linux', cpu: 'x64', files: ['large/large'] }
      await fetchPackages(packages, { manifest: '${manifest}', cache: '${disk}/cache' })`
    await writeFile(join(manifest, 'fetch.mts'), code)
    const onDisk = (size: string) => {
      const mount = `mount -t tmpfs -o size=${size} tmpfs '${disk}' && exec "$@"`
      const command = [process.execPath, createRequire(import.meta.url).resolve('tsx/cli'), 'fetch.mts']
      return run('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', mount, 'sh', ...command])
    }
    expect(onDisk('1m').stderr).toContain('npm could not write a file')
    expect(onDisk('9m')).toMatchObject({ status: 0, stderr: '' })
  },
)

it('removes what a killed build has left, and not what another build is writing', async () => {
  const { cache, fetch } = await newNpm(COMPLETE)
  const ended = spawnSync(process.execPath, ['--version']).pid
  for (const pid of [ended, process.ppid])
    await mkdir(join(cache, `linux-x64-0123456789ab.${pid}`, 'node_modules'), { recursive: true })
  const complete = basename(join(await fetch(), '..'))
  expect((await readdir(cache)).sort()).toEqual([complete, `linux-x64-0123456789ab.${process.ppid}`].sort())
})

it('installs again if a file has gone from the cache', async () => {
  const { install, fetch } = await newNpm(COMPLETE)
  const packages = await fetch()
  await install('exit 1')
  expect(await fetch()).toBe(packages)
  await rm(join(packages, 'addon'), { recursive: true })
  await mkdir(join(packages, 'addon'))
  await expect(fetch()).rejects.toThrow('npm ci')
  await install(COMPLETE)
  expect(await readFile(join(await fetch(), 'addon/addon.node'), 'utf8')).toBe('addon\n')
})
