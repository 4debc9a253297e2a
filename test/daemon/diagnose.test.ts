// The RPC method `diagnose`: what the daemon sees of the network with its own environment, without any secret.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { HttpResponse } from '../sandbox/faults.ts'
import { type Authority, hasOpenssl, newAuthority, skippedWithoutOpenssl } from '../support/certificates.ts'
import { newLocalWorld } from '../support/daemon.ts'
import { runDoctor } from '../support/doctor.ts'
import { configure } from '../support/handoff.ts'
import { startDaemonProcess, temporaryFolder } from '../support/program.ts'
import { startProxy } from '../support/proxy.ts'
import { newSandbox, newWorld } from '../support/world.ts'

const HOST = 'clerk.invalid'
const ISSUER = `https://${HOST}`
const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/oauth/authorize`,
  token_endpoint: `${ISSUER}/oauth/token`,
  revocation_endpoint: `${ISSUER}/oauth/token/revoke`,
  jwks_uri: `${ISSUER}/.well-known/jwks.json`,
  code_challenge_methods_supported: ['S256'],
}
const PASSWORD = 'canary-71d0'

/** A provider that only a proxy leads to, whose name resolves to nothing. */
async function newCompany() {
  const authority = await newAuthority()
  const port = await startProvider(authority)
  const proxy = await startProxy(port)
  const withPassword = proxy.url.replace('http://', `http://person:${PASSWORD}@`)
  const home = await temporaryFolder()
  const env = { CADZERO_AUTH_ISSUER: ISSUER, CADZERO_AUTH_CLIENT_ID: 'client', NO_PROXY: '' }
  return { authority, port, proxy, withPassword, home, env }
}

async function startProvider(authority: Authority): Promise<number> {
  const server = createServer(authority.issue(HOST), (_request, response) => {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(METADATA))
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

describe.skipIf(!hasOpenssl)(`behind a proxy of a company${skippedWithoutOpenssl}`, () => {
  it('names proxy, certificate sources and openers, and no password', async () => {
    const { authority, proxy, withPassword, home, env } = await newCompany()
    const settings = { ...env, HTTPS_PROXY: withPassword, NODE_EXTRA_CA_CERTS: authority.file }
    const client = await (await startDaemonProcess({ home, env: settings })).connect()
    const diagnosis = await client.call('diagnose')
    expect(diagnosis).toMatchObject({
      profile: 'production',
      connections: [
        {
          target: 'provider',
          url: ISSUER,
          proxy: { url: proxy.url, source: 'environment', variable: 'HTTPS_PROXY' },
          error: null,
        },
      ],
      clockSkewSeconds: expect.any(Number),
      openers: ['/bin/true'],
    })
    expect(diagnosis.certificates).toContainEqual({
      origin: 'NODE_EXTRA_CA_CERTS',
      path: authority.file,
      count: 1,
    })
    expect(diagnosis.certificates[0]).toMatchObject({ origin: 'node', count: expect.any(Number) })
    expect(JSON.stringify(diagnosis)).not.toContain(PASSWORD)
    expect(proxy.requests.map(({ authority }) => authority)).toEqual([`${HOST}:443`])
  })

  it('names the issuer of a certificate that is not trusted, and believes no time of such a server', async () => {
    const { withPassword, home, env } = await newCompany()
    const client = await (await startDaemonProcess({ home, env: { ...env, HTTPS_PROXY: withPassword } })).connect()
    expect(await client.call('diagnose')).toMatchObject({
      connections: [{ error: { reason: 'network', cause: 'certificate', certificateIssuer: 'Example Corp CA' } }],
      clockSkewSeconds: null,
    })
  })

  it('lets the doctor say that the daemon reaches what the terminal does not, and the reverse', async () => {
    const { authority, proxy, withPassword, home, env } = await newCompany()
    const outside = { ...env, HTTPS_PROXY: withPassword, NODE_EXTRA_CA_CERTS: authority.file }
    const inside = { ...env, HTTPS_PROXY: proxy.url }
    const daemon = await startDaemonProcess({ home, env: outside })

    const same = await runDoctor(home, [], outside)
    expect(same.finding('proxy')).toMatchObject({ verdict: 'ok', found: `${proxy.url}, from HTTPS_PROXY` })
    expect(same.finding('certificates')?.found).toContain(`1 of NODE_EXTRA_CA_CERTS (${authority.file})`)
    expect(same.finding('daemon network')).toMatchObject({
      verdict: 'ok',
      details: { connections: [{ url: ISSUER, error: null }], openers: ['/bin/true'] },
    })

    const here = await runDoctor(home, [], inside)
    expect(here.finding('provider')).toMatchObject({
      verdict: 'failed',
      found: 'it cannot be reached: its certificate is not trusted (issuer: Example Corp CA) (certificate)',
      hint: expect.stringContaining('caFile'),
      details: { error: { cause: 'certificate', certificateIssuer: 'Example Corp CA' } },
    })
    expect(here.finding('daemon network')).toMatchObject({
      verdict: 'warning',
      found: expect.stringMatching(/^the daemon reaches what this terminal does not; it trusts .*NODE_EXTRA_CA_CERTS/),
      hint: expect.stringContaining('config.json'),
    })
    await daemon.stop()

    await startDaemonProcess({ home, env: inside })
    const there = await runDoctor(home, [], outside)
    expect(there.finding('provider')).toMatchObject({ verdict: 'ok' })
    expect(there.finding('daemon network')).toMatchObject({
      verdict: 'failed',
      found: expect.stringMatching(/certificate is not trusted.*, although this terminal reaches it; it trusts/),
    })
    for (const { stdout } of [same, here, there]) expect(stdout).not.toContain(PASSWORD)
  })

  it('lets the doctor name a proxy that differs, although both lead there', async () => {
    const { authority, port, proxy, home, env } = await newCompany()
    const other = await startProxy(port)
    const trusting = { ...env, NODE_EXTRA_CA_CERTS: authority.file }
    await startDaemonProcess({ home, env: { ...trusting, HTTPS_PROXY: proxy.url } })
    const { code, finding } = await runDoctor(home, [], { ...trusting, https_proxy: other.url })
    expect(finding('daemon network')).toMatchObject({
      verdict: 'warning',
      found: `the daemon differs from this terminal; its proxy is ${proxy.url}, from HTTPS_PROXY (here ${other.url}, from https_proxy)`,
      hint: expect.stringContaining('set proxy and caFile in config.json'),
    })
    expect(code).toBe(0)
  })
})

it('asks the provider once for callers that ask at the same time, and never the page of a sign-in', async () => {
  const { client, sandbox } = await newWorld()
  const before = sandbox.requests.length
  const diagnoses = await Promise.all(Array.from({ length: 20 }, () => client.call('diagnose')))
  expect(sandbox.requests.length - before).toBe(1)
  expect(new Set(diagnoses.map((one) => JSON.stringify(one))).size).toBe(1)
  expect(diagnoses[0]).toMatchObject({ connections: [{ proxy: null, error: null }] })
})

it('asks the public keys and the broker of a hand-off profile', async () => {
  const sandbox = await newSandbox()
  const home = await temporaryFolder()
  await configure(home, sandbox.issuer, { brokerUrl: 'http://127.0.0.1:9' })
  const client = await (await startDaemonProcess({ home })).connect()
  expect(await client.call('diagnose')).toMatchObject({
    connections: [
      { target: 'provider', url: sandbox.issuer, error: null },
      { target: 'broker', url: 'http://127.0.0.1:9', error: { reason: 'network', cause: 'refused' } },
    ],
  })
})

it('names a captive portal', async () => {
  const { client, sandbox, home, env } = await newWorld()
  const page = { kind: 'respond', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Hotel' } as const
  sandbox.script('/.well-known/openid-configuration', page)
  expect(await client.call('diagnose')).toMatchObject({ connections: [{ error: { cause: 'captive_portal' } }] })
  sandbox.script('/.well-known/openid-configuration', page)
  const { finding } = await runDoctor(home, [], env)
  expect(finding('provider')).toMatchObject({
    verdict: 'failed',
    found: expect.stringContaining('captive portal'),
    hint: expect.stringContaining('sign in to the network'),
  })
})

it.each([-7, 299, 3600])('measures that the clock is %i s ahead of the provider’s', async (ahead) => {
  const { client, clock, sandbox } = await newLocalWorld()
  const date = new Date((Math.floor(clock.now()) - ahead) * 1000).toUTCString()
  const alter = (response: HttpResponse) => ({ ...response, headers: { ...response.headers, date } })
  sandbox.script('/.well-known/openid-configuration', { kind: 'alter', alter })
  const skew = (await client.call('diagnose')).clockSkewSeconds
  expect([ahead, ahead + 1]).toContain(skew) // the clock of this computer has fractions of a second
})

it('fails with 1007 for a profile that does not exist, and if the configuration is wrong', async () => {
  const { client } = await newWorld()
  await expect(client.call('diagnose', { profile: 'none' })).rejects.toMatchObject({ code: 1007 })
  const wrong = await newWorld({ env: { CADZERO_AUTH_LOG_LEVEL: 'loud' } })
  await expect(wrong.client.call('diagnose')).rejects.toMatchObject({ code: 1007 })
})
