// The doctor's look at an OAuth provider: whether it answers, what its metadata says, and whether our clock agrees with its.
import { RejectedError, UnavailableError } from '../../clerk/errors.ts'
import type { OAuthProfile } from '../../config/profile.ts'
import type { Clock } from '../../host/clock.ts'
import type { Fetch } from '../../host/network.ts'
import type { Context } from '../context.ts'
import type { Finding } from './doctor.ts'

const SKEW_SECONDS = 30 // less matters to nobody: expiry is counted from receipt

export async function checkProvider({ host }: Context, profile: OAuthProfile): Promise<Finding[]> {
  const { Metadata } = await import('../../clerk/metadata.ts')
  let skew: number | undefined
  const fetch: Fetch = async (url, init) => {
    const response = await host.fetch(url, init)
    skew = skewOf(response, host.clock) ?? skew
    return response
  }
  const check = `provider ${profile.issuer}`
  try {
    const metadata = await new Metadata(profile.issuer, profile.clientId, fetch, host.clock).get()
    const findings: Finding[] = [{ check, verdict: 'ok', found: 'it answers, and its metadata is sound' }]
    const missing = profile.scopes.filter((scope) => metadata.scopes_supported?.includes(scope) === false)
    if (missing.length > 0) {
      const hint = 'assign them to the OAuth application in Clerk, or change scopes'
      findings.push({ check: 'scopes', verdict: 'failed', found: `not supported: ${missing.join(', ')}`, hint })
    }
    if (!profile.scopes.includes('offline_access')) {
      const hint = 'without offline_access a person may have to sign in again and again'
      findings.push({ check: 'scopes', verdict: 'warning', found: 'offline_access is not among them', hint })
    }
    if (metadata.revocation_endpoint === undefined) {
      const found = 'sessions cannot be revoked there; signing out is local only'
      findings.push({ check, verdict: 'warning', found })
    }
    return [...findings, checkSkew(skew)]
  } catch (error) {
    return [providerFailure(check, error)]
  }
}

function providerFailure(check: string, error: unknown): Finding {
  if (error instanceof UnavailableError) {
    const hint = 'check the network, a proxy, and that issuer is right'
    return { check, verdict: 'failed', found: `it does not answer as it should (${error.reason})`, hint }
  }
  if (!(error instanceof RejectedError)) throw error
  const hint =
    error.reason === 'issuer_mismatch'
      ? 'issuer must be exactly what the metadata of the provider says'
      : 'this is no provider that cadzero-auth can trust; check that issuer is right'
  return { check, verdict: 'failed', found: `its metadata cannot be used (${error.reason})`, hint }
}

/** Seconds that our clock is ahead of whoever answered; undefined where the answer says no time. */
export function skewOf(response: Response, clock: Clock): number | undefined {
  const date = Date.parse(response.headers.get('date') ?? '') / 1000
  return Number.isFinite(date) ? clock.now() - date : undefined
}

export function checkSkew(skew: number | undefined): Finding {
  const check = 'clock'
  if (skew === undefined) return { check, verdict: 'ok', found: 'the provider does not say what time it is' }
  const seconds = Math.round(Math.abs(skew))
  if (seconds <= SKEW_SECONDS) return { check, verdict: 'ok', found: 'it agrees with the provider’s' }
  const found = `it is ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} the provider’s`
  return {
    check,
    verdict: seconds > 300 ? 'failed' : 'warning',
    found,
    hint: 'set this machine’s clock by the network',
  }
}
