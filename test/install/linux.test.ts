// The packages for Linux, installed for an unprivileged user of Debian 13, and the archive and the npm package in home folders of this computer.
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { lacking, makeDebian13 } from '../../scripts/trials/debian13.ts'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, type RpcClient } from '../../src/rpc/client.ts'
import { eventually } from '../packaging/user-manager.ts'
import type { Sandbox } from '../sandbox/index.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newSandbox, signIn } from '../support/world.ts'
import { type DebianUser, startDebianUser } from './debian-user.ts'
import { nextReleaseFile, nextVersion, releaseFile, version } from './release.ts'
import { type Installation, upgradeAndDowngrade } from './upgrade.ts'

const run = promisify(execFile)
const reason = lacking()
const skipped = reason === '' ? '' : ` (skipped: ${reason})`
const MINUTES = { timeout: 300_000 }

interface PackageKind {
  readonly kind: string
  fileName(version: string): string
  /** The command and its options, run as root in the root of the user. */
  readonly install: readonly string[]
  readonly remove: readonly string[]
}

const PACKAGES: readonly PackageKind[] = [
  {
    kind: 'Debian',
    fileName: (of) => `cadzero-auth_${of}_amd64.deb`,
    install: ['dpkg', '--install'],
    remove: ['dpkg', '--purge'],
  },
  {
    kind: 'RPM',
    fileName: (of) => `cadzero-auth-${of}-1.x86_64.rpm`,
    // The packages that it needs are Debian's, of which rpm does not know.
    install: ['rpm', '--upgrade', '--oldpackage', '--replacepkgs', '--nodeps'],
    remove: ['rpm', '--erase'],
  },
]

async function installPackage(user: DebianUser, { install }: PackageKind, path: string): Promise<void> {
  const place = `/packages/${basename(path)}`
  await cp(path, join(user.home, '../..', place))
  expect(await user.runAsRoot(...install, place)).toMatchObject({ code: 0 })
}

async function configure(user: DebianUser, { issuer, clientId }: Sandbox): Promise<void> {
  const production = { issuer, clientId }
  await writeFile(join(user.home, '.config/cadzero-auth/config.json'), JSON.stringify({ profiles: { production } }))
  await user.runAsRoot('chown', '5001:5001', '/home/designer/.config/cadzero-auth/config.json')
}

/** Root reads the address for the test: the file belongs to the user. */
async function connectAs(user: DebianUser, of: string): Promise<RpcClient> {
  const text = (await user.runAsRoot('cat', '/home/designer/.local/share/cadzero-auth/endpoint.json')).stdout
  const file = join(await temporaryFolder(), 'endpoint.json')
  await writeFile(file, text, { mode: 0o600 })
  const client = await connect(systemFiles, file, systemRandom)
  onTestFinished(() => client.close())
  expect(client.endpoint.daemonVersion).toBe(of)
  return client
}

/** The daemon takes a callback of the same user only. */
async function signInAs(client: RpcClient, sandbox: Sandbox): Promise<void> {
  const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
  const { callbackUrl } = await sandbox.signIn(String(authorizationUrl), { deliver: false })
  const visit = 'fetch(process.argv[1]).then(({ status }) => console.log(status))'
  const visited = await run(process.execPath, ['-e', visit, callbackUrl], { uid: 5001, gid: 5001, cwd: '/' })
  expect(visited.stdout).toBe('200\n')
  await eventually(async () => {
    const signedIn = { state: 'signed_in', store: { persisted: true, keyProtection: 'keyfile' } }
    expect(await client.call('status')).toMatchObject(signedIn)
  })
}

describe.skipIf(reason !== '')(`on Debian 13${skipped}`, () => {
  beforeAll(makeDebian13, 600_000)

  for (const kind of PACKAGES)
    it(
      `the ${kind.kind} package starts the daemon at the log-on, keeps the session over an upgrade and a downgrade, and goes without a trace`,
      MINUTES,
      async () => {
        const sandbox = await newSandbox({ accessTokenTtl: 3600 })
        const user = await startDebianUser()
        const install = async (path: string) => await installPackage(user, kind, path)
        await install(releaseFile(kind.fileName(version)))
        for (const command of ['daemon-reload', 'restart default.target']) // as at a log-on
          expect(await user.run('systemctl', '--user', ...command.split(' '))).toMatchObject({ code: 0 })
        const status = async () => JSON.parse((await user.run('cadzero-auth', 'service', 'status', '--json')).stdout)
        const unit = { installed: true, enabled: true, place: '/usr/lib/systemd/user/cadzero-auth.service' }
        await eventually(async () => {
          const expected = { ...unit, running: true, problem: null, command: ['/usr/bin/cadzero-auth'] }
          expect(await status()).toMatchObject(expected)
        })
        const doctor = await user.run('cadzero-auth', 'doctor')
        expect(doctor.stdout).toContain(`service: systemd user unit ${unit.place}, starts /usr/bin/cadzero-auth`)

        await configure(user, sandbox)
        const restart = await user.run('cadzero-auth', 'service', 'restart')
        expect(restart).toMatchObject({ code: 0, stdout: expect.stringContaining('restarted the daemon') })
        const address = (of = version) => connectAs(user, of)
        const client = await address()
        await signInAs(client, sandbox)

        const file = { this: releaseFile(kind.fileName(version)), next: nextReleaseFile(kind.fileName(nextVersion)) }
        const session = '/home/designer/.config/cadzero-auth/sessions/production.jwe'
        await upgradeAndDowngrade(
          {
            install: async (which) => await install(file[which]),
            connect: async (of) => await eventually(async () => await address(of)),
            readSession: async () => (await user.runAsRoot('cat', session)).stdout,
          },
          await client.call('getAuthHeader'),
        )
        expect(await status()).toMatchObject({ ...unit, running: true, daemon: { version: nextVersion } })

        expect(await user.run('cadzero-auth', 'service', 'uninstall')).toMatchObject({ code: 0 })
        expect(await status()).toMatchObject({ installed: false, daemon: null })
        await install(file.next) // an upgrade starts no daemon for a user who has switched it off
        expect(await status()).toMatchObject({ installed: false, daemon: null })
        expect(await user.run('cadzero-auth', 'service', 'install')).toMatchObject({ code: 0 })
        expect(await status()).toMatchObject({ ...unit, running: true })
        const last = await address(nextVersion)
        expect(await last.call('status')).toMatchObject({ state: 'signed_in' })

        expect(await user.runAsRoot(...kind.remove, 'cadzero-auth')).toMatchObject({ code: 0 })
        await last.closed
        const left = await user.runAsRoot('sh', '-c', 'find /usr /etc -name "*cadzero*"')
        expect(left.stdout).toBe('')
        expect((await user.runAsRoot('cat', session)).stdout).not.toBe('')
      },
    )

  it('the package and the archive of the next release share one daemon and one session', MINUTES, async () => {
    const [sandbox, user] = [await newSandbox({ accessTokenTtl: 3600 }), await startDebianUser()]
    const [debian] = PACKAGES as [PackageKind, ...PackageKind[]]
    const [packaged, own] = ['/usr/bin/cadzero-auth', '/home/designer/.local/bin/cadzero-auth']
    const logOn = async () => {
      for (const command of ['daemon-reload', 'restart default.target'])
        expect(await user.run('systemctl', '--user', ...command.split(' '))).toMatchObject({ code: 0 })
    }
    const expectService = async (by: string, program: string, place: string, of: string) =>
      await eventually(async () => {
        const status = JSON.parse((await user.run(by, 'service', 'status', '--json')).stdout)
        const { pid } = (await connectAs(user, of)).endpoint
        expect(status).toMatchObject({
          enabled: true,
          running: true,
          pid,
          place,
          daemon: { pid, version: of, program },
        })
      })
    const units = { packaged: '/usr/lib/systemd/user', own: '/home/designer/.config/systemd/user' }
    const expectPackaged = () => expectService(packaged, packaged, `${units.packaged}/cadzero-auth.service`, version)
    const expectOwn = (by = own) => expectService(by, own, `${units.own}/cadzero-auth.service`, nextVersion)
    await installPackage(user, debian, releaseFile(debian.fileName(version)))
    await logOn()
    await expectPackaged()
    await configure(user, sandbox)
    expect(await user.run(packaged, 'service', 'restart')).toMatchObject({ code: 0 })
    const first = await connectAs(user, version)
    await signInAs(first, sandbox)
    const header = await first.call('getAuthHeader')
    const expectHeader = async (client: RpcClient) =>
      expect(await client.call('getAuthHeader', { interactive: false })).toEqual(header)

    const archive = `cadzero-auth-${nextVersion}-linux-x64`
    await run('tar', ['-xzf', nextReleaseFile(`${archive}.tar.gz`), '-C', join(user.home, '../../packages')])
    const script = ['sh', `/packages/${archive}/install.sh`]
    expect(await user.run(...script)).toMatchObject({ code: 0 })
    await first.closed
    await expectOwn()
    const second = await connectAs(user, nextVersion)
    await expectHeader(second)
    const { stdout } = await user.run(packaged, 'doctor')
    expect(stdout).toContain(`starts ${own}, not this program`)
    expect(stdout).toContain(`hint: use ${own}, which is newer than this program (${version})`)

    await installPackage(user, debian, releaseFile(debian.fileName(version)))
    await expectOwn(packaged)
    expect((await connectAs(user, nextVersion)).endpoint.pid).toBe(second.endpoint.pid)
    expect(await user.run(...script, '--uninstall')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`kept: ${units.packaged}`),
    })
    await logOn()
    await expectPackaged()
    await expectHeader(await connectAs(user, version))

    expect(await user.run(...script)).toMatchObject({ code: 0 })
    await expectOwn()
    const third = await connectAs(user, nextVersion)
    expect(await user.runAsRoot(...debian.remove, 'cadzero-auth')).toMatchObject({ code: 0 })
    await expectOwn()
    await expectHeader(third)
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
    // No user manager responds here: the script ends the daemon, says that there is no service, and the next command starts the new one.
    expect((await install()).stderr).toContain('every command starts the daemon')
    expect((await stat(program)).ino).not.toBe(ino)
    expect(JSON.parse((await run(program, ['status', '--json'], { env })).stdout).daemon.pid).not.toBe(daemon.pid)

    expect((await install('--uninstall')).stdout).toContain(`removed ${program}`)
    await expect(stat(program)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readdir(join(home, '.local/share/cadzero-auth'))).not.toContain('endpoint.json') // of a running daemon
    await expect(install('--uninstall')).rejects.toMatchObject({ stderr: expect.stringContaining('does not exist') })
    await expect(install('--nonsense')).rejects.toMatchObject({ stderr: expect.stringContaining('hint: ') })
  })

  it('keeps the session over an upgrade and a downgrade', MINUTES, async () => {
    const home = await temporaryFolder()
    const of = { this: [releaseFile, version], next: [nextReleaseFile, nextVersion] } as const
    const env = { PATH: '/usr/bin:/bin', HOME: home, CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }
    await trySession(home, join(home, '.local/bin/cadzero-auth'), env, async (which) => {
      const [fileOf, itsVersion] = of[which]
      const name = `cadzero-auth-${itsVersion}-linux-x64`
      await run('tar', ['-xzf', fileOf(`${name}.tar.gz`), '-C', home])
      await run('sh', [join(home, name, 'install.sh')], { env })
    })
  })
})

it('the npm package keeps the session over an upgrade and a downgrade', MINUTES, async () => {
  const home = await temporaryFolder()
  const program = join(home, '.local/bin/cadzero-auth')
  const env = { PATH: process.env.PATH, HOME: home, CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }
  const quiet = ['--silent', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline']
  const cache = (await run('npm', ['config', 'get', 'cache'])).stdout.trim()
  const tarballs = {
    this: releaseFile(`cadzero-auth-${version}.tgz`),
    next: nextReleaseFile(`cadzero-auth-${nextVersion}.tgz`),
  }
  await trySession(home, program, env, async (which) => {
    const prefix = join(home, '.local')
    await run('npm', ['install', '--global', ...quiet, '--cache', cache, '--prefix', prefix, tarballs[which]], { env })
    // As docs/install.md says: npm runs nothing of the package.
    await run(program, ['daemon', '--stop'], { env }).catch((error) => expect(error).toMatchObject({ code: 3 }))
  })
})

/** Installs this release, signs in, upgrades and downgrades, without a service: commands start the daemon. */
async function trySession(
  home: string,
  program: string,
  env: NodeJS.ProcessEnv,
  install: Installation['install'],
): Promise<void> {
  const sandbox = await newSandbox({ accessTokenTtl: 3600 })
  const config = join(home, '.config/cadzero-auth')
  await mkdir(config, { recursive: true, mode: 0o700 })
  const production = { issuer: sandbox.issuer, clientId: sandbox.clientId }
  await writeFile(join(config, 'config.json'), JSON.stringify({ profiles: { production } }))
  const connectTo = async (of: string) => {
    // Starts the daemon; fails if that cannot read the session.
    await run(program, ['status'], { env }).catch((error) => expect(error).toMatchObject({ code: 1 }))
    const client = await connect(systemFiles, join(home, '.local/share/cadzero-auth/endpoint.json'), systemRandom)
    onTestFinished(() => client.close())
    expect(client.endpoint.daemonVersion).toBe(of)
    return client
  }
  onTestFinished(async () => void (await run(program, ['daemon', '--stop'], { env })))
  await install('this')
  const client = await connectTo(version)
  await signIn(client, sandbox)
  const header = await client.call('getAuthHeader')
  const readSession = () => readFile(join(config, 'sessions/production.jwe'), 'utf8')
  await upgradeAndDowngrade({ install, connect: connectTo, readSession }, header)
}

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
