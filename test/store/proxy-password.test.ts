// The password of the proxy: in a keyring, for one proxy and user, and never anywhere else.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { ProxyPassword, proxyUser } from '../../src/store/proxy-password.ts'
import { hasKeyring, newDesktop } from '../support/desktop.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'
import { environment, PROGRAM, runProgram } from '../support/program.ts'
import { startProxy } from '../support/proxy.ts'
import { memoryKeyring } from '../support/store.ts'

const PROXY = 'http://ada@proxy.example:3128'

describe('the password of the proxy', () => {
  it('is given to the proxy and the user that it was saved for, and to no other', async () => {
    const saved = new ProxyPassword(memoryKeyring().keyring)
    expect(await saved.read(PROXY)).toBeUndefined()
    await saved.save(PROXY, 'canary')
    expect(await saved.read(`${PROXY}/`)).toBe('canary')
    for (const other of [
      'http://ada@other.example:3128',
      'http://bob@proxy.example:3128',
      'http://ada@proxy.example:8080',
      'https://ada@proxy.example:3128',
    ]) {
      expect(await saved.read(other), other).toBeUndefined()
      expect(await saved.remove(other), other).toBe(false)
    }
    expect(await saved.read(PROXY)).toBe('canary')
  })

  it.each(['locked', 'unavailable'] as const)('counts as none if the keyring is %s', async (state) => {
    const ring = memoryKeyring()
    const saved = new ProxyPassword(ring.keyring)
    await saved.save(PROXY, 'canary')
    ring.state = state
    expect(await saved.read(PROXY)).toBeUndefined()
  })

  it('counts as none if another program has changed the entry', async () => {
    const ring = memoryKeyring()
    await ring.keyring.set('{"proxy":')
    expect(await new ProxyPassword(ring.keyring).read(PROXY)).toBeUndefined()
  })

  it('needs a user in the setting', () => {
    expect(['auto', 'none', 'http://proxy.example:3128', PROXY].map(proxyUser)).toEqual([
      undefined,
      undefined,
      undefined,
      'ada',
    ])
  })
})

async function homeWithProxy(proxy: string): Promise<string> {
  const home = await temporaryFolder()
  await mkdir(join(home, 'config'), { mode: 0o700 })
  const production = { issuer: 'https://clerk.invalid', clientId: 'client' }
  const config = { proxy, profiles: { production } }
  await writeFile(join(home, 'config', 'config.json'), JSON.stringify(config), { mode: 0o600 })
  return home
}

describe('config proxy-password', () => {
  it.each([
    [
      'http://proxy.example:3128',
      'secret\n',
      /names no proxy with a user\nhint: set proxy in .*http:\/\/USER@HOST:PORT/,
    ],
    [PROXY, '', /has no password/],
    [PROXY, 'two\nlines\n', /has no password/],
  ])('refuses %s with %j', async (proxy, input, said) => {
    const { code, stderr } = await runProgram(['config', 'proxy-password'], { home: await homeWithProxy(proxy), input })
    expect(code).toBe(2)
    expect(stderr).toMatch(said)
  })

  it.skipIf(isWindows)(
    `says what else to do on a system without a keyring, and quotes no password${needs('a system that can lack a keyring')}`,
    async () => {
      const home = await homeWithProxy(PROXY)
      const options = { home, input: 'canary\n', env: { XDG_RUNTIME_DIR: home } }
      const { code, stdout, stderr } = await runProgram(['config', 'proxy-password'], options)
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr:
          'error: this system has no usable keyring\nhint: remove proxy from config.json, set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, then run cadzero-auth daemon --stop\n',
      })
      expect(stdout + stderr).not.toContain('canary')
    },
  )

  const hasScript = hasKeyring && spawnSync('bash', ['-c', 'true']).status === 0
  it.skipIf(!hasScript)(
    `saves it in a real keyring, from which the daemon sends it to the proxy${hasScript ? '' : ' (skipped: needs gnome-keyring, dbus and libsecret-tools)'}`,
    async () => {
      const proxy = await startProxy(9)
      const home = await homeWithProxy(proxy.url.replace('http://', 'http://ada@'))
      const env = environment({ home })
      const desktop = await newDesktop()
      const run = async (script: string) => {
        const command = ['bash', '-c', script, process.execPath, PROGRAM]
        const child = desktop.run(command, env, 'unlocked')
        let output = ''
        for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk))
        await once(child, 'close')
        return output
      }
      const output = await run('printf "canary-pw" | "$0" "$1" config proxy-password')
      expect(output).toContain(`saved the password of ada at ${new URL(proxy.url).host} in the keyring`)

      const daemon = desktop.run([process.execPath, PROGRAM, 'daemon'], env, 'unlocked')
      const ended = once(daemon, 'exit')
      await once(daemon.stdout ?? daemon, 'data')
      const client = await connect(systemFiles, join(home, 'data', 'endpoint.json'), systemRandom)
      onTestFinished(() => client.close())
      const diagnosis = JSON.stringify(await client.call('diagnose'))
      const basic = Buffer.from('ada:canary-pw').toString('base64')
      expect(proxy.requests[0]?.headers['proxy-authorization']).toBe(`Basic ${basic}`)
      const written = [diagnosis, output]
      for (const folder of ['config', 'data', 'log']) {
        for (const name of await readdir(join(home, folder), { recursive: true, withFileTypes: true })) {
          if (name.isFile()) written.push(await readFile(join(name.parentPath ?? name.path, name.name), 'latin1'))
        }
      }
      for (const text of written) expect(text).not.toContain('canary-pw')
      await client.call('shutdown')
      await ended

      expect(await run('"$0" "$1" config proxy-password --remove')).toContain('removed the password of ada')
      expect(await run('"$0" "$1" config proxy-password --remove')).toContain('there is no password of ada')
      await run('printf "canary-pw" | "$0" "$1" config proxy-password')
      const search = 'secret-tool search --all service cadzero-auth'
      expect(await run(search)).toContain('username = proxy-password')
      await run('"$0" "$1" service uninstall --purge')
      expect(await run(search)).not.toContain('username = proxy-password')
    },
    60_000,
  )
})
