// install.sh of an archive, with a small program in place of the executable.
import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'

describe.skipIf(process.platform === 'win32')('install.sh', () => {
  it('removes what an interrupted update has left, which would put an older program back', async () => {
    const home = await temporaryFolder()
    const [archive, bin] = [join(home, 'archive'), join(home, 'bin')]
    await mkdir(archive)
    await mkdir(join(bin, '.cadzero-auth-update'), { recursive: true })
    await writeFile(join(bin, '.cadzero-auth-update', 'undo'), '')
    await writeFile(join(bin, 'cadzero-auth.previous'), 'an older program')
    await copyFile('scripts/package/unix/install.sh', join(archive, 'install.sh'))
    const program = '#!/bin/sh\necho 1.2.3\n'
    await writeFile(join(archive, 'cadzero-auth'), program, { mode: 0o755 })
    const run = (...args: string[]) =>
      spawnSync('/bin/sh', [join(archive, 'install.sh'), ...args], { env: { ...process.env, PREFIX: home } }).status
    expect(run('--no-service')).toBe(0)
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
    expect(await readFile(join(bin, 'cadzero-auth'), 'utf8')).toBe(program)
    await writeFile(join(bin, 'cadzero-auth.previous'), 'an older program')
    expect(run('--uninstall')).toBe(0)
    expect(await readdir(bin)).toEqual([])
  })
})
