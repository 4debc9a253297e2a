// Sends the broker's requests to Clerk's Backend API, over kept connections. Clerk's SDK cannot abort a request.
import type { IncomingHttpHeaders } from 'node:http'
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
      headers: { accept: 'application/json', 'user-agent': 'cadzero-auth-broker', ...(isApi ? apiHeaders : {}) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    })
    return {
      status: response.status,
      body: parseJson(response.body),
      retryAfterSeconds: secondsOf(response.headers['retry-after']),
      date: dateOf(response.headers),
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

function dateOf({ date, age }: IncomingHttpHeaders): number | undefined {
  const seconds = Date.parse(date ?? '') / 1000
  return Number.isFinite(seconds) ? seconds + (secondsOf(age) ?? 0) : undefined
}

function secondsOf(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) : undefined
}
