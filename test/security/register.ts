// The register of attacks and standards: a row each. A test names the rows that it covers in brackets at the start of its title.

export interface Row {
  /** What is tried, or what the standard asks for. */
  readonly means: string
  /** The heading of SECURITY.md that says what no test on this system can show. */
  readonly said?: string
}

export type Register = Readonly<Record<string, Row>>

const row = (means: string, said?: string): Row => (said === undefined ? { means } : { means, said })

/** A: a web page. B: another user or program. C: the callback. D: secrets. E: the keychain. F: browsers. G: the hand-off. H: the broker. */
export const attacks: Register = {
  A1: row('a web page opens a WebSocket'),
  A2: row('a request without an Origin is taken for a trusted program'),
  A3: row('DNS rebinding'),
  A4: row('a page reaches loopback through 0.0.0.0'),
  A5: row('an HTTP endpoint has side effects'),
  A6: row('a page sends its window to a loopback address'),
  A7: row('another page on loopback opens a WebSocket'),
  A8: row('a request is parsed in two ways'),

  B1: row('a program squats on a stale port'),
  B2: row('a program relays the handshake'),
  B3: row('a program replays a handshake'),
  B4: row('a program squats on the other loopback addresses'),
  B5: row('a program steals a bound port (Windows)', 'Windows and macOS'),
  B6: row('another user reads the files'),
  B7: row('links, pipes and devices are planted'),
  B8: row('a program takes all connections'),
  B9: row('another user talks to the port'),
  B10: row('a debugger is attached'),
  B11: row('a program of the same user reads the memory', 'Out of scope'),

  C1: row('login CSRF'),
  C2: row('an authorization code is stolen'),
  C3: row('one forged callback ends the sign-in'),
  C4: row('reflected XSS'),
  C5: row('an open redirect'),
  C6: row('the code stays in the history'),
  C7: row('a prefetch uses up the callback'),
  C8: row('the browser does not reach the callback'),
  C9: row('hostile metadata starts a program'),
  C10: row('the state is read from the arguments of the launcher', 'What is known to remain'),
  C11: row('a mix-up of providers'),

  D1: row('secrets in logs'),
  D2: row('secrets in arguments'),
  D3: row('secrets in environments'),
  D4: row('secrets in core dumps'),
  D5: row('secrets in temporary files'),
  D6: row('secrets in heap snapshots and reports'),
  D7: row('errors quote the provider'),
  D8: row('a changed session file, or the file of another user'),
  D9: row('an older session file is put back'),

  E1: row('a storm of keychain prompts'),
  E2: row('another program reads the keychain entry', 'Out of scope'),
  E3: row('a locked keychain, or a deleted entry'),
  E4: row('a key that no longer opens the session'),

  F1: row('a browser blocks the redirect to loopback'),

  G1: row('a setting sends the session to another broker'),
  G2: row('a page in the background signs the user in as another person'),
  G3: row('the callback claims a name or an address that no provider has confirmed'),
  G4: row('another user holds all connections of the callback'),
  G5: row('a token stays in the history of the browser'),
  G6: row('a refresh token is stolen'),
  G7: row('a name changes how a terminal shows the rest'),
  G8: row('a broker names times without bounds'),
  G9: row('an uninstallation removes the files of another program'),

  H1: row('a token that was issued for something else opens the broker'),
  H2: row('a refresh token of the broker is used without its key'),
  H3: row('a proof, a code or a session token is used twice'),
  H4: row('an account opens or locks the session of another'),
  H5: row('a stranger uses up Clerk’s limit, or its keys'),
  H6: row('a code is used without its verifier'),
  H7: row('another web page asks for a code'),
  H8: row('a mistake of the operator ends sessions'),
  H9: row('a clock of the operator ends sessions'),

  I1: row('an update is not signed by the key of this program'),
  I2: row('a signed update is not for this program, this version or this system'),
  I3: row('an expired update is shown, or the clock is wrong'),
  I4: row('an old update is repeated, or the program is downgraded'),
  I5: row('a download is truncated, changed or does not run'),
  I6: row('an update fails or is killed half-way'),
  I7: row('the key for updates is replaced'),
  I8: row('a download leaves https, or has no end'),
}

/** The ID token modules of the OpenID Foundation's conformance suite for a relying party. */
const idTokens = [
  ...['invalid-iss', 'missing-iss', 'invalid-aud', 'missing-aud', 'invalid-secondary-aud'],
  ...['invalid-sig-rs256', 'invalid-sig-hs256', 'invalid-sig-es256', 'idtoken-sig-none', 'invalid-null-alg'],
  ...['invalid-alternate-alg', 'invalid-nonce', 'missing-nonce', 'invalid-expired-exp', 'missing-exp', 'missing-iat'],
  ...['missing-sub', 'nbf-in-the-future', 'kid-unknown', 'kid-absent-single-jwks', 'missing-athash', 'valid'],
]

/** The testable MUSTs of the standards. */
export const standards: Register = {
  '8252-1': row('a public native client uses PKCE'),
  '8252-2': row('no embedded user-agent'),
  '8252-3': row('a loopback redirect: http, IP literal, any port, the same in both requests'),
  '8252-4': row('no IP version is taken for granted'),
  '8252-5': row('the callback port is open during a sign-in only, and on loopback only'),
  '8252-6': row('no client secret'),
  '8252-7': row('a response without an awaited state is refused'),
  '8252-8': row('each sign-in has its own redirect, and refuses the response to another'),
  '8252-9': row('the redirect is compared exactly, except for its port'),

  '7636-1': row('a verifier of 43 characters and 256 bits'),
  '7636-2': row('S256, never plain'),
  '7636-3': row('a verifier is fresh for each request and never logged'),

  '9700-1': row('no open redirector'),
  '9700-2': row('no CSRF'),
  '9700-3': row('no mix-up of providers'),
  '9700-4': row('PKCE is bound to the transaction'),
  '9700-5': row('no implicit grant and no password grant'),
  '9700-6': row('a rotated refresh token replaces the old one, which is never sent again'),
  '9700-7': row('the last page loads nothing from outside'),
  '9700-8': row('no token in a URI'),
  '9700-9': row('a nonce finds the code of another flow'),
  '9700-10': row('metadata and TLS from end to end'),
  FAPI2: row('a lost response to a rotation: a provider that forgives a reuse, and one that does not'),

  '8414-1': row('the issuer of the metadata is identical to the configured one'),
  '8414-2': row('metadata without code_challenge_methods_supported means no PKCE'),
  '8414-3': row('TLS with a checked certificate'),
  ...Object.fromEntries(idTokens.map((name) => [`OIDC-${name}`, row(`the ID token module ${name}`)])),
  'OIDC-iat-is-week-in-past': row('an old ID token whose exp is still to come is the provider’s choice'),
  'OIDC-scope-userinfo-claims': row('the claims of userinfo'),
  'OIDC-token-endpoint-response-without-expires_in': row('a token response without expires_in'),
  'OIDC-no-scope-in-token-endpoint-response': row('a token response without scope'),
  'OIDC-authorization-response-state': row('an authorization response with a wrong or no state'),
  'OIDC-authorization-response-iss': row('an authorization response with a wrong or no iss'),

  '9207-1': row('no code is sent after a response of another iss'),
  '9207-2': row('a missing iss is refused if the metadata promises it'),
  '9207-3': row('an error of another issuer is not believed'),
  '9207-4': row('parameters do not repeat'),

  '9449-1': row('DPoP is not used: a provider that advertises it receives the same requests'),
  '9449-2': row('a demand for a DPoP nonce causes no loop and no sign-out'),
  '9449-3': row('a token of another type than Bearer is not handed out'),
  '9449-4': row('the params that a bound token would need are reserved'),

  '7009-1': row('a revocation is a form with token, hint and client'),
  '7009-2': row('200 means revoked, 503 means not confirmed; the session is deleted either way'),
  '7009-3': row('a JWT is valid until it expires, and the result of a logout says until when'),
  '6749-1': row('a new refresh token replaces the old one'),
  '6749-2': row('unknown fields are ignored'),
  '6749-3': row('only invalid_grant ends a session'),
  '6750-1': row('a header is Bearer, a space and a b64token'),
  '6750-2': row('no token in a URL or a cookie'),

  '6455-1': row('an unmasked frame: 1002'),
  '6455-2': row('a control frame of more than 125 bytes, or fragmented: 1002'),
  '6455-3': row('invalid UTF-8: 1007'),
  '6455-4': row('a frame of 2^62 bytes: 1009 at once'),
  '6455-5': row('only WebSocket version 13'),
  '6455-6': row('reserved bits, opcodes, continuations and close codes'),
  'OWASP-origin': row('no Origin is allowed'),
  'OWASP-authentication': row('in the handshake'),
  'OWASP-message-size': row('64 KiB'),
  'OWASP-compression': row('off'),
  'OWASP-authorization': row('a client that passes the handshake may call every method, and no other client may'),
  'OWASP-end-of-session': row('every connection is told'),
  'OWASP-limits': row('connections and calls'),
  'OWASP-heartbeat': row('a client that answers no ping is dropped'),
  'OWASP-backpressure': row('a slow reader is cut off'),
  'OWASP-logs': row('without tokens'),
  'OWASP-query-strings': row('without tokens'),
  'OWASP-parsing': row('only JSON.parse'),

  J1: row('positional parameters'),
  J2: row('positional parameters, in the other order'),
  J3: row('named parameters'),
  J4: row('named parameters, in the other order'),
  J5: row('notifications'),
  J6: row('an unknown method'),
  J7: row('invalid JSON'),
  J8: row('an invalid request'),
  J9: row('a batch of invalid JSON'),
  J10: row('an empty batch'),
  J11: row('an invalid batch'),
  J12: row('a batch of three invalid requests'),
  J13: row('a mixed batch'),
  J14: row('a batch of notifications'),
  J15: row('ids, params, versions, __proto__'),
}

export const register: Register = { ...attacks, ...standards }

/** The part of Vitest's JSON report that the register is checked against. */
export interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly title: string; readonly status: string }[]
  }[]
}

/** The rows that a title names: `[A1 A7] refuses …` names A1 and A7. */
export function rowsOf(title: string): string[] {
  const [, ids] = /^\[([A-Z0-9][\w-]+(?: [A-Z0-9][\w-]+)*)\] /.exec(title) ?? []
  return ids === undefined ? [] : ids.split(' ')
}

/** What is wrong with a run: rows that no test has passed for, titles that name no row, headings that are missing. */
export function checkReport(rows: Register, reports: readonly Report[], headings: readonly string[]): string[] {
  const tests = reports.flatMap(({ testResults }) => testResults.flatMap((one) => one.assertionResults))
  const named = tests.flatMap((test) => rowsOf(test.title).map((id) => ({ ...test, id })))
  const problems = named.filter(({ id }) => !Object.hasOwn(rows, id)).map(({ id, title }) => `no row ${id}: ${title}`)
  for (const [id, { means, said }] of Object.entries(rows)) {
    const own = named.filter((one) => one.id === id)
    if (said !== undefined && !headings.includes(said)) problems.push(`${id}: SECURITY.md has no heading «${said}»`)
    if (own.some(({ status }) => status === 'passed') || (own.length === 0 && said !== undefined)) continue
    const found =
      own.length === 0 ? 'has no test' : `has no passed test (${own.map(({ status }) => status).join(', ')})`
    problems.push(`${id} ${found}: ${means}`)
  }
  return [...new Set(problems)]
}
