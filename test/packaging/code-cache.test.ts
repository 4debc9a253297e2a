// The code caches of a build: the same bytes, although each run of the program takes its time in another way.
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { fetchTarget } from '../../scripts/package/fetch.ts'
import { digestOf } from '../../scripts/package/package.ts'
import { hostTarget } from '../../scripts/package/targets.ts'
import { CACHES, writeCodeCaches } from '../../scripts/write-code-caches.ts'
import { temporaryFolder } from '../support/folder.ts'

/** Does what the file `run` says: it stands for what files, sockets and a busy computer decide. */
const PROGRAM = `
const functions = { one: () => () => 1, other: () => () => 2 }
setTimeout(() => (() => 'late')(), 20)
process.once('SIGTERM', () => process.exit())
for (const word of require('node:fs').readFileSync(__dirname + '/run', 'utf8').split(' ')) {
  if (word === 'slowly') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40)
  else functions[word]()()
}
setTimeout(() => process.stdout.write('ready \\n'), 0)`
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const isLinuxX64 = process.platform === 'linux' && process.arch === 'x64'
const HEADER = "process.stdout.write('Authorization: Bearer x')"

let node = '' // of the executables
beforeAll(async () => {
  if (isLinuxX64) node = join(await fetchTarget(hostTarget()), hostTarget().node)
}, 300_000)

/** The digests of the code caches of PROGRAM and HEADER. */
async function cachesOf(run: string): Promise<readonly string[]> {
  const [dist, out] = [join(await temporaryFolder(), 'dist'), await temporaryFolder()]
  await mkdir(dist)
  for (const [name, text] of Object.entries({ 'program.cjs': PROGRAM, 'header.cjs': HEADER, run }))
    await writeFile(join(dist, name), text)
  await writeCodeCaches(dist, out, node)
  return await Promise.all(CACHES.map((name) => digestOf(join(out, name))))
}

// Root, which is another user in a namespace of its own: the files are the same, and all of that user.
const AS_ANOTHER = ['unshare', '--user', '--map-user=5003', '--map-group=5003', '--']
const canBeAnother = process.getuid?.() === 0 && spawnSync('unshare', [...AS_ANOTHER.slice(1), 'true']).status === 0

/** The digests of the code caches of the program itself. @param prefix runs the command in its arguments */
async function cachesBy(prefix: readonly string[]): Promise<readonly string[]> {
  const out = await temporaryFolder()
  const script = `import { writeCodeCaches } from './scripts/write-code-caches.ts'
await writeCodeCaches('dist', ${JSON.stringify(out)}, ${JSON.stringify(node)})`
  const [command = '', ...args] = [...prefix, process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]
  await promisify(execFile)(command, args, { cwd: ROOT })
  return await Promise.all(CACHES.map((name) => digestOf(join(out, name))))
}

describe.skipIf(!isLinuxX64)(
  `the code caches of the executable${isLinuxX64 ? '' : ' (skipped: needs Linux x64)'}`,
  () => {
    it('have the same bytes in whichever order functions run', async () => {
      expect(await cachesOf('other one')).toEqual(await cachesOf('one other'))
    })

    it('have the same bytes if a timer would have fired', async () => {
      expect(await cachesOf('one other slowly')).toEqual(await cachesOf('one other'))
    })

    it.skipIf(!canBeAnother)(
      `have the same bytes for root and another user${canBeAnother ? '' : ' (skipped: needs root and user namespaces)'}`,
      async () => {
        expect(await cachesBy(AS_ANOTHER)).toEqual(await cachesBy([]))
      },
    )

    it('have what the program has run', async () => {
      expect(await cachesOf('one')).not.toEqual(await cachesOf('one other'))
    })
  },
)
