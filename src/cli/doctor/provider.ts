// The doctor's check of an OAuth provider: it responds, and its metadata allows what the profile needs.
import type { OAuthProfile } from '../../config/profile.ts'
import type { Context } from '../context.ts'
import type { Finding } from './finding.ts'

export async function checkProvider({ host }: Context, profile: OAuthProfile): Promise<Finding[]> {
  const { inspectProvider } = await import('../../clerk/inspect.ts')
  const { name, issuer } = profile
  const check = `provider ${issuer}`
  const inspected = await inspectProvider(issuer, host.fetch, host.clock)
  switch (inspected.kind) {
    case 'valid':
      return [
        { check, verdict: 'ok', found: 'it responds, and its metadata is valid' },
        ...checkScopes(profile, inspected.scopesSupported),
        ...(inspected.canRevoke
          ? []
          : [{ check, verdict: 'warning' as const, found: 'it cannot revoke sessions; signing out is local only' }]),
      ]
    case 'unavailable': {
      const hint = `check the network, the proxy and profiles.${name}.issuer`
      return [{ check, verdict: 'failed', found: `it does not respond correctly (${inspected.reason})`, hint }]
    }
    case 'rejected': {
      const hint =
        inspected.reason === 'issuer_mismatch'
          ? `set profiles.${name}.issuer to the issuer in the provider’s metadata, exactly as written there`
          : `check profiles.${name}.issuer: cadzero-auth cannot trust this provider`
      return [{ check, verdict: 'failed', found: `its metadata cannot be used (${inspected.reason})`, hint }]
    }
  }
}

function checkScopes({ name, scopes }: OAuthProfile, supported: readonly string[] | undefined): Finding[] {
  const check = 'scopes'
  const findings: Finding[] = []
  const missing = scopes.filter((scope) => supported?.includes(scope) === false)
  if (missing.length > 0) {
    const hint = `assign them to the OAuth application in Clerk, or change profiles.${name}.scopes`
    findings.push({ check, verdict: 'failed', found: `not supported: ${missing.join(', ')}`, hint })
  }
  if (!scopes.includes('offline_access')) {
    const hint = `add offline_access to profiles.${name}.scopes; without it, you may have to sign in often`
    findings.push({ check, verdict: 'warning', found: 'offline_access is not requested', hint })
  }
  return findings
}
