// The doctor's checks of the network: the proxy, the certificate sources, the way to provider and broker, the clock.
import type { Diagnosis } from '../../rpc/contract.ts'
import { networkHint } from '../network-hint.ts'
import { checkSkew } from './clock-skew.ts'
import type { Finding } from './finding.ts'

type Connection = Diagnosis['connections'][number]
export type ReachError = NonNullable<Connection['error']>

/** @param profile its name */
export function checkNetwork({ connections, certificates, clockSkewSeconds }: Diagnosis, profile: string): Finding[] {
  const failures = connections.flatMap(({ target, url, error }) =>
    error ? [failedConnection(target, url, error, profile)] : [],
  )
  return [
    ...checkProxies(connections),
    checkCertificates(certificates),
    ...failures,
    ...(isReached({ connections }, 'provider') ? [checkSkew(clockSkewSeconds)] : []),
  ]
}

export function isReached({ connections }: Pick<Diagnosis, 'connections'>, target: Connection['target']): boolean {
  return connections.some((one) => one.target === target && one.error === null)
}

/** One finding if all connections go the same way. */
function checkProxies(connections: readonly Connection[]): Finding[] {
  const ways = new Set(connections.map(({ proxy }) => JSON.stringify(proxy)))
  const shown = ways.size === 1 ? connections.slice(0, 1) : connections
  return shown.map(({ proxy, target }) => checkProxy(ways.size === 1 ? 'proxy' : `proxy to the ${target}`, proxy))
}

function checkProxy(check: string, proxy: Connection['proxy']): Finding {
  const found = describeProxy(proxy)
  const details = { proxy }
  if (proxy?.problem === undefined) return { check, verdict: 'ok', found, details }
  const hint = networkHint({ cause: 'proxy', proxyProblem: proxy.problem }) ?? ''
  return { check, verdict: proxy.problem === 'pac' ? 'warning' : 'failed', found, hint, details }
}

/** The proxy and the setting that names it. */
export function describeProxy(proxy: Connection['proxy']): string {
  if (proxy === null) return 'none: connections are direct'
  const { url, source, variable, problem } = proxy
  const origin = { configuration: 'config.json', environment: variable ?? 'the environment', system: 'the system' }[
    source
  ]
  if (problem === 'pac') return `a script (PAC), from the settings of ${origin}; connections are direct`
  if (url === null) return `one that cannot be used (${problem}), from ${origin}`
  return `${url}, from ${source === 'system' ? 'the settings of the system' : origin}`
}

const ORIGINS: Readonly<Record<string, string>> = { node: 'Node.js', system: 'the system' }

function checkCertificates(certificates: Diagnosis['certificates']): Finding {
  const check = 'certificates'
  const found = describeCertificates(certificates)
  const details = { certificates }
  // The system's store and Node's own are found by themselves; a person has named the others.
  const empty = certificates.find(({ origin, count }) => count === 0 && !(origin in ORIGINS))
  if (!empty) return { check, verdict: 'ok', found, details }
  const hint = `set ${empty.origin} to a file that you can read, with certificates in PEM form, or unset it`
  return { check, verdict: 'warning', found, hint, details }
}

export function describeCertificates(certificates: Diagnosis['certificates']): string {
  const parts = certificates.map(({ origin, path, count }) => {
    const place = path === undefined ? '' : ` (${path})`
    return `${count} of ${ORIGINS[origin] ?? origin}${place}`
  })
  return parts.join(', ') || 'none'
}

function failedConnection(target: Connection['target'], url: string, error: ReachError, profile: string): Finding {
  return {
    check: `${target} ${url}`,
    verdict: 'failed',
    found: describeReachError(target, error),
    hint: hintFor(target, error, profile),
    details: { error },
  }
}

function hintFor(target: Connection['target'], error: ReachError, profile: string): string {
  const hint = networkHint(error)
  const settings = { provider: `profiles.${profile}.issuer`, broker: `profiles.${profile}.brokerUrl` }
  if (error.cause === 'dns') return `${hint}; check ${settings[target]} as well`
  if (error.cause === 'protocol' || hint === undefined) {
    const subject = target === 'broker' ? 'that the broker runs there' : 'the network and the proxy'
    return `check ${subject}, and that ${settings[target]} is right`
  }
  return hint
}

const CERTIFICATE_PROBLEMS: Readonly<Record<string, string>> = {
  expired: 'has expired',
  not_yet_valid: 'is not valid yet',
  other_host: 'is for another host',
}

const CAUSES: Readonly<Record<string, (error: ReachError) => string>> = {
  dns: () => 'the name of its host is not found',
  refused: () => 'the connection is refused or cut',
  timeout: () => 'it does not respond in time',
  certificate: ({ certificateIssuer = 'unknown', certificateProblem }) =>
    `its certificate ${CERTIFICATE_PROBLEMS[certificateProblem ?? ''] ?? 'is not trusted'} (issuer: ${certificateIssuer})`,
  proxy: ({ proxyHost, proxyProblem = 'unreachable' }) =>
    `the proxy${proxyHost === undefined ? '' : ` ${proxyHost}`} does not lead there: ${proxyProblem}`,
  captive_portal: () =>
    'a page responds in its place: the network wants a sign-in of its own (captive portal), or filters',
}

/** What a failed try to reach a server has found, with the words of the contract in parentheses. */
export function describeReachError(target: Connection['target'], error: ReachError): string {
  const { reason, cause } = error
  if (cause === 'protocol') return `no ${target} responds there (${cause})`
  const known = cause === undefined ? undefined : CAUSES[cause]
  if (known) return `it cannot be reached: ${known(error)} (${cause})`
  return reason === 'rate_limited'
    ? 'it refuses the request: rate limit exceeded'
    : `it has an error of its own (${reason})`
}
