// What the three service managers have in common: install, status, restart and uninstall.
import { readdir, rm } from 'node:fs/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { Launchd } from '../../src/autostart/launchd.ts'
import { serviceManagerOf } from '../../src/autostart/platform.ts'
import type { ServiceManager } from '../../src/autostart/service-manager.ts'
import { Systemd } from '../../src/autostart/systemd.ts'
import { RunKey } from '../../src/autostart/windows.ts'
import { isWindows, needs } from '../support/posix.ts'
import {
  existingLaunch,
  type FakeMachine,
  fakeLaunchctl,
  fakeMachine,
  fakeRegistry,
  fakeSystemctl,
} from '../support/service.ts'

interface Kind {
  readonly name: string
  make(): Promise<{ machine: FakeMachine; manager: ServiceManager; starts(): number; disable(): void }>
}

const KINDS: readonly Kind[] = [
  {
    name: `systemd${needs('paths of POSIX')}`,
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
  beforeEach(({ skip }) => skip(isWindows && name.startsWith('systemd')))

  it('installs the daemon and reports what it starts; a second installation changes nothing', async () => {
    const { machine, manager, starts } = await make()
    const launch = await existingLaunch()
    expect(await manager.status(launch)).toMatchObject({ installed: false, enabled: false, problem: null, command: [] })
    expect(await manager.install(launch)).toBe(true)
    const status = { installed: true, enabled: true, command: launch.command, problem: null }
    expect(await manager.status(launch)).toMatchObject(status)
    const before = await readdir(machine.home, { recursive: true })
    const again = await manager.install(launch)
    expect(await manager.status(launch)).toMatchObject(status)
    expect(await readdir(machine.home, { recursive: true })).toEqual(before)
    // Windows does not supervise the daemon: a second installation replaces the one that is running.
    expect({ again, starts: starts() }).toEqual(
      name === 'the Run key' ? { again, starts: 2 } : { again: false, starts: 1 },
    )
  })

  it('restarts the daemon', async () => {
    const { manager, starts } = await make()
    await manager.install(await existingLaunch())
    await manager.restart()
    expect(starts()).toBe(2)
  })

  it('reports an entry that is stale or disabled, and an installation corrects it', async () => {
    const { manager, disable } = await make()
    const [first, second] = [await existingLaunch(), await existingLaunch()]
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

  it('leaves nothing after an uninstall, which may be repeated', async () => {
    const { machine, manager } = await make()
    const launch = await existingLaunch()
    await manager.install(launch)
    expect(await manager.uninstall(launch)).toBe(true)
    expect(await manager.uninstall(launch)).toBe(false)
    expect(await manager.status(launch)).toMatchObject({ installed: false })
    const rest = await readdir(machine.home, { recursive: true, withFileTypes: true })
    expect(rest.filter((one) => !one.isDirectory())).toEqual([])
  })
})

describe('a system without a usable service manager', () => {
  it.each(['linux', 'darwin'] as const)('is reported on %s before anything is written', async (platform) => {
    const machine = await fakeMachine(platform, () => ({ status: 1 }))
    const manager = platform === 'linux' ? new Systemd(machine, '/usr/bin/systemctl') : new Launchd(machine)
    await expect(manager.install(await existingLaunch())).rejects.toMatchObject({
      name: 'ServiceError',
      hint: expect.stringContaining('every command starts the daemon'),
    })
    expect(await readdir(machine.home)).toEqual([])
  })

  it('is reported on another platform', async () => {
    const machine = await fakeMachine('aix', () => ({}))
    expect(() => serviceManagerOf(machine)).toThrow('no service for aix')
  })
})
