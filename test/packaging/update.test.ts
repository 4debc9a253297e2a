// Updates of real executables of Linux x64: one takes over from the other, from a server on loopback, with a session that goes on.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { type Desktop, hasKeyring, newDesktop } from '../support/desktop.ts'
import { type Ended, environment, runProgram, temporaryFolder } from '../support/program.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'
import { DAY } from '../update/releases.ts'
import { BROKEN, CRASHING, makeReleases, newReleaseServer, type Release } from './update-releases.ts'

const MINUTES = { timeout: 180_000 }
const NOW = Math.floor(Date.now() / 1000)
const isLinuxX64 = process.platform === 'linux' && process.arch === 'x64'

let releases: ReadonlyMap<string, Release> = new Map()
let folder = ''
beforeAll(async () => {
  if (!isLinuxX64) return
  folder = await mkdtemp(join(tmpdir(), 'cadzero-auth-update-'))
  releases = await makeReleases(folder, { '1.0.0': '', '1.1.0': '', '1.2.0': BROKEN, '1.3.0': CRASHING })
}, 300_000)
afterAll(async () => {
  if (folder !== '') await rm(folder, { recursive: true })
})

const releaseOf = (version: string) => releases.get(version) ?? expect.fail(`no ${version}`)

/** A user who has installed 1.0.0 by hand and has signed in. */
async function newUser(more: Readonly<Record<string, string>> = {}, desktop?: Desktop) {
  const [sandbox, server, home] = [await newSandbox(), await newReleaseServer(), await temporaryFolder()]
  const bin = join(home, 'bin')
  const program = join(bin, 'cadzero-auth')
  await mkdir(bin, { mode: 0o755 })
  await mkdir(join(home, 'config'), { mode: 0o700 })
  await copyFile(releaseOf('1.0.0').program, program)
  await writeFile(join(home, 'config/config.json'), JSON.stringify({ updateUrl: server.url }), { mode: 0o600 })
  const own = { home, env: { ...settingsOf(sandbox), HOME: home, ...more }, program: [program] as const }
  const run = async (...args: string[]): Promise<Ended> => await runProgram(args, own)
  const runWith = async (env: Readonly<Record<string, string>>, ...args: string[]): Promise<Ended> =>
    await runProgram(args, { ...own, env: { ...own.env, ...env } })
  onTestFinished(async () => void (await run('daemon', '--stop')))
  const discovery = join(home, 'data/endpoint.json')
  const daemon = async () => {
    const client = await connect(systemFiles, discovery, systemRandom)
    onTestFinished(() => client.close())
    return client
  }
  if (desktop === undefined) await run('status')
  else {
    const running = desktop.run([program, 'daemon'], environment(own), 'unlocked')
    await once(running.stdout ?? expect.fail('no output'), 'data')
    onTestFinished(async () => {
      const ended = once(running, 'exit') // before the bus of the desktop
      await run('daemon', '--stop')
      await ended
    })
  }
  const client = await daemon()
  expect(await signIn(client, sandbox)).toMatchObject({ state: 'signed_in', daemon: { version: '1.0.0' } })
  const header = await client.call('getAuthHeader')
  const expectVersion = async (version: string) => {
    expect((await run('--version')).stdout).toContain(version)
    const current = await daemon()
    expect(await current.call('status')).toMatchObject({ state: 'signed_in', daemon: { version } })
    const { headers } = await current.call('refresh') // with the refresh token of the first sign-in
    expect(headers).not.toEqual(header.headers)
    expect(sandbox.requests.filter(({ path }) => path === '/oauth/authorize')).toHaveLength(1)
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
  }
  const start = () => spawn(program, ['update'], { env: environment(own), stdio: 'ignore' })
  return { run, runWith, server, home, bin, program, header, daemon, expectVersion, start }
}

describe.skipIf(!isLinuxX64)(`an executable${isLinuxX64 ? '' : ' (skipped: needs Linux x64)'}`, () => {
  it('updates itself, and the new daemon has the session of the old one', MINUTES, async () => {
    const { run, server, program, header, daemon, expectVersion } = await newUser()
    server.offer(releaseOf('1.0.0'))
    expect(await run('update', '--check')).toMatchObject({ code: 0, stdout: '1.0.0 is the newest version\n' })
    server.offer(releaseOf('1.1.0'))
    const { ino } = await stat(program)
    const check = await run('update', '--check', '--json')
    expect({ ...check, stdout: JSON.parse(check.stdout) }).toMatchObject({
      code: 5,
      stdout: { version: '1.0.0', available: '1.1.0' },
    })
    expect((await stat(program)).ino).toBe(ino)
    const old = await daemon()
    expect(await run('update')).toMatchObject({ code: 0, stdout: 'updated 1.0.0 to 1.1.0\n' })
    expect(await old.closed).toBe(1012)
    expect(await (await daemon()).call('getAuthHeader', { interactive: false })).toEqual(header)
    await expectVersion('1.1.0')
    expect(await run('update')).toMatchObject({ code: 0, stdout: '1.1.0 is the newest version\n' })
  })

  it.each([
    ['does not get ready', '1.2.0', 'ended with code 7: it is broken'],
    ['crashes when it is ready', '1.3.0', ''],
  ])('[I6] goes back to its version and its daemon if the new daemon %s', MINUTES, async (_fault, version, cause) => {
    const { run, server, expectVersion } = await newUser()
    server.offer(releaseOf(version))
    const { code, stderr } = await run('update')
    expect(code).toBe(1)
    expect(stderr).toContain(`error: the daemon of version ${version} did not get ready`)
    expect(stderr).toContain(cause)
    expect(stderr).toContain('version 1.0.0 is in place again, and its daemon runs')
    await expectVersion('1.0.0')
  })

  it('[I6] replaces no daemon whose session is in memory only', MINUTES, async () => {
    const { run, server, daemon, home, expectVersion } = await newUser()
    server.offer(releaseOf('1.1.0'))
    const old = await daemon()
    const sessions = join(home, 'config/sessions')
    await rename(sessions, `${sessions}.away`) // as a disk that is no longer there
    await expect(old.call('refresh')).rejects.toMatchObject({ code: 1005 })
    const refused = await run('update')
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('production is in memory only') })
    expect(server.requests.filter((path) => path.endsWith('.gz'))).toEqual([])
    expect((await daemon()).endpoint).toEqual(old.endpoint)
    await rename(`${sessions}.away`, sessions)
    await expect.poll(() => old.call('status'), { timeout: 70_000 }).toMatchObject({ store: { persisted: true } })
    expect(await run('update')).toMatchObject({ code: 0 })
    await expectVersion('1.1.0')
  })

  it('[I6] replaces no daemon if the next one could not read the key of the session', MINUTES, async () => {
    const passphrase = { CADZERO_AUTH_KEY_PROTECTION: 'passphrase', CADZERO_AUTH_PASSPHRASE: 'right' }
    const { run, runWith, server, daemon, expectVersion } = await newUser(passphrase)
    server.offer(releaseOf('1.1.0'))
    const { endpoint } = await daemon()
    for (const wrong of ['', 'wrong']) {
      expect((await runWith({ CADZERO_AUTH_PASSPHRASE: wrong }, 'update', '--check')).code).toBe(5)
      const { code, stderr } = await runWith({ CADZERO_AUTH_PASSPHRASE: wrong }, 'update')
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('cannot be read from here') })
    }
    expect(server.requests.filter((path) => path.endsWith('.gz'))).toEqual([])
    expect((await daemon()).endpoint).toEqual(endpoint)
    await expectVersion('1.0.0')
    expect(await run('update')).toMatchObject({ code: 0 })
    await expectVersion('1.1.0')
  })

  it.skipIf(!hasKeyring)(
    `[I6] replaces no daemon that has a keyring, if there is none here${hasKeyring ? '' : ' (skipped: needs gnome-keyring)'}`,
    MINUTES,
    async () => {
      const { run, server, daemon, expectVersion } = await newUser(
        { CADZERO_AUTH_KEY_PROTECTION: 'auto' },
        await newDesktop(),
      )
      const old = await daemon()
      expect(await old.call('status')).toMatchObject({ store: { keyProtection: 'keyring' } })
      server.offer(releaseOf('1.1.0'))
      const { code, stderr } = await run('update') // as over ssh: without the bus of the desktop
      expect(code).toBe(1)
      expect(stderr).toContain('the key of your session cannot be read from here (keyring_unavailable)')
      expect((await daemon()).endpoint).toEqual(old.endpoint)
      await expectVersion('1.0.0')
    },
  )

  it('refuses what is not signed, not current, not newer or not complete, and goes on as before', MINUTES, async () => {
    const { run, server, program, daemon, expectVersion } = await newUser()
    const [{ ino }, { endpoint }] = [await stat(program), await daemon()]
    const { gzip } = releaseOf('1.1.0')
    const changed = Buffer.from(gzip)
    changed.writeUInt8(changed.readUInt8(gzip.length - 100) ^ 1, gzip.length - 100)
    const refusals: [string, () => void][] = [
      ['has no valid signature', () => server.files.set('/update.json.sig', Buffer.from('A'.repeat(88)))],
      [
        'has expired',
        () => server.offer(releaseOf('1.1.0'), { expiresAt: new Date((NOW - DAY) * 1000).toISOString() }),
      ],
      ['older than this program', () => server.offer(releaseOf('1.1.0'), { sequence: 1 })],
      ['0.9.0, which is older', () => server.offer(releaseOf('1.1.0'), { version: '0.9.0' })],
      ['not downloaded completely', () => server.offer(releaseOf('1.1.0'), {}, changed)],
      ['not downloaded completely', () => server.offer(releaseOf('1.1.0'), {}, gzip.subarray(0, 1_000_000))],
      ['does not run on this computer', () => server.offer(releaseOf('1.1.0'), { version: '1.1.1' })],
      ['answers with 404', () => server.files.clear()],
    ]
    server.offer(releaseOf('1.1.0'))
    for (const [text, offer] of refusals) {
      offer()
      const { code, stderr } = await run('update')
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(text) })
    }
    server.offer(releaseOf('1.1.0'))
    server.interrupt(async () => undefined)
    const interrupted = await run('update')
    expect(interrupted).toMatchObject({ code: 1, stderr: expect.stringContaining('the connection was refused or cut') })
    expect((await stat(program)).ino).toBe(ino)
    expect((await daemon()).endpoint).toEqual(endpoint)
    await expectVersion('1.0.0')
  })

  it('is complete after a kill of the update, and the next update goes on', MINUTES, async () => {
    const { run, server, bin, expectVersion, start } = await newUser()
    server.offer(releaseOf('1.1.0'))
    const first = start()
    const isKilled = once(first, 'exit')
    server.interrupt(async () => {
      first.kill('SIGKILL')
      await isKilled
    })
    await isKilled
    server.interrupt(undefined)
    await rm(join(bin, '.cadzero-auth-lock'), { force: true }) // only to look at the rest: a dead process holds no lock
    expect(await readdir(bin)).toEqual(['.cadzero-auth-update', 'cadzero-auth'])
    expect((await run('--version')).stdout).toContain('1.0.0')

    const watcher = watch(bin)
    const second = start()
    await new Promise<void>((done) => {
      watcher.on('change', (_event, name) => {
        if (name === 'cadzero-auth') done() // renamed over the old one, before the new daemon is ready
      })
    })
    second.kill('SIGKILL')
    await once(second, 'exit')
    watcher.close()
    expect((await run('--version')).stdout).toContain('1.1.0')
    expect(await readdir(bin)).toContain('cadzero-auth.previous')
    const { code, stderr } = await run('update')
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('was finished') })
    await expectVersion('1.1.0')
  })
})
