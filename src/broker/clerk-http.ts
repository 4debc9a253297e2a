// Sends the broker's requests to Clerk's Backend API, over kept connections. Clerk's SDK cannot abort a request.
import { ApiClient } from '../host/api-client.ts'
import type { ClerkCalls } from './clerk-calls.ts'

export interface ClerkHttpOptions {
  /** `sk_…` */
  readonly secretKey: string
  readonly apiUrl: string
  /** Connections to Clerk; further requests wait, within their time limit. */
  readonly maxConnections?: number
}

const API_VERSION = '2026-05-12' // of the SDK that this broker was tested with
const MAX_CONNECTIONS = 64
const MAX_BYTES = 1024 * 1024
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT/ // RFC 9110 section 5.6.7
// A cached answer does not tell the time.
const HEADERS = { accept: 'application/json', 'user-agent': 'cadzero-auth-broker', 'cache-control': 'no-cache' }

export function clerkHttp({ secretKey, apiUrl, maxConnections = MAX_CONNECTIONS }: ClerkHttpOptions): ClerkCalls {
  const client = new ApiClient({ maxConnections, maxBytes: MAX_BYTES })
  const base = apiUrl.replace(/\/+$/, '')
  const apiHeaders = {
    authorization: `Bearer ${secretKey}`,
    'clerk-api-version': API_VERSION,
    'content-type': 'application/json',
  }
  return async ({ method, target, body }, signal) => {
    const isApi = target.startsWith('/')
    const response = await client.send({
      url: new URL(isApi ? `${base}${target}` : target),
      method,
      headers: { ...HEADERS, ...(isApi ? apiHeaders : {}) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    })
    return {
      status: response.status,
      body: parseJson(response.body),
      retryAfterSeconds: secondsOf(response.headers['retry-after']),
      date: dateOf(response.headers.date),
      ageSeconds: secondsOf(response.headers.age),
    }
  }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

/** The first date, if a proxy has added its own. `Date.parse` alone would take `Date: 1` for a time. */
function dateOf(value = ''): number | undefined {
  const [date = ''] = IMF_FIXDATE.exec(value) ?? []
  const seconds = Date.parse(date) / 1000
  return Number.isFinite(seconds) ? seconds : undefined
}

function secondsOf(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) : undefined
}
