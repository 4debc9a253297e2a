// What the provider remembers, in memory and for one sandbox alone.
import type { Adapter, AdapterPayload } from 'oidc-provider'

/** What happens to a refresh token that is used a second time. */
export type Reuse = 'strict' | 'forgiving'

/** @param reuse forgiving: a spent refresh token is good once more, as FAPI 2.0 asks of providers that rotate */
export interface SandboxAdapter {
  new (name: string): Adapter
  /** Ends every grant, as an administrator does. */
  revokeAll(): void
}

export function createAdapter(reuse: Reuse): SandboxAdapter {
  const stored = new Map<string, AdapterPayload>()
  const grants = new Map<string, Set<string>>()
  const forgiven = new Set<string>()

  return class implements Adapter {
    readonly #name: string

    constructor(name: string) {
      this.#name = name
    }

    async upsert(id: string, payload: AdapterPayload): Promise<void> {
      const key = this.#key(id)
      stored.set(key, payload)
      if (payload.grantId) grants.set(payload.grantId, (grants.get(payload.grantId) ?? new Set()).add(key))
    }

    async find(id: string): Promise<AdapterPayload | undefined> {
      const payload = stored.get(this.#key(id))
      if (reuse === 'strict' || this.#name !== 'RefreshToken' || !payload?.consumed || forgiven.has(id)) return payload
      forgiven.add(id)
      const { consumed: _, ...unspent } = payload
      return unspent
    }

    async findByUid(uid: string): Promise<AdapterPayload | undefined> {
      return [...stored].find(([key, payload]) => key.startsWith(`${this.#name}:`) && payload.uid === uid)?.[1]
    }

    async findByUserCode(): Promise<undefined> {
      return undefined
    }

    async consume(id: string): Promise<void> {
      const payload = stored.get(this.#key(id))
      if (payload) payload.consumed = Math.floor(Date.now() / 1000)
    }

    async destroy(id: string): Promise<void> {
      stored.delete(this.#key(id))
    }

    async revokeByGrantId(grantId: string): Promise<void> {
      for (const key of grants.get(grantId) ?? []) stored.delete(key)
      grants.delete(grantId)
    }

    static revokeAll(): void {
      for (const keys of grants.values()) for (const key of keys) stored.delete(key)
      for (const key of [...stored.keys()]) if (/^(?:Grant|Session):/.test(key)) stored.delete(key)
    }

    #key(id: string): string {
      return `${this.#name}:${id}`
    }
  }
}
