// The hand-off as a user sees it: the real page with the real clerk-js in Chromium, the real broker, and the real daemon.
import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startFrontend } from '../sandbox/frontend.ts'
import { startBroker } from '../support/broker.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type HandoffSettings, newHandoff } from '../support/handoff.ts'
import { newSandbox } from '../support/world.ts'

const CHROMIUM = '/usr/bin/chromium'
const hasChromium = existsSync(CHROMIUM)
const why = hasChromium ? '' : ' (skipped: needs Debian’s chromium)'

/** Everything, and a browser with a profile folder of its own that is kept when it closes. */
async function newWorld(settings: HandoffSettings = {}) {
  const sandbox = await newSandbox()
  const { backend, user } = sandbox
  const sessionId = backend.createSession()
  const tokens: string[] = []
  const mint = async (session: string, azp: string) => {
    const token = await backend.sessionToken(session, { azp, lifetimeSeconds: 60 })
    tokens.push(token)
    return token
  }
  const frontend = await startFrontend({ mint, user, sessionId })
  onTestFinished(() => frontend.close())
  const broker = await startBroker(sandbox, { authorizedParties: [frontend.origin], sessionTokens: 'off' })
  frontend.setBroker(broker.url)
  const page = { signInUrl: frontend.pageUrl, authorizedParties: [frontend.origin], brokerUrl: broker.url }
  const { client, log } = await newHandoff({ ...page, ...settings }, {}, sandbox)
  const profile = await temporaryFolder()
  const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync']
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    args: [...args, '--disable-component-update'],
  })
  onTestFinished(() => context.close().catch(() => undefined))
  const login = async (params: object = {}) => {
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false, ...params })
    return String(authorizationUrl)
  }
  return { sandbox, sessionId, tokens, frontend, client, log, profile, context, login }
}

const open = async (context: BrowserContext, url: string) => {
  const page = await context.newPage()
  await page.goto(url)
  return page
}

/** The files of a folder that contain a text. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name)
    if ((await stat(path).catch(() => undefined))?.isFile() && (await readFile(path)).includes(text)) found.push(name)
  }
  return found
}

describe.skipIf(!hasChromium)(`a hand-off in a browser${why}`, { timeout: 60_000 }, () => {
  it.each([true, false])(
    '[G5] leaves no byte of a token in the profile of the browser (requireState: %s)',
    async (requireState) => {
      const { sandbox, sessionId, tokens, client, profile, context, login } = await newWorld({ requireState })
      const page = await open(context, await login())
      await page.getByRole('button', { name: 'Continue', exact: true }).click()
      await page.waitForURL('**/signed-in')
      expect(await page.getByRole('main').innerText()).toContain(`The account is ${sandbox.user.email}.`)
      expect(await client.call('status')).toMatchObject({
        state: 'signed_in',
        sessionId,
        user: { id: sandbox.user.id, email: sandbox.user.email, name: sandbox.user.name },
      })
      const first = await client.call('getAuthHeader')
      const second = await client.call('refresh')
      expect(second.headers.Authorization).not.toBe(first.headers.Authorization)
      await context.close()

      expect((await filesWith(profile, 'code_challenge=')).length).toBeGreaterThan(0) // the history is on disk by now
      const secrets = [...tokens, first.headers.Authorization.slice(7), second.headers.Authorization.slice(7)]
      expect(tokens.length).toBeGreaterThan(0)
      for (const token of secrets) {
        for (const part of [token, String(token.split('.')[2])]) expect(await filesWith(profile, part)).toEqual([])
      }
    },
  )

  it('is told from one with a page of version 1, whose token stays in the history of the browser', async () => {
    const { sandbox, sessionId, client, profile, context, login } = await newWorld()
    const callback = new URL(String(new URL(await login()).searchParams.get('redirect_url')))
    const token = await sandbox.backend.sessionToken(sessionId, { azp: 'https://www.example.com' })
    for (const [name, value] of Object.entries({ token, session_id: sessionId, user_id: sandbox.user.id })) {
      callback.searchParams.set(name, value)
    }
    const page = await open(context, callback.href) // the token is of another origin: it is refused, and it is on disk
    expect(await page.getByRole('heading').textContent()).toContain('somewhere else')
    expect((await client.call('status')).state).toBe('signing_in')
    await context.close()
    expect((await filesWith(profile, token)).length).toBeGreaterThan(0)
  })

  it('ends when the user cancels, and the next one goes on', async () => {
    const { client, context, login } = await newWorld()
    const page = await open(context, await login())
    await page.getByRole('button', { name: 'Cancel', exact: true }).click()
    await page.waitForURL('**/denied')
    expect(await page.getByRole('main').innerText()).toContain('To try again, go back to Fusion')
    await expect.poll(async () => (await client.call('status')).signIn?.lastError).toBe('access_denied')
    const again = await open(context, await login())
    await again.getByRole('button', { name: 'Continue', exact: true }).click()
    await again.waitForURL('**/signed-in')
  })

  it('asks for another account if the client wants one, and signs in with it', async () => {
    const { client, context, login } = await newWorld()
    const page = await open(context, await login({ prompt: 'login' }))
    await page.getByRole('button', { name: 'Use another account', exact: true }).click()
    await page.click('#sign-in')
    await page.getByRole('button', { name: 'Continue', exact: true }).click()
    await page.waitForURL('**/signed-in')
    expect((await client.call('status')).state).toBe('signed_in')
  })

  it('ends at an address without a code if the link is an old one', async () => {
    const { client, context, login } = await newWorld()
    const callback = new URL(String(new URL(await login()).searchParams.get('redirect_url')))
    callback.search = 'code=old&state=old'
    const page = await context.newPage()
    await page.goto(callback.href).catch(() => undefined)
    await page.waitForURL('**/refused/wrong-link')
    expect(new URL(page.url()).search).toBe('')
    expect(await page.getByRole('heading').textContent()).toContain('not the current sign-in link')
    expect((await client.call('status')).state).toBe('signing_in')
  })

  it('[G2] is not completed by an image of another page, although the profile needs no state', async () => {
    const { sandbox, client, frontend, context, login, log } = await newWorld({ requireState: false })
    const callback = new URL(String(new URL(await login()).searchParams.get('redirect_url')))
    const mallory = sandbox.backend.createSession({ userId: 'user_2mallory' })
    const token = await sandbox.backend.sessionToken(mallory, { azp: 'https://www.example.com' })
    callback.search = new URLSearchParams({ token, session_id: mallory, user_id: 'user_2mallory' }).toString()
    const page = await open(context, `${frontend.origin}/sign-in`) // on loopback: from elsewhere, Chromium itself asks first
    const load = `new Promise((resolve) => {
      const image = new Image()
      image.onload = image.onerror = (event) => resolve(event.type)
      image.src = ${JSON.stringify(callback.href)}
    })`
    expect(await page.evaluate(load)).toBe('error')
    expect(await client.call('status')).toMatchObject({ state: 'signing_in', user: null })
    const reasons = (await log()).filter(({ event }) => event === 'callback_refused').map(({ reason }) => reason)
    expect(reasons).toEqual(['not_a_visit'])
  })
})
