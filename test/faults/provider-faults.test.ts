// A hundred faults of a provider, each in each state of a session: none but invalid_grant ever ends one.

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { toRpcError } from '../../src/daemon/handlers.ts'
import { headerInMemory } from '../support/authenticator.ts'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import { faultOf, providerFaults, type Row, reachesProvider } from '../support/provider-faults.ts'
import { newSandbox, settingsOf } from '../support/world.ts'

const TOKEN = '/oauth/token'
const DISCOVERY = '/.well-known/openid-configuration'
const LIFETIME = 10_000_000 // s; longer than all the waiting in here
const PAST_ANY_BACKOFF = 400
const PAST_OUR_DEADLINE = 10.5

/** An authenticator on a sandbox whose token endpoint will do all there is in the table. */
async function newWorld() {
  const trapped: string[] = []
  const trap = createServer((request, response) => {
    trapped.push(String(request.url))
    response.end()
  }).listen(0, '127.0.0.1')
  await once(trap, 'listening')
  onTestFinished(() => void trap.close())
  // It forgives a lost answer once, as FAPI 2.0 asks; a strict one has a test of its own in lost-answers.test.ts.
  const sandbox = await newSandbox({ refreshReuse: 'forgiving', accessTokenTtl: LIFETIME })
  const clerk = await newClerkAuthenticator(settingsOf(sandbox))
  const { authenticator, clock, nextHeaders } = clerk
  const elsewhere = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/trap`
  const rows = providerFaults(elsewhere, `${sandbox.issuer}${TOKEN}`)

  const signIn = async () => {
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await sandbox.signIn(String(authenticator.status().authorizationUrl))
    expect(authenticator.status().state).toBe('signed_in')
  }
  /** Plays the fault to what is asked, and lets the clock go on where our own deadline is what ends it. */
  const play = async <T>(row: Row, path: string, ask: () => Promise<T>): Promise<T> => {
    sandbox.script(path, faultOf(row, clock.now()))
    const arrived = sandbox.arrived(path)
    const asked = ask()
    asked.catch(() => undefined)
    if (row.slow) {
      await arrived
      if (row.slow === 'headers') await nextHeaders()
      clock.advance(PAST_OUR_DEADLINE)
    }
    return await asked
  }
  return { ...clerk, sandbox, rows, trapped, signIn, play }
}

type World = Awaited<ReturnType<typeof newWorld>>

interface Failure {
  readonly code: number
  readonly data: { readonly reason: string; readonly retryAfterSeconds?: number }
}

/** What a client of the daemon would be told; anything but a number of the contract is a bug of ours. */
async function failureOf(asked: Promise<unknown>): Promise<Failure | undefined> {
  try {
    await asked
    return undefined
  } catch (error) {
    return toRpcError(error) as Failure
  }
}

function expectedOf({ means }: Row): object | undefined {
  if (means === 'good') return undefined
  if (means === 'ended') return { code: 1001, data: { reason: 'session_revoked' } }
  if (means === 'rejected') return { code: 1004 }
  return { code: 1003, data: { reason: means, retryAfterSeconds: expect.any(Number) } }
}

/** One fault to a session whose token is live or dead, and what has become of both. */
async function refreshAt(world: World, row: Row, state: 'live' | 'dead'): Promise<void> {
  const { authenticator, clock, sandbox, play } = world
  if (authenticator.status().state !== 'signed_in') await world.signIn()
  clock.advance(PAST_ANY_BACKOFF)
  // What the provider forgives it forgives once: after an answer that was lost comes one that is not.
  if (reachesProvider(row) || row.waits) await authenticator.refresh()
  if (state === 'dead' && headerInMemory(authenticator)) clock.advance(LIFETIME + 1)
  const before = headerInMemory(authenticator)
  expect(before === undefined, row.name).toBe(state === 'dead')
  const asked = sandbox.count(TOKEN)
  const ask = () => (state === 'live' ? authenticator.refresh() : authenticator.authHeader(10, false))
  const failure = await failureOf(play(row, TOKEN, ask))
  const expected = expectedOf(row)
  if (expected) expect(failure, row.name).toMatchObject(expected)
  else expect(failure, row.name).toBeUndefined()
  expect(JSON.stringify(failure ?? {}), row.name).not.toContain('canary')
  const status = authenticator.status()
  expect(status.state, row.name).toBe(row.means === 'ended' ? 'signed_out' : 'signed_in')
  if (row.means === 'ended') return
  expect(status.store.persisted, row.name).toBe(true)
  if (row.waits) {
    expect(failure?.data.retryAfterSeconds, row.name).toBeGreaterThanOrEqual(row.waits[0])
    expect(failure?.data.retryAfterSeconds, row.name).toBeLessThanOrEqual(row.waits[1])
  }
  // The next who asks is not another request: the token that is still good is theirs, else the same answer.
  const next = await authenticator.authHeader(10, false).catch((error: unknown) => toRpcError(error))
  if (row.name === 'gives the lifetime 0') expect(next, row.name).toMatchObject({ code: 1003 })
  else if (state === 'live' && expected) expect(next, row.name).toEqual(before)
  else expect(next, row.name).toMatchObject(expected ?? { headers: {} })
  expect(sandbox.count(TOKEN) - asked, row.name).toBe(1)
}

describe('a provider with a hundred faults', () => {
  it('has at least sixty of them in the table, each once', () => {
    const names = providerFaults('', '').map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names.length).toBeGreaterThanOrEqual(60)
  })

  it.each(['live', 'dead'] as const)('ends no session whose token is %s, but by invalid_grant', async (state) => {
    const world = await newWorld()
    for (const row of world.rows) await refreshAt(world, row, state)
    expect(world.trapped).toEqual([])
    // After all that the session is the same person's, and as good as new.
    if (world.authenticator.status().state !== 'signed_in') await world.signIn()
    world.clock.advance(PAST_ANY_BACKOFF)
    await world.authenticator.refresh()
    expect(world.authenticator.status()).toMatchObject({ user: { id: world.sandbox.user.id } })
  })

  it('fails a sign-in with a typed error and nothing on disk, and the next one works', async () => {
    const { authenticator, sandbox, rows, play, trapped, signIn, sessionFile } = await newWorld()
    for (const row of rows) {
      const login = authenticator.login({ openBrowser: false, wait: true, timeoutSeconds: 300 })
      login.catch(() => undefined)
      await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
      const url = new URL(String(authenticator.status().authorizationUrl))
      expect(authenticator.status().state, row.name).toBe('signing_in')
      await play(row, TOKEN, () => comeBack(sandbox, url, row))
      const failure = await failureOf(login)
      const isGood = (row.means === 'good' && !row.signInFails) || row.name === 'gives the lifetime 0'
      expect(failure === undefined, row.name).toBe(isGood)
      if (failure) expect([1002, 1003, 1004], row.name).toContain(failure.code)
      expect(authenticator.status().state, row.name).toBe(isGood ? 'signed_in' : 'signed_out')
      expect(existsSync(sessionFile), row.name).toBe(isGood)
      if (isGood) await authenticator.logout()
    }
    expect(trapped).toEqual([])
    await signIn()
  })

  it('at its discovery document fails a sign-in before a browser opens, and the next one works', async () => {
    const { authenticator, rows, play, trapped, signIn } = await newWorld()
    const whole = ({ fault }: Row) => !['replace', 'alter', 'delay'].includes(fault.kind)
    for (const row of rows.filter((row) => whole(row) && row.means !== 'good')) {
      const login = () => authenticator.login({ openBrowser: true, wait: false, timeoutSeconds: 300 })
      const failure = await failureOf(play(row, DISCOVERY, login))
      expect([1003, 1004], row.name).toContain(failure?.code)
      expect(authenticator.status(), row.name).toMatchObject({ state: 'signed_out', authorizationUrl: null })
    }
    expect(trapped).toEqual([])
    await signIn()
  })
})

/** Comes back from the browser; with a code that is real only where the provider will see it. */
async function comeBack(sandbox: World['sandbox'], authorization: URL, row: Row): Promise<void> {
  if (reachesProvider(row)) {
    await sandbox.signIn(authorization.href)
    return
  }
  const callback = new URL(String(authorization.searchParams.get('redirect_uri')))
  const state = String(authorization.searchParams.get('state'))
  callback.search = new URLSearchParams({ code: 'made-up', state, iss: sandbox.issuer }).toString()
  await (await fetch(callback)).text()
}
