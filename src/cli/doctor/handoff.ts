// The doctor's check of a sign-in by hand-off: the instance's public keys, the sign-in page, and the broker.
import { clockSkew } from '../../clerk/server-time.ts'
import type { HandoffProfile } from '../../config/profile.ts'
import { NetworkError } from '../../host/network.ts'
import type { Context } from '../context.ts'
import { checkSkew } from './clock-skew.ts'
import type { Finding } from './finding.ts'

export async function checkHandoff(context: Context, profile: HandoffProfile): Promise<Finding[]> {
  return [...(await checkKeys(context, profile)), checkPage(profile), await checkBroker(context, profile)]
}

async function checkKeys({ host }: Context, { name, issuer }: HandoffProfile): Promise<Finding[]> {
  const check = `provider ${issuer}`
  const hint = `check the network, the proxy and profiles.${name}.issuer`
  try {
    const response = await host.fetch(`${issuer.replace(/\/$/, '')}/.well-known/jwks.json`)
    const body: unknown = response.status === 200 ? await response.json().catch(() => undefined) : undefined
    const hasKeys = typeof body === 'object' && body !== null && 'keys' in body && Array.isArray(body.keys)
    if (!hasKeys) return [{ check, verdict: 'failed', found: 'it does not publish its public keys', hint }]
    return [
      { check, verdict: 'ok', found: 'it publishes its public keys' },
      checkSkew(clockSkew(response.headers, host.clock)),
    ]
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    return [{ check, verdict: 'failed', found: `it cannot be reached (${error.code})`, hint }]
  }
}

/** Does not request the page: it is made for a signed-in browser, and tells a program nothing. */
function checkPage({ name, signInUrl, requireState }: HandoffProfile): Finding {
  const check = 'sign-in page'
  if (requireState) return { check, verdict: 'ok', found: `${signInUrl}, returns the state` }
  const found = `${signInUrl} does not return the state: during a sign-in, another site could sign you in as a different user`
  const hint = `put cadzero.auth-callback.tsx into the web app, and set profiles.${name}.signInUrl to its address`
  return { check, verdict: 'warning', found, hint }
}

async function checkBroker({ host }: Context, { name, brokerUrl, refresh }: HandoffProfile): Promise<Finding> {
  if (!refresh || brokerUrl === undefined) {
    const found = 'none: you have to sign in again each time a token expires'
    const hint = `run the broker and set profiles.${name}.brokerUrl, or set profiles.${name}.clientId to sign in by OAuth`
    return { check: 'broker', verdict: 'warning', found, hint }
  }
  const check = `broker ${brokerUrl}`
  const hint = `check that the broker runs there, and that profiles.${name}.brokerUrl is right`
  try {
    // An empty request: a broker refuses it with an error code of RFC 6749, and a backend without one does not.
    const response = await host.fetch(`${brokerUrl.replace(/\/$/, '')}/api/auth/refresh`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    })
    const body: unknown = await response.json().catch(() => undefined)
    const isBroker = typeof body === 'object' && body !== null && 'error' in body && body.error === 'invalid_request'
    if (isBroker) return { check, verdict: 'ok', found: 'it responds' }
    return { check, verdict: 'failed', found: `no broker responds there (status ${response.status})`, hint }
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    return { check, verdict: 'failed', found: `it cannot be reached (${error.code})`, hint }
  }
}
