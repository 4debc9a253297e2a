// The packages for Linux: installed for an unprivileged user of Debian 13, and the archive in a home folder of this computer.
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { lacking, makeDebian13 } from '../../scripts/trials/debian13.ts'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { eventually } from '../packaging/user-manager.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newSandbox } from '../support/world.ts'
import { startDebianUser } from './debian-user.ts'
import { releaseFile, version } from './release.ts'

const run = promisify(execFile)
const reason = lacking()
const skipped = reason === '' ? '' : ` (skipped: ${reason})`
const MINUTES = { timeout: 300_000 }

describe.skipIf(reason !== '')(`the Debian package on Debian 13${skipped}`, () => {
  beforeAll(makeDebian13, 600_000)

  it('starts the daemon of a user at the log-on, and keeps the session over an upgrade', MINUTES, async () => {
    const sandbox = await newSandbox({ accessTokenTtl: 3600 })
    const deb = releaseFile(`cadzero-auth_${version}_amd64.deb`)
    const user = await startDebianUser([deb])
    const status = async () => JSON.parse((await user.run('cadzero-auth', 'service', 'status', '--json')).stdout)
    const unit = { installed: true, enabled: true, place: '/usr/lib/systemd/user/cadzero-auth.service' }
    await eventually(async () => {
      const expected = { ...unit, running: true, problem: null, command: ['/usr/bin/cadzero-auth'] }
      expect(await status()).toMatchObject(expected)
    })
    const doctor = await user.run('cadzero-auth', 'doctor')
    expect(doctor.stdout).toContain(`service: systemd user unit ${unit.place}, starts /usr/bin/cadzero-auth`)

    const config = join(user.home, '.config/cadzero-auth/config.json')
    const production = { issuer: sandbox.issuer, clientId: sandbox.clientId }
    await writeFile(config, JSON.stringify({ profiles: { production } }))
    await user.runAsRoot('chown', '5001:5001', '/home/designer/.config/cadzero-auth/config.json')
    const restart = await user.run('cadzero-auth', 'service', 'restart')
    expect(restart).toMatchObject({ code: 0, stdout: expect.stringContaining('restarted the daemon') })
    // Root reads the address for the test: the file belongs to the user.
    const address = async () => {
      const text = (await user.runAsRoot('cat', '/home/designer/.local/share/cadzero-auth/endpoint.json')).stdout
      const file = join(await temporaryFolder(), 'endpoint.json')
      await writeFile(file, text, { mode: 0o600 })
      const client = await connect(systemFiles, file, systemRandom)
      onTestFinished(() => client.close())
      return client
    }
    const client = await address()
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const { callbackUrl } = await sandbox.signIn(String(authorizationUrl), { deliver: false })
    // The daemon takes a callback of the same user only.
    const visit = 'fetch(process.argv[1]).then(({ status }) => console.log(status))'
    const visited = await run(process.execPath, ['-e', visit, callbackUrl], { uid: 5001, gid: 5001, cwd: '/' })
    expect(visited.stdout).toBe('200\n')
    await eventually(async () => {
      const signedIn = { state: 'signed_in', store: { persisted: true, keyProtection: 'keyfile' } }
      expect(await client.call('status')).toMatchObject(signedIn)
    })
    const header = await client.call('getAuthHeader')

    expect(await user.runAsRoot('sh', '-c', 'dpkg --install /packages/*.deb')).toMatchObject({ code: 0 })
    expect(await user.run('cadzero-auth', 'service', 'restart')).toMatchObject({ code: 0 })
    expect(await (await address()).call('getAuthHeader', { interactive: false })).toEqual(header)

    expect(await user.run('cadzero-auth', 'service', 'uninstall')).toMatchObject({ code: 0 })
    expect(await status()).toMatchObject({ installed: false, daemon: null })
    expect(await user.run('cadzero-auth', 'service', 'install')).toMatchObject({ code: 0 })
    expect(await status()).toMatchObject({ ...unit, running: true })
    expect(await (await address()).call('getAuthHeader', { interactive: false })).toEqual(header)

    expect(await user.runAsRoot('dpkg', '--purge', 'cadzero-auth')).toMatchObject({ code: 0 })
    const left = await user.runAsRoot('sh', '-c', 'find /usr /etc -name "*cadzero*"')
    expect(left.stdout).toBe('')
  })
})

const isLinuxX64 = process.platform === 'linux' && process.arch === 'x64'

describe.skipIf(!isLinuxX64)(`the archive${isLinuxX64 ? '' : ' (skipped: needs Linux x64)'}`, () => {
  it('installs into the home folder without root, again over itself, and uninstalls', MINUTES, async () => {
    const home = await temporaryFolder()
    const name = `cadzero-auth-${version}-linux-x64`
    await run('tar', ['-xzf', releaseFile(`${name}.tar.gz`), '-C', home])
    expect((await readdir(join(home, name))).sort()).toEqual([
      'THIRD-PARTY-NOTICES.txt',
      'cadzero-auth',
      'cadzero-auth.1',
      'install.sh',
    ])
    const env = { PATH: '/usr/bin:/bin', HOME: home, CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }
    const install = (...args: string[]) => run('sh', [join(home, name, 'install.sh'), ...args], { env })
    const program = join(home, '.local/bin/cadzero-auth')

    const first = await install('--no-service')
    expect(first.stdout).toContain(`installed ${program}, ${version}`)
    expect(first.stdout).toContain('is not in PATH')
    const { daemon } = JSON.parse((await run(program, ['status', '--json'], { env })).stdout)
    const { ino } = await stat(program)
    // No user manager responds here: the daemon goes on, and the script says that there is no service.
    expect((await install()).stderr).toContain('every command starts the daemon')
    expect((await stat(program)).ino).not.toBe(ino)
    expect(JSON.parse((await run(program, ['status', '--json'], { env })).stdout).daemon.pid).toBe(daemon.pid)

    expect((await install('--uninstall')).stdout).toContain(`removed ${program}`)
    await expect(stat(program)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readdir(join(home, '.local/share/cadzero-auth'))).not.toContain('endpoint.json') // of a running daemon
    await expect(install('--uninstall')).rejects.toMatchObject({ stderr: expect.stringContaining('does not exist') })
    await expect(install('--nonsense')).rejects.toMatchObject({ stderr: expect.stringContaining('hint: ') })
  })
})

const hasRpm = await run('rpm', ['--version']).then(
  () => true,
  () => false,
)

describe.skipIf(!hasRpm)(`the RPM package${hasRpm ? '' : ' (skipped: needs rpm)'}`, () => {
  it(
    'has the files of the Debian package, requires what the program needs, and installs into an empty root',
    MINUTES,
    async () => {
      const rpm = releaseFile(`cadzero-auth-${version}-1.x86_64.rpm`)
      const { stdout: requires } = await run('rpm', ['-qp', '--requires', rpm])
      for (const name of ['libatomic', 'libstdc++', 'util-linux', 'glibc >= 2.28']) expect(requires).toContain(name)
      const root = await temporaryFolder()
      await mkdir(join(root, 'var/lib/rpm'), { recursive: true })
      await run('rpm', ['--root', root, '--install', '--nodeps', '--noscripts', rpm])
      await run('rpm', ['--root', root, '--verify', '--nodeps', 'cadzero-auth'])
      const program = join(root, 'usr/bin/cadzero-auth')
      expect((await run(program, ['--version'])).stdout).toContain(version)
      const [unit, preset] = await Promise.all(
        ['user/cadzero-auth.service', 'user-preset/80-cadzero-auth.preset'].map((name) =>
          readFile(join(root, 'usr/lib/systemd', name), 'utf8'),
        ),
      )
      expect(unit).toContain('ExecStart="/usr/bin/cadzero-auth" daemon --replace')
      expect(preset).toBe('enable cadzero-auth.service\n')
    },
  )
})
