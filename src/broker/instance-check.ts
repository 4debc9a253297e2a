// Checks the settings against Clerk when the broker starts: a mistake must end the start, not the sessions of users.
//
// What Clerk does not answer proves nothing: the broker then starts all the same, so that an outage of Clerk cannot keep it down.
import { createPublicKey } from 'node:crypto'
import * as v from 'valibot'
import { type Fetch, NetworkError } from '../host/network.ts'
import type { SettingProblem } from './environment.ts'

export interface CheckedInstance {
  readonly secretKey: string
  /** Clerk's Backend API. */
  readonly apiUrl: string
  readonly issuers: readonly string[]
  /** PEM; undefined if the keys are fetched. */
  readonly jwtKey?: string
}

type Reply = { readonly status: number; readonly body: unknown } | undefined

const keySetSchema = v.looseObject({ keys: v.array(v.looseObject({ n: v.string() })) })
const metadataSchema = v.looseObject({ issuer: v.string() })

/** The mistakes that Clerk's answers prove. */
export async function checkInstance(instance: CheckedInstance, fetch: Fetch): Promise<readonly SettingProblem[]> {
  const { secretKey, apiUrl, issuers, jwtKey } = instance
  const own = await ask(fetch, `${apiUrl}/v1/jwks`, { authorization: `Bearer ${secretKey}` })
  if (own?.status === 401) {
    const hint = 'set CLERK_SECRET_KEY to a new secret key: Clerk shows each one only when it is created'
    return [{ variable: 'CLERK_SECRET_KEY', problem: 'is not known to Clerk', hint }]
  }
  const ownKeys = moduliOf(own)
  const problems = await Promise.all(issuers.map((issuer) => checkIssuer(issuer, ownKeys, fetch)))
  return [...checkKey(jwtKey, ownKeys), ...problems.flat()]
}

async function checkIssuer(
  issuer: string,
  ownKeys: readonly string[] | undefined,
  fetch: Fetch,
): Promise<SettingProblem[]> {
  const variable = 'CADZERO_BROKER_INSTANCES'
  const [metadata, published] = await Promise.all([
    ask(fetch, `${issuer}/.well-known/openid-configuration`),
    ask(fetch, `${issuer}/.well-known/jwks.json`),
  ])
  const parsed = v.safeParse(metadataSchema, metadata?.body)
  if (parsed.success && parsed.output.issuer !== issuer) {
    const hint = `set ${variable} to the issuer as the instance’s metadata spells it`
    return [{ variable, problem: 'has an issuer that its metadata spells otherwise', hint }]
  }
  const publishedKeys = moduliOf(published)
  if (!ownKeys || !publishedKeys || publishedKeys.some((key) => ownKeys.includes(key))) return []
  const hint = `set ${variable} to the Frontend API URL of the instance that CLERK_SECRET_KEY belongs to`
  return [{ variable, problem: 'has another instance than that of CLERK_SECRET_KEY', hint }]
}

function checkKey(jwtKey: string | undefined, ownKeys: readonly string[] | undefined): SettingProblem[] {
  if (
    jwtKey === undefined ||
    !ownKeys ||
    ownKeys.includes(String(createPublicKey(jwtKey).export({ format: 'jwk' }).n))
  ) {
    return []
  }
  const hint = 'set CLERK_JWT_KEY to the public key of this instance, or unset it: then the broker fetches the keys'
  return [{ variable: 'CLERK_JWT_KEY', problem: 'is a key of another instance', hint }]
}

/** The moduli of the keys, which identify them; undefined if Clerk did not say. */
function moduliOf(reply: Reply): readonly string[] | undefined {
  const { success, output } = v.safeParse(keySetSchema, reply?.body)
  return reply?.status === 200 && success && output.keys.length > 0 ? output.keys.map(({ n }) => n) : undefined
}

/** Undefined if there is no answer. */
async function ask(fetch: Fetch, url: string, headers: Record<string, string> = {}): Promise<Reply> {
  try {
    const response = await fetch(url, { headers: { accept: 'application/json', ...headers } })
    return { status: response.status, body: await response.json().catch(() => undefined) }
  } catch (error) {
    if (error instanceof NetworkError) return undefined
    throw error
  }
}
