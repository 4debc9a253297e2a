// The download of the parts: a failed one leaves nothing that a later build would take for complete.
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { fetchPackages } from '../../scripts/package/fetch.ts'
import { temporaryFolder } from '../support/folder.ts'

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
