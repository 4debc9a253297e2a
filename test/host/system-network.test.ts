// The network of a computer: what is found out at the first connection, and again after a failure.
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { ConnectionError } from '../../src/host/network-failure.ts'
import type { NetworkSettings } from '../../src/host/network-view.ts'
import type { Run } from '../../src/host/run.ts'
import { SystemNetwork } from '../../src/host/system-network.ts'
import { type Authority, hasOpenssl, newAuthority, skippedWithoutOpenssl } from '../support/certificates.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startProxy } from '../support/proxy.ts'

const CLERK = 'https://clerk.invalid/'

interface Options {
  readonly env?: NodeJS.ProcessEnv
  readonly settings?: NetworkSettings
  /** The proxy in the settings of the system, for each time that it is asked for. */
  readonly systemProxies?: string[]
}

function newNetwork({ env = {}, settings = { proxy: 'auto' }, systemProxies = [] }: Options) {
  const clock = new TestClock()
  let asked = 0
  const run: Run = async () => {
    const server = systemProxies[asked++] ?? ''
    const stdout = `  HTTPSEnable : 1\n  HTTPSProxy : ${server.replace(/:\d+$/, '')}\n  HTTPSPort : ${server.replace(/.*:/, '')}\n`
    return { status: 0, stdout: server === '' ? '' : stdout, stderr: '' }
  }
  const platform = systemProxies.length > 0 ? 'darwin' : 'win32' // no file of this computer is read
  return {
    network: new SystemNetwork({ files: systemFiles, clock, env, platform, run, settings }),
    clock,
    timesAsked: () => asked,
  }
}

async function startClerk(authority: Authority): Promise<number> {
  const server = createServer(authority.issue('clerk.invalid'), (_, response) => response.end('{}'))
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const failureOf = async (request: Promise<Response>) => {
  const error: unknown = await request.catch((thrown: unknown) => thrown)
  return error instanceof ConnectionError ? error.failure : error
}

describe.skipIf(!hasOpenssl)(`the network${skippedWithoutOpenssl}`, () => {
  it('reaches the provider through a proxy with the company’s authority, each from its own source', async () => {
    const authority = await newAuthority()
    const proxy = await startProxy(await startClerk(authority))
    const host = proxy.url.replace('http://', '')
    for (const options of [
      { env: { HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: authority.file } },
      { env: { https_proxy: host, SSL_CERT_FILE: authority.file } },
      { settings: { proxy: proxy.url, caFile: authority.file } },
      { systemProxies: [host], env: { SSL_CERT_FILE: authority.file } },
    ] satisfies Options[]) {
      const { network } = newNetwork(options)
      expect((await network.fetch(CLERK)).status, JSON.stringify(options)).toBe(200)
    }
    expect(proxy.requests).toHaveLength(4)
  })

  it('sends the user of the setting with the password that was saved for it, read once, and again after a failure', async () => {
    const authority = await newAuthority()
    const proxy = await startProxy(await startClerk(authority))
    const setting = proxy.url.replace('http://', 'http://CORP%5Cada@')
    const asked: string[] = []
    const passwords = ['p@ss:w%rd é', 'new']
    const proxyPassword = async (of: string) => passwords[asked.push(of) - 1]
    const { network } = newNetwork({ settings: { proxy: setting, caFile: authority.file, proxyPassword } })
    for (let n = 0; n < 2; n++) expect((await network.fetch(CLERK)).status).toBe(200)
    expect(asked).toEqual([setting])
    await expect(network.fetch('https://other.invalid/')).rejects.toBeInstanceOf(ConnectionError) // its certificate is another one
    expect((await network.fetch(CLERK)).status).toBe(200)
    const sent = proxy.requests.map(({ headers }) => String(headers['proxy-authorization']).replace('Basic ', ''))
    const passwordsSent = sent.map((text) => Buffer.from(text, 'base64').toString())
    expect(passwordsSent).toEqual([...Array(3).fill('CORP\\ada:p@ss:w%rd é'), 'CORP\\ada:new'])
    expect(asked).toEqual([setting, setting])
    expect(JSON.stringify(await network.describe(new URL(CLERK)))).not.toMatch(/p@ss|ada/)
  })

  it('asks for no password for a proxy of the environment, or one without a user', async () => {
    const authority = await newAuthority()
    const proxy = await startProxy(await startClerk(authority))
    const proxyPassword = () => Promise.reject(new Error('asked'))
    for (const options of [
      {
        env: { HTTPS_PROXY: proxy.url.replace('http://', 'http://ada@') },
        settings: { proxy: 'auto', caFile: authority.file, proxyPassword },
      },
      { settings: { proxy: proxy.url, caFile: authority.file, proxyPassword } },
    ] satisfies Options[]) {
      expect((await newNetwork(options).network.fetch(CLERK)).status).toBe(200)
    }
  })

  it('trusts an authority that was installed after a failure, without a restart', async () => {
    const authority = await newAuthority()
    const proxy = await startProxy(await startClerk(authority))
    const SSL_CERT_FILE = join(await temporaryFolder(), 'store.pem')
    const { network } = newNetwork({ env: { HTTPS_PROXY: proxy.url, SSL_CERT_FILE } })
    expect(await failureOf(network.fetch(CLERK))).toMatchObject({ cause: 'certificate' })
    await writeFile(SSL_CERT_FILE, authority.pem)
    expect((await network.fetch(CLERK)).status).toBe(200)
  })

  it('trusts an authority although another file of authorities is damaged', async () => {
    const authority = await newAuthority()
    const proxy = await startProxy(await startClerk(authority))
    const NODE_EXTRA_CA_CERTS = join(await temporaryFolder(), 'damaged.pem')
    await writeFile(NODE_EXTRA_CA_CERTS, authority.pem.replaceAll(/^MII/gm, 'AAA'))
    const settings = { proxy: proxy.url, caFile: authority.file }
    const { network } = newNetwork({ env: { NODE_EXTRA_CA_CERTS }, settings })
    expect((await network.fetch(CLERK)).status).toBe(200)
  })

  it('asks the system for its proxy at the first connection, and again after five minutes', async () => {
    const authority = await newAuthority()
    const proxy = await startProxy(await startClerk(authority))
    const host = proxy.url.replace('http://', '')
    const { network, clock, timesAsked } = newNetwork({
      systemProxies: [host, host],
      env: { SSL_CERT_FILE: authority.file },
    })
    expect(timesAsked()).toBe(0)
    await network.fetch(CLERK)
    await network.fetch(CLERK)
    expect(timesAsked()).toBe(1)
    clock.advance(300)
    await network.fetch(CLERK)
    expect(timesAsked()).toBe(2)
  })

  it('uses the proxy of a new network at once, if the old one cannot be reached', async () => {
    const authority = await newAuthority()
    const proxy = await startProxy(await startClerk(authority))
    const { network } = newNetwork({
      systemProxies: ['proxy.invalid:3128', proxy.url.replace('http://', '')],
      env: { SSL_CERT_FILE: authority.file },
    })
    expect((await network.fetch(CLERK)).status).toBe(200)
  })

  it('sends nothing a second time: a request that may have arrived fails', async () => {
    const authority = await newAuthority()
    const requests: string[] = []
    const server = createServer(authority.issue('clerk.invalid'), (request) => {
      requests.push(String(request.url))
      request.socket.destroy()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const proxy = await startProxy((server.address() as AddressInfo).port)
    const host = proxy.url.replace('http://', '')
    const { network } = newNetwork({ systemProxies: [host, `x:y@${host}`], env: { SSL_CERT_FILE: authority.file } })
    expect(await failureOf(network.fetch(CLERK))).toMatchObject({ cause: 'protocol', proxyHost: '127.0.0.1' })
    expect(requests).toEqual(['/'])
  })
})

describe('a proxy that cannot be used', () => {
  it('is named, and nothing is sent around it', async () => {
    const { network } = newNetwork({ env: { ALL_PROXY: 'socks5://proxy.invalid:1080' } })
    const failure = { cause: 'proxy', proxyProblem: 'socks', proxyHost: 'proxy.invalid' }
    expect(await failureOf(network.fetch('https://127.0.0.1.nip.invalid/'))).toEqual(failure)
  })

  it('is named if it is a script and the direct way fails', async () => {
    const run: Run = async () => ({
      status: 0,
      stdout: '  AutoConfigURL    REG_SZ    http://wpad/proxy.pac',
      stderr: '',
    })
    const { clock } = newNetwork({})
    const options = { files: systemFiles, clock, env: {}, platform: 'win32', run, settings: { proxy: 'auto' } } as const
    const network = new SystemNetwork(options)
    expect(await failureOf(network.fetch(CLERK))).toEqual({ cause: 'proxy', proxyProblem: 'pac' })
    const { proxy } = await network.describe(new URL(CLERK))
    expect(proxy).toEqual({ url: null, source: 'system', problem: 'pac' })
  })

  it('does not keep a request waiting if the system’s tool hangs', async () => {
    const { clock } = newNetwork({})
    const run: Run = () => new Promise(() => undefined)
    const options = {
      files: systemFiles,
      clock,
      env: {},
      platform: 'darwin',
      run,
      settings: { proxy: 'auto' },
    } as const
    const view = new SystemNetwork(options).describe(new URL(CLERK))
    clock.advance(3)
    expect((await view).proxy).toBeNull()
  })
})

describe('the description of the network', () => {
  it('shows the proxy without its password, and which setting names it', async () => {
    const { network } = newNetwork({ env: { HTTPS_PROXY: 'http://person:canary@proxy.example:3128' } })
    const view = await network.describe(new URL(CLERK))
    expect(view.proxy).toEqual({
      url: 'http://proxy.example:3128',
      source: 'environment',
      variable: 'HTTPS_PROXY',
    })
    expect(JSON.stringify(view)).not.toContain('canary')
    expect((await network.describe(new URL('http://127.0.0.1:1'))).proxy).toBeNull()
  })

  it('shows a proxy that cannot be used, with the reason', async () => {
    const { network } = newNetwork({ env: { ALL_PROXY: 'socks5://person:canary@proxy.example:1080' } })
    const expected = { url: null, source: 'environment', variable: 'ALL_PROXY', problem: 'socks' }
    expect((await network.describe(new URL(CLERK))).proxy).toEqual(expected)
  })

  it('shows every source of authorities', async () => {
    const { network } = newNetwork({ env: { NODE_EXTRA_CA_CERTS: '/gone' } })
    const { certificates } = await network.describe(new URL(CLERK))
    expect(certificates.map(({ origin }) => origin)).toEqual(['node', 'system', 'NODE_EXTRA_CA_CERTS'])
    expect(certificates.at(-1)).toEqual({ origin: 'NODE_EXTRA_CA_CERTS', path: '/gone', count: 0 })
  })
})
