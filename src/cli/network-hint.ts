// What a user can do about a request that got no response, by the cause in the error's data.

interface Details {
  readonly cause?: unknown
  readonly certificateIssuer?: unknown
  readonly certificateProblem?: unknown
  readonly proxyHost?: unknown
  readonly proxyProblem?: unknown
  /** What should have responded; the provider unless it is named. */
  readonly server?: string
}

const PROVIDER = 'the provider'

type Hint = (details: Details) => string

const HINTS: Readonly<Record<string, Hint>> = {
  dns: () => 'check the network and try again: the host name was not found',
  refused: () => 'check the network and the firewall, and try again: the connection was refused or cut',
  timeout: () => 'check the network and try again: there was no response in time',
  certificate: (details) => (CERTIFICATE_HINTS[String(details.certificateProblem)] ?? untrusted)(details),
  proxy: (details) => (PROXY_HINTS[String(details.proxyProblem)] ?? unreachableProxy)(details),
  captive_portal: () =>
    'open a web page in your browser and sign in to the network, then try again: it responds with a page of its own',
  protocol: ({ server = PROVIDER }) =>
    `open a web page in your browser, sign in to the network if it asks you to, and try again, or run cadzero-auth doctor: there was no complete response of ${server}`,
}

const untrusted: Hint = ({ certificateIssuer }) =>
  `install the authority in the system’s certificate store, or set caFile in config.json to its file, if it is your company’s; in a hotel or a train, sign in to its network in the browser first: the certificate is not trusted (issuer: ${nameOf(certificateIssuer)})`

const CERTIFICATE_HINTS: Readonly<Record<string, Hint>> = {
  expired: ({ certificateIssuer }) =>
    `set the date and the time of this computer, and try again; if they are right, ask your IT department to renew the certificate, or its authority: it has expired (issuer: ${nameOf(certificateIssuer)})`,
  not_yet_valid: ({ certificateIssuer }) =>
    `set the date and the time of this computer, and try again: the certificate is not valid yet (issuer: ${nameOf(certificateIssuer)})`,
  other_host: ({ certificateIssuer }) =>
    `open a web page in your browser and sign in to the network, then try again; in a company, ask the IT department: the certificate is for another host (issuer: ${nameOf(certificateIssuer)})`,
}

const unreachableProxy: Hint = ({ proxyHost }) =>
  `check the proxy ${nameOf(proxyHost)} and try again: it does not answer`

const PROXY_HINTS: Readonly<Record<string, Hint>> = {
  password_needed: ({ proxyHost }) =>
    `set proxy in config.json to http://USER@HOST:PORT, run cadzero-auth daemon --stop, then cadzero-auth config proxy-password; without a keyring, remove proxy from config.json, set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, then run cadzero-auth daemon --stop: the proxy ${nameOf(proxyHost)} asks for a user and a password, or refused them`,
  integrated_authentication: ({ proxyHost }) =>
    `ask for a proxy without NTLM and Kerberos, or run a local one that supports them, and set proxy in config.json to it: the proxy ${nameOf(proxyHost)} accepts nothing else`,
  refused: ({ proxyHost }) =>
    `ask your IT department to allow the hosts that cadzero-auth doctor names: the proxy ${nameOf(proxyHost)} refused the connection, or could not make one`,
  no_tunnel: ({ proxyHost, server = PROVIDER }) =>
    `open a web page in your browser and sign in to the network, or ask your IT department to allow the hosts that cadzero-auth doctor names: the proxy ${nameOf(proxyHost)} responds in place of ${server}`,
  pac: () =>
    'set proxy in config.json to http://HOST:PORT: a script (PAC) in the system’s settings chooses the proxy, which cadzero-auth does not run',
  socks: () => 'set proxy in config.json to http://HOST:PORT, or to none: a SOCKS proxy is not supported',
  invalid: () =>
    'correct HTTPS_PROXY, or the setting that cadzero-auth doctor names: it is not the URL of a proxy; write special characters of a password as in a URL, such as %40 for @',
}

/** Undefined if the cause is not known. */
export function networkHint(details: Details): string | undefined {
  const { cause, proxyHost } = details
  const hint = HINTS[String(cause)]?.(details)
  const isThroughProxy = hint !== undefined && cause !== 'proxy' && typeof proxyHost === 'string'
  return isThroughProxy ? `${hint}; the request went through the proxy ${proxyHost}` : hint
}

function nameOf(value: unknown): string {
  return typeof value === 'string' && value !== '' ? value : 'unknown'
}
