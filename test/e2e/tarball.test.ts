// The package that npm creates: exactly the expected files, and a program that runs from an empty folder.
import { execFile } from 'node:child_process'
import { mkdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { temporaryFolder } from '../support/folder.ts'
import { runProgram, startDaemonProcess } from '../support/program.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FILES = [
  'README.md',
  'dist/broker-packages.cjs',
  'dist/broker.cjs',
  'dist/cadzero-auth.1',
  'dist/cadzero-auth.cjs',
  'dist/clerk-backend.cjs',
  'dist/header.cache',
  'dist/header.cjs',
  'dist/program.cache',
  'dist/program.cjs',
  'dist/redis.cjs',
  'package.json',
]

it('npm pack contains exactly the expected files, and they run in another folder', { timeout: 120_000 }, async () => {
  const folder = await temporaryFolder()
  const packed = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], { cwd: ROOT })
  const [{ filename, files }] = JSON.parse(packed.stdout) as [{ filename: string; files: { path: string }[] }]
  const paths = files.map(({ path }) => path).sort()
  const isType = (path: string) => /^dist\/types\/(?:broker|host)\/[\w-]+\.d\.ts$/.test(path) // of the broker, and what it names
  expect(paths.filter((path) => !isType(path))).toEqual(FILES)
  expect(paths).toContain('dist/types/broker/broker.d.ts')

  await run('tar', ['-xzf', join(folder, filename), '-C', folder])
  await rm(join(folder, filename))
  // As after an installation by npm, but without a network: the program only loads the addon from node_modules.
  const installed = join(folder, 'package')
  await mkdir(join(installed, 'node_modules'))
  await symlink(join(ROOT, 'node_modules', '@napi-rs'), join(installed, 'node_modules', '@napi-rs'))

  const options = { home: join(folder, 'home'), program: [join(installed, manifest.bin['cadzero-auth'])] } as const
  const { code, stdout } = await runProgram(['--version'], options)
  expect(code).toBe(0)
  expect(stdout).toMatch(new RegExp(`^${manifest.version.replaceAll('.', '\\.')}( \\([0-9a-f]{7,}\\))?\n$`))
  expect(await (await (await startDaemonProcess(options)).connect()).call('status')).toMatchObject({
    state: 'signed_out',
    daemon: { version: manifest.version },
  })
})
