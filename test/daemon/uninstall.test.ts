// Uninstalling: the order of its steps, what it removes, and what it keeps.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { CompactEncrypt } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { type UninstallOptions, type UninstallWarning, uninstall } from '../../src/daemon/uninstall.ts'
import { systemFiles } from '../../src/host/files.ts'
import { systemHost } from '../../src/host/host.ts'
import { takeLock } from '../../src/host/lock.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, type RpcClient } from '../../src/rpc/client.ts'
import { startLocalDaemon } from '../support/daemon.ts'
import { hasKeyring, newDesktop } from '../support/desktop.ts'
import { temporaryFolder } from '../support/folder.ts'
import { environment, PROGRAM } from '../support/program.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'

const env = { CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }

/** A session file of version 1.0, which names no installation. */
const envelopeOf = (header: object = {}) =>
  new CompactEncrypt(Buffer.from('{}'))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: 'cadzero-session+jwe', version: 1, ...header })
    .encrypt(randomBytes(32))
const envelope = await envelopeOf()

/** A home with the files of two profiles and one file of the user's own. */
async function newHome() {
  const home = await temporaryFolder()
  const folders = locateFolders({ CADZERO_AUTH_HOME: home })
  for (const folder of [folders.sessions, folders.addon, folders.log]) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  }
  const paths = [
    join(folders.sessions, 'alpha.jwe'),
    join(folders.sessions, 'beta.jwe'),
    join(folders.sessions, 'beta.jwe.bad-1800000000000'),
    join(folders.config, 'notes.txt'),
    folders.configFile,
    folders.keyFile,
    folders.wrappedKeyFile,
    join(folders.data, 'known-user-production.json'),
    folders.logFile,
    join(folders.addon, `${'0'.repeat(64)}.node`),
    join(folders.log, 'daemon.log.1'),
    join(folders.log, '20260102-0304-01-daemon.log'),
  ]
  for (const path of paths) await writeFile(path, path.includes('.jwe') ? envelope : '{}', { mode: 0o600 })
  const files = async () => {
    const entries = await readdir(home, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort()
  }
  return { home, folders, files }
}

/** A client whose daemon confirms a logout of these profiles alone. */
function clientOf(confirmed: readonly string[], onCall: (text: string) => void): RpcClient {
  const client: Pick<RpcClient, 'close'> & { call: (method: string, params: { profile: string }) => unknown } = {
    async call(method, { profile }) {
      onCall(`${method} ${profile}`)
      if (!confirmed.includes(profile)) throw new Error('not confirmed')
      return { revoked: true, accessTokenValidUntil: null }
    },
    close: () => onCall('close'),
  }
  return client as unknown as RpcClient
}

function optionsFor(folders: UninstallOptions['folders'], change: Partial<UninstallOptions> = {}): UninstallOptions {
  return {
    host: systemHost(),
    folders,
    env,
    purge: false,
    connectToDaemon: () => Promise.reject(new Error('not expected')),
    removeEntry: () => Promise.resolve(false),
    onWarning: () => undefined,
    ...change,
  }
}

const KEPT_FILES = [
  'alpha.jwe',
  'beta.jwe',
  'beta.jwe.bad-1800000000000',
  'config.json',
  'known-user-production.json',
  'notes.txt',
  'store-key.jwe',
  'store-key.jwk',
]

describe('uninstall', () => {
  it.each([
    ['a private', 0o600],
    ['a readable', 0o644],
  ])('keeps %s session file of another installation and the configuration with --purge', async (_, mode) => {
    const { folders, files } = await newHome()
    const path = join(folders.sessions, 'alpha.jwe')
    await writeFile(path, await envelopeOf({ installation: 'other-installation-000' }))
    await chmod(path, mode)
    const { left } = await uninstall(optionsFor(folders, { purge: true }))
    expect(left).toEqual([
      { path, reason: 'other_installation' },
      { path: folders.configFile, reason: 'in_use' },
    ])
    expect(await files()).toEqual(['alpha.jwe', 'config.json', 'notes.txt'])
  })

  it('removes the files of a run, and keeps the sessions, their keys and the configuration', async () => {
    const { folders, files } = await newHome()
    expect(await uninstall(optionsFor(folders))).toMatchObject({
      hadEntry: false,
      keptKey: undefined,
      removedKey: false,
      left: [],
    })
    expect(await files()).toEqual(KEPT_FILES)
  })

  it('removes everything but the user’s own files with purge, and the folders that are empty then', async () => {
    const { home, folders, files } = await newHome()
    const connectToDaemon = async () => clientOf(['alpha', 'beta'], () => undefined)
    await uninstall(optionsFor(folders, { purge: true, connectToDaemon }))
    expect(await files()).toEqual(['notes.txt'])
    expect(await readdir(home)).toEqual(['config'])
  })

  it('names an addon that a process has open on Windows, and removes the others', async () => {
    const { folders } = await newHome()
    const [open, other] = ['0', '1'].map((digit) => join(folders.addon, `${digit.repeat(64)}.node`)) as [string, string]
    await writeFile(other, '')
    const unlink: typeof systemFiles.unlink = async (path) => {
      if (path === open) throw Object.assign(new Error('in use'), { code: 'EPERM' })
      await systemFiles.unlink(path)
    }
    const host = { ...systemHost(), files: { ...systemFiles, unlink } }
    expect(await uninstall(optionsFor(folders, { host }))).toMatchObject({ left: [{ path: open, reason: 'open' }] })
    expect(await readdir(folders.addon)).toEqual([basename(open)])
  })

  it('revokes the sessions, then removes the entry, then ends the daemon, then removes the files', async () => {
    const { folders, files } = await newHome()
    const host = systemHost()
    const { daemon } = await startLocalDaemon({ folders })
    const steps: string[] = []
    void daemon.stopped.then(() => steps.push('daemon ended'))
    const removeEntry = async () => {
      const client = await connect(systemFiles, folders.discoveryFile, systemRandom)
      client.close()
      steps.push('removeEntry while the daemon runs')
      return true
    }
    const remove = systemFiles.unlink
    const unlink: typeof remove = async (path) => {
      if (String(path).endsWith('alpha.jwe')) steps.push('remove alpha.jwe')
      await remove(path)
    }
    const connectToDaemon = async () => clientOf(['alpha', 'beta'], (text) => steps.push(text))
    const uninstalled = await uninstall(
      optionsFor(folders, {
        host: { ...host, files: { ...systemFiles, unlink } },
        purge: true,
        connectToDaemon,
        removeEntry,
      }),
    )
    expect(uninstalled).toMatchObject({ hadEntry: true, keptKey: undefined, removedKey: false, left: [] })
    expect(steps).toEqual([
      'logout alpha',
      'logout beta',
      'close',
      'removeEntry while the daemon runs',
      'daemon ended',
      'remove alpha.jwe',
    ])
    expect(await files()).toEqual(['notes.txt'])
  })

  it('warns of each session that the provider did not confirm, and removes it all the same', async () => {
    const { folders, files } = await newHome()
    const warnings: UninstallWarning[] = []
    const connectToDaemon = async () => clientOf(['alpha'], () => undefined)
    await uninstall(
      optionsFor(folders, { purge: true, connectToDaemon, onWarning: (warning) => warnings.push(warning) }),
    )
    expect(warnings).toEqual([{ kind: 'not_revoked', profile: 'beta' }])
    expect(await files()).toEqual(['notes.txt'])
  })

  it('warns if no daemon can be started to revoke the sessions, and removes them all the same', async () => {
    const { folders, files } = await newHome()
    const warnings: UninstallWarning[] = []
    await uninstall(optionsFor(folders, { purge: true, onWarning: (warning) => warnings.push(warning) }))
    expect(warnings).toEqual([{ kind: 'no_daemon' }])
    expect(await files()).toEqual(['notes.txt'])
  })

  it.each([
    ['a session file that is none', 'sessions', 'beta.jwe', 'the notes of another program'],
    ['a file of that name that is set aside', 'sessions', 'beta.jwe.bad-1800000000000', '{}'],
    ['the JWE of another program', 'sessions', 'beta.jwe', envelopeOf({ typ: 'JWE' })],
    ['a configuration of another program', 'config', 'config.json', '{"theme":"dark"}'],
    ['a configuration that is no JSON', 'config', 'config.json', 'theme = dark'],
  ] as const)('[G9] leaves %s with purge, and names it', async (_name, folder, name, content) => {
    const { folders, files } = await newHome()
    const path = join(folders[folder], name)
    await writeFile(path, await content)
    const revoked: string[] = []
    const connectToDaemon = async () => clientOf(['alpha', 'beta'], (text) => revoked.push(text))
    const { left } = await uninstall(optionsFor(folders, { purge: true, connectToDaemon }))
    expect(left).toEqual([{ path, reason: 'not_ours' }])
    expect(await files()).toEqual([name, 'notes.txt'].sort())
    expect(revoked).toContain('logout alpha')
    expect(revoked.includes('logout beta')).toBe(name !== 'beta.jwe')
  })

  it('starts no daemon if no session is saved', async () => {
    const { folders, files } = await newHome()
    await rm(folders.sessions, { recursive: true })
    const warnings: UninstallWarning[] = []
    await uninstall(optionsFor(folders, { purge: true, onWarning: (warning) => warnings.push(warning) }))
    expect(warnings).toEqual([])
    expect(await files()).toEqual(['notes.txt'])
  })

  it('removes no file while another process holds the lock', async () => {
    const { folders, files } = await newHome()
    const lock = await takeLock(systemFiles, folders.lockFile)
    onTestFinished(() => lock?.release())
    const before = await files()
    const connectToDaemon = async () => clientOf(['alpha', 'beta'], () => undefined)
    await expect(uninstall(optionsFor(folders, { purge: true, connectToDaemon }))).rejects.toMatchObject({
      name: 'StuckDaemonError',
    })
    expect(await files()).toEqual(before)
  })
})

const why = hasKeyring ? '' : ' (skipped: needs gnome-keyring, dbus and libsecret-tools)'

it.skipIf(!hasKeyring)(
  `uninstall --purge removes the key from the keyring unless other sessions need it${why}`,
  async () => {
    const [sandbox, desktop, home, user] = [
      await newSandbox(),
      await newDesktop(),
      await temporaryFolder(),
      await temporaryFolder(),
    ]
    const settings = { ...settingsOf(sandbox), CADZERO_AUTH_KEY_PROTECTION: 'auto', HOME: user }
    const run = async (...command: string[]) => {
      const child = desktop.run(command, environment({ home, env: settings }), 'unlocked')
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk))
      await once(child, 'close')
      return output
    }
    const search = () => run('secret-tool', 'search', '--all', 'service', 'cadzero-auth')
    const daemon = desktop.run([process.execPath, PROGRAM, 'daemon'], environment({ home, env: settings }), 'unlocked')
    const ended = once(daemon, 'exit')
    await once(daemon.stdout ?? daemon, 'data')
    const client = await connect(systemFiles, join(home, 'data', 'endpoint.json'), systemRandom)
    await signIn(client, sandbox)
    await client.call('shutdown')
    await ended
    expect(await search()).toContain('store-key')

    // A session in the default folders is encrypted with the same key.
    const sessions = join(user, '.config', 'cadzero-auth', 'sessions')
    await mkdir(sessions, { recursive: true })
    await writeFile(join(sessions, 'production.jwe'), '')
    expect(await run(process.execPath, PROGRAM, 'service', 'uninstall', '--purge')).toContain(
      'kept: the key in the keyring',
    )
    expect(await search()).toContain('store-key')
    await rm(sessions, { recursive: true })
    const last = await run(process.execPath, PROGRAM, 'service', 'uninstall', '--purge')
    expect(last).toContain('removed: the key in the keyring')
    expect(last).not.toContain('kept: ')
    expect(await search()).not.toContain('store-key')
  },
  60_000, // starts seven D-Bus sessions
)
