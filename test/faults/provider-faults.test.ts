// About a hundred faults of a provider, with a valid and an expired access token: only invalid_grant ends a session.
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { toRpcError } from '../../src/daemon/handlers.ts'
import { headerInMemory } from '../support/authenticator.ts'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import {
  faultOf,
  LONG_LIFETIME,
  PAST_BACKOFF,
  PAST_TIMEOUT,
  providerFaults,
  type Row,
  reachesProvider,
} from '../support/provider-faults.ts'
import { newSandbox, settingsOf } from '../support/world.ts'

const TOKEN = '/oauth/token'
const DISCOVERY = '/.well-known/openid-configuration'
const ALL_ROWS = { timeout: 120_000 } // ms; a test plays the whole table

/** An authenticator, a sandbox whose token endpoint can play every row, and a server that must receive no request. */
async function newWorld() {
  const trapped: string[] = []
  const trap = createServer((request, response) => {
    trapped.push(String(request.url))
    response.end()
  }).listen(0, '127.0.0.1')
  await once(trap, 'listening')
  onTestFinished(() => void trap.close())
  // This provider accepts the previous refresh token once, as FAPI 2.0 asks. lost-answers.test.ts has a strict one.
  const sandbox = await newSandbox({ refreshReuse: 'forgiving', accessTokenTtl: LONG_LIFETIME })
  const clerk = await newClerkAuthenticator(settingsOf(sandbox))
  const { authenticator, clock, nextHeaders } = clerk
  const elsewhere = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/trap`
  const rows = providerFaults(elsewhere, `${sandbox.issuer}${TOKEN}`)

  const signIn = async () => {
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await sandbox.signIn(String(authenticator.status().authorizationUrl))
    expect(authenticator.status().state).toBe('signed_in')
  }
  /** Plays the row to the request that `action` sends, and moves the clock past the timeout if the answer never ends. */
  const play = async <T>(row: Row, path: string, action: () => Promise<T>): Promise<T> => {
    sandbox.script(path, faultOf(row, clock.now()))
    const arrived = sandbox.arrived(path)
    const outcome = action()
    outcome.catch(() => undefined)
    if (row.stallsAfter) {
      await arrived
      if (row.stallsAfter === 'headers') await nextHeaders()
      clock.advance(PAST_TIMEOUT)
    }
    return await outcome
  }
  return { ...clerk, sandbox, rows, trapped, signIn, play }
}

type World = Awaited<ReturnType<typeof newWorld>>

interface Failure {
  readonly code: number
  readonly data: { readonly reason: string; readonly retryAfterSeconds?: number }
}

/** The RPC error that a client gets; undefined on success. */
async function failureOf(outcome: Promise<unknown>): Promise<Failure | undefined> {
  try {
    await outcome
    return undefined
  } catch (error) {
    return toRpcError(error) as Failure
  }
}

function expectedFailure({ effect }: Row): object | undefined {
  if (effect === 'refreshed') return undefined
  if (effect === 'ended') return { code: 1001, data: { reason: 'session_revoked' } }
  if (effect === 'rejected') return { code: 1004 }
  return { code: 1003, data: { reason: effect, retryAfterSeconds: expect.any(Number) } }
}

/** Plays a row to a refresh, and checks the answer, the session and the next call. */
async function checkRefresh(world: World, row: Row, accessToken: 'valid' | 'expired'): Promise<void> {
  const { authenticator, clock, sandbox, play } = world
  if (authenticator.status().state !== 'signed_in') await world.signIn()
  clock.advance(PAST_BACKOFF)
  // The provider accepts a previous refresh token only once, so an undisturbed refresh comes before each lost answer.
  if (reachesProvider(row) || row.retryAfter) await authenticator.refresh()
  if (accessToken === 'expired' && headerInMemory(authenticator)) clock.advance(LONG_LIFETIME + 1)
  const before = headerInMemory(authenticator)
  expect(before === undefined, row.name).toBe(accessToken === 'expired')
  const requestsBefore = sandbox.count(TOKEN)
  const action = () => (accessToken === 'valid' ? authenticator.refresh() : authenticator.authHeader(10, false))
  const failure = await failureOf(play(row, TOKEN, action))
  const expected = expectedFailure(row)
  if (expected) expect(failure, row.name).toMatchObject(expected)
  else expect(failure, row.name).toBeUndefined()
  expect(JSON.stringify(failure ?? {}), row.name).not.toContain('canary')
  const status = authenticator.status()
  expect(status.state, row.name).toBe(row.effect === 'ended' ? 'signed_out' : 'signed_in')
  if (row.effect === 'ended') return
  expect(status.store.persisted, row.name).toBe(true)
  if (row.retryAfter) {
    expect(failure?.data.retryAfterSeconds, row.name).toBeGreaterThanOrEqual(row.retryAfter[0])
    expect(failure?.data.retryAfterSeconds, row.name).toBeLessThanOrEqual(row.retryAfter[1])
  }
  // The next call sends no request: it gets the header that is still valid, or the same error.
  const next = await authenticator.authHeader(10, false).catch((error: unknown) => toRpcError(error))
  if (row.arrivesExpired) expect(next, row.name).toMatchObject({ code: 1003 })
  else if (accessToken === 'valid' && expected) expect(next, row.name).toEqual(before)
  else expect(next, row.name).toMatchObject(expected ?? { headers: {} })
  expect(sandbox.count(TOKEN) - requestsBefore, row.name).toBe(1)
}

/** Returns from the browser: with a real code only if the provider will see it. */
async function returnFromBrowser(sandbox: World['sandbox'], authorization: URL, row: Row): Promise<void> {
  if (reachesProvider(row)) {
    await sandbox.signIn(authorization.href)
    return
  }
  const callback = new URL(String(authorization.searchParams.get('redirect_uri')))
  const state = String(authorization.searchParams.get('state'))
  callback.search = new URLSearchParams({ code: 'made-up', state, iss: sandbox.issuer }).toString()
  await (await fetch(callback)).text()
}

describe('the table of provider faults', () => {
  it('has at least sixty rows, each with a name of its own', () => {
    const names = providerFaults('', '').map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names.length).toBeGreaterThanOrEqual(60)
  })
})

describe('a session at a faulty provider', ALL_ROWS, () => {
  it.each(['valid', 'expired'] as const)(
    'ends by invalid_grant alone while its access token is %s',
    async (accessToken) => {
      const world = await newWorld()
      for (const row of world.rows) await checkRefresh(world, row, accessToken)
      expect(world.trapped).toEqual([])
      if (world.authenticator.status().state !== 'signed_in') await world.signIn()
      world.clock.advance(PAST_BACKOFF)
      await world.authenticator.refresh()
      expect(world.authenticator.status()).toMatchObject({ user: { id: world.sandbox.user.id } })
    },
  )
})

describe('a sign-in at a faulty provider', ALL_ROWS, () => {
  it('fails with a typed error, saves nothing, and works at the next attempt', async () => {
    const { authenticator, sandbox, rows, play, trapped, signIn, sessionFile } = await newWorld()
    for (const row of rows) {
      const login = authenticator.login({ openBrowser: false, wait: true, timeoutSeconds: 300 })
      login.catch(() => undefined)
      await expect.poll(() => authenticator.status().authorizationUrl, { interval: 1 }).not.toBeNull()
      const url = new URL(String(authenticator.status().authorizationUrl))
      expect(authenticator.status().state, row.name).toBe('signing_in')
      await play(row, TOKEN, () => returnFromBrowser(sandbox, url, row))
      const failure = await failureOf(login)
      const succeeds = (row.effect === 'refreshed' && !row.failsSignIn) || row.arrivesExpired === true
      expect(failure === undefined, row.name).toBe(succeeds)
      if (failure) expect([1002, 1003, 1004], row.name).toContain(failure.code)
      expect(authenticator.status().state, row.name).toBe(succeeds ? 'signed_in' : 'signed_out')
      expect(existsSync(sessionFile), row.name).toBe(succeeds)
      if (succeeds) await authenticator.logout()
    }
    expect(trapped).toEqual([])
    await signIn()
  })

  it('fails before a browser opens if the discovery document is faulty, and works at the next attempt', async () => {
    const { authenticator, rows, play, trapped, signIn } = await newWorld()
    const fitsDiscovery = ({ fault, effect }: Row) =>
      !['replace', 'alter', 'delay'].includes(fault.kind) && effect !== 'refreshed'
    for (const row of rows.filter(fitsDiscovery)) {
      const login = () => authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
      const failure = await failureOf(play(row, DISCOVERY, login))
      expect([1003, 1004], row.name).toContain(failure?.code)
      expect(authenticator.status(), row.name).toMatchObject({ state: 'signed_out', authorizationUrl: null })
    }
    expect(trapped).toEqual([])
    await signIn()
  })
})
