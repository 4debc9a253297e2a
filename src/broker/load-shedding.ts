// Refuses requests at once while too many are being answered: what is accepted is answered in time.

export interface Shedding<Request, Context, Result> {
  readonly handle: (request: Request, context?: Context) => Promise<Result>
  /** Requests that are being answered. */
  inFlight(): number
}

/** @param refuse answers a request beyond `maxInFlight` */
export function shedLoad<Request, Context, Result>(
  handler: (request: Request, context?: Context) => Promise<Result>,
  maxInFlight: number,
  refuse: (request: Request) => Result,
): Shedding<Request, Context, Result> {
  let inFlight = 0
  return {
    inFlight: () => inFlight,
    handle: async (request, context) => {
      if (inFlight >= maxInFlight) return refuse(request)
      inFlight++
      try {
        return await handler(request, context)
      } finally {
        inFlight--
      }
    },
  }
}
