// Homes, folders and disks as people have them: no home folder, sudo, links, file systems without fsync, a full disk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  chown,
  cp,
  lchown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { newKey } from '../support/broker.ts'
import { temporaryFolder } from '../support/folder.ts'
import { canSwitchUser } from '../support/other-user.ts'
import { type Ended, endOf, PROGRAM, startDaemonProcess } from '../support/program.ts'
import { findPythons } from '../support/python.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'
import { has } from './namespaces.ts'

const isLinux = process.platform === 'linux'
const isRoot = isLinux && process.getuid?.() === 0
const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))

/** Runs a program with exactly this environment. */
async function run(command: readonly string[], env: NodeJS.ProcessEnv, cwd = '/'): Promise<Ended> {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return await endOf(child)
}

const KEY_FILE = { CADZERO_AUTH_KEY_PROTECTION: 'keyfile', CADZERO_AUTH_BROWSER: '/bin/true' }

const UNLISTED = 54321 // a uid without an entry in the list of users, as containers have

describe.skipIf(!canSwitchUser)(
  `a user who is not in the list of users${canSwitchUser ? '' : ' (needs root and setpriv)'}`,
  () => {
    let program: string // a copy that this user may read; the repository may be in a folder that it may not
    beforeAll(async () => {
      const folder = `/tmp/cadzero-auth-program-${process.pid}`
      await cp(dirname(PROGRAM), folder, { recursive: true })
      await chmod(folder, 0o755)
      program = join(folder, 'cadzero-auth.cjs')
      return () => rm(folder, { recursive: true })
    })

    const asUnlisted = (args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = '/') => {
      const user = ['setpriv', `--reuid=${UNLISTED}`, `--regid=${UNLISTED}`, '--clear-groups']
      return run([...user, process.execPath, program, ...args], { ...KEY_FILE, ...env }, cwd)
    }
    async function ownFolder(): Promise<string> {
      const folder = await temporaryFolder()
      await chown(folder, UNLISTED, UNLISTED)
      return folder
    }

    it.each([['--version'], ['--help'], ['status', '--help'], ['broker', '--generate-key']])(
      'runs %s %s',
      async (...args) => {
        expect(await asUnlisted(args)).toMatchObject({ code: 0, stderr: '' })
      },
    )

    it.each([{}, { HOME: '' }, { HOME: '/nonexistent' }, { HOME: '/' }, { HOME: 'relative' }])(
      'runs everything with CADZERO_AUTH_HOME and the home %j',
      async (variables) => {
        const home = await ownFolder()
        const env = {
          ...variables,
          CADZERO_AUTH_HOME: home,
          CADZERO_AUTH_ISSUER: 'http://127.0.0.1:9',
          CADZERO_AUTH_CLIENT_ID: 'x',
        }
        onTestFinished(async () => void (await asUnlisted(['daemon', '--stop'], env)))
        expect(await asUnlisted(['status'], env)).toMatchObject({ code: 0, stderr: '' })
        expect(await asUnlisted(['config'], env)).toMatchObject({ code: 0 })
        const { stdout } = await asUnlisted(['doctor', '--json'], env)
        const checks = JSON.parse(stdout) as { check: string; verdict: string }[]
        const failed = checks.filter(({ verdict }) => verdict === 'failed').map(({ check }) => check)
        // No provider listens there, which the doctor and the daemon both find.
        const expected = ['daemon network']
        expect(failed.filter((check) => /folder|file|service|daemon/.test(check))).toEqual(expected)
        expect(await asUnlisted(['service', 'uninstall', '--purge'], env)).toMatchObject({ code: 0 })
      },
    )

    it.each([
      [{}, 'HOME is not set, and the system has no home folder for this user'],
      [{ HOME: '' }, 'HOME is not set, and the system has no home folder for this user'],
      [{ HOME: '/nonexistent' }, 'the home folder does not exist: /nonexistent'],
      [{ HOME: '.' }, 'HOME is not an absolute path: "."'],
      [{ HOME: '/tmp', XDG_DATA_HOME: '.local/share' }, 'XDG_DATA_HOME is not an absolute path: ".local/share"'],
      [{ HOME: '/tmp', XDG_CONFIG_HOME: '~/.config' }, 'XDG_CONFIG_HOME is not an absolute path: "~/.config"'],
      [{ CADZERO_AUTH_HOME: 'cz' }, 'CADZERO_AUTH_HOME is not an absolute path: "cz"'],
    ])('with %j gets one sentence and a hint, and nothing is made', async (env, message) => {
      const cwd = await ownFolder()
      for (const args of [['status'], ['daemon'], ['doctor']]) {
        const { code, stdout, stderr } = await asUnlisted(args, env, cwd)
        expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' })
        const [first, second, ...rest] = stderr.trimEnd().split('\n')
        expect(first).toBe(`error: ${message}`)
        expect(second).toMatch(/^hint: set /)
        expect(rest).toEqual([])
      }
      expect(await readdir(cwd)).toEqual([])
    })

    it('gets one sentence if it may write nothing in its home, as HOME=/ in a container', async () => {
      const { code, stderr } = await asUnlisted(['daemon'], { HOME: '/' })
      expect(code).toBe(1)
      expect(stderr).toMatch(/^error: \/\.\S+: you may not make it or change it; set CADZERO_AUTH_HOME to [^\n]+\n$/)
    })
  },
)

describe.skipIf(!isRoot)(`root in the home of another user${isRoot ? '' : ' (needs root)'}`, () => {
  const ADA = 23456
  async function homeOfAda(): Promise<string> {
    const home = await temporaryFolder()
    await mkdir(join(home, '.config'))
    for (const folder of [home, join(home, '.config')]) await chown(folder, ADA, ADA)
    return home
  }
  const asRoot = (args: readonly string[], env: NodeJS.ProcessEnv) =>
    run([process.execPath, PROGRAM, ...args], { ...KEY_FILE, ...env })

  it('is refused before anything is made, whichever variable leads there', async () => {
    const [home, own] = [await homeOfAda(), await temporaryFolder()]
    for (const [variable, env] of [
      ['HOME', { HOME: home }],
      ['XDG_CONFIG_HOME', { HOME: own, XDG_CONFIG_HOME: join(home, '.config') }],
      ['XDG_DATA_HOME', { HOME: own, XDG_DATA_HOME: join(home, '.local', 'share') }],
      ['CADZERO_AUTH_HOME', { HOME: own, CADZERO_AUTH_HOME: join(home, 'new') }],
    ] as const) {
      for (const args of [['status'], ['daemon'], ['service', 'install']]) {
        const { code, stdout, stderr } = await asRoot(args, env)
        expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' })
        expect(stderr).toMatch(
          new RegExp(`^error: this is root, but ${home}\\S* belongs to another user \\(${variable}\\)\n`),
        )
        expect(stderr).toMatch(/\nhint: run it without sudo, [^\n]+\n$/)
      }
    }
    expect(await readdir(home, { recursive: true })).toEqual(['.config'])
    expect(await readdir(own)).toEqual([])
  })

  it('uses its own folders: its home, and a new folder in one of root’s', async () => {
    const own = await temporaryFolder()
    for (const env of [{ HOME: own }, { HOME: await homeOfAda(), CADZERO_AUTH_HOME: join(own, 'new', 'folder') }]) {
      onTestFinished(async () => void (await asRoot(['daemon', '--stop'], env)))
      expect(await asRoot(['status'], env)).toMatchObject({ code: 0, stderr: '' })
    }
  })
})

describe.runIf(isLinux)('a home folder', () => {
  const asUser = (args: readonly string[], env: NodeJS.ProcessEnv, cwd?: string) =>
    run([process.execPath, PROGRAM, ...args], { ...KEY_FILE, ...env }, cwd)
  /** The state of the session in a home, after a daemon was started there. */
  async function stateIn(home: string): Promise<string> {
    const { code, stdout, stderr } = await asUser(['status', '--json'], { HOME: home })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return (JSON.parse(stdout) as { state: string }).state
  }
  const stopAfterTest = (home: string) =>
    onTestFinished(async () => void (await asUser(['daemon', '--stop'], { HOME: home })))

  const NAMES = [
    'two words',
    "Iván Škoda 設計's",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's variable in a name
    '$HOME ${x} %h %TEMP%',
    '"quoted" back\\slash',
    'Zoe\u0308',
    ';&|*?#~',
  ]
  const python = findPythons().at(-1)?.program

  it.each(NAMES)('named %j serves the commands and the Python client', async (name) => {
    const home = join(await temporaryFolder(), name)
    await mkdir(home, { mode: 0o700 })
    stopAfterTest(home)
    expect(await stateIn(home)).toBe('signed_out')
    if (python === undefined) return
    const code = 'import cadzero_auth; print(cadzero_auth.Client(start=False).status()["state"])'
    for (const locale of [{ LC_ALL: 'C', PYTHONCOERCECLOCALE: '0', PYTHONUTF8: '0' }, { LC_ALL: 'C.UTF-8' }]) {
      const env = { HOME: home, PYTHONPATH: EMBED, ...locale }
      expect(await run([python, '-B', '-c', code], env)).toEqual({ code: 0, stdout: 'signed_out\n', stderr: '' })
    }
  })

  it('whose name is not UTF-8 is refused by both in the same words, and nothing is made', async () => {
    const folder = await temporaryFolder()
    const script = `home="$1/$(printf 'h\\351l\\350ne')"; mkdir "$home"; shift; HOME=$home exec "$@"`
    const inHome = (...command: string[]) =>
      run(['sh', '-c', script, 'sh', folder, ...command], { ...KEY_FILE, PYTHONPATH: EMBED })
    const message = 'the path in HOME is not valid UTF-8, so that the folder cannot be opened'
    const { code, stderr } = await inHome(process.execPath, PROGRAM, 'status')
    expect(code).toBe(2)
    expect(stderr).toMatch(new RegExp(`^error: ${message}\nhint: set CADZERO_AUTH_HOME [^\n]+\n$`))
    expect(await readdir(folder)).toHaveLength(1)
    if (python === undefined) return
    await rm(folder, { recursive: true })
    await mkdir(folder)
    expect((await inHome(python, '-B', '-c', 'import cadzero_auth; cadzero_auth.discovery_file()')).stderr).toContain(
      message,
    )
  })

  it('may be left: a command starts the daemon from a working folder that was deleted', async () => {
    const home = await temporaryFolder()
    stopAfterTest(home)
    const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    const command = ['sh', '-c', script, 'sh', process.execPath, PROGRAM, 'status']
    expect(await run(command, { ...KEY_FILE, HOME: home }, home)).toMatchObject({ code: 0, stderr: '' })
    expect(await readdir(home)).not.toContain('gone')
  })

  it('may keep the folders behind links of the user’s own, where the session is saved then', async () => {
    const home = await temporaryFolder()
    const targets = ['config', 'data', 'log'].map((name) => join(home, 'dotfiles', name))
    const links = ['.config', '.local/share', '.local/state'].map((path) => join(home, path, 'cadzero-auth'))
    for (const [index, link] of links.entries()) {
      await mkdir(String(targets[index]), { recursive: true })
      await mkdir(dirname(link), { recursive: true })
      await symlink(String(targets[index]), link)
    }
    const sandbox = await newSandbox()
    const daemon = await startDaemonProcess({
      home: '',
      env: { ...settingsOf(sandbox), CADZERO_AUTH_HOME: '', HOME: home },
    })
    const client = await connect(systemFiles, join(String(links[1]), 'endpoint.json'), systemRandom)
    expect(await signIn(client, sandbox)).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    client.close()
    await daemon.stop()
    expect(await readdir(join(String(targets[0]), 'sessions'))).toEqual(['production.jwe'])
    for (const target of targets) expect((await stat(target)).mode & 0o777).toBe(0o700)
    const purged = await asUser(['service', 'uninstall', '--purge'], { ...settingsOf(sandbox), HOME: home })
    expect(purged.code).toBe(0)
    for (const target of targets) expect(await readdir(target)).toEqual([])
  })

  it.skipIf(!isRoot)('with a link of another user is refused, and nothing is made behind it', async () => {
    const home = await temporaryFolder()
    const link = join(home, '.config', 'cadzero-auth')
    for (const folder of ['.config', 'target']) await mkdir(join(home, folder))
    await symlink(join(home, 'target'), link)
    await lchown(link, 23456, 23456)
    const { code, stderr } = await asUser(['daemon'], { HOME: home })
    expect(code).toBe(1)
    expect(stderr).toBe(
      `error: ${link}: it is a link that other users could change, or leads through a folder of theirs; remove it\n`,
    )
    expect(await readdir(join(home, 'target'))).toEqual([])
  })

  it('with a link to a disk that is not mounted is refused, and nothing is made in its place', async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, '.config'))
    await symlink(join(home, 'disk', 'cadzero-auth'), join(home, '.config', 'cadzero-auth'))
    const { code, stderr } = await asUser(['daemon'], { HOME: home })
    expect(code).toBe(1)
    expect(stderr).toContain('it is a link that leads nowhere')
    expect(await readdir(home)).not.toContain('disk')
  })

  it.skipIf(!isRoot)(
    'with a config.json of another user reports that to every client, and uses none of it',
    async () => {
      const home = await temporaryFolder()
      await mkdir(join(home, 'config'), { mode: 0o700 })
      const file = join(home, 'config', 'config.json')
      await writeFile(
        file,
        JSON.stringify({ profiles: { production: { issuer: 'https://evil.example', clientId: 'x' } } }),
      )
      await chown(file, 23456, 23456)
      const daemon = await startDaemonProcess({ home })
      const failure = expect.objectContaining({
        code: 1007,
        data: expect.objectContaining({ file, setting: 'the file' }),
      })
      await expect((await daemon.connect()).call('status')).rejects.toEqual(failure)
      expect(daemon.stderr()).toContain('it belongs to another user')
    },
  )
})

const hasStrace = isLinux && has('strace', '-V')

describe.skipIf(!hasStrace)(`a file system${hasStrace ? '' : ' (needs strace)'}`, () => {
  /** A daemon for whose folders fsync fails with this code. */
  async function startWith(code: string) {
    const [sandbox, home] = [await newSandbox({ accessTokenTtl: 30 }), await temporaryFolder()]
    const folders = ['config/sessions', 'data'].map((name) => join(home, name))
    for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 })
    const faults = ['-e', 'trace=fsync', '-e', `inject=fsync:error=${code}`]
    const paths = folders.flatMap((folder) => ['-P', folder])
    const strace = ['strace', '-f', '-qq', '-o', '/dev/null', ...paths, ...faults] as const
    const options = { home, env: settingsOf(sandbox), program: [...strace, process.execPath, PROGRAM] as const }
    const daemon = await startDaemonProcess(options)
    const client = await daemon.connect()
    const ended = once(daemon.child, 'exit')
    onTestFinished(async () => {
      await client.callAny('shutdown')
      await ended // of strace, whose end by a signal would leave the daemon behind
    })
    return { sandbox, client, sessions: join(home, 'config/sessions') }
  }

  it.each(['EINVAL', 'EOPNOTSUPP', 'EPERM', 'EBADF'])(
    'without fsync of folders (%s) serves a sign-in, a refresh and a sign-out',
    { timeout: 60_000 },
    async (code) => {
      const { sandbox, client, sessions } = await startWith(code)
      const signedIn = await signIn(client, sandbox)
      expect(signedIn).toMatchObject({ state: 'signed_in', store: { persisted: true } })
      expect(await readdir(sessions)).toEqual(['production.jwe'])
      const { headers } = await client.call('getAuthHeader')
      expect((await client.call('refresh')).headers).not.toEqual(headers)
      expect(await client.call('status')).toMatchObject({ refresh: { lastError: null }, store: { persisted: true } })
      expect(await client.call('logout')).toMatchObject({ revoked: true })
      expect(await readdir(sessions)).toEqual([])
    },
  )

  it('that could not save a folder (EIO) fails the sign-in', { timeout: 60_000 }, async () => {
    const { client } = await startWith('EIO')
    await expect(client.call('login', { openBrowser: false, wait: false })).rejects.toMatchObject({ code: 1005 })
  })
})

const canMount = isRoot && has('unshare', '--version')

describe.skipIf(!canMount)(`the log${canMount ? '' : ' (needs root and unshare)'}`, () => {
  it('goes on after its disk was full, and loses no line', { timeout: 60_000 }, async () => {
    const [sandbox, home] = [await newSandbox(), await temporaryFolder()]
    await mkdir(join(home, 'log'), { mode: 0o700 })
    const script = 'mount -t tmpfs -o size=64k,mode=700 tmpfs "$CADZERO_AUTH_HOME/log" && exec "$@"'
    const program = [
      'unshare',
      '-m',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      'sh',
      process.execPath,
      PROGRAM,
    ] as const
    const env = { ...settingsOf(sandbox), CADZERO_AUTH_LOG_LEVEL: 'debug' }
    const daemon = await startDaemonProcess({ home, env, program })
    const folder = `/proc/${daemon.child.pid}/root${join(home, 'log')}` // only the daemon's namespace has the disk
    const log = join(folder, 'daemon.log')
    const client = await daemon.connect()
    await signIn(client, sandbox)
    await vi.waitFor(async () => expect(await readFile(log, 'utf8')).toContain('signed_in'), { timeout: 10_000 })
    await writeFile(join(folder, 'filler'), Buffer.alloc(100_000)).catch(() => undefined)
    // The page that the log has begun has room for some lines.
    for (let refreshes = 0; refreshes < 60; refreshes++) await client.call('refresh')
    expect((await readFile(log, 'utf8')).match(/"refreshed"/g)?.length ?? 0).toBeLessThan(60)
    await rm(join(folder, 'filler'))
    await vi.waitFor(
      async () => {
        await client.call('refresh')
        expect((await readFile(log, 'utf8')).split('"refreshed"').length).toBeGreaterThan(61)
      },
      { timeout: 10_000, interval: 200 },
    )
    const lines = (await readFile(log, 'utf8')).trimEnd().split('\n')
    for (const line of lines) expect(() => JSON.parse(line)).not.toThrow()
  })
})

it.runIf(isLinux)('the log comes back in a new folder after a clean-up has moved the old one away', async () => {
  const [sandbox, home] = [await newSandbox(), await temporaryFolder()]
  const daemon = await startDaemonProcess({ home, env: settingsOf(sandbox) })
  const client = await daemon.connect()
  await signIn(client, sandbox)
  const log = join(home, 'log', 'daemon.log')
  await vi.waitFor(async () => expect(await readFile(log, 'utf8')).toContain('signed_in'), { timeout: 10_000 })
  await rename(join(home, 'log'), join(home, 'moved'))
  await client.call('refresh')
  await vi.waitFor(async () => expect(await readFile(log, 'utf8')).toContain('"refreshed"'), { timeout: 10_000 })
  expect((await stat(join(home, 'log'))).mode & 0o777).toBe(0o700)
})

describe.skipIf(!canMount)(
  `the broker as process 1 of a container${canMount ? '' : ' (needs root and unshare)'}`,
  () => {
    it.each(['SIGTERM', 'SIGINT'] as const)('ends at %s', async (signal) => {
      const env = {
        PATH: process.env.PATH,
        CLERK_SECRET_KEY: 'sk_test_x',
        CADZERO_BROKER_KEY: newKey().toString('base64url'),
        CADZERO_BROKER_INSTANCES: 'https://clerk.example.com',
        CADZERO_BROKER_PUBLIC_URL: 'https://api.example.com',
        CADZERO_BROKER_AUTHORIZED_PARTIES: 'https://www.example.com',
        CADZERO_BROKER_DRAIN_SECONDS: '0',
        CADZERO_BROKER_PORT: '0',
      }
      const options = ['-p', '-f', '--mount-proc', '--kill-child', process.execPath, PROGRAM, 'broker']
      const child = spawn('unshare', options, { env, stdio: ['ignore', 'pipe', 'inherit'] })
      onTestFinished(() => void child.kill('SIGKILL'))
      await once(child.stdout, 'data')
      const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
      const exited = once(child, 'exit')
      process.kill(Number(children.trim()), signal)
      expect(await exited).toEqual([0, null])
    })
  },
)
