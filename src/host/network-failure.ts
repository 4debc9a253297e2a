// Why a request got no usable response, in the words of the contract: names alone, and no text from outside.

export type NetworkCause = 'dns' | 'refused' | 'timeout' | 'certificate' | 'proxy' | 'captive_portal' | 'protocol'

/** What is wrong with the proxy: no way to it, what it said, or a setting that this program cannot follow. */
export type ProxyProblem =
  | 'unreachable'
  | 'password_needed'
  | 'integrated_authentication'
  | 'refused'
  | 'no_tunnel'
  | 'pac'
  | 'socks'
  | 'invalid'

/** What is wrong with a certificate, if it is not that its authority is unknown. */
export type CertificateProblem = 'expired' | 'not_yet_valid' | 'other_host'

export interface NetworkFailure {
  readonly cause: NetworkCause
  /** The authority behind a certificate that is not trusted, by its name. */
  readonly certificateIssuer?: string
  readonly certificateProblem?: CertificateProblem
  /** The proxy that the request went through, by its host name. */
  readonly proxyHost?: string
  readonly proxyProblem?: ProxyProblem
}

/** A request has got no response. As long as it is not `isSent`, it has provably not reached the server. */
export class ConnectionError extends Error {
  constructor(
    readonly failure: NetworkFailure,
    readonly isSent: boolean,
  ) {
    super(`no response: ${failure.cause}`)
    this.name = 'ConnectionError'
  }
}

// OpenSSL's names of a failed verification, and Node's own for a certificate of another host.
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|ALTNAME/
const DNS = /^(?:ENOTFOUND|ENODATA|ESERVFAIL|EAI_[A-Z]+)$/
const TIMEOUT = /TIMEDOUT|TIMEOUT/
// A firewall cuts connections as well as it refuses them.
const REFUSED =
  /^(?:ECONNREFUSED|ECONNRESET|EPIPE|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM)$/

/** The cause that a system error, or an error that wraps one, stands for. An unknown error breaks the protocol. */
export function causeOf(error: unknown): NetworkCause {
  const codes = codesOf(error)
  const has = (pattern: RegExp) => codes.some((code) => pattern.test(code))
  if (has(CERTIFICATE)) return 'certificate'
  if (has(DNS)) return 'dns'
  // Of several addresses, one that refused says more than one that did not answer, and that more than one without a route.
  if (has(/^ECONNREFUSED$/)) return 'refused'
  if (has(TIMEOUT)) return 'timeout'
  return has(REFUSED) ? 'refused' : 'protocol'
}

const CERTIFICATE_PROBLEMS: Readonly<Record<string, CertificateProblem>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not_yet_valid',
  HOSTNAME_MISMATCH: 'other_host',
  ERR_TLS_CERT_ALTNAME_INVALID: 'other_host',
}

/** Undefined for an unknown authority, and for every other fault of a certificate. */
export function certificateProblemOf(error: unknown): CertificateProblem | undefined {
  return codesOf(error)
    .map((code) => CERTIFICATE_PROBLEMS[code])
    .find((problem) => problem !== undefined)
}

function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return []
  const own = 'code' in error && typeof error.code === 'string' ? [error.code] : []
  const inner = error instanceof AggregateError ? error.errors : [error.cause]
  return [...own, ...inner.flatMap(codesOf)]
}
