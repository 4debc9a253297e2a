// The files for Windows under Wine 10: installed, used, installed again over the running daemon, and uninstalled.
import { chmod, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { lacking, makeDebian13 } from '../../scripts/trials/debian13.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newSandbox, signIn } from '../support/world.ts'
import { hasNextRelease, nextReleaseFile, nextVersion, releaseFile, version } from './release.ts'
import { upgradeAndDowngrade } from './upgrade.ts'
import { newWindows, type Windows, winePath } from './wine.ts'

const reason = lacking()
const MINUTES = { timeout: 600_000 }

const UNINSTALL_KEY = String.raw`HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\cadzero-auth`
const RUN_KEY = String.raw`HKCU\Software\Microsoft\Windows\CurrentVersion\Run`

describe.skipIf(reason !== '')(`the files for Windows${reason === '' ? '' : ` (skipped: ${reason})`}`, () => {
  beforeAll(makeDebian13, 600_000)

  const install = async (windows: Windows, which: 'this' | 'next' = 'this') => {
    const setup =
      which === 'this'
        ? releaseFile(`cadzero-auth-${version}-win-x64-setup.exe`)
        : nextReleaseFile(`cadzero-auth-${nextVersion}-win-x64-setup.exe`)
    const visible = join(await temporaryFolder(), 'setup.exe') // in /tmp, which Debian 13 shares
    await cp(setup, visible)
    expect(await windows.run([winePath(visible), '/S'])).toMatchObject({ code: 0 })
  }
  const installed = (windows: Windows, ...rest: string[]) =>
    windows.appData('Local', 'Programs', 'cadzero-auth', ...rest)
  const configure = async (windows: Windows, profiles: Readonly<Record<string, unknown>>) => {
    const folder = windows.appData('Roaming', 'cadzero-auth', 'Config')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'config.json'), JSON.stringify({ profiles }))
  }

  /** A Windows with the program, a signed-in daemon, and a profile that opens a page. */
  const newInstalled = async () => {
    const sandbox = await newSandbox({ accessTokenTtl: 3600 })
    const windows = await newWindows()
    const page = { issuer: sandbox.issuer, signInUrl: 'http://127.0.0.1:1/page', redirectPort: 0 }
    await configure(windows, { production: { issuer: sandbox.issuer, clientId: sandbox.clientId }, page })
    await install(windows)
    const client = await windows.connect()
    const status = await signIn(client, sandbox)
    expect(status).toMatchObject({ state: 'signed_in', store: { persisted: true, keyProtection: 'keyring' } })
    return { windows, client, header: await client.call('getAuthHeader') }
  }
  const sessionsOf = (windows: Windows) => windows.appData('Roaming', 'cadzero-auth', 'Config', 'sessions')

  it(
    'install for one user, keep the session over an installation over themselves and a log-on, and uninstall',
    MINUTES,
    async () => {
      const { windows, client: first, header } = await newInstalled()
      expect((await readdir(installed(windows))).sort()).toEqual([
        'THIRD-PARTY-NOTICES.txt',
        'cadzero-auth.exe',
        'cadzero-authd.exe',
        'uninstall.exe',
      ])
      const entry = await windows.run(['reg', 'query', UNINSTALL_KEY])
      expect(entry.stdout).toContain('CADZERO sign-in')
      expect(entry.stdout).toMatch(new RegExp(`DisplayVersion\\s+REG_SZ\\s+${version.replaceAll('.', '\\.')}`))
      const menu = windows.appData('Roaming', 'Microsoft', 'Windows', 'Start Menu', 'Programs')
      expect(await readdir(menu)).toContain('CADZERO sign-in.lnk')
      const shortcut = (await readFile(join(menu, 'CADZERO sign-in.lnk'))).toString('latin1').replaceAll('\0', '')
      expect(shortcut).toMatch(/\/d \/c ""C:\\.*\\Programs\\cadzero-auth\\cadzero-auth\.exe" login \|\| pause"/)
      expect((await windows.run(['reg', 'query', RUN_KEY])).stdout).toContain('cadzero-authd.exe')

      await install(windows)
      const second = await windows.connect(first.endpoint.instance)
      expect(await second.call('getAuthHeader', { interactive: false })).toEqual(header)
      expect((await readdir(installed(windows))).filter((name) => name.endsWith('.old'))).toEqual([])

      // Wine opens a web address with xdg-open: this one, first in the path, records the address.
      const [bin, opened] = [await temporaryFolder(), join(await temporaryFolder(), 'opened')]
      const record = `#!/bin/sh\nprintf '%s' "$1" > '${opened}.part'; mv '${opened}.part' '${opened}'\n`
      await writeFile(join(bin, 'xdg-open'), record)
      await chmod(join(bin, 'xdg-open'), 0o755)
      await windows.logOn({ PATH: `${bin}:/usr/bin:/bin` })
      const third = await windows.connect(second.endpoint.instance)
      expect(await third.call('getAuthHeader', { interactive: false })).toEqual(header)
      // The hand-off opens the browser without a request to Clerk.
      const { authorizationUrl } = await third.call('login', { profile: 'page', wait: false })
      await expect.poll(() => readFile(opened, 'utf8').catch(() => ''), { timeout: 60_000 }).toBe(authorizationUrl)

      const uninstall = async (...options: string[]) => {
        // Without `_?=` the uninstaller ends at once, and a copy of it does the work.
        const folder = programFolder(windows)
        await windows.run([`${folder}\\uninstall.exe`, '/S', ...options, `_?=${folder}`])
        expect((await windows.run(['reg', 'query', UNINSTALL_KEY])).code).not.toBe(0)
        expect((await windows.run(['reg', 'query', RUN_KEY, '/v', 'cadzero-auth'])).code).not.toBe(0)
        expect(await readdir(installed(windows)).catch(() => [])).toEqual(
          expect.not.arrayContaining(['cadzero-auth.exe']),
        )
        expect(await readdir(menu)).not.toContain('CADZERO sign-in.lnk')
      }
      await uninstall()
      await third.closed
      expect(await readdir(sessionsOf(windows))).toEqual(['production.jwe'])

      await install(windows)
      const fourth = await windows.connect(third.endpoint.instance)
      expect(await fourth.call('getAuthHeader', { interactive: false })).toEqual(header)
      await uninstall('/PURGE')
      await expect(readdir(windows.appData('Roaming', 'cadzero-auth'))).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(readdir(windows.appData('Local', 'cadzero-auth'))).rejects.toMatchObject({ code: 'ENOENT' })
    },
  )

  const upgrade = 'keep the session over an upgrade, a downgrade and an upgrade'
  it.skipIf(!hasNextRelease)(
    hasNextRelease ? upgrade : `${upgrade} (skipped: needs the next release)`,
    MINUTES,
    async () => {
      const { windows, client, header } = await newInstalled()
      let { instance } = client.endpoint
      const connect = async (of: string) => {
        const next = await windows.connect(instance)
        expect(next.endpoint.daemonVersion).toBe(of)
        instance = next.endpoint.instance
        return next
      }
      const readSession = () => readFile(join(sessionsOf(windows), 'production.jwe'), 'utf8')
      await upgradeAndDowngrade({ install: (which) => install(windows, which), connect, readSession }, header)
      const shown = await windows.run(['reg', 'query', UNINSTALL_KEY])
      expect(shown.stdout).toContain(nextVersion)
    },
  )

  it(
    'have the name of the product, ignore NODE_OPTIONS, do not claim what Windows does not tell, and remove all they wrote',
    MINUTES,
    async () => {
      const windows = await newWindows()
      await install(windows)
      const program = `${programFolder(windows)}\\cadzero-auth.exe`
      const shown = await windows.run([program, '--version'], { NODE_OPTIONS: '--no-such-option' })
      expect(shown).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(version) })
      const bytes = await readFile(installed(windows, 'cadzero-auth.exe'))
      expect(bytes.includes(Buffer.from('CADZERO sign-in', 'utf16le'))).toBe(true)
      expect(bytes.includes(Buffer.from('Node.js JavaScript Runtime', 'utf16le'))).toBe(false)

      const { stdout } = await windows.run([program, 'doctor', '--json'])
      const findings = JSON.parse(stdout) as { check: string; verdict: string; found: string; hint?: string }[]
      expect(findings).toContainEqual({ check: 'keyring', verdict: 'ok', found: 'it responds' })
      // icacls of Wine is a stub that tells nothing.
      for (const { verdict, found } of findings.filter(({ check }) => check.startsWith('folder ')))
        expect({ verdict, found }).toEqual({ verdict: 'warning', found: 'Windows does not tell who can access it' })
      expect(stdout).not.toMatch(/chmod|only you can/)

      const uninstall = (...options: string[]) => windows.run([program, 'service', 'uninstall', ...options])
      const kept = /^kept: .*\.node, .*; run cadzero-auth service uninstall to remove it\r?$/m
      expect((await uninstall('--purge')).stdout).toMatch(kept) // it has loaded the addon to remove the key
      await uninstall()
      await expect(readdir(windows.appData('Local', 'cadzero-auth'))).rejects.toMatchObject({ code: 'ENOENT' })
    },
  )
})

/** The folder of the program as Windows sees it. */
function programFolder(windows: Windows): string {
  const user = String(windows.appData('Local').split('/').at(-3))
  return ['C:', 'users', user, 'AppData', 'Local', 'Programs', 'cadzero-auth'].join('\\')
}
