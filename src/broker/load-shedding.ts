// Answers 503 at once while too many requests are being answered: what is accepted is answered in time.
import { BrokerError } from './errors.ts'

type Handler<Context extends unknown[]> = (request: Request, ...context: Context) => Promise<Response>

export interface Shedding<Context extends unknown[]> {
  readonly handle: Handler<Context>
  /** Requests that are being answered. */
  inFlight(): number
}

const RETRY_AFTER = 1 // s

/** @param onShed called for each request that is refused */
export function shedLoad<Context extends unknown[]>(
  handler: Handler<Context>,
  maxInFlight: number,
  onShed: () => void,
): Shedding<Context> {
  let inFlight = 0
  return {
    inFlight: () => inFlight,
    handle: async (request, ...context) => {
      if (inFlight >= maxInFlight) {
        onShed()
        return new BrokerError('temporarily_unavailable', 'overloaded', RETRY_AFTER).toResponse()
      }
      inFlight++
      try {
        return await handler(request, ...context)
      } finally {
        inFlight--
      }
    },
  }
}
