// A sign-in and its browser: whose desktop it opens on, and which callbacks the log names.
import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { DesktopEnvironment } from '../../src/host/desktop.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import type { TestClock } from '../support/clock.ts'
import { freePort } from '../support/free-port.ts'

const desktop = { DISPLAY: ':5', LANG: 'ja_JP.UTF-8' }

async function newBrowser() {
  const environments: (DesktopEnvironment | undefined)[] = []
  let fails = false
  const world = await newAuthenticator({
    openBrowser: async (_url, environment) => {
      environments.push(environment)
      if (fails) throw new Error('no browser')
    },
  })
  return {
    ...world,
    environments,
    breakBrowser: () => {
      fails = true
    },
  }
}

const untilLink = { openBrowser: true, wait: false, timeoutSeconds: 300 }

describe('the desktop that a client hands over', () => {
  it('is for the browser of this sign-in, also if Clerk lost the request, and for no later one', async () => {
    const { authenticator, environments, comeBack } = await newBrowser()
    await authenticator.login({ ...untilLink, environment: desktop })
    await comeBack({ error: 'invalid_request', state: '' })
    expect(environments).toEqual([desktop, desktop])
    await authenticator.cancelLogin()
    await authenticator.login(untilLink)
    expect(environments[2]).toBeUndefined()
    await authenticator.cancelLogin()
  })

  it('is that of the client that asks last', async () => {
    const { authenticator, environments, clock } = await newBrowser()
    await authenticator.login({ ...untilLink, environment: { DISPLAY: ':1' } })
    clock.advance(6)
    await authenticator.login({ ...untilLink, environment: desktop })
    expect(environments).toEqual([{ DISPLAY: ':1' }, desktop])
    await authenticator.cancelLogin()
  })

  it('is nowhere in the status or in the log', async () => {
    const { authenticator, told, logged } = await newBrowser()
    await authenticator.login({ ...untilLink, environment: { ...desktop, http_proxy: 'http://u:canary@p' } })
    expect(JSON.stringify([authenticator.status(), told, logged])).not.toMatch(/canary|ja_JP/)
    await authenticator.cancelLogin()
  })
})

it('a browser that cannot be opened does not end a sign-in whose link is used', async () => {
  const { authenticator, breakBrowser, comeBack, provider } = await newBrowser()
  breakBrowser()
  await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
  const link = authenticator.status().authorizationUrl
  const failed = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 300 })
  await expect(failed).rejects.toMatchObject({ reason: 'browser' })
  expect(authenticator.status()).toMatchObject({ state: 'signing_in', authorizationUrl: link })
  const waiting = authenticator.login({ openBrowser: false, wait: true, timeoutSeconds: 300 })
  await comeBack()
  await waiting
  expect(authenticator.status().state).toBe('signed_in')
  expect(provider.refreshed).toEqual([])
})

it('each refused callback is in the log, with its reason', async () => {
  const { authenticator, comeBack, refused, provider } = await newBrowser()
  await authenticator.login(untilLink)
  await comeBack({ code: 'x', state: 'wrong' })
  await comeBack({ code: 'x', state: `${provider.state}x` })
  await comeBack({ error: 'invalid_request', state: '' })
  expect(refused).toEqual(['wrong_state', 'wrong_state', 'interrupted'])
  await authenticator.cancelLogin()
})

describe('a sign-in that no person has asked for', () => {
  it('opens a browser, but none during the pause after an unanswered one', async () => {
    const { authenticator, environments, clock } = await newBrowser()
    const automatic = { openBrowser: true, wait: true, timeoutSeconds: 30, userAsked: false }
    const first = authenticator.login(automatic).catch((error: unknown) => error)
    await expect.poll(() => environments.length).toBe(1)
    clock.advance(30)
    expect(await first).toMatchObject({ reason: 'timeout' })
    await expect(authenticator.login(automatic)).rejects.toMatchObject({ name: 'InteractionRequiredError' })
    expect(environments).toHaveLength(1)
    await authenticator.login(untilLink) // a person asks
    expect(environments).toHaveLength(2)
    await authenticator.cancelLogin()
  })
})

describe('two profiles with one fixed callback port', () => {
  /** The error of a sign-in that tries the port once more a second later. */
  async function failure(signIn: Promise<unknown>, clock: TestClock): Promise<unknown> {
    let failed: unknown
    signIn.catch((error: unknown) => {
      failed = error
    })
    const found = () => {
      clock.advance(1)
      return failed
    }
    await expect.poll(found).toBeDefined()
    return failed
  }

  it('name each other if both sign in at once, and not afterwards', async () => {
    const [port, callbackPorts] = [await freePort(), new Map<number, string>()]
    const staging = await newAuthenticator({ profile: 'staging', port, callbackPorts })
    const production = await newAuthenticator({ profile: 'production', port, callbackPorts, clock: staging.clock })
    const { clock } = staging
    await staging.authenticator.login(untilLink)
    const failed = await failure(production.authenticator.login(untilLink), clock)
    expect(failed).toMatchObject({ name: 'CallbackPortError', profile: 'production', otherProfile: 'staging' })
    expect(staging.authenticator.status().state).toBe('signing_in')
    await staging.authenticator.cancelLogin()
    expect(callbackPorts.size).toBe(0)
  })

  it('blame no profile if another program has the port', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const { authenticator, clock } = await newAuthenticator({ port })
    expect(await failure(authenticator.login(untilLink), clock)).toMatchObject({
      name: 'CallbackPortError',
      otherProfile: undefined,
    })
  })
})
