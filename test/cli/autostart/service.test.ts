// `cadzero-auth service …` without a systemd that responds: its errors, stale units, uninstall and the log.
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { unitText } from '../../../src/autostart/systemd.ts'
import { runDoctor } from '../../support/doctor.ts'
import { PROGRAM, runProgram, startDaemonProcess, temporaryFolder } from '../../support/program.ts'
import { existingLaunch, launchFrom } from '../../support/service.ts'
import { newSandbox, newWorld, settingsOf } from '../../support/world.ts'

describe.runIf(process.platform === 'linux')('the service commands (Linux)', () => {
  /** A home folder without a unit, and no systemd that responds. */
  async function newHome() {
    const [home, user] = [await temporaryFolder(), await temporaryFolder()]
    const run = (args: string[], env: Record<string, string> = {}) =>
      runProgram(args, { home, env: { HOME: user, ...env } })
    return { home, user, run, unit: join(user, '.config/systemd/user/cadzero-auth.service') }
  }

  it('report that no service manager responds, and write nothing', async () => {
    const { user, run } = await newHome()
    const { code, stdout, stderr } = await run(['service', 'install'])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: no systemd user manager responds\nhint: .*every command starts the daemon/)
    expect(await readdir(user)).toEqual([])
    const restart = await run(['service', 'restart'])
    expect(restart).toMatchObject({ code: 1, stderr: expect.stringContaining('hint: run cadzero-auth daemon --stop:') })
    const status = await run(['service', 'status', '--json'])
    expect(JSON.parse(status.stdout)).toMatchObject({ installed: false, problem: null, daemon: null })
  })

  it('and the doctor report a stale unit', async () => {
    const { home, user, unit, run } = await newHome()
    const sandbox = await newSandbox()
    const doctor = async () => (await runDoctor(home, [], { HOME: user, ...settingsOf(sandbox) })).finding('service')
    expect(await doctor()).toMatchObject({ verdict: 'ok', found: expect.stringContaining('not installed') })
    await mkdir(join(unit, '..'), { recursive: true })
    await writeFile(unit, unitText(launchFrom('/nowhere')))
    expect(await doctor()).toMatchObject({
      verdict: 'failed',
      found: expect.stringContaining('/nowhere/cadzero-auth.cjs, which does not exist'),
      hint: 'cadzero-auth service install',
    })
    await writeFile(unit, unitText(await existingLaunch()))
    expect(await doctor()).toMatchObject({ verdict: 'warning', found: expect.stringContaining('not this program') })
    const own = { command: [process.execPath, PROGRAM], env: { CADZERO_AUTH_HOME: home } }
    await writeFile(unit, unitText(own).replace('RestartSec=1', 'RestartSec=9'))
    expect(await doctor()).toMatchObject({ verdict: 'warning', found: expect.stringContaining('another version') })
    const { stdout } = await run(['service', 'status'])
    expect(stdout).toContain('stale: another version or other folders')
  })

  it('keep only the session and the configuration after an uninstall, and nothing after --purge', async () => {
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
    await writeFile(join(home, 'config', 'notes.txt'), 'a note of the user')
    const kept = await run('uninstall')
    expect(kept).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('the service was not installed'),
    })
    expect(kept.stdout).toContain('the session, its key and the configuration are kept')
    expect(await files()).toEqual(['config.json', 'installation.json', 'notes.txt', 'production.jwe', 'store-key.jwk'])

    const daemon = await startDaemonProcess({ home, env })
    expect(await (await daemon.connect()).call('status')).toMatchObject({ state: 'signed_in' })
    const purged = await run('uninstall', '--purge')
    expect(purged).toMatchObject({ code: 0, stderr: '' })
    expect(purged.stdout).toContain(`stopped the daemon (process ${daemon.child.pid})`)
    const removed = [...purged.stdout.matchAll(/^removed: (.*)$/gm)].map(([, path]) => path)
    const expected = [
      'config/sessions/production.jwe',
      'config/config.json',
      'data/store-key.jwk',
      'config/sessions',
      'data',
    ]
    for (const path of expected) expect(removed).toContain(join(home, path))
    expect(removed.filter((path) => existsSync(String(path)))).toEqual([])
    expect(await run('uninstall', '--purge')).toMatchObject({ stdout: expect.stringContaining('no files were found') })
    expect(await files()).toEqual(['notes.txt'])
    expect(await readdir(home)).toEqual(['config'])
    await rm(join(home, 'config'), { recursive: true })
    const again = 'the service was not installed\nno files were found to remove\n' // it claims to keep no session
    expect(await run('uninstall')).toMatchObject({ code: 0, stdout: again })
    expect(sandbox.count('/oauth/token/revoke')).not.toBe(0)
  })

  it('show the log as text or as JSON', async () => {
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
