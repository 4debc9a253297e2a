// The doctor's check of a sign-in by hand-off: the instance's public keys, the sign-in page, and the broker.
import type { HandoffProfile } from '../../config/profile.ts'
import { type Fetch, NetworkError } from '../../host/network.ts'
import type { Diagnosis } from '../../rpc/contract.ts'
import type { Context } from '../context.ts'
import type { Finding } from './finding.ts'
import { isReached } from './network.ts'

/** A server that was not reached has its finding among those of the network. */
export function checkHandoff(profile: HandoffProfile, diagnosis: Diagnosis): Finding[] {
  const { issuer, brokerUrl, refresh } = profile
  const hasBroker = refresh && brokerUrl !== undefined
  return [
    ...(isReached(diagnosis, 'provider')
      ? [{ check: `provider ${issuer}`, verdict: 'ok' as const, found: 'it publishes its public keys' }]
      : []),
    checkPage(profile),
    ...(profile.tokenInCallback ? [tokenInCallback(profile)] : []),
    ...(hasBroker ? [] : [withoutBroker(profile)]),
    ...(isReached(diagnosis, 'broker')
      ? [{ check: `broker ${brokerUrl}`, verdict: 'ok' as const, found: 'it responds' }]
      : []),
  ]
}

/** Does not request the page: it is made for a signed-in browser, and tells a program nothing. */
function checkPage({ name, signInUrl, requireState }: HandoffProfile): Finding {
  const check = 'sign-in page'
  if (requireState) return { check, verdict: 'ok', found: `${signInUrl}, returns the state` }
  const found = `${signInUrl} does not return the state: during a sign-in, another site could sign you in as a different user`
  const hint = `put the folder cadzero.auth-callback into the web app, and set profiles.${name}.signInUrl to its address`
  return { check, verdict: 'warning', found, hint }
}

/** On unless the profile says otherwise: a page of version 1 has no other way. */
function tokenInCallback({ name }: HandoffProfile): Finding {
  const found = 'on: a page of version 1 may send a token in the address, which stays in the browser’s history'
  const hint = `when no such page is in use, set profiles.${name}.tokenInCallback to false`
  return { check: 'tokenInCallback', verdict: 'ok', found, hint }
}

function withoutBroker({ name }: HandoffProfile): Finding {
  const found = 'none: you have to sign in again each time a token expires'
  const hint = `run the broker and set profiles.${name}.brokerUrl, or set profiles.${name}.clientId to sign in by OAuth`
  return { check: 'broker', verdict: 'warning', found, hint }
}

/** Whether the broker serves the profile's issuer. A broker of version 1.0 does not say. */
export async function checkIssuer({ host }: Context, profile: HandoffProfile): Promise<Finding[]> {
  const { name, issuer, brokerUrl = '' } = profile
  const issuers = await issuersOf(`${brokerUrl.replace(/\/$/, '')}/api/auth/instances`, host.fetch)
  if (issuers === undefined || issuers.includes(issuer.replace(/\/$/, ''))) return []
  const hint = `set profiles.${name}.issuer to one of the broker’s instances, or add it to CADZERO_BROKER_INSTANCES of the broker`
  return [{ check: `broker ${brokerUrl}`, verdict: 'failed', found: `it does not serve ${issuer}`, hint }]
}

async function issuersOf(url: string, fetch: Fetch): Promise<readonly unknown[] | undefined> {
  try {
    const body: unknown = await (await fetch(url)).json().catch(() => undefined)
    const issuers = typeof body === 'object' && body !== null && 'issuers' in body ? body.issuers : undefined
    return Array.isArray(issuers) ? issuers : undefined
  } catch (error) {
    if (error instanceof NetworkError) return undefined
    throw error
  }
}
