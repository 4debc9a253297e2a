// The mutual handshake: client and daemon prove that they know the discovery file's key without sending it.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { type Random, randomText } from '../host/random.ts'
import type { Endpoint } from './discovery.ts'

export const SUBPROTOCOL = 'cadzero-auth.v1'
export const PROOF_HEADER = 'CadzeroAuth-Proof'

export type Role = 'client' | 'server'

/** The base64url of an HMAC-SHA256 over role, endpoint, instance and nonce, each on its own line. */
export function mac(role: Role, endpoint: Endpoint, nonce: string): string {
  return createHmac('sha256', Buffer.from(endpoint.key, 'base64url'))
    .update(`${role}\n${endpoint.endpoint}\n${endpoint.instance}\n${nonce}`)
    .digest('base64url')
}

/** Compares two MACs in constant time. */
export function sameMac(expected: string, given: string): boolean {
  const a = Buffer.from(expected)
  const b = Buffer.from(given)
  return a.length === b.length && timingSafeEqual(a, b)
}

export interface Credentials {
  readonly instance: string
  readonly nonce: string
  readonly mac: string
}

/** A fresh value for the `Authorization` header of one upgrade request. */
export function authorization(endpoint: Endpoint, random: Random): { value: string; nonce: string } {
  const nonce = randomText(random, 16)
  const value = `CadzeroAuth instance="${endpoint.instance}", nonce="${nonce}", mac="${mac('client', endpoint, nonce)}"`
  return { value, nonce }
}

const AUTHORIZATION =
  /^CadzeroAuth instance="([A-Za-z0-9_-]{22})", nonce="([A-Za-z0-9_-]{22})", mac="([A-Za-z0-9_-]{43})"$/

/** Parses the value of an `Authorization` header. Undefined if it has another form. */
export function parseAuthorization(value: string): Credentials | undefined {
  const [, instance, nonce, given] = AUTHORIZATION.exec(value) ?? []
  return instance && nonce && given ? { instance, nonce, mac: given } : undefined
}
