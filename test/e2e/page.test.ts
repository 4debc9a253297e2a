// The web app's callback page, in Chromium with the real clerk-js: it hands out a code only on a click, and only to loopback.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, symlink, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'

const everyTest = it

import { type FrontendOptions, startFrontend } from '../sandbox/frontend.ts'
import { bundleWebApp } from '../sandbox/web-app.ts'
import { temporaryFolder } from '../support/folder.ts'

const CHROMIUM = '/usr/bin/chromium'
const hasChromium = existsSync(CHROMIUM)
const skipReason = hasChromium ? '' : ' (skipped: install Debian’s chromium)'

// Imported by a variable, so that tsc does not check the page here: it has a TypeScript project of its own.
const PAGE = fileURLToPath(new URL('../../embed/page/cadzero.auth-callback/', import.meta.url))
type HandOff = Readonly<Record<string, unknown>> & { readonly redirectUri: string }
const {
  readHandOff,
  resultUrl,
}: {
  readHandOff: (search: string) => HandOff | { readonly refused: string }
  resultUrl: (handOff: HandOff, result: Readonly<Record<string, string>>) => string
} = await import(/* @vite-ignore */ `${PAGE}hand-off.ts`)

/** React 18 and the linter of Vite's template: `npm ci` in this folder installs them. */
const WEB_APP = fileURLToPath(new URL('../embed/web-app/', import.meta.url))
const REACT_18 = `${WEB_APP}node_modules`
const hasWebApp = existsSync(`${REACT_18}/react`)
const noWebApp = hasWebApp ? '' : ' (skipped: run npm ci in test/embed/web-app)'

const USER = { id: 'user_2ada', email: 'ada@example.com', name: 'Ada Lovelace' }
const SESSION = 'sess_2ada'
const ISSUER = 'http://127.0.0.1:1'
const keys = await generateKeyPair('RS256')

let serial = 0
function mint(sid: string, azp: string): Promise<string> {
  return new SignJWT({ sid, azp, v: 2, fva: [0, -1], sts: 'active', jti: `${++serial}` })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'ins_2sandbox', cat: 'cl_B7d4PD111AAA' })
    .setIssuer(ISSUER)
    .setSubject(USER.id)
    .setIssuedAt()
    .setNotBefore('-10s')
    .setExpirationTime('60s')
    .sign(keys.privateKey)
}

/** Redirect URLs that the page must refuse. */
const UNSAFE: readonly string[] = [
  'https://evil.example/',
  'https://localhost:8765/',
  'http://127.0.0.1.evil.example:8765/',
  'http://localhost.evil.example:8765/',
  'http://evil.example:8765/?http://localhost:8765/',
  'http://user@127.0.0.1:8765/',
  'http://user:pw@localhost:8765/',
  'http://localhost:8765@evil.example/',
  'http://@localhost:8765/',
  'javascript:alert(1)//http://localhost:8765/',
  'data:text/html,http://localhost:8765/',
  '//localhost:8765/',
  '/dashboard',
  'http:\\\\localhost:8765\\',
  'http://localhost:8765\\@evil.example/',
  'http://localhost:8765/\\evil.example',
  'http:/localhost:8765/',
  'http:localhost:8765/',
  'http://0.0.0.0:8765/',
  'http://127.1:8765/',
  'http://2130706433:8765/',
  'http://0x7f000001:8765/',
  'http://127.0.0.2:8765/',
  'http://127.0.0.1.:8765/',
  'http://localhost.:8765/',
  'http://[::ffff:127.0.0.1]:8765/',
  'http://[::]:8765/',
  'http://LOCALHOST:8765/',
  'http://ⓛocalhost:8765/',
  'http://localhost/',
  'http://localhost:/',
  'http://localhost:80/',
  'http://localhost:1023/',
  'http://localhost:65536/',
  'http://localhost:08765/',
  'http://localhost:8765/#fragment',
  'http://localhost:8765/ with space',
  'http://localhost:8765/\n',
  '\thttp://localhost:8765/',
  'ftp://localhost:8765/',
  'ws://localhost:8765/',
]

const CHALLENGE = 'c'.repeat(43)
const PKCE = `code_challenge=${CHALLENGE}&code_challenge_method=S256`

describe('the redirect_url of the callback page', () => {
  const read = (search: string) => {
    const handOff = readHandOff(search)
    return 'refused' in handOff ? handOff.refused : resultUrl(handOff as HandOff, {})
  }

  it.each(UNSAFE)('is refused if it is %j', (redirectUrl) => {
    expect(read(`?redirect_url=${encodeURIComponent(redirectUrl)}&${PKCE}`)).toBe('unsafe')
  })

  it.each([
    ['?other=1', 'missing'],
    ['?redirect_url=', 'missing'],
    ['?redirect_url=http://localhost:8765/&redirect_url=http://localhost:8765/', 'repeated'],
    ['?redirect_url=http://localhost:8765/&redirect_url=https://evil.example/', 'repeated'],
    ['?redirect_url=http://localhost:8765/', 'http://localhost:8765/'],
    ['?redirect_url=http://localhost:8765', 'http://localhost:8765/'],
    ['?redirect_url=http%3A%2F%2F127.0.0.1%3A1024%2Fcallback', 'http://127.0.0.1:1024/callback'],
    ['?redirect_url=http%3A%2F%2F%5B%3A%3A1%5D%3A65535%2F%3Fa%3D1%26state%3Ds', 'http://[::1]:65535/?a=1&state=s'],
    ['?redirect_url=http://localhost:8765/?state=own&state=other', 'http://localhost:8765/?state=own'],
    ['?redirect_url=http://localhost:8765/&state=beside', 'http://localhost:8765/?state=beside'],
    ['?redirect_url=http://localhost:8765/&state=one&state=two', 'http://localhost:8765/'],
  ])('in %j is read as %s', (search, callback) => expect(read(`${search}&${PKCE}`)).toBe(callback))

  it('goes to the broker as the program wrote it, without the state beside it', () => {
    const written = 'http://localhost:8765'
    expect(readHandOff(`?redirect_url=${written}&state=beside&${PKCE}`)).toMatchObject({ redirectUri: written })
  })
})

describe('the callback page', () => {
  const callback = 'redirect_url=http://localhost:8765/'

  it.each([
    ['no challenge, as from a program of version 1', ''],
    ['a plain challenge', `&code_challenge=${CHALLENGE}&code_challenge_method=plain`],
    ['a challenge without a method', `&code_challenge=${CHALLENGE}`],
    ['a short challenge', '&code_challenge=c&code_challenge_method=S256'],
    ['two challenges', `&${PKCE}&code_challenge=${CHALLENGE}`],
  ])('refuses %s', (_name, query) => {
    expect(readHandOff(`?${callback}${query}`)).toEqual({ refused: 'outdated' })
  })

  it('shows at most 64 characters of the computer’s name, and none that changes how others are shown', () => {
    const name = `ada\u202e\u001b[1m\n ${'x'.repeat(100)}`
    expect(readHandOff(`?${callback}&${PKCE}&client_name=${encodeURIComponent(name)}`)).toMatchObject({
      clientName: `ada [1m ${'x'.repeat(56)}`,
      isOtherAccount: false,
    })
    expect(readHandOff(`?${callback}&${PKCE}&prompt=login`)).toMatchObject({ clientName: '', isOtherAccount: true })
  })

  it.skipIf(!hasWebApp)(
    `is clean under the ESLint configuration of Vite’s template${noWebApp}`,
    {
      timeout: 120_000,
    },
    async () => {
      const run = promisify(execFile)
      const folder = await temporaryFolder()
      await cp(PAGE, join(folder, 'page'), { recursive: true })
      await cp(join(WEB_APP, 'eslint.config.js'), join(folder, 'eslint.config.js'))
      await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
      await symlink(REACT_18, join(folder, 'node_modules'))
      const lint = () => run(process.execPath, [join(REACT_18, 'eslint/bin/eslint.js'), '.'], { cwd: folder })
      expect(await lint()).toMatchObject({ stdout: '' })
      await writeFile(join(folder, 'page', 'wrong.tsx'), 'export const a: any = 1\nexport default () => null\n')
      await expect(lint()).rejects.toMatchObject({ stdout: expect.stringContaining('no-explicit-any') }) // it does check
    },
  )
})

const VERSIONS = [
  { react: 19, options: {}, skipped: skipReason },
  { react: 18, options: { reactFolder: REACT_18 }, skipped: skipReason || noWebApp },
]

describe.each(VERSIONS)('the callback page in a browser with React $react$skipped', ({ options: built, skipped }) => {
  const it = everyTest.skipIf(skipped !== '')
  let browser: Browser
  let app: string
  beforeAll(async () => {
    if (skipped !== '') return
    const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking']
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...args, '--disable-component-update'] })
    app = await bundleWebApp(built)
  })
  afterAll(() => browser?.close())

  /** A program that listens on loopback, the web app, and a browser that reaches loopback only. */
  async function newWorld(options: Partial<FrontendOptions> = {}) {
    const frontend = await startFrontend({ mint, user: USER, sessionId: SESSION, app, ...options })
    onTestFinished(() => frontend.close())
    const program = await startProgram()
    const broker = await startCodeBroker(frontend.origin)
    frontend.setBroker(broker.url)
    const page = await (await browser.newContext()).newPage()
    onTestFinished(() => page.context().close())
    const consoleLines: string[] = []
    const blockedUrls: string[] = []
    page.on('console', (message) => consoleLines.push(message.text()))
    page.on('pageerror', (error) => consoleLines.push(error.message))
    const urls: string[] = []
    page.on('request', (request) => urls.push(request.url()))
    page.on('framenavigated', (frame) => urls.push(frame.url()))
    await page.route('**/*', (route) => {
      const { protocol, hostname, href } = new URL(route.request().url())
      if (protocol === 'blob:' || ['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) return route.continue()
      blockedUrls.push(href)
      return route.abort()
    })
    onTestFinished(() => {
      expect(blockedUrls).toEqual([])
      for (const token of frontend.tokens) {
        for (const text of [...consoleLines, ...urls]) expect(text).not.toContain(token)
      }
    })
    const url = `${frontend.pageUrl}?redirect_url=${encodeURIComponent(program.callback)}&${PKCE}&client_name=ada-laptop`
    return { frontend, program, broker, page, url }
  }

  const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
  const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()
  const consent = (page: Page) => page.getByRole('button', { name: 'Continue', exact: true }).waitFor()

  it('trades a new token for a code, and sends it with the state to the program, after «Continue»', async () => {
    const { frontend, program, broker, page, url } = await newWorld()
    await page.goto(url)
    await consent(page)
    const shown = await page.getByRole('main').innerText()
    const { host } = new URL(program.callback)
    for (const text of [
      'Ada Lovelace',
      'ada@example.com',
      'CADZERO for Fusion 360',
      'ada-laptop',
      host,
      'session ends',
    ]) {
      expect(shown).toContain(text)
    }
    expect(await page.locator('meta[name=referrer]').getAttribute('content')).toBe('no-referrer')
    const entries = await page.evaluate('history.length')
    await click(page, 'Continue')
    const { query, referer } = await program.called
    expect(query).toEqual({ state: 'a b+c/=', own: '1', code: 'code-1' })
    const [{ token, body, origin } = expect.fail('no code was requested')] = broker.requests
    expect(body).toEqual({
      session_id: SESSION,
      code_challenge: CHALLENGE,
      code_challenge_method: 'S256',
      redirect_uri: program.callback,
    })
    const { payload } = await jwtVerify(token, keys.publicKey, { issuer: ISSUER, subject: USER.id })
    expect(payload).toMatchObject({ sid: SESSION, azp: frontend.origin, v: 2 })
    expect([frontend.tokens.includes(token), origin]).toEqual([true, frontend.origin])
    expect(referer).toBeUndefined()
    await page.waitForURL(`${new URL(program.callback).origin}/**`)
    expect(await page.evaluate('history.length')).toBe(entries)
    expect(program.hits).toBe(1)
  })

  it('opens the sign-in page if the user is not signed in, and asks for consent on return', async () => {
    const { program, page, url } = await newWorld({ status: null })
    await page.goto(url)
    await page.click('#sign-in')
    await consent(page)
    expect(page.url()).toBe(url)
    expect(program.hits).toBe(0)
    await click(page, 'Continue')
    expect((await program.called).query).toMatchObject({ code: 'code-1', state: 'a b+c/=' })
  })

  it('sends access_denied to the program after «Cancel», and requests no code', async () => {
    const { broker, program, page, url } = await newWorld()
    await page.goto(url)
    await click(page, 'Cancel')
    expect((await program.called).query).toEqual({ error: 'access_denied', state: 'a b+c/=', own: '1' })
    expect(broker.requests).toEqual([])
  })

  it('asks which account is wanted if the program asks for another one', async () => {
    const { frontend, program, page, url } = await newWorld()
    await page.goto(`${url}&prompt=login`)
    await consent(page)
    expect(await heading(page)).toBe('Which account for Fusion 360?')
    await click(page, 'Use another account')
    await page.click('#sign-in')
    await consent(page)
    expect(frontend.requests).toContain('DELETE /v1/client/sessions')
    await click(page, 'Continue')
    expect((await program.called).query).toMatchObject({ code: 'code-1' })
  })

  it('signs out after «Use another account», and asks for consent after the next sign-in', async () => {
    const { frontend, program, page, url } = await newWorld()
    await page.goto(url)
    await click(page, 'Use another account')
    await page.click('#sign-in')
    await consent(page)
    expect(page.url()).toBe(url)
    expect(frontend.requests).toContain('DELETE /v1/client/sessions')
    expect(program.hits).toBe(0)
  })

  it('requests no code and sends nothing without a click', async () => {
    const { frontend, program, broker, page, url } = await newWorld()
    await page.clock.install()
    await page.goto(url)
    await consent(page)
    const tokens = frontend.tokens.length
    await page.clock.fastForward(3_000) // less than the interval at which clerk-js refreshes its token
    await page.keyboard.press('Enter') // no button has the focus
    await page.reload()
    await consent(page)
    expect(frontend.tokens.length).toBe(tokens)
    expect([program.hits, broker.requests.length]).toEqual([0, 0])
  })

  it('shows no button for a redirect_url that is not on loopback', async () => {
    const { frontend, page } = await newWorld()
    // The tests above cover every URL; these few show that the page applies the rule.
    for (const redirectUrl of ['', ...UNSAFE.filter((_, at) => at % 5 === 0)]) {
      const url = `${frontend.pageUrl}?redirect_url=${encodeURIComponent(redirectUrl)}&${PKCE}`
      await page.goto(url)
      await page.getByRole('alert').waitFor()
      expect(await heading(page), redirectUrl).toBe('Open this from CADZERO in Fusion')
      expect(await page.getByRole('button').count()).toBe(0)
      expect(page.url()).toBe(url)
    }
    expect(frontend.tokens).toEqual([])
  })

  it('shows no button in a frame', async () => {
    const { page, url } = await newWorld()
    await page.setContent(`<iframe src="${url.replaceAll('&', '&amp;')}"></iframe>`)
    const frame = page.frameLocator('iframe')
    await frame.getByRole('alert').waitFor()
    expect(await frame.getByRole('heading').textContent()).toBe('Open this page in its own tab')
    expect(await frame.getByRole('button').count()).toBe(0)
  })

  it.each(['drop', 'hang', 500, 429] as const)(
    'offers «Try again» if the request for the token fails: %s',
    async (fault) => {
      const { frontend, program, page, url } = await newWorld()
      await page.clock.install()
      await page.goto(url)
      await consent(page)
      frontend.setTokenFault(fault)
      const requested = page.waitForRequest('**/tokens?**')
      await click(page, 'Continue')
      await requested
      await page.clock.fastForward(10_000)
      await page.getByRole('alert').waitFor()
      expect(await page.getByRole('alert').textContent()).toContain('could not be completed')
      expect(program.hits).toBe(0)
      frontend.setTokenFault('none')
      await click(page, 'Try again')
      expect((await program.called).query).toMatchObject({ code: 'code-1' })
      expect(program.hits).toBe(1)
    },
  )

  it.each([
    ['drops the connection', 'drop', 'Check your connection'],
    ['is overloaded', 503, 'Check your connection'],
    ['does not accept the session', 400, 'does not accept your session'],
    ['does not know the route', 404, 'not set up'],
  ] as const)('offers «Try again» and «Cancel» if the broker %s', async (_name, fault, text) => {
    const { program, broker, page, url } = await newWorld()
    await page.goto(url)
    broker.faults.push(fault, fault)
    await click(page, 'Continue')
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('alert').textContent()).toContain(text)
    await click(page, 'Try again')
    await page.getByRole('alert').waitFor()
    expect(program.hits).toBe(0)
    await click(page, 'Cancel')
    expect((await program.called).query).toMatchObject({ error: 'access_denied', state: 'a b+c/=' })
  })

  it('sends the token nowhere if the app names no broker', async () => {
    const { frontend, page, url } = await newWorld()
    frontend.setBroker('')
    await page.goto(url)
    await click(page, 'Continue')
    expect(await page.getByRole('alert').textContent()).toContain('not set up')
  })

  it('shows no button to a program of version 1, and says what to do', async () => {
    const { page, url } = await newWorld()
    await page.goto(url.replace(`&${PKCE}`, ''))
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('alert').textContent()).toContain('Update CADZERO')
    expect(await page.getByRole('button').count()).toBe(0)
  })

  it('offers «Try again» if the browser was offline', async () => {
    const { program, page, url } = await newWorld()
    await page.clock.install()
    await page.goto(url)
    await consent(page)
    await page.context().setOffline(true)
    await click(page, 'Continue')
    await page.getByRole('button', { name: 'One moment…' }).waitFor()
    await page.clock.fastForward(10_000)
    await page.getByRole('alert').waitFor()
    await page.context().setOffline(false)
    await click(page, 'Try again')
    expect((await program.called).query.code).toBe('code-1')
  })

  it('offers «Sign in again» if the session has ended since the page was opened', async () => {
    const { frontend, program, page, url } = await newWorld()
    await page.goto(url)
    await consent(page)
    frontend.setStatus(null)
    await click(page, 'Continue')
    await page.getByRole('alert').waitFor()
    expect(await heading(page)).toBe('Your session has ended')
    expect(program.hits).toBe(0)
    await click(page, 'Sign in again')
    await page.click('#sign-in')
    await consent(page)
    expect(page.url()).toBe(url)
  })

  it('offers «Continue setup» instead of consent while the session is pending', async () => {
    const { page, url } = await newWorld({ status: 'pending' })
    await page.goto(url)
    await page.getByRole('alert').waitFor()
    expect(await heading(page)).toBe('Your account needs one more step')
    expect(await page.getByRole('button').allTextContents()).toEqual(['Continue setup'])
  })

  it('offers «Try again» if clerk-js does not load', async () => {
    const { frontend, page, url } = await newWorld()
    frontend.setAvailable(false)
    await page.clock.install()
    await page.goto(url)
    await page.getByRole('status').waitFor()
    await page.clock.fastForward(15_000)
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('heading').allTextContents()).toEqual(['The sign-in did not load'])
    frontend.setAvailable(true)
    await click(page, 'Try again')
    await consent(page)
  })
})

type BrokerFault = 'drop' | 400 | 404 | 503

/** The broker's route for codes, with CORS for the page alone. A fault answers one request each. */
async function startCodeBroker(pageOrigin: string) {
  const requests: { token: string; body: unknown; origin: string | undefined }[] = []
  const faults: BrokerFault[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { origin, authorization = '' } = request.headers
    response.setHeader('access-control-allow-origin', pageOrigin)
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-headers', 'authorization, content-type')
      return void response.writeHead(204).end()
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const fault = faults.shift()
    if (fault === 'drop') return void response.destroy()
    response.setHeader('content-type', 'application/json')
    if (fault !== undefined) {
      const error = fault === 400 ? 'invalid_grant' : fault === 404 ? 'not_found' : 'temporarily_unavailable'
      return void response.writeHead(fault).end(JSON.stringify({ error, error_description: error }))
    }
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    requests.push({ token: authorization.replace('Bearer ', ''), body, origin })
    response.end(JSON.stringify({ code: `code-${requests.length}`, expires_in: 60 }))
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, faults }
}

/** A program's callback listener: it records the query of the first request and counts all. */
async function startProgram() {
  let onCall: (call: { query: Record<string, string>; referer: string | undefined }) => void = () => undefined
  const called = new Promise<Parameters<typeof onCall>[0]>((resolve) => {
    onCall = resolve
  })
  const program = { called, hits: 0, callback: '' }
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(String(request.url), 'http://localhost')
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>Done</title>')
    if (pathname !== '/') return // the browser requests /favicon.ico
    program.hits++
    onCall({ query: Object.fromEntries(searchParams), referer: request.headers.referer })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const state = encodeURIComponent('a b+c/=')
  program.callback = `http://localhost:${(server.address() as AddressInfo).port}/?own=1&state=${state}`
  return program
}
