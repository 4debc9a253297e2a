// A user in a real browser: the link, the provider's pages, and the daemon's last page.
import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { expect, it, onTestFinished } from 'vitest'
import { newWorld } from '../support/world.ts'

const CHROMIUM = '/usr/bin/chromium'
const hasChromium = existsSync(CHROMIUM)
const why = hasChromium ? '' : ' (skipped: needs Debian’s chromium)'

async function newPage() {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...args, '--disable-component-update', '--disable-sync'],
  })
  onTestFinished(() => browser.close())
  return await browser.newPage()
}

it.skipIf(!hasChromium).each(['allow', 'deny'] as const)(
  `the user sees the result of a sign-in in the browser: %s${why}`,
  async (choice) => {
    const { client, sandbox } = await newWorld()
    const login = client.call('login', { openBrowser: false }).then(
      (status) => status.state,
      (error: { data: { reason: string } }) => error.data.reason,
    )
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const page = await newPage()
    const messages: string[] = []
    page.on('console', (message) => messages.push(`${message.text()} ${message.location().url}`))
    await page.goto(String(authorizationUrl))
    await page.click('#sign-in')
    await page.click(`#${choice}`)
    await page.waitForURL(choice === 'allow' ? '**/signed-in' : '**/denied')
    expect(await page.textContent('h1')).toContain(choice === 'allow' ? 'You are signed in' : 'declined')
    expect(page.url()).not.toContain('?')
    expect(messages.filter((text) => !text.endsWith('/favicon.ico'))).toEqual([])
    expect(await login).toBe(choice === 'allow' ? 'signed_in' : 'access_denied')
    expect(sandbox.count('/oauth/token')).toBe(choice === 'allow' ? 1 : 0)
  },
)

it.skipIf(!hasChromium)(`a web page cannot connect to the daemon${why}`, async () => {
  const { daemon, sandbox } = await newWorld()
  const { endpoint } = await daemon.connect()
  const page = await newPage()
  await page.goto(`${sandbox.issuer}/.well-known/openid-configuration`)
  const outcome = await page.evaluate(
    (url) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url, ['cadzero-auth.v1'])
        socket.onopen = () => resolve('open')
        socket.onerror = () => resolve('refused')
      }),
    `ws://${endpoint.endpoint}${endpoint.path}`,
  )
  expect(outcome).toBe('refused')
})
