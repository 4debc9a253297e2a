// The doctor on this computer and on an OAuth profile: a finding and a hint for each thing that is wrong.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runDoctor } from '../../support/doctor.ts'
import { programOfVersion } from '../../support/other-version.ts'
import { isWindows, isWine, needs, wineLacks } from '../../support/posix.ts'
import { runProgram, startDaemonProcess, temporaryFolder } from '../../support/program.ts'
import { newSandbox, newWorld, settingsOf } from '../../support/world.ts'

describe('doctor', () => {
  it.skipIf(isWine)(
    `exits with 0 and finds nothing wrong if nothing is wrong${wineLacks('icacls says nothing')}`,
    async () => {
      const { home, env, signIn } = await newWorld()
      await signIn()
      const browser = { CADZERO_AUTH_BROWSER: process.execPath } // a program that exists on each system
      const { code, stdout } = await runProgram(['doctor', '--json'], { home, env: { ...env, ...browser } })
      const findings = JSON.parse(stdout) as { check: string; verdict: string }[]
      expect(findings.filter(({ verdict }) => verdict !== 'ok')).toEqual([])
      expect(code).toBe(0)
      for (const check of [
        'configuration',
        'keyring',
        'browser',
        'redirect port',
        'clock',
        'daemon',
        'session',
        'store',
        'token',
      ]) {
        expect(findings.map((finding) => finding.check)).toContain(check)
      }
    },
  )

  it('reports everything that is wrong, each with a hint', async () => {
    const sandbox = await newSandbox({ metadata: { scopes_supported: ['openid'] } })
    const home = await temporaryFolder()
    const { code, stdout } = await runProgram(['doctor'], { home, env: settingsOf(sandbox) })
    expect(code).toBe(1)
    expect(stdout).toMatch(/FAILED {3}scopes: not supported: profile, email, offline_access\n\s+hint: /)
    expect(stdout).toMatch(/warning {2}daemon: no daemon is running\n\s+hint: /)
  })

  it.skipIf(isWindows)(`reports a file that other users can read${needs('file modes')}`, async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'data'), { mode: 0o700 })
    await writeFile(join(home, 'data', 'store-key.jwk'), '{}')
    await chmod(join(home, 'data', 'store-key.jwk'), 0o644)
    const { code, stdout } = await runProgram(['doctor'], { home })
    expect(code).toBe(1)
    expect(stdout).toMatch(/FAILED {3}file .*store-key\.jwk: .*other users may read or write it/)
  })

  it.skipIf(process.platform !== 'linux')(
    `says that the key is in a file without a keyring, not who can read it${process.platform === 'linux' ? '' : ' (Linux)'}`,
    async () => {
      const env = { CADZERO_AUTH_KEY_PROTECTION: 'auto', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' }
      const found = (await runDoctor(await temporaryFolder(), [], env)).finding('keyring')
      expect(found).toMatchObject({ verdict: 'warning', found: expect.stringContaining('no keyring') })
      expect(found?.hint).toContain('the key is in a file')
      expect(found?.hint).not.toContain('only you')
    },
  )

  it.each([
    ['1.4.0', (program: string) => `use ${program}, which is newer`],
    ['0.9.0', () => 'daemon --stop'],
  ])('and service status name the program of a daemon that another copy has started: %s', async (other, hint) => {
    const home = await temporaryFolder()
    const command = await programOfVersion(other)
    await startDaemonProcess({ home, program: command })
    const { pid } = JSON.parse(await readFile(join(home, 'data', 'endpoint.json'), 'utf8'))
    const found = (await runDoctor(home)).finding('daemon')
    expect(found).toMatchObject({ verdict: 'warning', found: `${other}, process ${pid}, ${command[1]}` })
    expect(found?.hint).toContain(hint(command[1]))
    const { stdout } = await runProgram(['service', 'status'], { home, env: { HOME: home } })
    expect(stdout.split('\n').at(-2)).toBe(`program    ${command[1]}`)
  })

  it('says how to get access to a folder that cannot be created, and does not refer to itself', async () => {
    const home = join(await temporaryFolder(), 'file', 'home')
    await writeFile(join(home, '..'), '')
    const { code, stdout } = await runProgram(['doctor'], { home })
    expect(code).toBe(1)
    expect(stdout).toMatch(/FAILED {3}folder .*ENOTDIR.*\n\s+hint: give yourself access to it/)
    expect(stdout.slice(0, stdout.indexOf('configuration'))).not.toContain('doctor')
  })

  it('compares the clock with the provider’s', async () => {
    const sandbox = await newSandbox()
    const date = new Date(Date.now() - 3_600_000).toUTCString()
    const metadata = await (await fetch(`${sandbox.issuer}/.well-known/openid-configuration`)).text()
    const headers = { 'content-type': 'application/json', date }
    sandbox.script('/.well-known/openid-configuration', { kind: 'respond', status: 200, headers, body: metadata })
    const { stdout } = await runProgram(['doctor'], { home: await temporaryFolder(), env: settingsOf(sandbox) })
    expect(stdout).toMatch(/FAILED {3}clock: it is 3\d\d\d s ahead of the provider’s/)
  })

  it('reports a provider that is down', async () => {
    const sandbox = await newSandbox()
    const env = settingsOf(sandbox)
    await sandbox.close()
    const { stdout } = await runProgram(['doctor'], { home: await temporaryFolder(), env })
    expect(stdout).toMatch(
      /FAILED {3}provider http:\S+: it cannot be reached: the connection is refused or cut \(refused\)/,
    )
  })

  it('reports metadata of another issuer', async () => {
    const sandbox = await newSandbox({ metadata: { issuer: 'https://clerk.other.example' } })
    const { finding } = await runDoctor(await temporaryFolder(), [], settingsOf(sandbox))
    expect(finding('provider')).toMatchObject({
      verdict: 'failed',
      found: 'its metadata cannot be used (issuer_mismatch)',
      hint: expect.stringContaining('set profiles.production.issuer'),
    })
  })

  it('reports a wrong setting', async () => {
    const { stdout } = await runProgram(['doctor'], { home: await temporaryFolder(), env: { CADZERO_AUTH_PORT: 'x' } })
    expect(stdout).toMatch(
      /FAILED {3}configuration: .*CADZERO_AUTH_PORT is missing or wrong\n\s+hint: set CADZERO_AUTH_PORT to a port/,
    )
  })

  it('warns about a browser program that does not exist', async () => {
    const { finding } = await runDoctor(await temporaryFolder(), [], { CADZERO_AUTH_BROWSER: '/no/such/browser' })
    expect(finding('browser')).toMatchObject({ verdict: 'warning', found: expect.stringContaining('/no/such/browser') })
  })
})
