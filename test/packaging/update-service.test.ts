// Updates of an executable whose daemon runs as a unit of a real systemd user manager.
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { newSandbox, signIn } from '../support/world.ts'
import { BROKEN, makeReleases, newReleaseServer, type Release } from './update-releases.ts'
import { eventually, missingRequirement, startUserManager } from './user-manager.ts'

const missing = process.arch === 'x64' ? missingRequirement() : 'needs x64'
const MINUTES = { timeout: 180_000 }

let releases: ReadonlyMap<string, Release> = new Map()
let folder = ''
beforeAll(async () => {
  if (missing !== '') return
  folder = await mkdtemp(join(tmpdir(), 'cadzero-auth-update-'))
  releases = await makeReleases(folder, { '1.0.0': '', '1.1.0': '', '1.2.0': BROKEN })
}, 300_000)
afterAll(async () => {
  if (folder !== '') await rm(folder, { recursive: true })
})

const releaseOf = (version: string) => releases.get(version) ?? expect.fail(`no ${version}`)

/** A user with 1.0.0 in ~/.local/bin, whose service runs it, and who has signed in. */
async function newServiceUser({ settings = {} }: { readonly settings?: Readonly<Record<string, unknown>> } = {}) {
  const [sandbox, server, manager] = [
    await newSandbox({ accessTokenTtl: 3600 }),
    await newReleaseServer(),
    await startUserManager(),
  ]
  const { home, homeFromTest } = manager
  const bin = join(homeFromTest, '.local/bin')
  await mkdir(bin, { recursive: true, mode: 0o755 })
  await copyFile(releaseOf('1.0.0').program, join(bin, 'cadzero-auth'))
  const profiles = { production: { issuer: sandbox.issuer, clientId: sandbox.clientId } }
  const config = JSON.stringify({ keyProtection: 'keyfile', profiles, updateUrl: server.url, ...settings })
  const configure = async (path: string) => {
    await mkdir(join(homeFromTest, path), { recursive: true, mode: 0o700 })
    await writeFile(join(homeFromTest, path, 'config.json'), config, { mode: 0o600 })
  }
  await configure('.config/cadzero-auth')
  const run = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    await manager.run([join(home, '.local/bin/cadzero-auth'), ...args], env)
  const daemon = async (data = '.local/share/cadzero-auth') => {
    const client = await connect(systemFiles, join(homeFromTest, data, 'endpoint.json'), systemRandom)
    onTestFinished(() => client.close())
    return client
  }
  const property = async (name: string) => {
    const shown = await manager.run(['systemctl', '--user', 'show', `--property=${name}`, '--value', 'cadzero-auth'])
    return shown.stdout.trim()
  }
  const expectService = async (version: string, header: unknown) => {
    const client = await daemon()
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', daemon: { version } })
    expect(await client.call('getAuthHeader', { interactive: false })).toEqual(header)
    expect(await property('MainPID')).toBe(String(client.endpoint.pid))
    const status = JSON.parse((await run(['service', 'status', '--json'])).stdout)
    const pid = client.endpoint.pid
    expect(status).toMatchObject({ problem: null, enabled: true, running: true, pid, daemon: { pid, version } })
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
    return client
  }
  return { sandbox, server, manager, home, homeFromTest, bin, run, daemon, property, expectService, configure }
}

describe.skipIf(missing !== '')(`the service${missing === '' ? '' : ` (skipped: ${missing})`}`, () => {
  it('is restarted by an update, and runs the new program from then on', MINUTES, async () => {
    const { sandbox, server, run, daemon, expectService, manager } = await newServiceUser()
    expect(await run(['service', 'install'])).toMatchObject({ code: 0 })
    const old = await daemon()
    await signIn(old, sandbox)
    const header = await old.call('getAuthHeader')
    server.offer(releaseOf('1.1.0'))
    expect(await run(['update'])).toMatchObject({ code: 0, stdout: 'updated 1.0.0 to 1.1.0\n' })
    expect(await old.closed).toBe(1012)
    const updated = await expectService('1.1.0', header)
    await manager.run(['kill', '-9', String(updated.endpoint.pid)])
    await updated.closed
    await eventually(async () => expect((await daemon()).endpoint.pid).not.toBe(updated.endpoint.pid))
    await expectService('1.1.0', header)
    expect(await run(['service', 'restart'])).toMatchObject({ code: 0 })
    await expectService('1.1.0', header)
  })

  it('[I6] runs the previous program again if that of the update does not get ready', MINUTES, async () => {
    const { sandbox, server, run, daemon, expectService } = await newServiceUser()
    expect(await run(['service', 'install'])).toMatchObject({ code: 0 })
    const old = await daemon()
    await signIn(old, sandbox)
    const header = await old.call('getAuthHeader')
    server.offer(releaseOf('1.2.0'))
    const { code, stderr } = await run(['update'])
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('version 1.0.0 is in place again, and its daemon runs'),
    })
    await expectService('1.0.0', header)
  })

  it('is left alone by an update for the daemon of another CADZERO_AUTH_HOME', MINUTES, async () => {
    const { server, run, daemon, configure, home, property } = await newServiceUser()
    expect(await run(['service', 'install'])).toMatchObject({ code: 0 })
    const { pid } = (await daemon()).endpoint
    await configure('other/config')
    const env = { CADZERO_AUTH_HOME: join(home, 'other') }
    expect(await run(['status'], env)).toMatchObject({ code: 0 })
    server.offer(releaseOf('1.1.0'))
    expect(await run(['update'], env)).toMatchObject({ code: 0, stdout: 'updated 1.0.0 to 1.1.0\n' })
    expect((await daemon('other/data')).endpoint.daemonVersion).toBe('1.1.0')
    expect(await property('MainPID')).toBe(String(pid))
    await run(['daemon', '--stop'], env)
  })

  it('is not started by an update of a daemon whose passphrase it cannot know', MINUTES, async () => {
    const { sandbox, server, run, daemon, property } = await newServiceUser({
      settings: { keyProtection: 'passphrase' },
    })
    expect(await run(['service', 'install'])).toMatchObject({ code: 0 })
    const env = { CADZERO_AUTH_PASSPHRASE: 'correct horse' }
    const replaced = await daemon()
    expect(await run(['daemon', '--stop'])).toMatchObject({ code: 0 })
    await replaced.closed
    expect(await run(['status'], env)).toMatchObject({ code: 0 })
    const old = await daemon()
    expect(await signIn(old, sandbox)).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    const header = await old.call('getAuthHeader')
    server.offer(releaseOf('1.1.0'))
    expect(await run(['update'], env)).toMatchObject({ code: 0, stdout: 'updated 1.0.0 to 1.1.0\n' })
    const updated = await daemon()
    expect(await updated.call('getAuthHeader', { interactive: false })).toEqual(header)
    expect(updated.endpoint.daemonVersion).toBe('1.1.0')
    expect(await property('ActiveState')).toBe('inactive')
    await run(['daemon', '--stop'])
  })
})
