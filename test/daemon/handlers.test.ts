// The defaults of params, and the numbers and data of errors, as the wire contract fixes them.
import { expect, it } from 'vitest'
import { RejectedError, SignInError, UnavailableError } from '../../src/clerk/errors.ts'
import { ConfigurationError } from '../../src/config/errors.ts'
import { createHandlers, toRpcError } from '../../src/daemon/handlers.ts'
import { type Result, RpcError } from '../../src/rpc/contract.ts'
import { CallbackPortError, InteractionRequiredError, ShuttingDownError } from '../../src/session/errors.ts'
import { StoreError } from '../../src/store/errors.ts'
import { newAuthenticator } from '../support/authenticator.ts'

async function newHandlers() {
  const world = await newAuthenticator()
  let acts = 0
  const handlers = createHandlers({
    authenticator: () => world.authenticator,
    describe: (one): Result<'status'> => ({
      ...one.status(),
      daemon: { version: '0.0.0', commit: null, pid: 1, uptimeSeconds: 0 },
    }),
    onPersonAsked: () => {
      acts++
    },
    diagnose: () => Promise.reject(new Error('not asked')),
    shutdown: () => ({ pid: 1 }),
    discover: () => Promise.resolve({}),
  })
  const call = (method: string, params: object = {}): Promise<unknown> =>
    Promise.resolve(handlers[method]?.handle(params as never))
  return { ...world, call, acts: () => acts }
}

it.each(['login', 'getAuthHeader'])('%s opens the browser and waits five minutes for the person', async (method) => {
  const { authenticator, call, clock, opened } = await newHandlers()
  let hasEnded = false
  const ended = call(method)
    .catch((error: unknown) => error)
    .finally(() => {
      hasEnded = true
    })
  await expect.poll(() => opened.length).toBe(1)
  await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 1 })
  clock.advance(299)
  await new Promise(setImmediate) // whatever has ended is known by now
  expect(hasEnded).toBe(false)
  expect(authenticator.status().state).toBe('signing_in')
  clock.advance(1)
  expect(await ended).toMatchObject({ code: 1002, data: { reason: 'timeout' } })
})

it('a person has acted at login and if the client says so, and prompts of the keyring may appear again', async () => {
  const { call, acts } = await newHandlers()
  const counted = async (method: string, params: object) => {
    const before = acts()
    await call(method, params).catch(() => undefined)
    return acts() - before
  }
  for (const method of ['status', 'refresh', 'cancelLogin', 'logout']) expect(await counted(method, {})).toBe(0)
  expect(await counted('getAuthHeader', { interactive: false })).toBe(0)
  expect(await counted('getAuthHeader', { interactive: false, userAsked: true })).toBe(1)
  expect(await counted('login', { wait: false, userAsked: false })).toBe(0)
  expect(await counted('login', { wait: false })).toBe(1)
})

it.each([
  [new InteractionRequiredError('session_expired'), 1001, { reason: 'session_expired' }],
  [new SignInError('access_denied'), 1002, { reason: 'access_denied' }],
  [new UnavailableError('rate_limited', 7), 1003, { reason: 'rate_limited', retryAfterSeconds: 7 }],
  [new UnavailableError('network'), 1003, { reason: 'network', retryAfterSeconds: 1 }],
  [
    new UnavailableError('network', 3, { cause: 'certificate', certificateIssuer: 'Example Corp CA' }),
    1003,
    { reason: 'network', retryAfterSeconds: 3, cause: 'certificate', certificateIssuer: 'Example Corp CA' },
  ],
  [
    new UnavailableError('network', 3, { cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'refused' }),
    1003,
    { reason: 'network', retryAfterSeconds: 3, cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'refused' },
  ],
  [new RejectedError('invalid_scope'), 1004, { reason: 'invalid_scope' }],
  [new StoreError('key_locked'), 1005, { reason: 'key_locked', hint: expect.stringContaining('keyring') }],
  [new ShuttingDownError(), 1006, undefined],
  [
    new CallbackPortError('staging'),
    1007,
    { setting: 'profiles.staging.redirectPort', expected: 'a port that no other program uses, or 0' },
  ],
  [
    new CallbackPortError('staging', 'production'),
    1007,
    {
      setting: 'profiles.staging.redirectPort',
      expected: 'another port than that of the profile production, which is signing in',
      profile: 'staging',
      otherProfile: 'production',
    },
  ],
  [new ConfigurationError('port', 'a port'), 1007, { setting: 'port', expected: 'a port' }],
  [
    new ConfigurationError('port', 'a port', '/x/c.json'),
    1007,
    { setting: 'port', expected: 'a port', file: '/x/c.json' },
  ],
])('maps %s to its number and data', (error, code, data) => {
  const told = toRpcError(error)
  expect(told).toBeInstanceOf(RpcError)
  expect({ ...(told as RpcError) }).toEqual({ name: 'RpcError', code, data })
})
