// The service on a real systemd user manager: installed, killed, restarted, asked, and gone without a trace.
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { readEndpoint } from '../../src/rpc/discovery.ts'
import { PROGRAM } from '../support/program.ts'
import { newSandbox, signIn } from '../support/world.ts'
import { eventually, missing, startUserManager, type UserManager } from './user-manager.ts'

const why = missing()
const reason = why === '' ? '' : ` (skipped: ${why})`
const test = (name: string, action: () => Promise<void>) => it.skipIf(why !== '')(`${name}${reason}`, action, 60_000)

interface Person extends UserManager {
  /** A command of ours, which must succeed. @returns what it printed */
  ours(...args: string[]): Promise<string>
  status(): Promise<{ pid: number; problem: string | null; enabled: boolean; running: boolean; daemon: unknown }>
  connect(): ReturnType<typeof connect>
  /** A property of the unit. */
  property(name: string): Promise<string>
}

/** A person with a home, a configuration for the sandbox, and our program. */
async function newPerson(
  issuer: string,
  clientId: string,
  options: {
    program?: (home: string) => Promise<string>
    env?: Record<string, string>
    settings?: Record<string, string>
  } = {},
): Promise<Person> {
  const manager = await startUserManager(options.env)
  const { seen, run } = manager
  const program = (await options.program?.(seen)) ?? PROGRAM
  const own = options.settings?.CADZERO_AUTH_HOME
  const inHome = (path: string) => path.replace(manager.home, seen)
  const config = own ? join(inHome(own), 'config') : join(seen, '.config/cadzero-auth')
  const discoveryFile = own
    ? join(inHome(own), 'data/endpoint.json')
    : join(seen, '.local/share/cadzero-auth/endpoint.json')
  await mkdir(config, { recursive: true })
  const profiles = { production: { issuer, clientId } }
  await writeFile(join(config, 'config.json'), JSON.stringify({ keyProtection: 'keyfile', profiles }))
  const ours = async (...args: string[]) => {
    const ended = await run([process.execPath, program.replace(seen, manager.home), ...args], options.settings)
    expect(ended, `${args.join(' ')}: ${ended.stderr}`).toMatchObject({ code: 0 })
    return ended.stdout
  }
  return {
    ...manager,
    ours,
    status: async () => JSON.parse(await ours('service', 'status', '--json')),
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

test('systemd starts it, starts it again when it is killed, and the session outlives that and an uninstall', async () => {
  const sandbox = await newSandbox()
  const person = await newPerson(sandbox.issuer, sandbox.clientId)
  const before = await filesIn(person.seen)

  expect(await person.ours('service', 'install')).toContain('starts whenever you log on')
  const { pid, ...status } = await person.status()
  expect(status).toMatchObject({ enabled: true, running: true, problem: null, daemon: { pid } })
  expect(await person.property('UnitFileState')).toBe('enabled')
  expect(await person.property('MainPID')).toBe(String(pid))
  const proc = await person.run(['cat', `/proc/${pid}/status`])
  expect(proc.stdout).toMatch(/^NoNewPrivs:\s+1$/m)
  const limits = await person.run(['cat', `/proc/${pid}/limits`])
  expect(limits.stdout).toMatch(/^Max core file size\s+0\s+0\s/m)
  const [own, other] = await Promise.all(
    [pid, 1].map((one) => person.run(['stat', '--format=%i %d', `/proc/${one}/root/tmp`])),
  )
  expect(own?.stdout).not.toBe(other?.stdout) // a /tmp of its own

  const first = await person.connect()
  await signIn(first, sandbox)
  const header = await first.call('getAuthHeader')

  expect(await person.ours('service', 'install')).toContain('it is installed already')
  expect((await person.status()).pid).toBe(pid)

  await person.run(['kill', '-9', String(pid)])
  await first.closed
  const again = await eventually(async () => {
    const client = await person.connect()
    expect(client.endpoint.pid).not.toBe(pid)
    return client
  })
  expect(await again.call('status')).toMatchObject({ state: 'signed_in' })
  expect(await again.call('getAuthHeader')).toEqual(header)
  expect(await person.property('NRestarts')).toBe('1')

  await person.run(['systemctl', '--user', 'stop', 'cadzero-auth'])
  await person.run(['systemctl', '--user', 'restart', 'default.target']) // what a log-on starts
  await eventually(() => person.connect())

  await person.ours('service', 'restart')
  const restarted = await person.status()
  expect(restarted).toMatchObject({ running: true, problem: null })
  expect(restarted.pid).not.toBe(again.endpoint.pid)
  expect(await (await person.connect()).call('status')).toMatchObject({ state: 'signed_in' })
  expect(await person.ours('service', 'logs')).toMatch(/info {3}stopping {2}reason=SIGTERM/)
  expect(await person.ours('doctor')).toMatch(/ok {7}service: systemd user unit/)

  await person.ours('service', 'uninstall')
  expect(await filesIn(person.seen)).toEqual(
    [...before, '.config/cadzero-auth/sessions/production.jwe', '.local/share/cadzero-auth/store-key.jwk'].sort(),
  )
  expect(await person.property('LoadState')).toBe('not-found')
  expect((await person.run(['kill', '-0', String(restarted.pid)])).code).toBe(1)

  await person.ours('service', 'install')
  expect(await (await person.connect()).call('getAuthHeader', { interactive: false })).toEqual(header)
  await person.ours('service', 'uninstall', '--purge')
  expect(await filesIn(person.seen)).toEqual([])
})

test('systemd takes over from a daemon in the background, and being replaced is no failure', async () => {
  const sandbox = await newSandbox()
  const person = await newPerson(sandbox.issuer, sandbox.clientId)
  const background = JSON.parse(await person.ours('status', '--json')).daemon.pid
  await signIn(await person.connect(), sandbox)
  await person.ours('service', 'install')
  const { pid, daemon } = await person.status()
  expect(pid).not.toBe(background)
  expect(daemon).toMatchObject({ pid })
  expect(await (await person.connect()).call('status')).toMatchObject({ state: 'signed_in' })

  await person.ours('daemon', '--stop')
  expect(
    await eventually(async () => {
      const state = await person.property('ActiveState')
      expect(state).toBe('inactive')
      return state
    }),
  ).toBe('inactive')
  expect(await person.property('NRestarts')).toBe('0')
  expect((await person.status()).daemon).toBeNull()
  await person.ours('service', 'install')
  expect(await person.status()).toMatchObject({ running: true })
})

test('systemd gives up on a daemon that fails again and again, and a restart by hand helps', async () => {
  const sandbox = await newSandbox()
  const person = await newPerson(sandbox.issuer, sandbox.clientId)
  await person.ours('service', 'install')
  await eventually(async () => {
    await person.run(['systemctl', '--user', 'kill', '--signal=SIGKILL', 'cadzero-auth'])
    expect(await person.property('ActiveState')).toBe('failed')
  })
  expect(await person.status()).toMatchObject({ running: false, enabled: true, daemon: null })
  expect(await person.ours('doctor')).toMatch(
    /warning {2}service: .* is not running\n.*hint: cadzero-auth service restart/,
  )
  await person.ours('service', 'restart')
  expect(await person.status()).toMatchObject({ running: true })
})

test('systemd starts it from any folder, with the folders of whoever installed it', async () => {
  const sandbox = await newSandbox()
  const name = `a  b%h%%$HOME \${X} "q" 'it' \\x41\\ Zoë & <c>`
  let seen = ''
  const person = await newPerson(sandbox.issuer, sandbox.clientId, {
    program: async (home) => {
      seen = home
      await cp(dirname(PROGRAM), join(home, name, 'dist'), { recursive: true })
      return join(home, name, 'dist', 'cadzero-auth.cjs')
    },
  })
  await person.ours('service', 'install')
  expect(await person.status()).toMatchObject({ running: true, problem: null })
  const { pid } = await person.status()
  const { stdout } = await person.run(['cat', `/proc/${pid}/cmdline`])
  expect(stdout.split('\0').slice(1, 4)).toEqual([
    join(person.home, name, 'dist', 'cadzero-auth.cjs'),
    'daemon',
    '--replace',
  ])
  expect(await filesIn(join(seen, '.config/systemd'))).toContain('user/cadzero-auth.service')
})

test('the daemon keeps its files below CADZERO_AUTH_HOME where that was set', async () => {
  const sandbox = await newSandbox()
  const person = await newPerson(sandbox.issuer, sandbox.clientId, {})
  const settings = { CADZERO_AUTH_HOME: join(person.home, 'its %h "own" $HOME') }
  const run = (...args: string[]) => person.run([process.execPath, PROGRAM, ...args], settings)
  expect(await run('service', 'install')).toMatchObject({ code: 0, stderr: '' })
  const discovery = join(person.seen, 'its %h "own" $HOME', 'data', 'endpoint.json')
  expect(await readEndpoint(systemFiles, discovery)).toMatchObject({ version: 1 })
  expect(await run('service', 'status')).toMatchObject({ stdout: expect.not.stringContaining('stale') })
  expect(await person.status()).toMatchObject({ problem: 'outdated' })
  expect(await run('service', 'uninstall', '--purge')).toMatchObject({ code: 0 })
  expect(await filesIn(person.seen)).toEqual(['.config/cadzero-auth/config.json'])
})

test('the browser is started beside the service: with its own rights, and it outlives a restart', async () => {
  const sandbox = await newSandbox()
  const browser = join(dirname(new URL(import.meta.url).pathname), 'browser.sh')
  const person = await newPerson(sandbox.issuer, sandbox.clientId, {
    env: { CADZERO_AUTH_BROWSER: browser, DISPLAY: ':7' },
  })
  await person.ours('service', 'install')
  const client = await person.connect()
  const { authorizationUrl } = await client.call('login', { wait: false })
  const seen = await eventually(async () => {
    const text = await readFile(join(person.seen, 'browser.txt'), 'utf8')
    expect(text).toContain('end\n')
    return text.split('\n')
  })
  expect(seen.slice(0, 3)).toEqual([authorizationUrl, 'NoNewPrivs:\t0', ':7'])
  await person.ours('service', 'restart')
  expect((await person.run(['kill', '-0', String(seen[3])])).code).toBe(0)
})
