// Answers 503 at once while too many requests are being answered: what is accepted is answered in time.
import { BrokerError } from './errors.ts'

type Handler<Params extends unknown[]> = (...params: Params) => Promise<Response>

export interface Shedding<Params extends unknown[]> {
  readonly handle: Handler<Params>
  /** Requests that are being answered. */
  inFlight(): number
}

const RETRY_AFTER = 1 // s

/** @param onShed called for each request that is refused */
export function shedLoad<Params extends unknown[]>(
  handler: Handler<Params>,
  maxInFlight: number,
  onShed: () => void,
): Shedding<Params> {
  let inFlight = 0
  return {
    inFlight: () => inFlight,
    handle: async (...params) => {
      if (inFlight >= maxInFlight) {
        onShed()
        return new BrokerError('temporarily_unavailable', 'overloaded', RETRY_AFTER).toResponse()
      }
      inFlight++
      try {
        return await handler(...params)
      } finally {
        inFlight--
      }
    },
  }
}
