// The storage of the OpenID provider: in memory, separate for each sandbox.
import type { Adapter, AdapterPayload } from 'oidc-provider'

export interface SandboxAdapter {
  new (name: string): Adapter
  /** Revokes every grant with all its tokens, as an administrator does. */
  revokeAll(): void
}

/**
 * @param reuse strict: a second use of a refresh token ends the grant, which is the provider's default;
 * forgiving: a refresh token is accepted twice, as FAPI 2.0 requires of providers that rotate
 */
export function createAdapter(reuse: 'strict' | 'forgiving'): SandboxAdapter {
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
      // Clerk takes a nonce for a device; the provider forgets it on the way to the ID token.
      if (this.#name === 'DeviceCode') payload.nonce ??= (payload.params as { nonce?: string }).nonce
      stored.set(key, payload)
      if (payload.grantId) grants.set(payload.grantId, (grants.get(payload.grantId) ?? new Set()).add(key))
    }

    async find(id: string): Promise<AdapterPayload | undefined> {
      return stored.get(this.#key(id))
    }

    async findByUid(uid: string): Promise<AdapterPayload | undefined> {
      return [...stored].find(([key, payload]) => key.startsWith(`${this.#name}:`) && payload.uid === uid)?.[1]
    }

    async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
      return [...stored].find(
        ([key, payload]) => key.startsWith(`${this.#name}:`) && payload.userCode === userCode,
      )?.[1]
    }

    async consume(id: string): Promise<void> {
      const key = this.#key(id)
      const payload = stored.get(key)
      if (!payload) return
      if (reuse === 'forgiving' && this.#name === 'RefreshToken' && !forgiven.has(key)) {
        forgiven.add(key)
        return
      }
      payload.consumed = Math.floor(Date.now() / 1000)
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
      grants.clear()
      for (const key of [...stored.keys()]) if (key.startsWith('Grant:')) stored.delete(key)
    }

    #key(id: string): string {
      return `${this.#name}:${id}`
    }
  }
}
