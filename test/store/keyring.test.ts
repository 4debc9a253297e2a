// The store key in a real keyring: gnome-keyring on its own D-Bus session, as on a Linux desktop; and without a keyring.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { hasKeyring, newDesktop } from '../support/desktop.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'
import { environment, PROGRAM, runProgram } from '../support/program.ts'
import { newSandbox, settingsOf, signIn } from '../support/world.ts'

const why = hasKeyring ? '' : ' (skipped: needs gnome-keyring, dbus and libsecret-tools)'

it.skipIf(!hasKeyring)(
  `[E3] keeps the key in a real keyring, and reports a locked one as key_locked, not as signed out${why}`,
  async () => {
    const [sandbox, desktop, home] = [await newSandbox(), await newDesktop(), await temporaryFolder()]
    const settings = { ...settingsOf(sandbox), CADZERO_AUTH_KEY_PROTECTION: 'auto' }
    const start = async (keyring: 'unlocked' | 'locked') => {
      const env = environment({ home, env: settings })
      const program = desktop.run([process.execPath, PROGRAM, 'daemon'], env, keyring)
      const ended = once(program, 'exit')
      await once(program.stdout ?? program, 'data')
      const client = await connect(systemFiles, join(home, 'data', 'endpoint.json'), systemRandom)
      onTestFinished(() => client.close())
      return {
        client,
        async stop() {
          await client.call('shutdown')
          await ended
        },
      }
    }

    const first = await start('unlocked')
    expect(await signIn(first.client, sandbox)).toMatchObject({ store: { persisted: true, keyProtection: 'keyring' } })
    const header = await first.client.call('getAuthHeader')
    expect(await readdir(join(home, 'data'))).not.toContain('store-key.jwk')
    await first.stop()

    const locked = await start('locked')
    const failure = { code: 1005, data: { reason: 'key_locked', hint: expect.stringContaining('unlock') } }
    await expect(locked.client.call('getAuthHeader')).rejects.toMatchObject(failure)
    await expect(locked.client.call('login')).rejects.toMatchObject(failure)
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual(['production.jwe'])
    await locked.stop()

    const again = await start('unlocked')
    expect(await again.client.call('getAuthHeader')).toEqual(header)
    await again.stop()

    const search = desktop.run(
      ['secret-tool', 'search', '--all', 'service', 'cadzero-auth'],
      environment({ home }),
      'unlocked',
    )
    let found = ''
    for (const stream of [search.stdout, search.stderr]) stream?.on('data', (chunk) => (found += chunk))
    await once(search, 'close')
    expect(found).toContain('attribute.username = store-key')
  },
)

it.skipIf(!hasKeyring)(
  `keeps the key in a file if the keyring has no collection, and the doctor says why${why}`,
  async () => {
    const [sandbox, desktop, home] = [await newSandbox(), await newDesktop(), await temporaryFolder()]
    const env = environment({ home, env: { ...settingsOf(sandbox), CADZERO_AUTH_KEY_PROTECTION: 'auto' } })
    const daemon = desktop.run([process.execPath, PROGRAM, 'daemon'], env, 'locked')
    await once(daemon.stdout ?? daemon, 'data')
    const client = await connect(systemFiles, join(home, 'data', 'endpoint.json'), systemRandom)
    onTestFinished(() => client.close())
    expect(await signIn(client, sandbox)).toMatchObject({ store: { persisted: true, keyProtection: 'keyfile' } })
    const doctor = desktop.run([process.execPath, PROGRAM, 'doctor', '--json'], env, 'locked')
    let report = ''
    doctor.stdout?.on('data', (chunk) => (report += chunk))
    await once(doctor, 'close')
    expect(JSON.parse(report)).toContainEqual({
      check: 'keyring',
      verdict: 'warning',
      found: expect.stringContaining('without a collection'),
      hint: expect.stringContaining('keyProtection'),
    })
  },
)

const hasMonitor = hasKeyring && spawnSync('dbus-monitor', ['--help']).status !== null
const whyNot = hasMonitor ? '' : ' (skipped: needs gnome-keyring, dbus and libsecret-tools)'

// Writes each request to unlock into a file, and replaces the keyring by an unlocked one once the pipe is written to.
const WATCH_AND_UNLOCK = `
  mkfifo "$0/unlock"
  (read -r _ < "$0/unlock"; printf pw | gnome-keyring-daemon --replace --unlock --components=secrets >/dev/null 2>&1; echo > "$0/unlocked") &
  dbus-monitor --session "interface='org.freedesktop.Secret.Service',member='Unlock'" > "$0/requests" &
  until [ -s "$0/requests" ]; do sleep 0.01; done
  exec "$@"`

it.skipIf(!hasMonitor)(
  `does not ask a locked keyring again for each call, asks for a person, and sees that it was unlocked elsewhere${whyNot}`,
  async () => {
    const [sandbox, desktop, home, watched] = [
      await newSandbox(),
      await newDesktop(),
      await temporaryFolder(),
      await temporaryFolder(),
    ]
    const env = environment({ home, env: { ...settingsOf(sandbox), CADZERO_AUTH_KEY_PROTECTION: 'auto' } })
    const daemon = [process.execPath, PROGRAM, 'daemon']
    const start = async (command: readonly string[], keyring: 'unlocked' | 'locked') => {
      const program = desktop.run(command, env, keyring)
      const ended = once(program, 'exit')
      await once(program.stdout ?? program, 'data')
      const client = await connect(systemFiles, join(home, 'data', 'endpoint.json'), systemRandom)
      onTestFinished(() => client.close())
      return { client, ended }
    }
    const first = await start(daemon, 'unlocked')
    await signIn(first.client, sandbox)
    await first.client.call('shutdown')
    await first.ended

    const { client, ended } = await start(['bash', '-c', WATCH_AND_UNLOCK, watched, ...daemon], 'locked')
    const requests = async () => (await readFile(join(watched, 'requests'), 'utf8')).split('member=Unlock').length - 1
    const LOCKED = { code: 1005, data: { reason: 'key_locked' } }
    await expect(client.call('getAuthHeader')).rejects.toMatchObject(LOCKED)
    const before = await requests()
    expect(before).toBeGreaterThan(0)
    for (let n = 0; n < 5; n++) {
      await expect(client.call('getAuthHeader')).rejects.toMatchObject({
        ...LOCKED,
        data: { hint: expect.stringContaining('run cadzero-auth login') },
      })
    }
    expect(await requests()).toBe(before)
    await expect(client.call('login')).rejects.toMatchObject(LOCKED)
    await expect.poll(requests).toBeGreaterThan(before)

    await writeFile(join(watched, 'unlock'), 'now\n')
    await expect.poll(() => readFile(join(watched, 'unlocked'), 'utf8').catch(() => undefined)).toBeDefined()
    const header = () => client.call('getAuthHeader').catch(() => undefined)
    await expect.poll(header, { timeout: 20_000 }).toMatchObject({ headers: {} }) // it looks every five seconds
    await client.call('shutdown')
    await ended // with it the bus, and all that is on it
  },
  60_000,
)

it.skipIf(isWindows)(
  `keeps the key in a file if there is no keyring, and says so in the status${needs('a system that can lack a keyring')}`,
  async () => {
    const [sandbox, home] = [await newSandbox(), await temporaryFolder()]
    const env = { ...settingsOf(sandbox), CADZERO_AUTH_KEY_PROTECTION: 'auto', XDG_RUNTIME_DIR: home }
    onTestFinished(async () => {
      await runProgram(['daemon', '--stop'], { home })
    })
    const { stdout } = await runProgram(['status', '--json'], { home, env })
    expect(JSON.parse(stdout)).toMatchObject({ store: { keyProtection: 'keyfile' } })
    const required = { ...env, CADZERO_AUTH_KEY_PROTECTION: 'keyring' }
    const other = await temporaryFolder()
    onTestFinished(async () => {
      await runProgram(['daemon', '--stop'], { home: other })
    })
    const { code, stderr } = await runProgram(['login'], { home: other, env: required })
    expect(code).toBe(1)
    expect(stderr).toContain('store unavailable: keyring_unavailable')
  },
)

const PYTHON = '/usr/bin/python3'
const hasJwcrypto = spawnSync(PYTHON, ['-c', 'import jwcrypto']).status === 0
const withoutJwcrypto = hasJwcrypto ? '' : ' (skipped: needs python3-jwcrypto)'

it.skipIf(!hasJwcrypto)(
  `writes a session file that another JOSE implementation decrypts with the key${withoutJwcrypto}`,
  async () => {
    const [sandbox, home] = [await newSandbox(), await temporaryFolder()]
    const { startDaemonProcess } = await import('../support/program.ts')
    const daemon = await startDaemonProcess({ home, env: settingsOf(sandbox) })
    await signIn(await daemon.connect(), sandbox)
    await daemon.stop()
    const script = `
import json, sys
from jwcrypto import jwe, jwk
key = jwk.JWK.from_json(open(sys.argv[1] + '/data/store-key.jwk').read())
token = jwe.JWE()
token.deserialize(open(sys.argv[1] + '/config/sessions/production.jwe').read(), key=key)
print(json.dumps({'header': token.jose_header, 'user': json.loads(token.payload)['user']}))`
    const { stdout, stderr } = spawnSync(PYTHON, ['-c', script, home], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({
      header: { alg: 'dir', enc: 'A256GCM', profile: 'production', iss: sandbox.issuer, client_id: sandbox.clientId },
      user: sandbox.user,
    })
  },
)
