// Any life of a session: calls at once, a provider that fails, a disk that fails, a clock that jumps, kills and power cuts.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RejectedError, SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import type { IdentityProvider, Renewal } from '../../src/clerk/identity-provider.ts'
import { type FileSystem, sweepTemporaries } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Log } from '../../src/log/log.ts'
import type { AuthHeader } from '../../src/rpc/contract.ts'
import { Authenticator } from '../../src/session/authenticator.ts'
import { InteractionRequiredError } from '../../src/session/errors.ts'
import { LoginHint } from '../../src/session/login-hint.ts'
import { PromptPause } from '../../src/session/prompt-pause.ts'
import type { KeyProvider } from '../../src/store/key.ts'
import type { Session } from '../../src/store/session.ts'
import { SessionStore } from '../../src/store/store.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { TestClock } from '../support/clock.ts'
import { Disk } from '../support/disk.ts'
import { check, FUZZ_TIMEOUT } from '../support/fuzz.ts'
import { directNetwork } from '../support/network.ts'
import { ownInstallation } from '../support/store.ts'

const FOLDER = '/sessions'
const FILE = 'test.jwe'
const LIFETIME = 60 // s, of each access token
const BACKOFF = 0.25 // s; the shortest pause after a failure

type Outcome = 'ok' | 'late' | 'lost' | 'down' | 'limited' | 'rejected'
type Call = 'header' | 'long header' | 'refresh' | 'refresh of an old one' | 'status' | 'logout'
type Command =
  | { readonly kind: 'calls'; readonly calls: readonly Call[]; readonly outcomes: readonly Outcome[] }
  | {
      readonly kind: 'crash'
      readonly calls: readonly Call[]
      readonly outcomes: readonly Outcome[]
      readonly at: number
      readonly power: 'stays' | 'goes' | 'goes, entries kept'
    }
  | { readonly kind: 'restart' | 'revoke' | 'delete' | 'roll back' | 'spoil' | 'heal' }
  | { readonly kind: 'disk'; readonly code: string; readonly calls: readonly string[]; readonly times: number }
  | { readonly kind: 'pass' | 'sleep' | 'set back'; readonly seconds: number }

const call = fc.oneof(
  {
    arbitrary: fc.constantFrom<Call>('header', 'long header', 'refresh', 'refresh of an old one', 'status'),
    weight: 20,
  },
  { arbitrary: fc.constant<Call>('logout'), weight: 1 },
)
const calls = fc.array(call, { minLength: 1, maxLength: 4 })
const outcomes = fc.array(
  fc.oneof(
    { arbitrary: fc.constantFrom<Outcome>('ok', 'late'), weight: 3 },
    { arbitrary: fc.constantFrom<Outcome>('lost', 'down', 'limited', 'rejected'), weight: 2 },
  ),
  { maxLength: 3 },
)
const seconds = fc.oneof(fc.constantFrom(0.3, 1, 5), fc.integer({ min: 1, max: 130 }), fc.constantFrom(3600, 90_000))

const command = (rough: boolean): fc.Arbitrary<Command> =>
  fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant('calls' as const), calls, outcomes }), weight: 12 },
    { arbitrary: fc.record({ kind: fc.constantFrom('pass' as const, 'sleep' as const), seconds }), weight: 8 },
    {
      arbitrary: fc.record({
        kind: fc.constant('crash' as const),
        calls,
        outcomes,
        at: fc.nat(40),
        power: fc.constantFrom('stays' as const, 'goes' as const, 'goes, entries kept' as const),
      }),
      weight: 4,
    },
    { arbitrary: fc.record({ kind: fc.constant('restart' as const) }), weight: 1 },
    ...(rough
      ? [
          {
            arbitrary: fc.record({
              kind: fc.constant('disk' as const),
              code: fc.constantFrom('ENOSPC', 'EROFS', 'EIO'),
              calls: fc.constantFrom(['open'], ['write'], ['sync'], ['rename'], ['read'], ['open', 'unlink', 'rename']),
              times: fc.constantFrom(1, 2, 1000),
            }),
            weight: 3,
          },
          { arbitrary: fc.record({ kind: fc.constant('heal' as const) }), weight: 3 },
          { arbitrary: fc.record({ kind: fc.constant('set back' as const), seconds }), weight: 1 },
          {
            arbitrary: fc.record({
              kind: fc.constantFrom('revoke' as const, 'delete' as const, 'roll back' as const, 'spoil' as const),
            }),
            weight: 1,
          },
        ]
      : []),
  )

/** The provider's side of one session: which refresh token is good, and what it does with one that is spent. */
class Provider {
  readonly #forgiving: boolean
  /** Seconds that have really passed, whatever any clock says. */
  time = 0
  issued = 0
  ended = false
  outcomes: Outcome[] = []
  requests = 0
  underWay = 0
  mostUnderWay = 0
  /** An answer has not arrived, as far as is known. */
  isAnswerLost = false
  /** When it failed last, where nothing has succeeded since. */
  failedAt: number | undefined
  askedTooSoon = 0
  readonly issuedAt = new Map<string, number>()
  #current = 'refresh-0'
  #previous: string | undefined
  #release: () => void = () => undefined

  constructor(forgiving: boolean) {
    this.#forgiving = forgiving
  }

  first(clock: TestClock): Session {
    return {
      generation: 1,
      user: { id: 'user_1', email: null, name: null },
      sessionId: null,
      sessionExpiresAt: null,
      ...this.#renewal(clock),
    }
  }

  /** Lets an answer that is late arrive. */
  release(): void {
    this.#release()
  }

  accepts(refreshToken: string | null): boolean {
    if (this.ended) return false
    return refreshToken === this.#current || (this.#forgiving && refreshToken === this.#previous)
  }

  of(clock: TestClock): IdentityProvider {
    return {
      authorize: () => Promise.reject(new UnavailableError('network')),
      canRefresh: (session) => session.refreshToken !== null,
      refresh: (session) => this.#refresh(session, clock),
      revoke: async () => {
        this.ended = true
        return { revoked: true, accessTokenValidUntil: null }
      },
      retire: async () => undefined,
    }
  }

  async #refresh(session: Session, clock: TestClock): Promise<Renewal> {
    this.requests++
    if (this.failedAt !== undefined && this.time - this.failedAt < BACKOFF) this.askedTooSoon++
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay)
    try {
      return await this.#answer(session, clock)
    } catch (error) {
      this.failedAt = this.time
      throw error
    } finally {
      this.underWay--
    }
  }

  async #answer({ refreshToken }: Session, clock: TestClock): Promise<Renewal> {
    const outcome = this.outcomes.shift() ?? 'ok'
    if (outcome === 'down') throw new UnavailableError('server')
    if (outcome === 'limited') throw new UnavailableError('rate_limited', 7)
    if (outcome === 'rejected') throw new RejectedError('invalid_client')
    if (!this.accepts(refreshToken)) {
      this.ended = true
      throw new SessionEndedError('session_revoked')
    }
    this.#previous = refreshToken ?? undefined
    const renewal = this.#renewal(clock)
    this.isAnswerLost = true
    if (outcome === 'lost') throw new UnavailableError('network')
    if (outcome === 'late') {
      await new Promise<void>((resolve) => {
        this.#release = resolve
      })
    }
    this.isAnswerLost = false
    this.failedAt = undefined
    return renewal
  }

  #renewal(clock: TestClock): Renewal {
    const value = `token-${++this.issued}`
    this.issuedAt.set(value, this.time)
    this.#current = `refresh-${this.issued}`
    return { accessToken: { value, receivedAt: clock.now(), lifetime: LIFETIME }, refreshToken: this.#current }
  }
}

const binding = { profile: 'test', issuer: 'https://clerk.example.com', clientId: 'client_1', broker: null }
const secret = systemRandom(32)
const keyProvider: KeyProvider = {
  protection: 'keyfile',
  read: async () => ({ id: 'key', secret }),
  create: () => Promise.reject(new Error('there is a key')),
}
const quiet = () => undefined
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet }

/** One machine: its disk and its provider outlive the daemon. */
class Life {
  readonly disk = new Disk(FOLDER)
  readonly provider: Provider
  #clock = new TestClock()
  #mounted = this.disk.mount()
  #authenticator!: Authenticator
  #wallIsTrue = true
  /** Why the session may be gone, so that `interaction required` is a right answer. */
  excuse: string | undefined
  /** Whether the disk has failed since the session was last seen saved on it. */
  #wasTroubled = false
  /** The number of the newest token that a caller was given while it was saved on disk. */
  #acknowledged = 0
  #older: Buffer | undefined
  #lastHeader: AuthHeader | undefined

  constructor(forgiving: boolean) {
    this.provider = new Provider(forgiving)
  }

  async begin(): Promise<void> {
    await this.#openStore(this.#mounted.files).save(this.provider.first(this.#clock))
    await this.#start()
  }

  #openStore(files: FileSystem): SessionStore {
    return new SessionStore({
      files,
      clock: this.#clock,
      folder: FOLDER,
      keys: new StoreKeys([keyProvider]),
      binding,
      installation: async () => ownInstallation,
    })
  }

  async #start(): Promise<void> {
    const fault = this.disk.fault
    this.disk.fault = () => undefined // a start on a broken disk has its own tests
    this.#clock = new TestClock(this.#clock.now())
    this.#mounted = this.disk.mount()
    const { files } = this.#mounted
    await sweepTemporaries(files, FOLDER)
    expect(this.disk.names.filter((name) => name.endsWith('.tmp'))).toEqual([])
    this.#authenticator = new Authenticator({
      profile: 'test',
      provider: this.provider.of(this.#clock),
      callbackAddress: { host: '127.0.0.1', port: 0, path: '/callback', losesState: true },
      callbackPorts: new Map(),
      store: this.#openStore(files),
      loginHint: new LoginHint(files, `${FOLDER}/known-user.json`),
      host: {
        name: 'computer',
        bootId: null,
        program: '/test/cadzero-auth',
        clock: this.#clock,
        random: systemRandom,
        files,
        fetch: () => Promise.reject(new Error('no network here')),
        download: () => Promise.reject(new Error('no network here')),
        network: directNetwork,
        socketOwner: () => Promise.resolve('own'),
        restrictFolder: () => Promise.resolve('own'),
        openBrowser: () => Promise.resolve(),
      },
      log,
      promptPause: new PromptPause({ files, clock: this.#clock, path: `${FOLDER}/prompt-pause.json` }),
      onChange: quiet,
      onExpiring: quiet,
    })
    this.provider.failedAt = undefined // a new process may ask at once
    await this.#authenticator.load()
    const { state } = this.#authenticator.status()
    if (state === 'signed_in') {
      const session = await this.#openStore(files).load()
      expect(this.#numberOf(session)).toBeGreaterThanOrEqual(this.excuse ? 0 : this.#acknowledged)
    } else this.#signedOut()
    this.disk.fault = fault
  }

  async do(command: Command): Promise<void> {
    switch (command.kind) {
      case 'calls':
        await this.#call(command.calls, command.outcomes)
        break
      case 'crash':
        await this.#crash(command)
        break
      case 'restart':
        this.#authenticator.stop()
        await this.#authenticator.settled()
        this.#mounted.kill()
        this.#losesWhatIsNotSaved()
        await this.#start()
        break
      case 'pass':
      case 'sleep':
        this.provider.time += command.seconds
        if (command.kind === 'pass') this.#clock.advance(command.seconds)
        else this.#clock.sleep(command.seconds)
        break
      case 'set back':
        this.#wallIsTrue = false
        this.#clock.setBack(command.seconds)
        break
      case 'disk': {
        let { times } = command
        this.#wasTroubled = true
        this.disk.fault = (call) => (command.calls.includes(call) && times-- > 0 ? command.code : undefined)
        break
      }
      case 'heal':
        this.disk.fault = () => undefined
        break
      case 'revoke':
        this.provider.ended = true
        this.excuse ??= 'revoked'
        break
      case 'delete':
        await this.#delete()
        break
      case 'roll back':
        this.#wasTroubled = true
        if (this.#older && this.disk.file(FILE)) this.disk.file(FILE, this.#older)
        break
      case 'spoil':
        this.#wasTroubled = true
        if (this.disk.file(FILE)) this.disk.file(FILE, Buffer.from('spoilt'))
        break
    }
    await this.#settle()
    this.#look()
  }

  async #call(calls: readonly Call[], outcomes: readonly Outcome[]): Promise<void> {
    const before = this.provider.requests
    this.provider.outcomes = [...outcomes]
    await this.#withAnswers(Promise.all(calls.map((call) => this.#one(call))))
    // One for all who ask at once; a second one where the first brought nothing, and only after a pause.
    expect(this.provider.requests - before).toBeLessThanOrEqual(1)
  }

  /** Late answers arrive when everything else has stood still for a while. A caller that waits for ever fails by the run's own time. */
  async #withAnswers<T>(promise: Promise<T>): Promise<T> {
    let isDone = false
    const done = promise.finally(() => {
      isDone = true
    })
    done.catch(quiet)
    for (let turns = 0; !isDone; turns++) {
      await new Promise(setImmediate)
      if (turns % 20 === 19) this.provider.release()
    }
    return await done
  }

  async #one(call: Call): Promise<void> {
    const one = this.#authenticator
    try {
      switch (call) {
        case 'header':
          return this.#given((await one.serveFromMemory()) ?? (await one.authHeader(undefined, false)))
        case 'long header':
          return this.#given(await one.authHeader(3600, false))
        case 'refresh':
          return this.#given(await one.refresh())
        case 'refresh of an old one':
          return this.#given(await one.refresh('Bearer of-old'))
        case 'status':
          return void one.status()
        case 'logout': {
          this.excuse ??= 'logged out'
          await one.logout()
        }
      }
    } catch (error) {
      if (error instanceof InteractionRequiredError) this.#signedOut()
      // Whatever else it says, it is one of those that have a number.
      else expect(['UnavailableError', 'RejectedError', 'StoreError']).toContain((error as Error).name)
    }
  }

  #given(header: AuthHeader): void {
    const value = header.headers.Authorization.slice('Bearer '.length)
    const issuedAt = this.provider.issuedAt.get(value)
    expect(issuedAt).toBeDefined()
    if (this.#wallIsTrue) expect(this.provider.time - Number(issuedAt)).toBeLessThanOrEqual(LIFETIME)
    this.#lastHeader = header
  }

  #signedOut(): void {
    if (this.provider.ended && this.provider.isAnswerLost) this.excuse ??= 'an answer was lost'
    expect(this.excuse).toBeDefined()
  }

  async #crash({ calls, outcomes, at, power }: Command & { kind: 'crash' }): Promise<void> {
    this.provider.outcomes = [...outcomes]
    const killed = new Promise<void>((resolve) => this.#mounted.killAt(at, resolve))
    const called = Promise.all(calls.map((call) => this.#one(call)))
    await this.#withAnswers(Promise.race([killed, called]))
    this.#mounted.kill()
    if (this.provider.underWay > 0) this.provider.isAnswerLost = true
    this.provider.underWay = 0
    if (power !== 'stays') this.disk.cutPower(power === 'goes, entries kept')
    this.#losesWhatIsNotSaved()
    await this.#start()
  }

  /** Only the file is left. */
  #losesWhatIsNotSaved(): void {
    if (this.#wasTroubled) this.excuse ??= 'the disk failed'
    if (this.provider.isAnswerLost || this.provider.issued > this.#acknowledged) this.#answerMayBeLost()
  }

  #answerMayBeLost(): void {
    this.provider.isAnswerLost = true
  }

  /** The user deletes the session file, which means to sign out. */
  async #delete(): Promise<void> {
    const { state, store } = this.#authenticator.status()
    const isSeen = state === 'signed_in' && store.persisted && !this.#wasTroubled
    this.excuse ??= 'deleted'
    this.disk.file(FILE, null)
    if (!isSeen) return
    await this.do({ kind: 'pass', seconds: 130 })
    await this.do({ kind: 'calls', calls: ['header'], outcomes: [] })
    expect(this.#authenticator.status().state).toBe('signed_out')
  }

  /** Waits until every background refresh has ended. */
  async #settle(): Promise<void> {
    await this.#withAnswers(this.#authenticator.settled())
    await this.#withAnswers(this.#authenticator.settled())
  }

  #look(): void {
    const { provider, disk } = this
    expect(provider.mostUnderWay).toBeLessThanOrEqual(1)
    expect(provider.askedTooSoon).toBe(0)
    const { state, store } = this.#authenticator.status()
    if (state !== 'signed_in') this.#signedOut()
    if (state === 'signed_in' && store.persisted && !this.#wasTroubled) {
      const file = disk.file(FILE)
      if (this.excuse === undefined) expect(file).toBeDefined()
      this.#older ??= file
      const value = this.#lastHeader?.headers.Authorization.slice('Bearer token-'.length)
      this.#acknowledged = Math.max(this.#acknowledged, Number(value ?? 0))
    }
  }

  #numberOf(session: Session | undefined): number {
    return Number(session?.accessToken.value.slice('token-'.length) ?? 0)
  }

  /** Everything works again: a signed-in user is served, and the session is on disk as it is in memory. */
  async calm(): Promise<void> {
    this.disk.fault = () => undefined
    for (let i = 0; i < 4; i++) await this.do({ kind: 'pass', seconds: 30 }) // it is saved without a call
    expect(this.#authenticator.status()).toMatchObject({ store: { persisted: true } })
    for (let i = 0; i < 20; i++) {
      await this.do({ kind: 'pass', seconds: 30 })
      await this.do({ kind: 'calls', calls: ['header'], outcomes: [] })
    }
    const status = this.#authenticator.status()
    if (status.state !== 'signed_in') return this.#signedOut()
    expect(status.store.persisted).toBe(true)
    expect(status.refresh.lastError).toBeNull()
    const before = this.provider.requests
    await this.do({ kind: 'calls', calls: ['refresh'], outcomes: [] })
    expect(this.provider.requests - before).toBe(1)
    const session = await this.#openStore(this.#mounted.files).load()
    expect(this.#numberOf(session)).toBe(this.provider.issued)
    expect(session).not.toHaveProperty('refreshing')
    expect(this.provider.accepts(session?.refreshToken ?? null)).toBe(true)
  }
}

async function live(forgiving: boolean, commands: readonly Command[]): Promise<void> {
  const life = new Life(forgiving)
  await life.begin()
  for (const command of commands) await life.do(command)
  await life.calm()
  // A provider that forgives a lost answer ends nothing by itself.
  if (forgiving && life.excuse === 'an answer was lost') throw new Error('the session was lost')
}

describe('any life of a session', FUZZ_TIMEOUT, () => {
  it.each([
    ['a forgiving provider', true],
    ['a strict provider', false],
  ])('at %s', async (_who, forgiving) => {
    const lives = fc.oneof(...[false, true].map((rough) => fc.array(command(rough), { maxLength: 25 })))
    await check(
      150,
      fc.asyncProperty(lives, (commands) => live(forgiving, commands)),
      4,
    )
  })
})
