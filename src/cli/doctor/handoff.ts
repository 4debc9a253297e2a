// The doctor's check of a sign-in by hand-off: the instance's public keys, the sign-in page, and the broker.
import type { HandoffProfile } from '../../config/profile.ts'
import type { Diagnosis } from '../../rpc/contract.ts'
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

function withoutBroker({ name }: HandoffProfile): Finding {
  const found = 'none: you have to sign in again each time a token expires'
  const hint = `run the broker and set profiles.${name}.brokerUrl, or set profiles.${name}.clientId to sign in by OAuth`
  return { check: 'broker', verdict: 'warning', found, hint }
}
