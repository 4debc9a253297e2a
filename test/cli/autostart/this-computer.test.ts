// The program that a service has to start.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { windowlessExecutable } from '../../../src/cli/autostart/this-computer.ts'
import { systemFiles } from '../../../src/host/files.ts'
import { temporaryFolder } from '../../support/folder.ts'

test('a service starts the executable without a window if it lies beside the program, otherwise the program', async () => {
  const folder = await temporaryFolder()
  const program = join(folder, 'cadzero-auth-1.0.0-win-x64.exe')
  expect(await windowlessExecutable(systemFiles, program)).toBe(program)
  await writeFile(join(folder, 'cadzero-authd-1.0.0-win-x64.exe'), '')
  expect(await windowlessExecutable(systemFiles, program)).toBe(join(folder, 'cadzero-authd-1.0.0-win-x64.exe'))
  expect(await windowlessExecutable(systemFiles, '/usr/bin/cadzero-auth')).toBe('/usr/bin/cadzero-auth')
})
