// The Redis or Valkey that copies of the broker share: what may be used once, and the counters of the limits.
//
// It keeps no session and no secret. While it does not respond, a refresh goes on with checks per copy; what must be used
// once in all copies (a code, a session token) is answered with 503, since a copy cannot know.
import type { Redis } from 'ioredis'
import { randomText, systemRandom } from '../host/random.ts'
import { BrokerError } from './errors.ts'
import type { SingleUse, SingleUseKind } from './single-use.ts'

export type RedisClient = Redis

export interface RedisConnection {
  readonly client: RedisClient
  isUp(): boolean
  close(): void
}

const CONNECT_TIMEOUT = 2000 // ms
const COMMAND_TIMEOUT = 300 // ms; a refresh must not wait longer for a Redis that hangs
const SOCKET_TIMEOUT = 1000 // ms without an answer: the connection is closed, and commands fail at once until it is back
const LONGEST_RETRY_DELAY = 1000 // ms
// Only what this claim has written. Commands of a connection run in order, so it runs after the claim.
const RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

/**
 * Connects in the background, and again whenever the connection is lost.
 * @param onChange called when the server begins to respond, and when it stops or does not respond from the start
 */
export async function connectRedis(url: string, onChange: (isUp: boolean) => void): Promise<RedisConnection> {
  const { Redis } = await import('ioredis')
  const client = new Redis(url, {
    connectionName: 'cadzero-broker',
    connectTimeout: CONNECT_TIMEOUT,
    commandTimeout: COMMAND_TIMEOUT,
    socketTimeout: SOCKET_TIMEOUT,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    // A claim that was sent twice would look as if its id had been used before.
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(attempt * 100, LONGEST_RETRY_DELAY),
  })
  let wasUp: boolean | undefined
  const report = (isUp: boolean) => {
    if (isUp !== wasUp) onChange(isUp)
    wasUp = isUp
  }
  client.on('error', () => undefined) // reported by `close`
  client.on('ready', () => report(true))
  client.on('close', () => report(false))
  return { client, isUp: () => client.status === 'ready', close: () => client.disconnect() }
}

/** Single use in all copies. A proof that Redis cannot check is checked by this copy alone. */
export class RedisSingleUse implements SingleUse {
  readonly #client: RedisClient
  readonly #own: SingleUse

  constructor(client: RedisClient, own: SingleUse) {
    this.#client = client
    this.#own = own
  }

  async claim(kind: SingleUseKind, id: string, seconds: number): Promise<boolean> {
    // Also remembered here, so that a proof of this copy stays used when Redis fails.
    if (kind === 'proof' && !(await this.#own.claim(kind, id, seconds))) return false
    const key = `cadzero-broker:${kind}:${id}`
    const claimant = randomText(systemRandom, 12)
    try {
      if (this.#client.status !== 'ready') throw new Error('not connected')
      const isFirst = (await this.#client.set(key, claimant, 'EX', Math.ceil(seconds), 'NX')) === 'OK'
      // A Redis that was restarted has forgotten what this copy has not.
      return isFirst && (kind === 'proof' || (await this.#own.claim(kind, id, seconds)))
    } catch {
      if (kind === 'proof') return true
      this.#release(key, claimant)
      throw new BrokerError('temporarily_unavailable', 'store_unavailable')
    }
  }

  /** Takes a claim back that Redis may have made after its answer was given up: the client can then send the same code again. */
  #release(key: string, claimant: string): void {
    if (this.#client.status === 'ready') this.#client.eval(RELEASE, 1, key, claimant).catch(() => undefined)
  }
}
