// CORS (Fetch standard) for the one endpoint that a web page calls, and for the listed origins alone.

import type { BrokerRequest } from './request.ts'
import { type BrokerResponse, withHeaders } from './response.ts'

const HEADERS = 'authorization, content-type'
const MAX_AGE = '600' // s

/** The answer to a preflight request; undefined if the request is none, or its origin is not listed. */
export function preflightResponse(request: BrokerRequest, origins: readonly string[]): BrokerResponse | undefined {
  const origin = request.headers.get('origin')
  if (request.method !== 'OPTIONS' || origin === null || !origins.includes(origin)) return undefined
  const headers = {
    ...originHeaders(origin),
    'Access-Control-Allow-Methods': 'POST',
    'Access-Control-Allow-Headers': HEADERS,
    'Access-Control-Max-Age': MAX_AGE,
  }
  return { status: 204, headers, text: null }
}

/** Lets the page read the answer, if its origin is listed. */
export function allowOrigin(
  answer: BrokerResponse,
  request: BrokerRequest,
  origins: readonly string[],
): BrokerResponse {
  const origin = request.headers.get('origin')
  return origin === null || !origins.includes(origin) ? answer : withHeaders(answer, originHeaders(origin))
}

function originHeaders(origin: string) {
  return { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' }
}
