// The page of the web app in a real browser, with the real clerk-js: who gets a token, after which click, and who does not.
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type FrontendOptions, startFrontend } from '../sandbox/frontend.ts'
import { bundleWebApp } from '../sandbox/web-app.ts'

const CHROMIUM = '/usr/bin/chromium'
const hasChromium = existsSync(CHROMIUM)
const why = hasChromium ? '' : ' (skipped: needs Debian’s chromium)'

// A name and not a literal: the page has a TypeScript project of its own, with JSX and a browser's library.
const PAGE = fileURLToPath(new URL('../../embed/page/cadzero.auth-callback.tsx', import.meta.url))
type Callback = { readonly url: URL } | { readonly refused: string }
const { loopbackCallback }: { loopbackCallback: (search: string) => Callback } = await import(/* @vite-ignore */ PAGE)

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

/** What has to be refused. */
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

describe('the callback of the page', () => {
  const read = (search: string) => {
    const callback = loopbackCallback(search)
    return 'url' in callback ? callback.url.href : callback.refused
  }

  it.each(UNSAFE)('refuses %j', (redirectUrl) => {
    expect(read(`?redirect_url=${encodeURIComponent(redirectUrl)}`)).toBe('unsafe')
  })

  it.each([
    ['', 'missing'],
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
  ])('reads %s as %s', (search, callback) => expect(read(search)).toBe(callback))
})

describe.skipIf(!hasChromium)(`the page in a browser${why}`, () => {
  let browser: Browser
  let app: string
  beforeAll(async () => {
    const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking']
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...args, '--disable-component-update'] })
    app = await bundleWebApp()
  })
  afterAll(() => browser?.close())

  /** A program that waits on loopback, the web app, and a browser that goes nowhere else. */
  async function newScene(options: Partial<FrontendOptions> = {}) {
    const frontend = await startFrontend({ mint, user: USER, sessionId: SESSION, app, ...options })
    onTestFinished(() => frontend.close())
    const program = await startProgram()
    const page = await (await browser.newContext()).newPage()
    onTestFinished(() => page.context().close())
    const said: string[] = []
    const strangers: string[] = []
    page.on('console', (message) => said.push(message.text()))
    page.on('pageerror', (error) => said.push(error.message))
    await page.route('**/*', (route) => {
      const { protocol, hostname, href } = new URL(route.request().url())
      if (protocol === 'blob:' || ['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) return route.continue()
      strangers.push(href)
      return route.abort()
    })
    onTestFinished(() => {
      expect(strangers).toEqual([])
      for (const token of frontend.tokens) expect(said.join('\n')).not.toContain(token)
    })
    const url = `${frontend.pageUrl}?redirect_url=${encodeURIComponent(program.callback)}`
    return { frontend, program, page, url, said }
  }

  const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
  const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()
  const consent = (page: Page) => page.getByRole('button', { name: 'Continue', exact: true }).waitFor()

  it('gives the token, the session, the user and the state to the program after «Continue»', async () => {
    const { frontend, program, page, url } = await newScene()
    await page.goto(url)
    await consent(page)
    const shown = await page.getByRole('main').innerText()
    for (const text of ['Ada Lovelace', 'ada@example.com', 'CADZERO for Fusion 360', new URL(program.callback).host]) {
      expect(shown).toContain(text)
    }
    expect(await page.locator('meta[name=referrer]').getAttribute('content')).toBe('no-referrer')
    const entries = await page.evaluate('history.length')
    await click(page, 'Continue')
    const { query, referer } = await program.called
    const { token = '', ...rest } = query
    expect(rest).toEqual({
      state: 'a b+c/=',
      own: '1',
      session_id: SESSION,
      user_id: USER.id,
      user_email: USER.email,
      user_name: USER.name,
    })
    const { payload } = await jwtVerify(token, keys.publicKey, { issuer: ISSUER, subject: USER.id })
    expect(payload).toMatchObject({ sid: SESSION, azp: frontend.origin, v: 2 })
    expect(frontend.tokens).toContain(token)
    expect(referer).toBeUndefined()
    await page.waitForURL(`${new URL(program.callback).origin}/**`)
    expect(await page.evaluate('history.length')).toBe(entries)
    expect(program.hits).toBe(1)
  })

  it('sends a person who is signed out to the sign-in, and back to the same question', async () => {
    const { program, page, url } = await newScene({ status: null })
    await page.goto(url)
    await page.click('#sign-in')
    await consent(page)
    expect(page.url()).toBe(url)
    expect(program.hits).toBe(0)
    await click(page, 'Continue')
    expect((await program.called).query).toMatchObject({ session_id: SESSION, state: 'a b+c/=' })
  })

  it('says access_denied to the program after «Cancel», and asks for no token', async () => {
    const { frontend, program, page, url } = await newScene()
    await page.goto(url)
    await click(page, 'Cancel')
    expect((await program.called).query).toEqual({ error: 'access_denied', state: 'a b+c/=', own: '1' })
    expect(frontend.tokens).toEqual([])
  })

  it('signs out and comes back for another account', async () => {
    const { frontend, program, page, url } = await newScene()
    await page.goto(url)
    await click(page, 'Use another account')
    await page.click('#sign-in')
    await consent(page)
    expect(page.url()).toBe(url)
    expect(frontend.requests).toContain('DELETE /v1/client/sessions')
    expect(program.hits).toBe(0)
  })

  it('does nothing without a click', async () => {
    const { frontend, program, page, url } = await newScene()
    await page.clock.install()
    await page.goto(url)
    await consent(page)
    const asked = frontend.tokens.length
    await page.clock.fastForward(3_000) // less than Clerk's own refresh of a token
    await page.keyboard.press('Enter') // no button has the focus
    await page.reload()
    await consent(page)
    expect(frontend.tokens.length).toBe(asked)
    expect(program.hits).toBe(0)
  })

  it('refuses every address that is not a program on this computer', async () => {
    const { frontend, page } = await newScene()
    // The rule itself is tested on all of them; here, that a browser follows it.
    for (const redirectUrl of ['', ...UNSAFE.filter((_, at) => at % 5 === 0)]) {
      const url = `${frontend.pageUrl}?redirect_url=${encodeURIComponent(redirectUrl)}`
      await page.goto(url)
      await page.getByRole('alert').waitFor()
      expect(await heading(page), redirectUrl).toBe('Open this from CADZERO in Fusion')
      expect(await page.getByRole('button').count()).toBe(0)
      expect(page.url()).toBe(url)
    }
    expect(frontend.tokens).toEqual([])
  })

  it('shows no button inside another page', async () => {
    const { page, url } = await newScene()
    await page.setContent(`<iframe src="${url.replaceAll('&', '&amp;')}"></iframe>`)
    const frame = page.frameLocator('iframe')
    await frame.getByRole('alert').waitFor()
    expect(await frame.getByRole('heading').textContent()).toBe('Open this page in its own tab')
    expect(await frame.getByRole('button').count()).toBe(0)
  })

  it.each(['drop', 'hang', 500, 429] as const)('lets a person try again where the token fails: %s', async (fault) => {
    const { frontend, program, page, url } = await newScene()
    await page.clock.install()
    await page.goto(url)
    await consent(page)
    frontend.setTokenFault(fault)
    const asked = page.waitForRequest('**/tokens?**')
    await click(page, 'Continue')
    await asked
    await page.clock.fastForward(10_000)
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('alert').textContent()).toContain('could not be completed')
    expect(program.hits).toBe(0)
    frontend.setTokenFault('none')
    await click(page, 'Try again')
    const { query } = await program.called
    await jwtVerify(String(query.token), keys.publicKey)
    expect(program.hits).toBe(1)
  })

  it('lets a person try again who was offline', async () => {
    const { program, page, url } = await newScene()
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
    expect((await program.called).query.session_id).toBe(SESSION)
  })

  it('says that the session has ended meanwhile, and signs in again', async () => {
    const { frontend, program, page, url } = await newScene()
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

  it('asks for no consent while the account has a step to finish', async () => {
    const { page, url } = await newScene({ status: 'pending' })
    await page.goto(url)
    await page.getByRole('alert').waitFor()
    expect(await heading(page)).toBe('Your account needs one more step')
    expect(await page.getByRole('button').allTextContents()).toEqual(['Continue setup'])
  })

  it('says when Clerk does not load, and loads it at the next try', async () => {
    const { frontend, page, url } = await newScene()
    frontend.setUp(false)
    await page.clock.install()
    await page.goto(url)
    await page.getByRole('status').waitFor()
    await page.clock.fastForward(15_000)
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('heading').allTextContents()).toEqual(['The sign-in did not load'])
    frontend.setUp(true)
    await click(page, 'Try again')
    await consent(page)
  })
})

/** A program's listener: notes what comes to its callback. */
async function startProgram() {
  let call: (called: { query: Record<string, string>; referer: string | undefined }) => void = () => undefined
  const called = new Promise<Parameters<typeof call>[0]>((resolve) => {
    call = resolve
  })
  const program = { called, hits: 0, callback: '' }
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(String(request.url), 'http://localhost')
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>Done</title>')
    if (pathname !== '/') return // a browser asks for an icon
    program.hits++
    call({ query: Object.fromEntries(searchParams), referer: request.headers.referer })
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
