// The password of the proxy in config.json, in the system's keyring. It is given to the one proxy and user that it was saved for.
import * as v from 'valibot'
import type { Clock } from '../host/clock.ts'
import { type Keyring, type KeyringOptions, systemKeyring } from './keyring.ts'

const ACCOUNT = 'proxy-password'
const schema = v.object({ proxy: v.string(), password: v.string() })

export class ProxyPassword {
  readonly #keyring: Keyring

  constructor(keyring: Keyring) {
    this.#keyring = keyring
  }

  /** Undefined if none was saved for this proxy, or the keyring cannot be read: the proxy then says what it needs. */
  async read(proxy: string): Promise<string | undefined> {
    try {
      const saved = v.parse(schema, JSON.parse((await this.#keyring.get()) ?? 'null'))
      return saved.proxy === identityOf(proxy) ? saved.password : undefined
    } catch {
      return undefined
    }
  }

  /** @param proxy its URL with the user @throws StoreError */
  async save(proxy: string, password: string): Promise<void> {
    await this.#keyring.set(JSON.stringify({ proxy: identityOf(proxy), password }))
  }

  /** Removes the password of this proxy, and no other. @returns whether there was one @throws StoreError */
  async remove(proxy: string): Promise<boolean> {
    return (await this.read(proxy)) !== undefined && (await this.#keyring.remove())
  }
}

export function systemProxyPassword(clock: Clock, options: Pick<KeyringOptions, 'wrap'> = {}): ProxyPassword {
  return new ProxyPassword(systemKeyring(clock, { ...options, account: ACCOUNT }))
}

/** The user that the proxy in config.json names; undefined if there is no such proxy, or it names none. */
export function proxyUser(proxy: string): string | undefined {
  return URL.canParse(proxy) ? new URL(proxy).username || undefined : undefined
}

function identityOf(proxy: string): string {
  return new URL(proxy).href
}
