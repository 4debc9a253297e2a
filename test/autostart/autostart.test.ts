// What starts the daemon at log-on: the entries for any path, installing twice, stale entries, and what an uninstall leaves.
import { spawnSync } from 'node:child_process'
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Launchd, plistProgram, plistText } from '../../src/autostart/launchd.ts'
import type { Launch, ServiceManager } from '../../src/autostart/service-manager.ts'
import { Systemd, unitProgram, unitText } from '../../src/autostart/systemd.ts'
import { exportedValue, isWindowed, RunKey, runLine, runWords } from '../../src/autostart/windows.ts'
import { describeLine } from '../../src/cli/autostart/logs.ts'
import { withoutConsole } from '../../src/cli/autostart/machine.ts'
import type { Finding } from '../../src/cli/doctor/doctor.ts'
import { systemFiles } from '../../src/host/files.ts'
import { PROGRAM, runProgram, startDaemonProcess, temporaryFolder } from '../support/program.ts'
import {
  type FakeMachine,
  fakeLaunchctl,
  fakeMachine,
  fakeRegistry,
  fakeSystemctl,
  NASTY,
  nastyFolder,
} from '../support/service.ts'
import { newSandbox, newWorld, settingsOf } from '../support/world.ts'

const has = (program: string, ...args: string[]) => spawnSync(program, args).status === 0
const analyze = '/usr/bin/systemd-analyze'
const hasAnalyze = has(analyze, '--version')
const python = '/usr/bin/python3'
const hasPython = has(python, '-c', 'import plistlib')

const launchOf = (folder: string): Launch => ({
  command: [`${folder}/node`, `${folder}/cadzero-auth.cjs`],
  env: { CADZERO_AUTH_HOME: `${folder}/home` },
})

/** systemd takes no program with a quote or a backslash in its path; a script may have them. */
const unitLaunchOf = (folder: string): Launch => {
  const { command, env } = launchOf(folder)
  return { command: [String(command[0]).replace(/["'\\]/g, ''), String(command[1])], env }
}

/** A program and a script that are there. */
async function realLaunch(): Promise<Launch> {
  const folder = await temporaryFolder()
  const command = [join(folder, 'node'), join(folder, 'cadzero-auth.cjs')]
  for (const path of command) await writeFile(path, '#!/bin/sh\n', { mode: 0o755 })
  return { command, env: { CADZERO_AUTH_HOME: folder } }
}

describe('the systemd unit', () => {
  it.each(NASTY)('holds a path with %s in it', async (name) => {
    const launch = unitLaunchOf(`/opt/${name}`)
    expect(unitProgram(unitText(launch))).toEqual(launch.command)
  })

  it('is refused for a program that systemd would not start', () => {
    for (const name of ["it's", '"it"', 'i\\t']) {
      expect(() => unitText(launchOf(`/opt/${name}`))).toThrow('quote or a backslash')
    }
  })

  it('is hardened, is restarted when it fails, and takes over from a daemon that runs', () => {
    const text = unitText(launchOf('/opt/x'))
    for (const line of [
      'NoNewPrivileges=yes',
      'PrivateTmp=yes',
      'UMask=0177',
      'LimitCORE=0',
      'Restart=on-failure',
      'ExecStart="/opt/x/node" "/opt/x/cadzero-auth.cjs" daemon --replace',
      'Environment="CADZERO_AUTH_HOME=/opt/x/home"',
      'WantedBy=default.target',
    ]) {
      expect(text.split('\n')).toContain(line)
    }
  })

  it('has everybody’s /tmp where the program or its folders are in it', () => {
    expect(unitText(launchOf('/tmp/x'))).toContain('PrivateTmp=no')
    expect(unitText({ command: ['/opt/node'], env: { XDG_CONFIG_HOME: '/var/tmp/x' } })).toContain('PrivateTmp=no')
    expect(unitText(launchOf('/opt/tmp/x'))).toContain('PrivateTmp=yes')
  })

  const why = hasAnalyze ? '' : ' (skipped: needs systemd-analyze)'
  it.skipIf(!hasAnalyze)(`is a unit without a fault for systemd itself, whatever the path${why}`, async () => {
    const units: string[] = []
    for (const name of NASTY) {
      const folder = await nastyFolder(name)
      const launch = unitLaunchOf(folder)
      for (const path of launch.command) {
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, '#!/bin/sh\n', { mode: 0o755 })
      }
      const unit = join(await temporaryFolder(), `cadzero-auth-${units.length}.service`)
      await writeFile(unit, unitText(launch))
      units.push(unit)
    }
    const env = { PATH: '/usr/bin:/bin', HOME: await temporaryFolder(), XDG_RUNTIME_DIR: await temporaryFolder() }
    // It says unknown settings and missing programs without failing: any word is a fault.
    const ran = spawnSync(analyze, ['--user', '--man=no', 'verify', ...units], { env, encoding: 'utf8' })
    expect({ status: ran.status, said: ran.stdout + ran.stderr }).toEqual({ status: 0, said: '' })
  })
})

describe('the launchd agent', () => {
  it.each(NASTY)('holds a path with %s in it', (name) => {
    const launch = launchOf(`/Users/${name}`)
    expect(plistProgram(plistText(launch))).toEqual(launch.command)
  })

  const why = hasPython ? '' : ' (skipped: needs python3)'
  it.skipIf(!hasPython)(`is a property list for another parser, whatever the path${why}`, () => {
    for (const name of NASTY) {
      const launch = launchOf(`/Users/${name}`)
      const script = 'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))'
      const ran = spawnSync(python, ['-c', script], { input: plistText(launch), encoding: 'utf8' })
      expect(ran.stderr).toBe('')
      expect(JSON.parse(ran.stdout)).toEqual({
        Label: 'com.cadzero.auth',
        ProgramArguments: [...launch.command, 'daemon', '--replace'],
        EnvironmentVariables: launch.env,
        RunAtLoad: true,
        KeepAlive: { SuccessfulExit: false },
        ProcessType: 'Background',
        ExitTimeOut: 25,
        Umask: 0o177,
        SoftResourceLimits: { Core: 0 },
        HardResourceLimits: { Core: 0 },
      })
    }
  })

  it('refuses a path that XML cannot say', () => {
    expect(() => plistText(launchOf('/Users/\u0007'))).toThrow('control character')
  })
})

describe('the line for the Run key', () => {
  const conhost = 'C:\\Windows\\System32\\conhost.exe'

  it('gives a script a console without a window, and a windowed program none', () => {
    const node = 'C:\\Program Files\\nodejs\\node.exe'
    const script = { command: [node, 'C:\\app\\cadzero-auth.cjs'], env: {} }
    expect(runLine(script, conhost)).toBe(`${conhost} --headless "${node}" C:\\app\\cadzero-auth.cjs daemon`)
    const windowed = { command: ['C:\\my app\\cadzero-auth.exe'], env: { CADZERO_AUTH_HOME: 'D:\\a b\\' } }
    expect(runLine(windowed, undefined)).toBe('"C:\\my app\\cadzero-auth.exe" daemon --home "D:\\a b\\\\"')
  })

  it.each(NASTY)('holds a path with %s in it', (name) => {
    const command = [`C:\\${name}\\node.exe`, `\\\\server\\${name}\\\\cadzero-auth.cjs`]
    for (const one of [conhost, undefined]) {
      expect(runWords(runLine({ command, env: {} }, one))).toEqual([...command, 'daemon'])
    }
  })

  it('is refused where Windows would ignore it', () => {
    expect(() => runLine(launchOf(`C:\\${'x'.repeat(90)}`), conhost)).toThrow('too long for Windows')
  })

  it('is read from an exported registry file', () => {
    const text =
      '\ufeff[HKEY_CURRENT_USER\\…\\Run]\r\n"other"="x"\r\n"cadzero-auth"="\\"C:\\\\Zoë\\\\a.exe\\" daemon"\r\n'
    expect(exportedValue(text)).toBe('"C:\\Zoë\\a.exe" daemon')
    expect(exportedValue('"other"="cadzero-auth"\r\n')).toBeUndefined()
  })

  it('tells a windowed program from one with a console by its header', () => {
    const program = (subsystem: number) => {
      const head = Buffer.alloc(512)
      head.writeUInt32LE(128, 60)
      head.writeUInt16LE(subsystem, 128 + 92)
      return head
    }
    expect([isWindowed(program(2)), isWindowed(program(3))]).toEqual([true, false])
    expect([isWindowed(Buffer.from('#!/bin/sh')), isWindowed(Buffer.alloc(0))]).toEqual([false, false])
  })
})

interface Kind {
  readonly name: string
  make(): Promise<{ machine: FakeMachine; manager: ServiceManager; starts(): number; disable(): void }>
}

const KINDS: readonly Kind[] = [
  {
    name: 'systemd',
    async make() {
      const { unit, answer } = fakeSystemctl()
      const machine = await fakeMachine('linux', answer)
      const disable = () => {
        unit.enabled = false
      }
      return { machine, manager: new Systemd(machine, '/usr/bin/systemctl'), starts: () => unit.starts, disable }
    },
  },
  {
    name: 'launchd',
    async make() {
      const { agent, answer } = fakeLaunchctl()
      const machine = await fakeMachine('darwin', answer)
      const disable = () => {
        agent.disabled = true
      }
      return { machine, manager: new Launchd(machine), starts: () => agent.starts, disable }
    },
  },
  {
    name: 'the Run key',
    async make() {
      const { values, answer } = fakeRegistry()
      const machine = await fakeMachine('win32', answer)
      const off = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\StartupApproved\\Run\\cadzero-auth'
      const disable = () => void values.set(off, '030000001122334455667788')
      return { machine, manager: new RunKey(machine), starts: () => machine.started.length, disable }
    },
  },
]

describe.each(KINDS)('$name', ({ name, make }) => {
  it('installs, says what it starts, and is harmless a second time', async () => {
    const { machine, manager, starts } = await make()
    const launch = await realLaunch()
    expect(await manager.status(launch)).toMatchObject({ installed: false, enabled: false, problem: null, command: [] })
    expect(await manager.install(launch)).toBe(true)
    const status = { installed: true, enabled: true, command: launch.command, problem: null }
    expect(await manager.status(launch)).toMatchObject(status)
    const before = await readdir(machine.home, { recursive: true })
    const again = await manager.install(launch)
    expect(await manager.status(launch)).toMatchObject(status)
    expect(await readdir(machine.home, { recursive: true })).toEqual(before)
    // The Run key does not watch over what it has started: whichever runs is replaced.
    expect({ again, starts: starts() }).toEqual(
      name === 'the Run key' ? { again, starts: 2 } : { again: false, starts: 1 },
    )
  })

  it('restarts', async () => {
    const { manager, starts } = await make()
    await manager.install(await realLaunch())
    await manager.restart()
    expect(starts()).toBe(2)
  })

  it('sees an entry that is stale or switched off, and an install mends it', async () => {
    const { manager, disable } = await make()
    const [first, second] = [await realLaunch(), await realLaunch()]
    await manager.install(first)
    expect(await manager.status(second)).toMatchObject({ problem: 'other_program', command: first.command })
    const moved = { ...first, env: { CADZERO_AUTH_HOME: '/elsewhere' } }
    expect(await manager.status(moved)).toMatchObject({ problem: 'outdated' })
    await rm(String(first.command[1]))
    expect(await manager.status(second)).toMatchObject({ problem: 'missing_target' })
    disable()
    expect(await manager.status(second)).toMatchObject({ enabled: false })
    await manager.install(second)
    expect(await manager.status(second)).toMatchObject({ problem: null, enabled: true, command: second.command })
  })

  it('leaves nothing when it is uninstalled, and that twice is harmless', async () => {
    const { machine, manager } = await make()
    const launch = await realLaunch()
    await manager.install(launch)
    expect(await manager.uninstall()).toBe(true)
    expect(await manager.uninstall()).toBe(false)
    expect(await manager.status(launch)).toMatchObject({ installed: false })
    const left = await readdir(machine.home, { recursive: true, withFileTypes: true })
    expect(left.filter((one) => !one.isDirectory())).toEqual([])
  })
})

describe('an install that fails', () => {
  it.each(['daemon-reload', 'enable', 'restart'])('at systemctl %s leaves nothing', async (fails) => {
    const { unit, answer } = fakeSystemctl(fails)
    const machine = await fakeMachine('linux', answer)
    const manager = new Systemd(machine, '/usr/bin/systemctl')
    await expect(manager.install(await realLaunch())).rejects.toMatchObject({
      message: expect.stringContaining(`Failed to ${fails}`),
      hint: expect.stringContaining('journalctl'),
    })
    await expect(stat(manager.place)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(unit).toMatchObject({ enabled: false, active: false })
  })

  it('puts back the entry from before', async () => {
    const { answer } = fakeSystemctl('restart')
    const machine = await fakeMachine('linux', answer)
    const manager = new Systemd(machine, '/usr/bin/systemctl')
    await mkdir(join(machine.home, '.config/systemd/user'), { recursive: true })
    await writeFile(manager.place, unitText(launchOf('/opt/before')))
    await expect(manager.install(await realLaunch())).rejects.toThrow('restart')
    expect(await readFile(manager.place, 'utf8')).toBe(unitText(launchOf('/opt/before')))
  })

  it('at launchctl bootstrap leaves nothing', async () => {
    const machine = await fakeMachine('darwin', fakeLaunchctl('bootstrap').answer)
    const manager = new Launchd(machine)
    await expect(manager.install(await realLaunch())).rejects.toThrow('Input/output error')
    await expect(stat(manager.place)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('at a start that Windows refuses leaves nothing', async () => {
    const { values, answer } = fakeRegistry()
    const machine = await fakeMachine('win32', answer)
    const manager = new RunKey({ ...machine, start: () => Promise.reject(new Error('no')) })
    await expect(manager.install(await realLaunch())).rejects.toThrow('no')
    expect(values.size).toBe(0)
  })

  it('finds a manager missing before it writes anything', async () => {
    for (const platform of ['linux', 'darwin'] as const) {
      const machine = await fakeMachine(platform, () => ({ status: 1 }))
      const manager = platform === 'linux' ? new Systemd(machine, '/usr/bin/systemctl') : new Launchd(machine)
      await expect(manager.install(await realLaunch())).rejects.toMatchObject({
        name: 'ServiceError',
        hint: expect.stringContaining('starts the daemon by itself'),
      })
      expect(await readdir(machine.home)).toEqual([])
    }
  })

  it('does not write through a link', async () => {
    const machine = await fakeMachine('linux', fakeSystemctl().answer)
    const manager = new Systemd(machine, '/usr/bin/systemctl')
    const other = join(machine.home, 'other')
    await writeFile(other, 'mine')
    await mkdir(join(machine.home, '.config/systemd/user'), { recursive: true })
    await symlink(other, manager.place)
    await expect(manager.install(await realLaunch())).rejects.toMatchObject({ name: 'FileError' })
    expect(await readFile(other, 'utf8')).toBe('mine')
  })
})

describe.runIf(process.platform === 'linux')('the service commands', () => {
  /** A home of its own, where the unit would be, and no systemd that could be asked. */
  async function newHome() {
    const [home, user] = [await temporaryFolder(), await temporaryFolder()]
    const run = (args: string[], env: Record<string, string> = {}) =>
      runProgram(args, { home, env: { HOME: user, ...env } })
    return { home, user, run, unit: join(user, '.config/systemd/user/cadzero-auth.service') }
  }

  it('say plainly that there is no manager, and write nothing', async () => {
    const { user, run } = await newHome()
    const { code, stdout, stderr } = await run(['service', 'install'])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: no systemd user manager answers here\nhint: .*every command starts the daemon/)
    expect(await readdir(user)).toEqual([])
    const restart = await run(['service', 'restart'])
    expect(restart).toMatchObject({ code: 1, stderr: expect.stringContaining('hint: cadzero-auth service install') })
    const status = await run(['service', 'status', '--json'])
    expect(JSON.parse(status.stdout)).toMatchObject({ installed: false, problem: null, daemon: null })
  })

  it('have the doctor see what is stale', async () => {
    const { home, unit, run } = await newHome()
    const sandbox = await newSandbox()
    const doctor = async () => {
      const { stdout } = await run(['doctor', '--json'], settingsOf(sandbox))
      return (JSON.parse(stdout) as Finding[]).find(({ check }) => check === 'service')
    }
    expect(await doctor()).toMatchObject({ verdict: 'ok', found: expect.stringContaining('not installed') })
    await mkdir(join(unit, '..'), { recursive: true })
    await writeFile(unit, unitText(launchOf('/nowhere')))
    expect(await doctor()).toMatchObject({
      verdict: 'failed',
      found: expect.stringContaining('/nowhere/cadzero-auth.cjs, which is no longer there'),
      hint: 'cadzero-auth service install',
    })
    await writeFile(unit, unitText(await realLaunch()))
    expect(await doctor()).toMatchObject({ verdict: 'warning', found: expect.stringContaining('not this program') })
    const own = { command: [process.execPath, PROGRAM], env: { CADZERO_AUTH_HOME: home } }
    await writeFile(unit, unitText(own).replace('RestartSec=1', 'RestartSec=9'))
    expect(await doctor()).toMatchObject({ verdict: 'warning', found: expect.stringContaining('another version') })
    const { stdout } = await run(['service', 'status'])
    expect(stdout).toContain('stale: this program would enter it otherwise')
  })

  it('leave nothing but the session after an uninstall, and nothing at all after --purge', async () => {
    const { sandbox, home, env, signIn } = await newWorld()
    await signIn()
    const user = await temporaryFolder()
    const run = (...args: string[]) => runProgram(['service', ...args], { home, env: { ...env, HOME: user } })
    const files = async () => {
      const entries = await readdir(home, { recursive: true, withFileTypes: true })
      return entries
        .filter((one) => one.isFile())
        .map((one) => one.name)
        .sort()
    }
    await writeFile(join(home, 'config', 'config.json'), '{}')
    await writeFile(join(home, 'config', 'notes.txt'), 'not ours')
    const kept = await run('uninstall')
    expect(kept).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('it was not installed') })
    expect(await files()).toEqual(['config.json', 'notes.txt', 'production.jwe', 'store-key.jwk'])

    const daemon = await startDaemonProcess({ home, env })
    expect(await (await daemon.connect()).call('status')).toMatchObject({ state: 'signed_in' })
    const purged = await run('uninstall', '--purge')
    expect(purged).toMatchObject({ code: 0, stderr: '' })
    expect(await files()).toEqual(['notes.txt'])
    expect(await readdir(home)).toEqual(['config'])
    expect(sandbox.count('/oauth/token/revoke')).not.toBe(0)
  })

  it('show the log as a person reads it', async () => {
    const { home, run } = await newHome()
    const daemon = await startDaemonProcess({ home })
    await daemon.stop()
    const { code, stdout } = await run(['service', 'logs', '-n', '2'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\d{4}-\S+Z {2}info {3}stopping {2}reason=SIGTERM\n\S+Z {2}info {3}stopped\n$/)
    const json = await run(['service', 'logs', '-n', '1', '--json'])
    expect(JSON.parse(json.stdout)).toMatchObject({ event: 'stopped' })
    expect(await run(['service', 'logs', '-n', 'all'])).toMatchObject({ code: 2 })
    expect(await run(['service'])).toMatchObject({ code: 2 })
  })
})

describe('a line of the log', () => {
  it.each([
    ['{"level":40,"time":"T","event":"a","reason":"two words","ms":3}', 'T  warn   a  reason="two words"  ms=3'],
    ['{"level":35,"time":"T","event":"a"}', 'T  35     a'],
    ['no JSON \u001b[31m \u0085', 'no JSON \\u001b[31m \\u0085'],
    ['{"level":30,"time":"T","event":"\\u001b]0;x"}', 'T  info   "\\u001b]0;x"'],
    ['7', '7'],
  ])('%j is shown as %j', (line, shown) => expect(describeLine(line)).toBe(shown))
})

describe('the executable that a service starts', () => {
  it('is the one without a window where that lies beside it, and else the program itself', async () => {
    const folder = await temporaryFolder()
    const program = join(folder, 'cadzero-auth-1.0.0-win-x64.exe')
    expect(await withoutConsole(systemFiles, program)).toBe(program)
    await writeFile(join(folder, 'cadzero-authd-1.0.0-win-x64.exe'), '')
    expect(await withoutConsole(systemFiles, program)).toBe(join(folder, 'cadzero-authd-1.0.0-win-x64.exe'))
    expect(await withoutConsole(systemFiles, '/usr/bin/cadzero-auth')).toBe('/usr/bin/cadzero-auth')
  })
})
