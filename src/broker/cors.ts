// CORS (Fetch standard) for the one endpoint that a web page calls, and for the listed origins alone.
import type { BrokerRequest } from './request.ts'

const HEADERS = 'authorization, content-type'
const MAX_AGE = '600' // s

/** The answer to a preflight request; undefined if the request is none, or its origin is not listed. */
export function preflightResponse(request: BrokerRequest, origins: readonly string[]): Response | undefined {
  const origin = request.headers.get('origin')
  if (request.method !== 'OPTIONS' || origin === null || !origins.includes(origin)) return undefined
  return new Response(null, {
    status: 204,
    headers: {
      ...originHeaders(origin),
      'Access-Control-Allow-Methods': 'POST',
      'Access-Control-Allow-Headers': HEADERS,
      'Access-Control-Max-Age': MAX_AGE,
    },
  })
}

/** Lets the page read the response, if its origin is listed. */
export function allowOrigin(response: Response, request: BrokerRequest, origins: readonly string[]): void {
  const origin = request.headers.get('origin')
  if (origin === null || !origins.includes(origin)) return
  for (const [name, value] of Object.entries(originHeaders(origin))) response.headers.set(name, value)
}

function originHeaders(origin: string) {
  return { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' }
}
