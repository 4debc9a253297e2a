// Attacks on the redirect from the browser (C1 to C11), with the real daemon and a real provider.
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { Agent, request as makeRequest } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CallbackListener } from '../../src/callback/callback-listener.ts'
import { pages, signedInPage } from '../../src/callback/pages.ts'
import { systemClock } from '../../src/host/clock.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { RpcClient } from '../../src/rpc/client.ts'
import { figure, rounds, seededRandom } from '../support/rounds.ts'
import { newWorld, nextStatus } from '../support/world.ts'

const TOKEN = '/oauth/token'
const PAGES = new Set(Object.values(pages).map(({ body }) => body.toString()))
const RESULTS = ['/signed-in', '/denied', '/failed']

async function start(client: RpcClient) {
  const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
  const url = String(authorizationUrl)
  const { searchParams } = new URL(url)
  return { url, redirectUri: String(searchParams.get('redirect_uri')), state: String(searchParams.get('state')) }
}

interface Page {
  readonly status: number
  readonly location: string | undefined
  readonly body: string
}

/** Sends a request of any method to any target, on a connection that is kept alive. */
function ask(agent: Agent, url: URL, method = 'GET', target = url.pathname + url.search, headers = {}): Promise<Page> {
  return new Promise((resolve, reject) => {
    const request = makeRequest({ agent, host: url.hostname, port: url.port, method, path: target, headers })
    request.on('error', reject)
    request.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, location: response.headers.location, body }))
    })
    request.end()
  })
}

const isConstant = ({ body, location }: Page) =>
  (body === '' || PAGES.has(body)) && (location === undefined || RESULTS.includes(location))

describe('a callback', () => {
  it('[C1 8252-7 9700-2 OIDC-authorization-response-state] is refused with no, an empty, a wrong, a repeated or an old state, and no code is sent', async () => {
    const { client, sandbox } = await newWorld()
    const before = await start(client)
    await client.call('cancelLogin')
    const { url, redirectUri, state } = await start(client)
    expect(before.state).not.toBe(state)
    const states = ['', '&state=', `&state=${before.state}`, `&state=${state}x`, `&state=${state.slice(1)}`]
    for (const query of [...states, `&state=${state}&state=${state}`, `&state=${state.toUpperCase()}`, '&STATE=x']) {
      const answer = await fetch(`${redirectUri}?code=stolen${query}`, { redirect: 'manual' })
      expect(answer.status, query).toBe(400)
    }
    expect(sandbox.count(TOKEN)).toBe(0)
    await sandbox.signIn(url)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('[C2 9700-4] has a code that cannot be redeemed without the verifier', async () => {
    const { client, sandbox } = await newWorld()
    const { url, redirectUri } = await start(client)
    const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
    const code = String(new URL(callbackUrl).searchParams.get('code'))
    const form = { grant_type: 'authorization_code', client_id: sandbox.clientId, redirect_uri: redirectUri, code }
    for (const verifier of [{}, { code_verifier: 'x'.repeat(43) }]) {
      const body = new URLSearchParams({ ...form, ...verifier })
      const stolen = await fetch(`${sandbox.issuer}${TOKEN}`, { method: 'POST', body })
      expect(stolen.status).toBe(400)
      expect(await stolen.json()).toMatchObject({ error: 'invalid_grant' })
    }
    expect((await fetch(new URL('/other', redirectUri))).status).toBe(404)
  })

  it('[C3] does not end the sign-in when it is forged thousands of times', { timeout: 300_000 }, async () => {
    const { client, sandbox } = await newWorld()
    const { url, redirectUri } = await start(client)
    const agent = new Agent({ keepAlive: true, maxSockets: 16 })
    const at = new URL(redirectUri)
    const prefetch = { 'Sec-Purpose': 'prefetch;prerender' }
    const hits: ((i: number) => [string, string, Record<string, string>?])[] = [
      (i) => ['GET', `${at.pathname}?error=access_denied&state=${i}`],
      () => ['GET', `${at.pathname}?error=access_denied`],
      (i) => ['GET', `${at.pathname}?code=${i}&state=wrong`],
      (i) => ['GET', `${at.pathname}?code=${i}`],
      () => ['HEAD', `${at.pathname}?code=x&state=x`],
      () => ['POST', `${at.pathname}?code=x&state=x`],
      () => ['GET', '/favicon.ico'],
      () => ['GET', `${at.pathname}?code=x&state=x`, prefetch],
      (i) => ['GET', `/${i}`],
    ]
    const total = rounds(270, 10_000)
    let done = 0
    const knock = async () => {
      while (done < total) {
        const i = done++
        const [method, target, headers] = hits[i % hits.length]?.(i) ?? ['GET', '/']
        const answer = await ask(agent, at, method, target, headers)
        if (!isConstant(answer) || answer.status === 303) expect.fail(`${method} ${target}: ${answer.status}`)
      }
    }
    await Promise.all(Array.from({ length: 16 }, knock))
    agent.destroy()
    expect(await client.call('status')).toMatchObject({ state: 'signing_in' })
    expect((await sandbox.signIn(url)).finalUrl).toMatch(/\/signed-in$/)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
    expect(sandbox.count(TOKEN)).toBe(1)
    figure(`${total} forged callbacks in one sign-in: it completed, with ${sandbox.count(TOKEN)} token request`)
  })

  it('[C4 C5 9700-1] is answered with constant pages and constant locations', { timeout: 300_000 }, async () => {
    let called = 0
    const listener = await CallbackListener.listen({
      address: { host: '127.0.0.1', port: 0, path: '/callback', losesState: true },
      clock: systemClock,
      socketOwner: () => Promise.resolve('own'),
      onCallback: async () => {
        called++
        return 'failed'
      },
      onRefused: () => undefined,
      signedInAs: () => null,
      onInterrupted: () => undefined,
    })
    onTestFinished(() => listener.close())
    const state = systemRandom(32).toString('base64url')
    listener.expect(state)
    const agent = new Agent({ keepAlive: true, maxSockets: 16 })
    const at = new URL(listener.redirectUri)
    const random = seededRandom()
    const names = [
      'state',
      'code',
      'error',
      'error_description',
      'error_uri',
      'iss',
      'redirect_uri',
      'next',
      'token',
      'x',
    ]
    const paths = [at.pathname, ...RESULTS, '/refused/forged', '/', '/nowhere']
    const canary = () => `Xss${random.below(2 ** 31).toString(36)}`
    const shapes = [
      (x: string) => `<script>${x}</script>`,
      (x: string) => `"><img src=x onerror=${x}>`,
      (x: string) => `'-${x}-'`,
      (x: string) => `javascript:${x}`,
      (x: string) => `https://evil.example/${x}`,
      (x: string) => `//evil.example/${x}`,
      (x: string) => `\r\nLocation: https://evil.example/${x}`,
      (x: string) => `\u202e${x}\0`,
      (x: string) => `{{${x}}}\${${x}}<%=${x}%>`,
      (x: string) => x.repeat(200),
    ]
    const payloads = rounds(10, 500)
    let [tried, echoed] = [0, 0]
    for (let i = 0; i < payloads; i++) {
      const value = (shapes[i % shapes.length] as (x: string) => string)(canary())
      const asked = paths.flatMap((path) => names.map((name) => [path, name] as const))
      await Promise.all(
        asked.map(async ([path, name]) => {
          const query = new URLSearchParams(name === 'state' ? {} : { state: `not-${state}` })
          query.set(name, value)
          const answer = await ask(agent, at, 'GET', `${path}?${query}`)
          tried++
          if (!isConstant(answer)) echoed++
          expect(isConstant(answer), `${path} ${name} ${value}`).toBe(true)
        }),
      )
    }
    agent.destroy()
    expect(called).toBe(0)
    figure(
      `${payloads} payloads in ${names.length} parameters of ${paths.length} addresses, ${tried} in all: ${echoed} echoed`,
    )
  })

  it('[C6] leads to a URL without a query, and to a page that loads nothing', async () => {
    const { client, sandbox } = await newWorld()
    const { url } = await start(client)
    const { finalUrl, body } = await sandbox.signIn(url)
    expect(new URL(finalUrl).search).toBe('')
    expect(body).toBe(signedInPage(sandbox.user.email).body.toString())
    expect(body).not.toMatch(/\b(?:href|src|action)=|url\(|@import/)
  })

  it('[A3] is refused under another host name (DNS rebinding)', async () => {
    const { client, sandbox } = await newWorld()
    const { url } = await start(client)
    const callback = new URL((await sandbox.signIn(url, { deliver: false })).callbackUrl)
    const agent = new Agent()
    for (const host of ['evil.example', `evil.example:${callback.port}`, `localhost:${callback.port}`, '127.0.0.1']) {
      expect((await ask(agent, callback, 'GET', undefined, { host })).status, host).toBe(400)
    }
    expect(sandbox.count(TOKEN)).toBe(0)
    expect((await fetch(callback)).status).toBe(200)
  })

  it('[C7] causes one token request when the browser prefetches it or requests it twice', async () => {
    const { client, sandbox } = await newWorld()
    const { url } = await start(client)
    const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
    for (const headers of [{ 'Sec-Purpose': 'prefetch' }, { Purpose: 'prefetch' }, { 'X-Moz': 'prefetch' }]) {
      expect((await fetch(callbackUrl, { headers })).status).toBe(204)
    }
    expect(sandbox.count(TOKEN)).toBe(0)
    const both = await Promise.all([fetch(callbackUrl), fetch(callbackUrl)])
    expect(both.map((answer) => new URL(answer.url).pathname)).toEqual(['/signed-in', '/signed-in'])
    // Once more a moment later: the same page, or a refused connection once the listener is closed.
    await fetch(callbackUrl).then(
      (answer) => expect(new URL(answer.url).pathname).toBe('/signed-in'),
      () => undefined,
    )
    expect(sandbox.count(TOKEN)).toBe(1)
  })

  it('[C8] times out when it never arrives: its port is closed, and the next sign-in works', async () => {
    const { client, sandbox, signIn } = await newWorld()
    const seconds = { openBrowser: false, timeoutSeconds: 4 }
    const login = client.call('login', seconds).catch((error: unknown) => error)
    const { authorizationUrl } = await client.call('login', { ...seconds, wait: false })
    const redirectUri = String(new URL(String(authorizationUrl)).searchParams.get('redirect_uri'))
    expect((await fetch(`${redirectUri}?code=x`)).status).toBe(400)
    expect(await login).toMatchObject({ code: 1002, data: { reason: 'timeout' } })
    await expect(fetch(redirectUri)).rejects.toThrow('fetch failed')
    expect(sandbox.count(TOKEN)).toBe(0)
    expect(await signIn()).toMatchObject({ state: 'signed_in' })
  })
})

describe('a hostile provider', () => {
  it('[C9] starts no program but the browser, with nothing but a web URL', async () => {
    const { home } = await newWorld()
    const seen = join(home, 'argv')
    const browser = join(home, 'browser')
    await writeFile(browser, `#!/bin/sh\nprintf '%s\\n' "$#" "$@" >> '${seen}'\n`)
    await chmod(browser, 0o755)
    const hostile = [
      'file:///etc/passwd',
      'javascript:alert(1)',
      `http://127.0.0.1$(touch ${home}/p)/`,
      'https://x/";calc',
      '--new-window',
      'http://127.0.0.1:1/`touch p`',
      `http://127.0.0.1:1/${'y'.repeat(1_000_000)}`,
    ]
    for (const authorization_endpoint of hostile) {
      const { client } = await newWorld({
        metadata: { authorization_endpoint },
        env: { CADZERO_AUTH_BROWSER: browser },
      })
      await expect(client.call('login', {})).rejects.toMatchObject({ code: 1004, data: { reason: 'unsafe_metadata' } })
    }
    await expect(readFile(seen)).rejects.toMatchObject({ code: 'ENOENT' })
    const { client, sandbox } = await newWorld({ env: { CADZERO_AUTH_BROWSER: browser } })
    const signedIn = nextStatus(client, ({ state }) => state === 'signed_in')
    const login = client.call('login', {})
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    await sandbox.signIn(String(authorizationUrl))
    await Promise.all([signedIn, login])
    expect(await readFile(seen, 'utf8')).toBe(`1\n${authorizationUrl}\n`)
  })

  it('[C11 9700-3 9207-1 9207-2 OIDC-authorization-response-iss] is recognised by its iss in a mix-up', async () => {
    const { client, sandbox } = await newWorld()
    for (const iss of ['https://evil.example', undefined, '', `${sandbox.issuer}/`]) {
      const { url } = await start(client)
      const login = client.call('login', { openBrowser: false }).catch((error: unknown) => error)
      const callback = new URL((await sandbox.signIn(url, { deliver: false })).callbackUrl)
      if (iss === undefined) callback.searchParams.delete('iss')
      else callback.searchParams.set('iss', iss)
      await fetch(callback)
      expect(await login, String(iss)).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
    }
    expect(sandbox.count(TOKEN)).toBe(0)
  })
})
