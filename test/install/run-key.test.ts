// The Run key in a real registry: reg.exe of Wine, with letters and quotes that paths may have.
import { beforeAll, describe, expect, it } from 'vitest'
import { lacking, makeDebian13 } from '../../scripts/trials/debian13.ts'
import type { Launch } from '../../src/autostart/service-manager.ts'
import { RunKey } from '../../src/autostart/windows.ts'
import { fakeMachine } from '../support/service.ts'
import { newWindows, winePath } from './wine.ts'

const reason = lacking()
const MINUTES = { timeout: 300_000 }

describe.skipIf(reason !== '')(`the Run key${reason === '' ? '' : ` (skipped: ${reason})`}`, () => {
  beforeAll(makeDebian13, 600_000)

  it('holds the entry after an installation, and nothing after an uninstall', MINUTES, async () => {
    const windows = await newWindows()
    const machine = await fakeMachine('win32', () => ({}))
    const toWine = (word: string) => (word.startsWith(machine.scratch) ? winePath(word) : word)
    const run = async (program: string, args: readonly string[]) => {
      const { code, ...output } = await windows.run([program, ...args])
      return { status: code ?? undefined, ...output }
    }
    const manager = new RunKey({
      ...machine,
      run: (program, args) => run(program, args.map(toWine)),
      start: async () => undefined,
    })
    const launch: Launch = {
      command: [process.execPath, 'C:\\Users\\Zoë Müller 日本\\100% %PATH% $x & ^<b>\\cadzero-auth.cjs'],
      env: { CADZERO_AUTH_HOME: 'D:\\a b\\' },
    }
    expect(await manager.status(launch)).toMatchObject({ installed: false })
    await manager.install(launch)
    await manager.install(launch)
    const status = await manager.status(launch)
    expect(status).toMatchObject({ installed: true, enabled: true, command: launch.command })
    const approved = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\StartupApproved\\Run'
    const off = ['add', approved, '/v', 'cadzero-auth', '/t', 'REG_BINARY', '/d', '030000001122334455667788', '/f']
    await run('C:\\Windows\\System32\\reg.exe', off)
    expect(await manager.status(launch)).toMatchObject({ enabled: false })
    await manager.install(launch)
    expect(await manager.status(launch)).toMatchObject({ enabled: true })
    expect(await manager.uninstall()).toBe(true)
    expect(await manager.uninstall()).toBe(false)
    expect(await manager.status(launch)).toMatchObject({ installed: false })
  })
})
