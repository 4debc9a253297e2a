// The launchd agent: its property list for any path, and an installation that fails.
import { spawnSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Launchd, plistProgram, plistText } from '../../src/autostart/launchd.ts'
import { existingLaunch, fakeLaunchctl, fakeMachine, launchFrom, SPECIAL_NAMES } from '../support/service.ts'

const PYTHON = '/usr/bin/python3'
const hasPython = spawnSync(PYTHON, ['-c', 'import plistlib']).status === 0

describe('the property list', () => {
  it.each(SPECIAL_NAMES)('keeps a path with %s in it', (name) => {
    const launch = launchFrom(`/Users/${name}`)
    expect(plistProgram(plistText(launch))).toEqual(launch.command)
  })

  const skipped = hasPython ? '' : ' (skipped: needs python3)'
  it.skipIf(!hasPython)(`has the same content for another parser, for every path${skipped}`, () => {
    for (const name of SPECIAL_NAMES) {
      const launch = launchFrom(`/Users/${name}`)
      const script = 'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))'
      const { stdout, stderr } = spawnSync(PYTHON, ['-c', script], { input: plistText(launch), encoding: 'utf8' })
      expect(stderr).toBe('')
      expect(JSON.parse(stdout)).toEqual({
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

  it('is refused for a path with a control character, which XML cannot contain', () => {
    expect(() => plistText(launchFrom('/Users/\u0007'))).toThrow('control character')
  })
})

describe('the launchd manager', () => {
  it('leaves nothing if launchctl bootstrap fails', async () => {
    const machine = await fakeMachine('darwin', fakeLaunchctl('bootstrap').answer)
    const manager = new Launchd(machine)
    await expect(manager.install(await existingLaunch())).rejects.toThrow('Input/output error')
    await expect(stat(manager.place)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
