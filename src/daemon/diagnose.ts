// What this process sees of the network: proxies, certificate sources, reachability, the clock, programs that open a browser.
//
// The daemon answers the RPC method `diagnose` with it, and the doctor compares that with what it sees itself.
import { type Reached, reachBroker, reachKeys, reachMetadata } from '../clerk/reachability.ts'
import type { Profile } from '../config/profile.ts'
import type { Host } from '../host/host.ts'
import type { Diagnosis } from '../rpc/contract.ts'

export interface DiagnoseOptions {
  readonly host: Pick<Host, 'fetch' | 'clock' | 'network'>
  readonly profile: Profile
  /** The programs that open a browser, by their paths. */
  readonly openers: readonly string[]
}

interface Target {
  readonly target: 'provider' | 'broker'
  readonly url: string
  readonly reach: () => Promise<Reached>
}

/** Sends one request to the provider, and one to the broker if there is one. Each has the deadline of every request. */
export async function diagnose({ host, profile, openers }: DiagnoseOptions): Promise<Diagnosis> {
  const asked = await Promise.all(targetsOf(profile, host).map((target) => ask(target, host)))
  const { certificates } = await host.network.describe(profile.issuer)
  const skew = asked.find((one) => one.skew !== null)?.skew ?? null
  return {
    profile: profile.name,
    connections: asked.map(({ connection }) => connection),
    certificates: certificates.map((source) => ({ ...source })),
    clockSkewSeconds: skew === null ? null : Math.round(skew),
    openers: [...openers],
  }
}

function targetsOf(profile: Profile, { fetch, clock }: DiagnoseOptions['host']): Target[] {
  const { issuer } = profile
  const provider = (reach: typeof reachMetadata): Target => ({
    target: 'provider',
    url: issuer,
    reach: () => reach(issuer, fetch, clock),
  })
  if (profile.kind === 'oauth') return [provider(reachMetadata)]
  const { brokerUrl, refresh } = profile
  if (!refresh || brokerUrl === undefined) return [provider(reachKeys)]
  return [provider(reachKeys), { target: 'broker', url: brokerUrl, reach: () => reachBroker(brokerUrl, fetch, clock) }]
}

async function ask({ target, url, reach }: Target, { network }: DiagnoseOptions['host']) {
  const { error, skew } = await reach()
  const { proxy } = await network.describe(url) // after the request: a failure makes the next look at the settings a new one
  return { connection: { target, url, proxy, error }, skew }
}
