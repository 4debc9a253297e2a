// The systemd unit: its text for any path, systemd's own check of it, and an installation that fails.
import { spawnSync } from 'node:child_process'
import { mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Launch } from '../../src/autostart/service-manager.ts'
import { Systemd, unitProgram, unitText } from '../../src/autostart/systemd.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'
import { existingLaunch, fakeMachine, fakeSystemctl, launchFrom, SPECIAL_NAMES } from '../support/service.ts'

const ANALYZE = '/usr/bin/systemd-analyze'
const hasAnalyze = spawnSync(ANALYZE, ['--version']).status === 0

/** systemd accepts no quote or backslash in the path of a program; the path of a script may have them. */
function unitLaunchFrom(folder: string): Launch {
  const { command, env } = launchFrom(folder)
  return { command: [String(command[0]).replace(/["'\\]/g, ''), String(command[1])], env }
}

async function newSystemd(fails?: string) {
  const { unit, answer } = fakeSystemctl(fails)
  const machine = await fakeMachine('linux', answer)
  return { unit, machine, manager: new Systemd(machine, '/usr/bin/systemctl') }
}

describe('the unit text', () => {
  it.each(SPECIAL_NAMES)('keeps a path with %s in it', (name) => {
    const launch = unitLaunchFrom(`/opt/${name}`)
    expect(unitProgram(unitText(launch))).toEqual(launch.command)
  })

  it.each(["it's", '"it"', 'i\\t'])('is refused for a program in %s, which systemd would not start', (name) => {
    expect(() => unitText(launchFrom(`/opt/${name}`))).toThrow('quote or a backslash')
  })

  it('restricts the daemon, restarts it on failure, and replaces a running daemon', () => {
    const text = unitText(launchFrom('/opt/x'))
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

  it('uses the shared /tmp if the program or a folder is in it', () => {
    expect(unitText(launchFrom('/tmp/x'))).toContain('PrivateTmp=no')
    expect(unitText({ command: ['/opt/node'], env: { XDG_CONFIG_HOME: '/var/tmp/x' } })).toContain('PrivateTmp=no')
    expect(unitText(launchFrom('/opt/tmp/x'))).toContain('PrivateTmp=yes')
  })

  const skipped = hasAnalyze ? '' : ' (skipped: needs systemd-analyze)'
  it.skipIf(!hasAnalyze)(`passes systemd-analyze for every path${skipped}`, async () => {
    const units: string[] = []
    for (const name of SPECIAL_NAMES) {
      const launch = unitLaunchFrom(join(await temporaryFolder(), name))
      for (const path of launch.command) {
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, '#!/bin/sh\n', { mode: 0o755 })
      }
      const unit = join(await temporaryFolder(), `cadzero-auth-${units.length}.service`)
      await writeFile(unit, unitText(launch))
      units.push(unit)
    }
    const env = { PATH: '/usr/bin:/bin', HOME: await temporaryFolder(), XDG_RUNTIME_DIR: await temporaryFolder() }
    // It reports unknown settings and missing programs with exit status 0: any output is a fault.
    const { status, stdout, stderr } = spawnSync(ANALYZE, ['--user', '--man=no', 'verify', ...units], {
      env,
      encoding: 'utf8',
    })
    expect({ status, output: stdout + stderr }).toEqual({ status: 0, output: '' })
  })
})

describe.skipIf(isWindows)(`the systemd manager${needs('paths of POSIX')}`, () => {
  it.each(['daemon-reload', 'enable', 'restart'])('leaves nothing if systemctl %s fails', async (fails) => {
    const { unit, manager } = await newSystemd(fails)
    await expect(manager.install(await existingLaunch())).rejects.toMatchObject({
      message: expect.stringContaining(`Failed to ${fails}`),
      hint: expect.stringContaining('journalctl'),
    })
    await expect(stat(manager.place)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(unit).toMatchObject({ enabled: false, active: false })
  })

  it('restores the previous unit if the installation fails', async () => {
    const { machine, manager } = await newSystemd('restart')
    await mkdir(join(machine.home, '.config/systemd/user'), { recursive: true })
    await writeFile(manager.place, unitText(launchFrom('/opt/before')))
    await expect(manager.install(await existingLaunch())).rejects.toThrow('restart')
    expect(await readFile(manager.place, 'utf8')).toBe(unitText(launchFrom('/opt/before')))
  })

  it('does not write through a link', async () => {
    const { machine, manager } = await newSystemd()
    const other = join(machine.home, 'other')
    await writeFile(other, 'mine')
    await mkdir(join(machine.home, '.config/systemd/user'), { recursive: true })
    await symlink(other, manager.place)
    await expect(manager.install(await existingLaunch())).rejects.toMatchObject({ name: 'FileError' })
    expect(await readFile(other, 'utf8')).toBe('mine')
  })

  it('does not report a unit as outdated if only its comments differ', async () => {
    const { manager } = await newSystemd()
    const launch = await existingLaunch()
    await manager.install(launch)
    const text = await readFile(manager.place, 'utf8')
    await writeFile(manager.place, text.replace(/^# .*$/gm, '# another comment'))
    expect(await manager.status(launch)).toMatchObject({ problem: null })
    await writeFile(manager.place, text.replace('RestartSec=1', 'RestartSec=9'))
    expect(await manager.status(launch)).toMatchObject({ problem: 'outdated' })
  })
})

describe.skipIf(isWindows)(`a unit that a package has installed${needs('paths of POSIX')}`, () => {
  /** A package whose unit starts the program of the launch, on a machine whose systemctl makes and removes masks. */
  async function newPackage(launch: Launch) {
    const path = join(await temporaryFolder(), 'cadzero-auth.service')
    await writeFile(path, unitText(launch).replace(/^# .*$/m, '# Installed by a package'))
    const { unit, answer } = fakeSystemctl(undefined, path)
    const asked: string[] = []
    const machine = await fakeMachine('linux', async (args) => {
      asked.push(args.join(' '))
      if (args.includes('mask')) {
        await mkdir(dirname(manager.place), { recursive: true })
        await symlink('/dev/null', manager.place)
      }
      if (args.includes('unmask')) await rm(manager.place)
      return answer(args)
    })
    const manager: Systemd = new Systemd(machine, '/usr/bin/systemctl')
    return { path, unit, manager, asked }
  }

  it('counts as installed, and is what an installation starts', async () => {
    const launch = { ...(await existingLaunch()), env: {} }
    const { path, unit, manager } = await newPackage(launch)
    const found = { installed: true, enabled: true, place: path, command: launch.command, problem: null }
    expect(await manager.status(launch)).toMatchObject({ ...found, running: false })
    expect(await manager.install(launch)).toBe(true)
    expect(await manager.install(launch)).toBe(false)
    expect(unit.starts).toBe(1)
    expect(await manager.status(launch)).toMatchObject({ ...found, running: true })
    await expect(stat(manager.place)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('gets no link of the user’s own, which would outlive the package, unless it is not enabled for all users', async () => {
    const launch = { ...(await existingLaunch()), env: {} }
    const { unit, manager, asked } = await newPackage(launch)
    const enabled = () => asked.filter((words) => / enable /.test(words)).length
    await manager.install(launch)
    expect(enabled()).toBe(0)
    unit.enabled = false
    await manager.install(launch)
    expect(enabled()).toBe(1)
  })

  it('is masked for the user by an uninstall, and unmasked by the next installation', async () => {
    const launch = { ...(await existingLaunch()), env: {} }
    const { path, unit, manager } = await newPackage(launch)
    expect(await manager.uninstall(launch)).toBe(true)
    expect(unit.masked).toBe(true)
    expect(await manager.status(launch)).toMatchObject({ installed: false, running: false })
    expect(await manager.uninstall(launch)).toBe(false)
    expect(await manager.install(launch)).toBe(true)
    expect(unit).toMatchObject({ masked: false, active: true })
    expect(await manager.status(launch)).toMatchObject({ installed: true, place: path })
  })

  it('counts for none if the administrator, or its removal, has masked it for all users', async () => {
    const launch = { ...(await existingLaunch()), env: {} }
    const { path, unit, manager } = await newPackage(launch)
    await rm(path)
    await symlink('/dev/null', path)
    unit.maskedForAll = true
    expect(await manager.status(launch)).toMatchObject({ installed: false, problem: null })
    expect(await manager.uninstall(launch)).toBe(false)
    expect(unit.masked).toBe(false)
    expect(await manager.install(launch)).toBe(true)
    expect(await readFile(manager.place, 'utf8')).toBe(unitText(launch))
  })

  it('does not serve a program of another folder, which gets a unit of its own', async () => {
    const { manager } = await newPackage({ ...(await existingLaunch()), env: {} })
    const other = await existingLaunch()
    expect(await manager.status(other)).toMatchObject({ installed: true, problem: 'other_program' })
    await manager.install(other)
    expect(await manager.status(other)).toMatchObject({ installed: true, place: manager.place, problem: null })
  })

  it('is not switched off by an uninstall of a program of another folder', async () => {
    const { unit, manager, path } = await newPackage({ ...(await existingLaunch()), env: {} })
    const other = await existingLaunch()
    unit.active = true
    expect(await manager.uninstall(other)).toBe(false)
    expect(unit).toMatchObject({ masked: false, active: true })
    await manager.install(other)
    expect(await manager.uninstall(other)).toBe(true)
    expect(unit.masked).toBe(false)
    expect(await manager.status(other)).toMatchObject({ installed: true, place: path, problem: 'other_program' })
  })
})
