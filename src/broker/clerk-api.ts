// One request to Clerk within its time limit: past the limit it is aborted, and nothing of it is left.
import type { Clock } from '../host/clock.ts'
import type { ClerkCalls, ClerkRequest, ClerkResponse } from './clerk-calls.ts'
import { assertSuccess } from './clerk-errors.ts'
import { BrokerError } from './errors.ts'

export class ClerkApi {
  readonly #calls: ClerkCalls
  readonly #timeoutSeconds: number
  readonly #clock: Clock

  constructor(calls: ClerkCalls, timeoutSeconds: number, clock: Clock) {
    this.#calls = calls
    this.#timeoutSeconds = timeoutSeconds
    this.#clock = clock
  }

  /**
   * The JSON of a successful answer; undefined if it is not JSON.
   * @throws BrokerError; ClerkRejection for a 4xx status, whose meaning depends on the request
   */
  async send(request: ClerkRequest): Promise<unknown> {
    const response = await this.#sendInTime(request)
    assertSuccess(response)
    return response.body
  }

  async #sendInTime(request: ClerkRequest): Promise<ClerkResponse> {
    const abort = new AbortController()
    const cancel = this.#clock.after(this.#timeoutSeconds, () => abort.abort())
    try {
      return await this.#calls(request, abort.signal)
    } catch (error) {
      if (abort.signal.aborted) throw new BrokerError('temporarily_unavailable', 'timeout')
      throw error instanceof BrokerError ? error : new BrokerError('temporarily_unavailable', 'network')
    } finally {
      cancel()
    }
  }
}
