// The doctor's look at a sign-in by hand-off: the instance's public keys, the page, and the broker that refreshes.
import type { HandoffProfile } from '../../config/profile.ts'
import { NetworkError } from '../../host/network.ts'
import type { Context } from '../context.ts'
import type { Finding } from './doctor.ts'
import { checkSkew, skewOf } from './provider.ts'

export async function checkHandoff(context: Context, profile: HandoffProfile): Promise<Finding[]> {
  return [...(await checkKeys(context, profile)), checkPage(profile), await checkBroker(context, profile)]
}

async function checkKeys({ host }: Context, { issuer }: HandoffProfile): Promise<Finding[]> {
  const check = `provider ${issuer}`
  const hint = 'check the network, a proxy, and that issuer is right'
  try {
    const response = await host.fetch(`${issuer.replace(/\/$/, '')}/.well-known/jwks.json`)
    const body: unknown = response.status === 200 ? await response.json().catch(() => undefined) : undefined
    const hasKeys = typeof body === 'object' && body !== null && 'keys' in body && Array.isArray(body.keys)
    if (!hasKeys) return [{ check, verdict: 'failed', found: 'it does not give its public keys', hint }]
    return [{ check, verdict: 'ok', found: 'it gives its public keys' }, checkSkew(skewOf(response, host.clock))]
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    return [{ check, verdict: 'failed', found: `it cannot be reached (${error.code})`, hint }]
  }
}

/** Not visited: it is for a signed-in browser, and says nothing to a program. */
function checkPage({ name, signInUrl, requireState }: HandoffProfile): Finding {
  const check = 'sign-in page'
  if (requireState) return { check, verdict: 'ok', found: `${signInUrl}, with a state` }
  const found = `${signInUrl} carries no state: while a sign-in runs, another site could sign you in as somebody else`
  const hint = `put cadzero.auth-callback.tsx into the web app, and set profiles.${name}.signInUrl to it`
  return { check, verdict: 'warning', found, hint }
}

async function checkBroker({ host }: Context, { name, brokerUrl, refresh }: HandoffProfile): Promise<Finding> {
  if (!refresh || brokerUrl === undefined) {
    const found = 'none: you sign in again whenever a token has ended'
    const hint = `run the broker and set profiles.${name}.brokerUrl, or set profiles.${name}.clientId to sign in by OAuth`
    return { check: 'broker', verdict: 'warning', found, hint }
  }
  const check = `broker ${brokerUrl}`
  const hint = 'check that the broker runs there, and that brokerUrl is right'
  try {
    // A request that asks for nothing: a broker says so in the words of RFC 6749, and a backend without one does not.
    const response = await host.fetch(`${brokerUrl.replace(/\/$/, '')}/api/auth/refresh`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    })
    const body: unknown = await response.json().catch(() => undefined)
    const isBroker = typeof body === 'object' && body !== null && 'error' in body && body.error === 'invalid_request'
    if (isBroker) return { check, verdict: 'ok', found: 'it answers' }
    return { check, verdict: 'failed', found: `no broker answers there (status ${response.status})`, hint }
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    return { check, verdict: 'failed', found: `it cannot be reached (${error.code})`, hint }
  }
}
