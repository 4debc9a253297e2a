// A sign-in on another device: the code in the status, the pace of the polls, and how it ends.
import { describe, expect, it } from 'vitest'
import { RejectedError, SignInError, UnavailableError } from '../../src/clerk/errors.ts'
import type { DeviceAuthorization, Grant } from '../../src/clerk/identity-provider.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { newSession } from '../support/session.ts'

const DEVICE = { method: 'device', openBrowser: true, wait: false, timeoutSeconds: 600 } as const
const PAGE = 'https://accounts.example.com/device'
type PollResult = Awaited<ReturnType<DeviceAuthorization['poll']>>

async function newDevice(options: { answers?: (PollResult | Error)[]; device?: Partial<DeviceAuthorization> } = {}) {
  const all = await newAuthenticator()
  const { provider, clock, authenticator } = all
  const answers = options.answers ?? []
  const polledAt: number[] = []
  const startedAt = clock.monotonic()
  provider.canAuthorizeDevice = async () => true
  provider.authorizeDevice = async () => ({
    userCode: 'BCDF-GHJK',
    verificationUri: PAGE,
    verificationUriComplete: `${PAGE}?user_code=BCDF-GHJK`,
    lifetime: 600,
    interval: 5,
    poll: async () => {
      polledAt.push(clock.monotonic() - startedAt)
      const answer = answers.shift() ?? 'authorization_pending'
      if (answer instanceof Error) throw answer
      return answer
    },
    ...options.device,
  })
  /** Lets time pass second by second, so that each poll can settle. */
  const pass = async (seconds: number) => {
    for (let n = 0; n < seconds; n++) {
      clock.advance(1)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  /** Starts the sign-in, and resolves with a promise for its end when the code is known. */
  const start = async () => {
    const done = authenticator.login({ ...DEVICE, wait: true })
    done.catch(() => undefined)
    await authenticator.login(DEVICE)
    return { done }
  }
  return { ...all, answers, polledAt, pass, start }
}

const grant = (changes: Partial<Grant> = {}): Grant => newSession({ refreshToken: 'from-device', ...changes })

describe('the code', () => {
  it('is in the status and in a notification while the sign-in runs, and no browser opens', async () => {
    const { authenticator, clock, told, opened } = await newDevice()
    await authenticator.login(DEVICE)
    const deviceAuthorization = {
      userCode: 'BCDF-GHJK',
      verificationUri: PAGE,
      verificationUriComplete: `${PAGE}?user_code=BCDF-GHJK`,
      expiresAt: clock.now() + 600,
    }
    expect(authenticator.status()).toMatchObject({ state: 'signing_in', authorizationUrl: null, deviceAuthorization })
    expect(told.at(-1)).toMatchObject({ state: 'signing_in', deviceAuthorization })
    await authenticator.cancelLogin()
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', deviceAuthorization: null })
    expect(told.at(-1)).toMatchObject({ state: 'signed_out', deviceAuthorization: null })
    expect(opened).toEqual([])
  })

  it.each([
    ['the provider refuses it', new RejectedError('unauthorized_client')],
    ['the provider is unreachable', new UnavailableError('network')],
  ])('is not there if %s', async (_name, error) => {
    const { authenticator, provider } = await newDevice()
    provider.authorizeDevice = () => Promise.reject(error)
    await expect(authenticator.login(DEVICE)).rejects.toBe(error)
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', deviceAuthorization: null })
  })

  it('is not asked for if the provider has none, and a running sign-in goes on', async () => {
    const { authenticator, provider, comeBack } = await newDevice()
    provider.canAuthorizeDevice = async () => false
    await authenticator.login({ method: 'browser', openBrowser: false, wait: false, timeoutSeconds: 300 })
    await expect(authenticator.login(DEVICE)).rejects.toMatchObject({ reason: 'device_authorization_unsupported' })
    await comeBack()
    expect(authenticator.status().state).toBe('signed_in')
  })

  it('is not asked for if the sign-in was cancelled while the daemon asked whether the provider has one', async () => {
    const { authenticator, provider } = await newDevice()
    let answer: (can: boolean) => void = () => undefined
    const asked = new Promise<void>((resolve) => {
      provider.canAuthorizeDevice = () => {
        resolve()
        return new Promise((onAnswer) => {
          answer = onAnswer
        })
      }
    })
    const login = authenticator.login(DEVICE)
    await asked
    await authenticator.cancelLogin()
    answer(true)
    await expect(login).rejects.toMatchObject({ reason: 'cancelled' })
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', deviceAuthorization: null })
  })

  it('is not there for a hand-off', async () => {
    const { authenticator } = await newAuthenticator()
    await expect(authenticator.login(DEVICE)).rejects.toMatchObject({ reason: 'device_authorization_unsupported' })
  })
})

describe('the polls', () => {
  it('come at the interval of the provider until the user has agreed', async () => {
    const { answers, polledAt, pass, start, authenticator, openStore } = await newDevice()
    const { done } = await start()
    await pass(11)
    answers.push(grant())
    await pass(5)
    await done
    expect(polledAt).toEqual([5, 10, 15])
    expect(authenticator.status()).toMatchObject({
      state: 'signed_in',
      deviceAuthorization: null,
      user: { id: 'user_1' },
    })
    expect(await openStore().load()).toMatchObject({ refreshToken: 'from-device' })
    await pass(60)
    expect(polledAt).toHaveLength(3)
  })

  it('come five seconds later after each slow_down, for good', async () => {
    const { polledAt, pass, start, authenticator } = await newDevice({ answers: ['slow_down', 'slow_down'] })
    await start()
    await pass(46)
    expect(polledAt).toEqual([5, 15, 30, 45])
    await authenticator.cancelLogin()
  })

  it('go on more slowly while the provider is unavailable, and at the interval again after it', async () => {
    const down = new UnavailableError('network')
    const answers = [down, down, new UnavailableError('rate_limited', 30)]
    const { polledAt, pass, start, authenticator } = await newDevice({ answers })
    await start()
    await pass(81)
    expect(polledAt).toEqual([5, 15, 35, 75, 80])
    await authenticator.cancelLogin()
  })

  it('are at most a minute apart while the provider is unavailable', async () => {
    const { polledAt, pass, start, authenticator } = await newDevice({
      answers: Array.from({ length: 9 }, () => new UnavailableError('server', 300)),
    })
    await start()
    await pass(200)
    expect(polledAt).toEqual([5, 65, 125, 185])
    await authenticator.cancelLogin()
  })

  it('are at least a second apart', async () => {
    const { polledAt, pass, start, authenticator } = await newDevice({ device: { interval: 0 } })
    await start()
    await pass(3)
    expect(polledAt).toEqual([1, 2, 3])
    await authenticator.cancelLogin()
  })
})

describe('the sign-in ends', () => {
  it.each([
    new SignInError('access_denied'),
    new SignInError('timeout'),
    new SignInError('invalid_response'),
    new RejectedError('invalid_client'),
  ])('with %s of a poll', async (error) => {
    const { polledAt, pass, start, authenticator } = await newDevice({ answers: [error] })
    const { done } = await start()
    await pass(30)
    await expect(done).rejects.toBe(error)
    expect(polledAt).toEqual([5])
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', signIn: { lastError: error.reason } })
  })

  it('when the code has expired, whatever the provider says', async () => {
    const { polledAt, pass, start } = await newDevice({ device: { lifetime: 12 } })
    const { done } = await start()
    await pass(20)
    await expect(done).rejects.toMatchObject({ name: 'SignInError', reason: 'timeout' })
    expect(polledAt).toEqual([5, 10])
  })

  it('when its time is over', async () => {
    const { authenticator, polledAt, pass } = await newDevice()
    const done = authenticator.login({ ...DEVICE, wait: true, timeoutSeconds: 7 })
    done.catch(() => undefined)
    await expect.poll(() => authenticator.status().deviceAuthorization).not.toBeNull()
    await pass(20)
    await expect(done).rejects.toMatchObject({ reason: 'timeout' })
    expect(polledAt).toEqual([5])
  })

  it('when it is cancelled, and a grant that arrives after that is retired', async () => {
    const { authenticator, provider, clock } = await newDevice()
    let arrive: (grant: Grant) => void = () => undefined
    let polling: () => void = () => undefined
    const isPolling = new Promise<void>((resolve) => {
      polling = resolve
    })
    const { authorizeDevice } = provider
    provider.canAuthorizeDevice = async () => true
    provider.authorizeDevice = async () => ({
      ...((await authorizeDevice?.()) as DeviceAuthorization),
      poll: () => {
        polling()
        return new Promise((resolve) => {
          arrive = resolve
        })
      },
    })
    await authenticator.login(DEVICE)
    clock.advance(5)
    await isPolling
    await authenticator.cancelLogin()
    arrive(grant())
    await expect.poll(() => provider.revoked.map(({ refreshToken }) => refreshToken)).toEqual(['from-device'])
    expect(authenticator.status().state).toBe('signed_out')
  })

  it('when the daemon stops', async () => {
    const { authenticator, start, pass, polledAt } = await newDevice()
    const { done } = await start()
    await pass(1)
    authenticator.stop()
    await expect(done).rejects.toMatchObject({ name: 'ShuttingDownError' })
    await pass(20)
    expect(polledAt).toEqual([])
  })
})

describe('a sign-in by the other method', () => {
  it('replaces it, and the caller that waits for the device is signed in by the browser', async () => {
    const { authenticator, start, pass, polledAt, comeBack } = await newDevice()
    const { done } = await start()
    await pass(6)
    await authenticator.login({ method: 'browser', openBrowser: false, wait: false, timeoutSeconds: 300 })
    expect(authenticator.status()).toMatchObject({ deviceAuthorization: null, authorizationUrl: expect.any(String) })
    await comeBack()
    await done
    await pass(20)
    expect(polledAt).toEqual([5])
  })

  it('is replaced by it, and the callers that wait for the browser are signed in by the device', async () => {
    const { authenticator, answers, pass } = await newDevice()
    const header = authenticator.authHeader()
    await expect.poll(() => authenticator.status().authorizationUrl).not.toBeNull()
    await authenticator.login(DEVICE)
    answers.push(grant())
    await pass(5)
    expect(await header).toMatchObject({ headers: { Authorization: expect.stringMatching(/^Bearer /) } })
  })

  it('does not replace it if the caller has no wish: a header is waited for', async () => {
    const { authenticator, answers, pass, opened, provider } = await newDevice()
    await authenticator.login(DEVICE)
    const header = authenticator.authHeader()
    answers.push(grant())
    await pass(5)
    expect(await header).toMatchObject({ expiresAt: expect.any(Number) })
    expect({ opened, authorizations: provider.authorizations }).toEqual({ opened: [], authorizations: [] })
  })
})
