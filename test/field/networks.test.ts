// Networks as people have them: a proxy as the only way out, inspection of https, slow lines, dead IPv6, no IPv4.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Authority, hasOpenssl, newAuthority } from '../support/certificates.ts'
import { temporaryFolder } from '../support/folder.ts'
import { expectWholeSession, HOST, newComputer, printed, startProvider } from './company.ts'
import {
  canMakeNamespaces,
  connectNamespaces,
  connectSlowly,
  has,
  type Namespace,
  newNamespaces,
  OUTSIDE,
  OUTSIDE_V6,
} from './namespaces.ts'

const canRun = canMakeNamespaces && hasOpenssl
const because = canRun ? '' : ' (needs root, iproute2 and openssl)'

/** The provider is on loopback of the outside: only a proxy there reaches it. */
async function newCompany() {
  const authority = await newAuthority('Provider CA')
  const { inside, outside } = await newNamespaces({ outside: `127.0.0.1 ${HOST}` })
  connectNamespaces(inside, outside)
  return { authority, inside, outside, sandbox: await startProvider(authority, outside, ['127.0.0.1']) }
}

const PASSWORD = 'canary-3f9c'
const hasTinyproxy = has('tinyproxy', '-v')

async function startTinyproxy(outside: Namespace) {
  const folder = await temporaryFolder()
  const [file, log] = [join(folder, 'tinyproxy.conf'), join(folder, 'log')]
  const lines = ['Port 3128', `Listen ${OUTSIDE}`, 'Timeout 60', 'ConnectPort 443', `BasicAuth person ${PASSWORD}`]
  await writeFile(file, [...lines, 'LogLevel Info', `LogFile "${log}"`, ''].join('\n'))
  outside.start('tinyproxy', '-d', '-c', file)
  await expect
    .poll(() => readFile(log, 'utf8').catch(() => ''), { timeout: 20_000 })
    .toMatch(/[Aa]ccepting connections/)
  return { connects: async () => [...(await readFile(log, 'utf8')).matchAll(/CONNECT (\S+)/g)].map(([, to]) => to) }
}

describe.skipIf(!canRun || !hasTinyproxy)(
  `a proxy with a password is the only way out${because || (hasTinyproxy ? '' : ' (needs tinyproxy)')}`,
  () => {
    it('serves a whole session, and only the provider’s host is known to it', { timeout: 120_000 }, async () => {
      const company = await newCompany()
      const { connects } = await startTinyproxy(company.outside)
      const env = {
        HTTPS_PROXY: `http://person:${PASSWORD}@${OUTSIDE}:3128`,
        NODE_EXTRA_CA_CERTS: company.authority.file,
      }
      const computer = await newComputer(company.sandbox, company.inside, env)
      await expectWholeSession(computer, company)
      expect(new Set(await connects())).toEqual(new Set([`${HOST}:443`]))
      const log = await readFile(join(computer.options.home, 'log/daemon.log'), 'utf8')
      expect(log).not.toContain(PASSWORD)
    })

    it('is named by the error if it is missing, if it needs a password, and if it cannot be reached', {
      timeout: 120_000,
    }, async () => {
      const { inside, outside, sandbox, authority } = await newCompany()
      await startTinyproxy(outside)
      const rows: [Record<string, string>, RegExp][] = [
        [{}, /network \(dns\)/],
        [{ HTTPS_PROXY: `http://${OUTSIDE}:3128` }, /network \(proxy\)\n.* HTTPS_PROXY .*10\.78\.0\.2 asks for a user/],
        [{ https_proxy: `http://${OUTSIDE}:9` }, /network \(proxy\)\n.*the proxy 10\.78\.0\.2/],
      ]
      for (const [env, said] of rows) {
        const computer = await newComputer(sandbox, inside, { ...env, NODE_EXTRA_CA_CERTS: authority.file })
        expect((await computer.login()).said).toMatch(said)
      }
    })
  },
)

/** A machine without the schemas or the service of GNOME's settings cannot change them. */
const hasGnomeSettings =
  has('dbus-run-session', '--version') &&
  spawnSync('gsettings', ['writable', 'org.gnome.system.proxy', 'mode']).status === 0

const hasMitmproxy = has('mitmdump', '--version')

describe.skipIf(!canRun || !hasMitmproxy)(
  `a proxy inspects https${because || (hasMitmproxy ? '' : ' (needs mitmproxy)')}`,
  () => {
    const startMitmproxy = async (outside: Namespace, authority: Authority) => {
      const folder = await temporaryFolder()
      const settings = [`confdir=${folder}`, `ssl_verify_upstream_trusted_ca=${authority.file}`, 'flow_detail=0']
      const args = ['--listen-host', OUTSIDE, '-p', '3129', ...settings.flatMap((setting) => ['--set', setting])]
      const { stdout } = outside.start('mitmdump', ...args)
      await printed(stdout, /listening/)
      return { url: `http://${OUTSIDE}:3129`, authority: join(folder, 'mitmproxy-ca-cert.pem') }
    }

    it('with an authority in the system’s store: a whole session works', { timeout: 120_000 }, async () => {
      const company = await newCompany()
      const proxy = await startMitmproxy(company.outside, company.authority)
      const env = { HTTPS_PROXY: proxy.url }
      const computer = await newComputer(company.sandbox, company.inside, env, proxy.authority)
      await expectWholeSession(computer, company)
    })

    it.skipIf(!hasGnomeSettings)('in GNOME’s settings: a whole session works', { timeout: 120_000 }, async () => {
      const company = await newCompany()
      const proxy = await startMitmproxy(company.outside, company.authority)
      const HOME = await temporaryFolder()
      const values = [
        ['', 'mode', 'manual'],
        ['.https', 'host', OUTSIDE],
        ['.https', 'port', '3129'],
      ]
      const script = values.map(([part, key, value]) => `gsettings set org.gnome.system.proxy${part} ${key} ${value}`)
      const env = { PATH: process.env.PATH, HOME, XDG_RUNTIME_DIR: HOME }
      const changed = spawnSync('dbus-run-session', ['sh', '-ec', script.join('; ')], { env, encoding: 'utf8' })
      expect(changed.status, changed.stderr).toBe(0)
      const computer = await newComputer(company.sandbox, company.inside, { HOME }, proxy.authority)
      await expectWholeSession(computer, company)
    })

    it('with an authority in caFile, and without one in any source', { timeout: 120_000 }, async () => {
      const company = await newCompany()
      const proxy = await startMitmproxy(company.outside, company.authority)
      const computer = await newComputer(company.sandbox, company.inside, {})
      const write = async (settings: object) => {
        const folder = join(computer.options.home, 'config')
        await writeFile(join(folder, 'config.json'), JSON.stringify(settings))
        await computer.call('rpc', 'shutdown')
      }
      await computer.call('rpc', 'status') // makes the folders
      await write({ proxy: proxy.url })
      expect((await computer.login()).said).toMatch(/network \(certificate\)\n.*\(issuer: mitmproxy\)/)
      await write({ proxy: proxy.url, caFile: proxy.authority })
      await expectWholeSession(computer, company)
    })
  },
)

describe.skipIf(!canRun)(`without a proxy${because}`, () => {
  it.skipIf(!has('python3', '-V') || !existsSync('/dev/net/tun'))(
    'a host that is 300 ms away, and has an IPv6 address although this computer has no IPv6, is reached',
    { timeout: 120_000 },
    async () => {
      const authority = await newAuthority()
      const hosts = `${OUTSIDE} ${HOST}\n2001:db8::1 ${HOST}`
      const { inside, outside } = await newNamespaces({ inside: hosts, outside: `${OUTSIDE} ${HOST}` })
      await connectSlowly(inside, outside, 150)
      const sandbox = await startProvider(authority, outside, [OUTSIDE])
      const computer = await newComputer(sandbox, inside, { NODE_EXTRA_CA_CERTS: authority.file })
      await expectWholeSession(computer, { sandbox, inside, outside, authority })
    },
  )

  it('a host that has only an IPv6 address is reached', { timeout: 120_000 }, async () => {
    const authority = await newAuthority()
    const hosts = `${OUTSIDE_V6} ${HOST}`
    const { inside, outside } = await newNamespaces({ inside: hosts, outside: hosts })
    connectNamespaces(inside, outside)
    const sandbox = await startProvider(authority, outside, [OUTSIDE_V6])
    const computer = await newComputer(sandbox, inside, { NODE_EXTRA_CA_CERTS: authority.file })
    await expectWholeSession(computer, { sandbox, inside, outside, authority })
  })

  it('a host whose IPv6 address answers nothing is reached by IPv4', { timeout: 120_000 }, async () => {
    const authority = await newAuthority()
    const hosts = `2001:db8::1 ${HOST}\n${OUTSIDE} ${HOST}`
    const { inside, outside } = await newNamespaces({ inside: hosts, outside: `${OUTSIDE} ${HOST}` })
    connectNamespaces(inside, outside)
    const sandbox = await startProvider(authority, outside, [OUTSIDE])
    const computer = await newComputer(sandbox, inside, { NODE_EXTRA_CA_CERTS: authority.file })
    await expectWholeSession(computer, { sandbox, inside, outside, authority })
  })
})
