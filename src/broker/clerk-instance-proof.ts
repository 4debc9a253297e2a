// Whether the secret key is that of the instance that issued a session. A key of another instance knows none of its sessions:
// without this check, an operator's mistake would look like the end of every session.
import type { ClerkApi } from './clerk-api.ts'
import { BrokerError } from './errors.ts'
import { keysOf } from './signing-keys.ts'

export class ClerkInstanceProof {
  readonly #api: ClerkApi
  readonly #proven = new Set<string>()

  constructor(api: ClerkApi) {
    this.#api = api
  }

  /** The secret key has issued a token of this issuer. */
  confirm(issuer: string): void {
    this.#proven.add(issuer)
  }

  /**
   * Compares the keys that the secret key sees with those that the issuer publishes, once for each issuer.
   * @throws BrokerError misconfigured if they have none in common; temporarily_unavailable if one of them is not reachable
   */
  async check(issuer: string): Promise<void> {
    if (this.#proven.has(issuer)) return
    const [own, published] = await Promise.all([
      this.#keyIds('/v1/jwks'),
      this.#keyIds(`${issuer}/.well-known/jwks.json`),
    ])
    if (!own.some((id) => published.includes(id))) throw new BrokerError('misconfigured', 'key_of_another_instance')
    this.#proven.add(issuer)
  }

  async #keyIds(target: string): Promise<string[]> {
    const body = await this.#api.send({ operation: 'keys', method: 'GET', target }).catch((error: unknown) => {
      throw error instanceof BrokerError ? error : new BrokerError('misconfigured', 'instance_not_proven')
    })
    return keysOf(body).map(({ kid }) => kid)
  }
}
