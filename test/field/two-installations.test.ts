// Two installations with one configuration folder, as a terminal inside a snap has: the other's session is never harmed.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { type ProgramOptions, runProgram, spawnProgram, stopDaemonAfterTest } from '../support/program.ts'
import { newSandbox, settingsOf } from '../support/world.ts'

async function newInstallations() {
  const [sandbox, home] = [await newSandbox(), await temporaryFolder()]
  const install = (data: string): ProgramOptions => {
    const folders = { CADZERO_AUTH_HOME: '', HOME: home, XDG_CONFIG_HOME: join(home, 'config'), XDG_DATA_HOME: data }
    const options = { home, env: { ...settingsOf(sandbox), ...folders, XDG_STATE_HOME: join(data, 'state') } }
    stopDaemonAfterTest(options)
    return options
  }
  const signIn = async (options: ProgramOptions, ...args: string[]) => {
    const login = spawnProgram(['login', '--no-browser', ...args], options)
    await sandbox.signIn(await login.stderrMatch(/^\s+(http:\S+)\n/m))
    return await login.ended
  }
  return {
    sandbox,
    signIn,
    own: install(join(home, 'share')),
    other: install(join(home, 'snap/code/173/.local/share')),
    sessions: async () => (await readdir(join(home, 'config/cadzero-auth/sessions'))).sort(),
  }
}

it.skipIf(process.platform !== 'linux')(
  'the other installation names both places, and signs in only if the user says so',
  { timeout: 90_000 },
  async () => {
    const { sandbox, signIn, own, other, sessions } = await newInstallations()
    expect((await signIn(own)).code).toBe(0)
    for (const command of [['status'], ['header'], ['login', '--no-browser'], ['logout']]) {
      const { code, stderr } = await runProgram(command, other)
      expect({ command, code }).toEqual({ command, code: 1 })
      expect(stderr).toMatch(/^error: store unavailable: other_installation\nhint: .*:\S+share\/cadzero-auth.*\/snap\//)
      await runProgram(['daemon', '--stop'], other) // the next command starts it anew
    }
    expect((await runProgram(['refresh'], own)).code).toBe(0)
    expect(await sessions()).toEqual(['production.jwe'])
    expect(sandbox.count('/oauth/token/revoke')).toBe(0)

    expect((await signIn(other, '--take-over')).code).toBe(0)
    expect(await sessions()).toEqual(['production.jwe', expect.stringMatching(/^production\.jwe\.other-/)])
    await runProgram(['daemon', '--stop'], own)
    expect((await runProgram(['status'], own)).stderr).toContain('other_installation')
    expect((await runProgram(['refresh'], other)).code).toBe(0)
    expect(sandbox.count('/oauth/token/revoke')).toBe(0)
  },
)
