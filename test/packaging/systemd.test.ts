// The service on a real systemd user manager: installed, killed, restarted, queried, and removed without a trace.
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { unitText } from '../../src/autostart/systemd.ts'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { readEndpoint } from '../../src/rpc/discovery.ts'
import { copyProgram } from '../support/other-version.ts'
import { PROGRAM } from '../support/program.ts'
import { newSandbox, signIn } from '../support/world.ts'
import { eventually, missingRequirement, startUserManager, type UserManager } from './user-manager.ts'

const missing = missingRequirement()
const skipped = missing === '' ? '' : ` (skipped: ${missing})`
const test = (title: string, action: () => Promise<void>) =>
  it.skipIf(missing !== '')(`${title}${skipped}`, action, 60_000)

interface User extends UserManager {
  /** Runs a cadzero-auth command, which must succeed. @returns its standard output */
  cadzeroAuth(...args: string[]): Promise<string>
  status(): Promise<{
    pid: number
    place: string
    problem: string | null
    installed: boolean
    enabled: boolean
    running: boolean
    daemon: unknown
  }>
  connect(): ReturnType<typeof connect>
  /** A property of the unit. */
  property(name: string): Promise<string>
}

/** A user with a home folder, a configuration for the sandbox, and the program. */
async function newUser(
  issuer: string,
  clientId: string,
  options: {
    program?: (home: string) => Promise<string>
    env?: Record<string, string>
    settings?: Record<string, string>
    /** The program of a unit that the administrator's packages have installed and enabled for all users. */
    globalUnit?: readonly string[]
  } = {},
): Promise<User> {
  const manager = await startUserManager(options.env)
  const { homeFromTest, run } = manager
  const program = (await options.program?.(homeFromTest)) ?? PROGRAM
  const own = options.settings?.CADZERO_AUTH_HOME
  const inHome = (path: string) => path.replace(manager.home, homeFromTest)
  const config = own ? join(inHome(own), 'config') : join(homeFromTest, '.config/cadzero-auth')
  const discoveryFile = own
    ? join(inHome(own), 'data/endpoint.json')
    : join(homeFromTest, '.local/share/cadzero-auth/endpoint.json')
  await mkdir(config, { recursive: true })
  const profiles = { production: { issuer, clientId } }
  await writeFile(join(config, 'config.json'), JSON.stringify({ keyProtection: 'keyfile', profiles }))
  if (options.globalUnit) {
    const folder = homeFromTest.replace(manager.home, '/etc/systemd/user')
    await mkdir(join(folder, 'default.target.wants'), { recursive: true })
    await writeFile(join(folder, 'cadzero-auth.service'), unitText({ command: options.globalUnit, env: {} }))
    await symlink('../cadzero-auth.service', join(folder, 'default.target.wants/cadzero-auth.service'))
    await run(['systemctl', '--user', 'daemon-reload'])
    await run(['systemctl', '--user', 'restart', 'default.target'])
  }
  const cadzeroAuth = async (...args: string[]) => {
    const ended = await run([process.execPath, program.replace(homeFromTest, manager.home), ...args], options.settings)
    expect(ended, `${args.join(' ')}: ${ended.stderr}`).toMatchObject({ code: 0 })
    return ended.stdout
  }
  return {
    ...manager,
    cadzeroAuth,
    status: async () => JSON.parse(await cadzeroAuth('service', 'status', '--json')),
    async connect() {
      const client = await connect(systemFiles, discoveryFile, systemRandom)
      onTestFinished(() => client.close())
      return client
    },
    async property(name) {
      const { stdout } = await run(['systemctl', '--user', 'show', `--property=${name}`, '--value', 'cadzero-auth'])
      return stdout.trim()
    },
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((one) => !one.isDirectory())
    .map((one) => join(one.parentPath, one.name).slice(folder.length + 1))
    .sort()
}

test('systemd starts the daemon and restarts a killed one; the session survives both, and an uninstall', async () => {
  const sandbox = await newSandbox()
  const user = await newUser(sandbox.issuer, sandbox.clientId)
  const before = await filesIn(user.homeFromTest)

  expect(await user.cadzeroAuth('service', 'install')).toContain('will start whenever you log on')
  const { pid, ...status } = await user.status()
  expect(status).toMatchObject({ enabled: true, running: true, problem: null, daemon: { pid } })
  expect(await user.property('UnitFileState')).toBe('enabled')
  expect(await user.property('MainPID')).toBe(String(pid))
  const proc = await user.run(['cat', `/proc/${pid}/status`])
  expect(proc.stdout).toMatch(/^NoNewPrivs:\s+1$/m)
  const limits = await user.run(['cat', `/proc/${pid}/limits`])
  expect(limits.stdout).toMatch(/^Max core file size\s+0\s+0\s/m)
  const [own, other] = await Promise.all(
    [pid, 1].map((one) => user.run(['stat', '--format=%i %d', `/proc/${one}/root/tmp`])),
  )
  // A private /tmp, unless the program itself is in the shared one.
  expect(own?.stdout === other?.stdout).toBe(/^\/(var\/)?tmp\//.test(PROGRAM))

  const first = await user.connect()
  await signIn(first, sandbox)
  const header = await first.call('getAuthHeader')

  expect(await user.cadzeroAuth('service', 'install')).toContain('already installed')
  expect((await user.status()).pid).toBe(pid)

  await user.run(['kill', '-9', String(pid)])
  await first.closed
  const again = await eventually(async () => {
    const client = await user.connect()
    expect(client.endpoint.pid).not.toBe(pid)
    return client
  })
  expect(await again.call('status')).toMatchObject({ state: 'signed_in' })
  expect(await again.call('getAuthHeader')).toEqual(header)
  expect(await user.property('NRestarts')).toBe('1')

  await user.run(['systemctl', '--user', 'stop', 'cadzero-auth'])
  await user.run(['systemctl', '--user', 'restart', 'default.target']) // a log-on starts this target
  await eventually(() => user.connect())

  await user.cadzeroAuth('service', 'restart')
  const restarted = await user.status()
  expect(restarted).toMatchObject({ running: true, problem: null })
  expect(restarted.pid).not.toBe(again.endpoint.pid)
  expect(await (await user.connect()).call('status')).toMatchObject({ state: 'signed_in' })
  expect(await user.cadzeroAuth('service', 'logs')).toMatch(/info {3}stopping {2}reason=SIGTERM/)
  expect(await user.cadzeroAuth('doctor')).toMatch(/ok {7}service: systemd user unit/)

  await user.cadzeroAuth('service', 'uninstall')
  expect(await filesIn(user.homeFromTest)).toEqual(
    [
      ...before,
      '.config/cadzero-auth/sessions/production.jwe',
      '.local/share/cadzero-auth/installation.json',
      '.local/share/cadzero-auth/store-key.jwk',
    ].sort(),
  )
  expect(await user.property('LoadState')).toBe('not-found')
  expect((await user.run(['kill', '-0', String(restarted.pid)])).code).toBe(1)

  await user.cadzeroAuth('service', 'install')
  expect(await (await user.connect()).call('getAuthHeader', { interactive: false })).toEqual(header)
  await user.cadzeroAuth('service', 'uninstall', '--purge')
  expect(await filesIn(user.homeFromTest)).toEqual([])
})

test('a service replaces a daemon in the background, and a replaced service has not failed', async () => {
  const sandbox = await newSandbox()
  const user = await newUser(sandbox.issuer, sandbox.clientId)
  const background = JSON.parse(await user.cadzeroAuth('status', '--json')).daemon.pid
  await signIn(await user.connect(), sandbox)
  await user.cadzeroAuth('service', 'install')
  const { pid, daemon } = await user.status()
  expect(pid).not.toBe(background)
  expect(daemon).toMatchObject({ pid })
  expect(await (await user.connect()).call('status')).toMatchObject({ state: 'signed_in' })

  await user.cadzeroAuth('daemon', '--stop')
  expect(
    await eventually(async () => {
      const state = await user.property('ActiveState')
      expect(state).toBe('inactive')
      return state
    }),
  ).toBe('inactive')
  expect(await user.property('NRestarts')).toBe('0')
  expect((await user.status()).daemon).toBeNull()
  await user.cadzeroAuth('service', 'install')
  expect(await user.status()).toMatchObject({ running: true })
})

test('after an update in place, service install replaces the daemon of the older version, and the session stays', async () => {
  const sandbox = await newSandbox({ accessTokenTtl: 3600 })
  let folder = ''
  const user = await newUser(sandbox.issuer, sandbox.clientId, {
    program: async (home) => {
      folder = join(home, 'program')
      await copyProgram(folder, '0.9.0')
      return join(folder, 'cadzero-auth.cjs')
    },
  })
  await user.cadzeroAuth('service', 'install')
  const older = await user.connect()
  expect(older.endpoint.daemonVersion).toBe('0.9.0')
  await signIn(older, sandbox)
  const header = await older.call('getAuthHeader')

  await copyProgram(folder, '0.9.1')
  // The entry is as it was; what it starts is not.
  expect(await user.cadzeroAuth('service', 'install')).toContain('already installed')
  expect(await older.closed).toBe(1012)
  expect(await user.status()).toMatchObject({ running: true, problem: null, daemon: { version: '0.9.1' } })
  expect(await (await user.connect()).call('getAuthHeader', { interactive: false })).toEqual(header)
  const { pid } = await user.status()
  expect(await user.cadzeroAuth('service', 'install')).toContain('already installed')
  expect((await user.status()).pid).toBe(pid)
})

test('service install replaces a daemon of the service that no longer responds', async () => {
  const sandbox = await newSandbox({ accessTokenTtl: 3600 })
  const user = await newUser(sandbox.issuer, sandbox.clientId)
  await user.cadzeroAuth('service', 'install')
  const hanging = await user.connect()
  await signIn(hanging, sandbox)
  const header = await hanging.call('getAuthHeader')
  const { pid } = await user.status()
  await user.run(['kill', '-STOP', String(pid)])
  expect(await user.cadzeroAuth('service', 'install')).toContain('already installed')
  expect(await user.status()).toMatchObject({ running: true, problem: null })
  expect((await user.status()).pid).not.toBe(pid)
  expect(await (await user.connect()).call('getAuthHeader', { interactive: false })).toEqual(header)
})

test('a unit that a package has installed for all users is recognised, restarted, masked and unmasked without a trace', async () => {
  const sandbox = await newSandbox()
  const user = await newUser(sandbox.issuer, sandbox.clientId, { globalUnit: [process.execPath, PROGRAM] })
  expect(await user.status()).toMatchObject({ installed: true, enabled: true, running: true, problem: null })
  const { pid, place } = await user.status()
  expect(place).toMatch(/^\/etc\/(xdg\/)?systemd\/user\/cadzero-auth\.service$/)
  expect(await user.cadzeroAuth('doctor')).toContain(`service: systemd user unit ${place}, starts`)
  expect(await user.cadzeroAuth('service', 'restart')).toContain('restarted')
  const restarted = await user.status()
  expect(restarted).toMatchObject({ running: true, place })
  expect(restarted.pid).not.toBe(pid)
  expect(await user.cadzeroAuth('service', 'install')).toContain('already installed')

  expect(await user.cadzeroAuth('service', 'uninstall')).toContain(`switched off for you alone: ${place}`)
  expect(await user.status()).toMatchObject({ installed: false, daemon: null })
  expect(await user.property('LoadState')).toBe('masked')
  await user.run(['systemctl', '--user', 'restart', 'default.target']) // a log-on starts this target
  expect(await user.property('ActiveState')).toBe('inactive')
  expect(await user.cadzeroAuth('service', 'install')).toContain(place)
  expect(await user.status()).toMatchObject({ installed: true, enabled: true, running: true, place, problem: null })
  expect(await filesIn(join(user.homeFromTest, '.config/systemd'))).toEqual([])

  // As the administrator does, and the removal of a Debian package that is not purged.
  await user.run(['systemctl', '--user', 'stop', 'cadzero-auth'])
  await user.run(['ln', '-sf', '/dev/null', place])
  await user.run(['systemctl', '--user', 'daemon-reload'])
  expect(await user.property('LoadState')).toBe('masked')
  expect(await user.status()).toMatchObject({ installed: false })
  expect(await user.cadzeroAuth('doctor')).toContain('service: not installed')
  expect(await user.cadzeroAuth('service', 'uninstall')).not.toContain('kept:')
})

test('systemd gives up on a daemon that fails repeatedly, and a manual restart starts it', async () => {
  const sandbox = await newSandbox()
  const user = await newUser(sandbox.issuer, sandbox.clientId)
  await user.cadzeroAuth('service', 'install')
  await eventually(async () => {
    await user.run(['systemctl', '--user', 'kill', '--signal=SIGKILL', 'cadzero-auth'])
    expect(await user.property('ActiveState')).toBe('failed')
  })
  expect(await user.status()).toMatchObject({ running: false, enabled: true, daemon: null })
  expect(await user.cadzeroAuth('doctor')).toMatch(
    /warning {2}service: .* is not running\n.*hint: cadzero-auth service restart/,
  )
  await user.cadzeroAuth('service', 'restart')
  expect(await user.status()).toMatchObject({ running: true })
})

test('systemd starts the program from a folder with any name', async () => {
  const sandbox = await newSandbox()
  const name = `a  b%h%%$HOME \${X} "q" 'it' \\x41\\ Zoë & <c>`
  let home = ''
  const user = await newUser(sandbox.issuer, sandbox.clientId, {
    program: async (folder) => {
      home = folder
      await cp(dirname(PROGRAM), join(folder, name, 'dist'), { recursive: true })
      return join(folder, name, 'dist', 'cadzero-auth.cjs')
    },
  })
  await user.cadzeroAuth('service', 'install')
  expect(await user.status()).toMatchObject({ running: true, problem: null })
  const { pid } = await user.status()
  const { stdout } = await user.run(['cat', `/proc/${pid}/cmdline`])
  expect(stdout.split('\0').slice(1, 4)).toEqual([
    join(user.home, name, 'dist', 'cadzero-auth.cjs'),
    'daemon',
    '--replace',
  ])
  expect(await filesIn(join(home, '.config/systemd'))).toContain('user/cadzero-auth.service')
})

test('the service keeps its files in CADZERO_AUTH_HOME if that was set during the installation', async () => {
  const sandbox = await newSandbox()
  const user = await newUser(sandbox.issuer, sandbox.clientId, {})
  const settings = { CADZERO_AUTH_HOME: join(user.home, 'its %h "own" $HOME') }
  const run = (...args: string[]) => user.run([process.execPath, PROGRAM, ...args], settings)
  expect(await run('service', 'install')).toMatchObject({ code: 0, stderr: '' })
  const discovery = join(user.homeFromTest, 'its %h "own" $HOME', 'data', 'endpoint.json')
  expect(await readEndpoint(systemFiles, discovery)).toMatchObject({ version: 1 })
  expect(await run('service', 'status')).toMatchObject({ stdout: expect.not.stringContaining('stale') })
  expect(await user.status()).toMatchObject({ problem: 'outdated' })
  expect(await run('service', 'uninstall', '--purge')).toMatchObject({ code: 0 })
  expect(await filesIn(user.homeFromTest)).toEqual(['.config/cadzero-auth/config.json'])
})

test('the browser starts outside the service: without its restrictions, and it outlives a restart', async () => {
  const sandbox = await newSandbox()
  const browser = join(dirname(new URL(import.meta.url).pathname), 'browser.sh')
  const user = await newUser(sandbox.issuer, sandbox.clientId, {
    env: { CADZERO_AUTH_BROWSER: browser, DISPLAY: ':7' },
  })
  await user.cadzeroAuth('service', 'install')
  const client = await user.connect()
  const { authorizationUrl } = await client.call('login', { wait: false })
  const recorded = await recordOf(user)
  expect(recorded.slice(0, 3)).toEqual([authorizationUrl, 'NoNewPrivs:\t0', ':7'])
  await user.cadzeroAuth('service', 'restart')
  expect((await user.run(['kill', '-0', String(recorded[3])])).code).toBe(0)
})

test('the browser of the service has the desktop of the client, and no secret is in an argument', async () => {
  const sandbox = await newSandbox()
  const browser = join(dirname(new URL(import.meta.url).pathname), 'browser.sh')
  const user = await newUser(sandbox.issuer, sandbox.clientId, {
    env: {
      CADZERO_AUTH_BROWSER: browser,
      CLERK_SECRET_KEY: 'canary',
      NODE_PATH: '/canary',
      DISPLAY: ':7',
      http_proxy: 'http://old.example:1',
      LANG: 'C',
    },
  })
  await user.cadzeroAuth('service', 'install')
  const client = await user.connect()
  const environment = {
    WAYLAND_DISPLAY: 'wayland-5',
    LANG: 'ja_JP.UTF-8',
    XMODIFIERS: '@im=ibus',
    https_proxy: 'http://user:password@proxy.example:3128',
  }
  await client.call('login', { wait: false, environment })
  const recorded = await recordOf(user)
  for (const [name, value] of Object.entries(environment)) expect(recorded).toContain(`${name}=${value}`)
  expect(recorded.join('\n')).not.toMatch(/DISPLAY=:7|old\.example|canary/)
  expect(recorded.filter((line) => line.includes('password'))).toEqual([`https_proxy=${environment.https_proxy}`])
})

/** The lines that the stand-in for a browser has recorded. */
async function recordOf(user: User): Promise<string[]> {
  return await eventually(async () => {
    const text = await readFile(join(user.homeFromTest, 'browser.txt'), 'utf8')
    expect(text).toMatch(/end\n$/)
    return text.split('\n')
  })
}
