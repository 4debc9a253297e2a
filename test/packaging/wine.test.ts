// The Run key in a real registry: reg.exe of Wine, with letters and quotes that paths may have.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { Launch } from '../../src/autostart/service-manager.ts'
import { RunKey } from '../../src/autostart/windows.ts'
import { temporaryFolder } from '../support/folder.ts'
import { fakeMachine } from '../support/service.ts'

const hasWine = spawnSync('wine', ['--version']).status === 0
const reason = hasWine ? '' : ' (skipped: needs wine, wine64)'

/** Returns a function that runs a Windows program in a Wine prefix, which ends with the test. */
async function newWinePrefix() {
  const prefix = await temporaryFolder()
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, LANG: 'C.UTF-8', WINEPREFIX: prefix, WINEDEBUG: '-all', WINEARCH: 'win64' }
  onTestFinished(() => void spawnSync('wineserver', ['--kill', '--wait'], { env }))
  return async (program: string, args: readonly string[]) => {
    // Files, since programs under Wine do not write to pipes.
    const [out, err] = [join(prefix, 'stdout'), join(prefix, 'stderr')]
    const [stdout, stderr] = [await open(out, 'w'), await open(err, 'w')]
    const child = spawn('wine', [program, ...args], { env, stdio: ['ignore', stdout.fd, stderr.fd] })
    const [status] = await once(child, 'exit')
    await Promise.all([stdout.close(), stderr.close()])
    return { status, stdout: await readFile(out, 'latin1'), stderr: await readFile(err, 'latin1') }
  }
}

it.skipIf(!hasWine)(
  `the Run key holds the entry after an installation, and nothing after an uninstall${reason}`,
  async () => {
    const windows = await newWinePrefix()
    const machine = await fakeMachine('win32', () => ({}))
    // The path of the same file under Wine.
    const toWine = (word: string) => (word.startsWith(machine.scratch) ? `Z:${word.replaceAll('/', '\\')}` : word)
    const manager = new RunKey({
      ...machine,
      run: (program, args) => windows(program, args.map(toWine)),
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
    await windows('C:\\Windows\\System32\\reg.exe', off)
    expect(await manager.status(launch)).toMatchObject({ enabled: false })
    await manager.install(launch)
    expect(await manager.status(launch)).toMatchObject({ enabled: true })
    expect(await manager.uninstall()).toBe(true)
    expect(await manager.uninstall()).toBe(false)
    expect(await manager.status(launch)).toMatchObject({ installed: false })
  },
  120_000,
)
