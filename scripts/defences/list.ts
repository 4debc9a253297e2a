// The defences that need a process, a file system or a number to be tested: how to remove each, and the test that must then fail.
// Stryker covers the pure code (stryker.config.mjs).
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of sources

export interface Defence {
  readonly name: string
  readonly file: string
  /** Texts that the file has exactly once, and what replaces each without the defence. */
  readonly without: readonly (readonly [text: string, replacement: string])[]
  /** The test file, and a part of the test's title. */
  readonly test: readonly [file: string, title: string]
}

const one = (
  name: string,
  file: string,
  without: readonly [text: string, replacement: string],
  test: Defence['test'],
): Defence => ({ name, file, without: [without], test })

const UPGRADE = 'src/rpc/upgrade.ts'
const LIMITS = 'src/rpc/limits.ts'
const CONNECTION = 'src/rpc/connection.ts'
const FILES = 'src/host/files.ts'
const NETWORK = 'src/host/network.ts'
const CALLBACK = 'src/callback/callback-listener.ts'
const BROWSER = 'src/host/browser.ts'
const PROCESS = 'src/daemon/process-hardening.ts'
const CONNECTIONS = 'src/callback/connections.ts'
const BROKER_SERVER = 'src/broker/server.ts'
const PYTHON_DISCOVERY = 'embed/python/cadzero_auth/discovery.py'
const PYTHON_WEBSOCKET = 'embed/python/cadzero_auth/websocket.py'

const WEB = 'test/security/web-page.test.ts'
const OTHERS = 'test/security/other-users.test.ts'
const REDIRECT = 'test/security/redirect.test.ts'
const SECRETS = 'test/security/secrets.test.ts'
const FILES_TEST = 'test/host/files.test.ts'
const BROWSER_TEST = 'test/host/browser.test.ts'
const CONNECTION_TEST = 'test/rpc/connection.test.ts'
const DISPATCHER_TEST = 'test/rpc/dispatcher.test.ts'
const SOCKETS_TEST = 'test/rpc/unauthenticated-sockets.test.ts'
const BROKER_TEST = 'test/security/broker.test.ts'
const BROKER_CLOCK_TEST = 'test/security/broker-clock.test.ts'
const BROKER_SERVER_TEST = 'test/broker/server.test.ts'
const PYTHON_TEST = ['test/embed/python.test.ts', 'passes its unit tests, the hostile daemons included'] as const

const rpc: readonly Defence[] = [
  one(
    'listening on 127.0.0.1 only',
    UPGRADE,
    ["host: '127.0.0.1', port, backlog", "host: '0.0.0.0', port, backlog"],
    [WEB, '[A4]'],
  ),
  one(
    'headers of 8 KiB',
    UPGRADE,
    ['const HEADER_BYTES = 8 * 1024', 'const HEADER_BYTES = 64 * 1024'],
    ['test/rpc/upgrade.test.ts', 'a header of 20 KB'],
  ),
  one(
    'no header is dropped unseen',
    UPGRADE,
    ['this.#http.maxHeadersCount = 0', 'this.#http.maxHeadersCount = 2000'],
    [WEB, '[A8]'],
  ),
  one(
    'a key ends with the next but one',
    UPGRADE,
    ['this.#guards.slice(0, 1)', 'this.#guards'],
    ['test/daemon/discovery-publisher.test.ts', 'accepts the previous key until the next renewal'],
  ),
  one(
    'one response to every plain request',
    UPGRADE,
    [
      "this.#http.on(event, (request: IncomingMessage) => this.#refuse(request.socket, 'request_line'))",
      "this.#http.on(event, (_: IncomingMessage, response: { end(text: string): void }) => response.end('hello'))",
    ],
    [WEB, '[A5]'],
  ),
  one(
    'two seconds for unauthenticated sockets',
    LIMITS,
    ['unauthenticatedSeconds: 2', 'unauthenticatedSeconds: 60'],
    [SOCKETS_TEST, 'closes a socket after two seconds'],
  ),
  one(
    '256 unauthenticated sockets',
    LIMITS,
    ['unauthenticatedSockets: 256', 'unauthenticatedSockets: 100_000'],
    [SOCKETS_TEST, '[B8]'],
  ),
  one(
    '256 connections',
    LIMITS,
    ['connections: 256', 'connections: 100_000'],
    ['test/rpc/server.test.ts', 'closes the 257th connection'],
  ),
  one(
    'frames of 64 KiB',
    LIMITS,
    ['frameBytes: 64 * 1024', 'frameBytes: 64 * 1024 * 1024'],
    [CONNECTION_TEST, '[OWASP-message-size]'],
  ),
  one('64 fragments', LIMITS, ['fragments: 64', 'fragments: 1_000_000'], [CONNECTION_TEST, 'more than 64 fragments']),
  one('batches of 32', LIMITS, ['batchCalls: 32', 'batchCalls: 3200'], [DISPATCHER_TEST, 'rejects a batch of 33']),
  one('JSON 64 deep', LIMITS, ['jsonDepth: 64', 'jsonDepth: 100_000'], [DISPATCHER_TEST, 'nested 64 deep']),
  one(
    '4,096 running calls',
    LIMITS,
    ['runningCalls: 4096', 'runningCalls: 1_000_000'],
    [CONNECTION_TEST, 'runs 4,096 calls at once'],
  ),
  one(
    'a megabyte for a client that does not read',
    LIMITS,
    ['bufferedBytes: 1024 * 1024', 'bufferedBytes: 1024 * 1024 * 1024'],
    [CONNECTION_TEST, '[OWASP-backpressure]'],
  ),
  one(
    'two pings for a silent client',
    CONNECTION,
    ['const UNANSWERED_PINGS = 2', 'const UNANSWERED_PINGS = 2_000_000'],
    [CONNECTION_TEST, '[OWASP-heartbeat]'],
  ),
  one(
    'text frames only',
    CONNECTION,
    ['if (isBinary) {', 'if (isBinary && data === undefined) {'],
    [CONNECTION_TEST, 'closes with 1003 on a binary frame'],
  ),
  one(
    'errors are mapped, never quoted',
    'src/rpc/dispatcher.ts',
    [
      "createJSONRPCErrorResponse(id, INTERNAL_ERROR, 'internal error')",
      'createJSONRPCErrorResponse(id, INTERNAL_ERROR, String(error))',
    ],
    [DISPATCHER_TEST, '[D7]'],
  ),
  one(
    'params are strict',
    'src/rpc/contract.ts',
    [
      'params: v.strictObject({\n      profile,\n      minValiditySeconds',
      'params: v.object({\n      profile,\n      minValiditySeconds',
    ],
    ['test/security/standards/rfc9449.test.ts', '[9449-4]'],
  ),
  one(
    'the client checks the proof of the daemon',
    'src/rpc/client.ts',
    ['if (genuine) return resolve()', 'return resolve()'],
    [OTHERS, '[B1 B5]'],
  ),
]

const files: readonly Defence[] = [
  one(
    'no symbolic link is followed',
    FILES,
    ['const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0', 'const O_NOFOLLOW = 0'],
    [OTHERS, '[B7]'],
  ),
  one(
    'no file with a second name',
    FILES,
    [
      "    if (found.nlink > 1) throw new FileError('not_regular', path)\n    if (!isWindows && found.uid",
      '    if (!isWindows && found.uid',
    ],
    [FILES_TEST, 'refuses a link, a hard link and a folder'],
  ),
  one(
    'only regular files',
    FILES,
    ["  if (!found.isFile()) throw new FileError('not_regular', path)\n  if (found.size", '  if (found.size'],
    [FILES_TEST, 'refuses a folder, a device and a FIFO'],
  ),
  one(
    'private files that only the user may read',
    FILES,
    [
      "if (isPrivate && !isWindows && (found.mode & 0o077) !== 0) throw new FileError('too_open', path)",
      'void isPrivate',
    ],
    [FILES_TEST, 'refuses a file that others may access'],
  ),
  one(
    'files of a plausible size',
    FILES,
    ["if (found.size > maxBytes) throw new FileError('too_large', path)", 'void maxBytes'],
    [FILES_TEST, 'refuses a file that is too large'],
  ),
  one(
    'no folder of another user',
    FILES,
    ["    if (found.uid !== ownUid) throw new FileError('foreign_owner', path)\n    //", '    //'],
    [OTHERS, 'refused if they belong to another user'],
  ),
  one(
    'open folders are made private',
    FILES,
    ['if ((found.mode & 0o777) !== 0o700) await files.chmod(path, 0o700)', ''],
    [FILES_TEST, 'removes the permissions of others'],
  ),
  {
    name: 'files that are private from the start',
    file: FILES,
    without: [
      ['O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)', 'O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)'],
      ['await handle.chmod(0o600)', 'await handle.chmod(0o644)'],
    ],
    test: [OTHERS, 'are private at every instant, under the umask 000'],
  },
  one(
    'interrupted writes are removed',
    FILES,
    ['if (TEMPORARY.test(name)) await removeFile(', 'if (TEMPORARY.test(`x${name}`)) await removeFile('],
    [SECRETS, '[D5]'],
  ),
  one(
    'a file that does not open is set aside',
    'src/store/store.ts',
    [
      '      if (error instanceof StoreError) throw error\n      await this.setAside()\n',
      '      if (error instanceof StoreError) throw error\n',
    ],
    ['test/store/store.test.ts', '[E4]'],
  ),
  one(
    'the single executable compares its addon before each load',
    'src/bootstrap/addon.ts',
    ['size === content.length && readFileSync(file).equals(content)', 'size === content.length'],
    ['test/bootstrap/addon.test.ts', 'has other content of the same size'],
  ),
]

const signIn: readonly Defence[] = [
  one(
    'programs of another user do not reach the callback',
    CALLBACK,
    ["if (owner === 'other') return this.#refuse(response, 'other_user', pages.otherUser)", ''],
    [OTHERS, '[B9 C10]'],
  ),
  one(
    'a program that closes its socket early is not taken for one outside of this system',
    'src/host/socket-owner.ts',
    ["return isOpenHere ? 'outside' : 'closed'", "return 'outside'"],
    ['test/host/socket-owner.test.ts', 'counts as closed'],
  ),
  one(
    'a callback from outside of this system needs the state',
    CALLBACK,
    ["if (isBare && owner === 'outside')", "if (isBare && owner === 'closed')"],
    ['test/callback/callback-listener.test.ts', 'returns no state'],
  ),
  one(
    'the callback port closes with the sign-in',
    'src/session/browser-sign-in.ts',
    ['    void this.#listener?.close()\n', ''],
    ['test/security/standards/rfc8252.test.ts', '[8252-5]'],
  ),
  one(
    'a callback is handled once',
    'src/callback/callback-listener.ts',
    ['if (inProgress !== undefined) return inProgress', ''],
    [REDIRECT, '[C7]'],
  ),
  one(
    'another user’s connections give way to the browser of the user',
    CONNECTIONS,
    ['else if (isReady) this.#evict(oldest)', 'else if (isReady) this.#evict(latest)'],
    ['test/callback/connections.test.ts', 'keep no browser out'],
  ),
  one(
    'a page in the background completes no sign-in',
    CALLBACK,
    ['if (!isVisit(request.headers)) return', "if (!isVisit(request.headers) && owner === 'outside') return"],
    ['test/security/hand-off.test.ts', '[G2]'],
  ),
  one(
    'a session is given to no other broker',
    'src/store/envelope.ts',
    [
      "if (typeof broker === 'string' && broker !== binding.broker)",
      "if (typeof broker === 'string' && broker === '')",
    ],
    ['test/security/hand-off.test.ts', '[G1]'],
  ),
  one(
    'what the callback claims of the user is not shown',
    'src/clerk/handoff.ts',
    [
      'const user = { id: userId, email: null, name: null }',
      "const user = { id: userId, email: params.get('user_email'), name: params.get('user_name') }",
    ],
    ['test/clerk/handoff.test.ts', 'takes name and e-mail address from the token alone'],
  ),
  one(
    'a token with a line break is not handed out',
    'src/clerk/session-token.ts',
    [
      'if (token.length > LONGEST_TOKEN || !COMPACT_JWS.test(token))',
      'if (token.length > LONGEST_TOKEN && !COMPACT_JWS.test(token))',
    ],
    ['test/clerk/handoff.test.ts', 'in its signature is refused'],
  ),
  one(
    'a proof is made again with the nonce that the broker wants',
    'src/clerk/broker-client.ts',
    ['if (isNonceWanted) response =', "if (isNonceWanted && this.#nonce === '') response ="],
    ['test/clerk/broker-client.test.ts', 'is made once more with the nonce'],
  ),
  one(
    'an uninstallation leaves a session file that is none',
    'src/daemon/ownership.ts',
    ["if (header === undefined) return 'not_ours'", 'if (header === undefined) return undefined'],
    ['test/daemon/uninstall.test.ts', '[G9]'],
  ),
  one(
    'callback pages load nothing',
    'src/callback/page.ts',
    ["'Content-Security-Policy': contentSecurityPolicy,", ''],
    ['test/callback/pages.test.ts', 'every security header'],
  ),
  one(
    'the signature of the ID token',
    'src/clerk/authorization-server.ts',
    [
      'client.enableNonRepudiationChecks(configured.configuration) // verifies',
      'void configured.configuration // verifies',
    ],
    ['test/security/standards/openid-connect.test.ts', '[OIDC-invalid-sig-rs256]'],
  ),
  one(
    'a session that is replaced by a sign-in is retired',
    'src/session/sign-in-commit.ts',
    ["if (before.kind === 'signed_in') void provider.retire(before.session)", 'void provider'],
    ['test/session/sign-in.test.ts', 'replaces the old session, and revokes it'],
  ),
]

const host: readonly Defence[] = [
  one(
    'certificates are always verified',
    'src/host/connection.ts',
    ['rejectUnauthorized: true,', 'rejectUnauthorized: false,'],
    ['test/host/connection.test.ts', 'with an unknown authority fails'],
  ),
  one(
    'the answer of a proxy is not the provider’s',
    'src/host/connection.ts',
    ['if (statusCode >= 200 && statusCode < 300) {', 'if (statusCode > 0) {'],
    ['test/host/connection.test.ts', 'its answer is not taken'],
  ),
  one(
    'a request that may have arrived is not sent again',
    'src/host/system-network.ts',
    ['|| error.isSent ||', '||'],
    ['test/host/system-network.test.ts', 'sends nothing a second time'],
  ),
  one(
    'loopback is never proxied',
    'src/host/proxy.ts',
    ['isOwnHost(hostOf(url)) ||', ''],
    ['test/host/proxy.test.ts', 'which is this computer'],
  ),
  one(
    'a file of authorities that only its owner can write',
    'src/host/ca-file.ts',
    ['(found.mode & 0o022) !== 0', '(found.mode & 0o000) !== 0'],
    ['test/host/certificates.test.ts', 'if others can write it'],
  ),
  one(
    'no password in config.json',
    'src/config/schema.ts',
    ['[^/?#@]+', '[^/?#]+'],
    ['test/config/schema.test.ts', 'names the setting that is wrong'],
  ),
  one(
    'no NODE_OPTIONS for a daemon in the background',
    'src/cli/daemon-connection.ts',
    ['NODE_(?!EXTRA_CA_CERTS$).*|', ''],
    ['test/cli/daemon-connection.test.ts', 'nothing that changes what it runs'],
  ),
  one(
    'redirects are not followed',
    NETWORK,
    ["redirect: 'manual'", "redirect: 'follow'"],
    ['test/host/network.test.ts', 'a redirect is not followed'],
  ),
  one(
    'responses of a megabyte',
    NETWORK,
    ["if (size > maxBytes) throw new NetworkError('too_large')", 'void maxBytes'],
    ['test/clerk/authorization-server.test.ts', 'two megabytes'],
  ),
  one(
    'only web URLs are opened',
    BROWSER,
    ['if (!isOpenable(url)) throw new BrowserError()', ''],
    [BROWSER_TEST, 'starts no program for'],
  ),
  one(
    'the browser gets none of the settings of the daemon',
    BROWSER,
    ['const child = browserEnvironment(env, environment)', 'const child = { ...env, ...environment }'],
    [BROWSER_TEST, 'none of the daemon’s settings'],
  ),
  one(
    'a client hands over no variable but those of the desktop',
    'src/rpc/contract.ts',
    ['const environment = v.strictObject(', 'const environment = v.looseObject('],
    ['test/rpc/contract.test.ts', 'has no variable'],
  ),
  one('no debugger by a signal', PROCESS, ["process.on('SIGUSR1', () => undefined)", ''], [OTHERS, '[B10 D6]']),
  one(
    'no debugger by the environment',
    PROCESS,
    [
      "if (appliesNodeOptions && UNWANTED_OPTIONS.test(env.NODE_OPTIONS ?? '')) return 'NODE_OPTIONS'",
      'void [UNWANTED_OPTIONS, appliesNodeOptions]',
    ],
    [OTHERS, '[B10 D6]'],
  ),
  one(
    'no memory in a core dump',
    PROCESS,
    ["writeFileSync('/proc/self/coredump_filter', '0x0')", 'void writeFileSync'],
    [SECRETS, '[D4]'],
  ),
  one(
    'certificates are checked, whatever the environment says',
    PROCESS,
    ['delete process.env.NODE_TLS_REJECT_UNAUTHORIZED', 'void process.env.NODE_TLS_REJECT_UNAUTHORIZED'],
    ['test/daemon/process-hardening.test.ts', '[B10] closes the process'],
  ),
  one(
    'a clean environment of the daemon in the background',
    'src/cli/daemon-connection.ts',
    ['.filter(([name]) => !NOT_INHERITED.test(name))', '.filter(([name]) => !NOT_INHERITED.test(`x${name}`))'],
    [SECRETS, '[D1 D2 D3'],
  ),
]

const broker: readonly Defence[] = [
  one(
    'five seconds for the headers of a request, ten for all of it',
    BROKER_SERVER,
    ['  headers: 5,\n  request: 10,', '  headers: 500,\n  request: 1000,'],
    [BROKER_SERVER_TEST, 'after 5 s for the headers'],
  ),
  one(
    'the timeouts of a request',
    BROKER_SERVER,
    ['requestTimeout: request * 1000,', 'requestTimeout: 0 * request,'],
    [BROKER_SERVER_TEST, 'if it does not complete its body in time'],
  ),
  one(
    'only configured instances',
    'src/broker/grants.ts',
    [
      "if (!issuers.includes(issuer)) throw new BrokerError('misconfigured', 'issuer_not_served')",
      'void [issuers, issuer]',
    ],
    [BROKER_TEST, 'another list of instances'],
  ),
  one(
    'a session token for no other audience',
    'src/broker/session-token.ts',
    [' || aud !== undefined', ''],
    [BROKER_TEST, 'a token with an audience becomes'],
  ),
  one(
    'session tokens by their category',
    'src/broker/session-token.ts',
    [
      'category !== CATEGORY_SESSION || aud !== undefined',
      '(category === CATEGORY_SESSION && aud !== undefined) || aud !== undefined',
    ],
    [BROKER_TEST, 'a token without a category becomes'],
  ),
  one(
    'only tokens of a listed page',
    'src/broker/session-token.ts',
    ['!this.#options.authorizedParties.includes(azp)', "azp === ''"],
    [BROKER_TEST, 'a token of another page becomes'],
  ),
  one(
    'only fresh session tokens',
    'src/broker/session-token.ts',
    ['if (now - iat > MAX_AGE || now > exp + CLOCK_TOLERANCE)', 'if (now > exp + CLOCK_TOLERANCE)'],
    [BROKER_TEST, 'a token that an API received two minutes ago'],
  ),
  one(
    'session tokens are used once',
    'src/broker/session-token.ts',
    ["if (!isFirst) throw refused('session_token_used')", 'void isFirst'],
    [BROKER_TEST, 'a token that was used before becomes'],
  ),
  one(
    'only the session of the token',
    'src/broker/session-token.ts',
    ["      if (sid !== sessionId) throw refused('session_mismatch')\n      return", '      return'],
    [BROKER_TEST, 'a token of the user’s other session becomes'],
  ),
  one(
    'the audience of the operator',
    'src/broker/session-token.ts',
    [' || aud !== audience', ''],
    [BROKER_TEST, 'only the token that the page requested'],
  ),
  one(
    'Clerk says whose session it is',
    'src/broker/clerk-sessions.ts',
    ["if (session.userId !== userId) throw new BrokerError('invalid_grant', 'user_mismatch')", 'void userId'],
    [BROKER_TEST, 'Clerk says whose session it is'],
  ),
  one(
    'codes are used once',
    'src/broker/authorization-code.ts',
    ["if (!isFirst) throw new BrokerError('invalid_grant', 'code_used')", 'void isFirst'],
    ['test/broker/code.test.ts', 'is used once'],
  ),
  one(
    'the verifier of a code',
    'src/broker/authorization-code.ts',
    [
      '!isEqual(challengeOf(codeVerifier), String(claims.code_challenge))',
      "!isEqual(challengeOf(codeVerifier), String(claims.code_challenge)) && codeVerifier === ''",
    ],
    [BROKER_TEST, 'but without the verifier'],
  ),
  one(
    'the redirect address of a code',
    'src/broker/authorization-code.ts',
    [
      "if (redirectUri !== claims.redirect_uri) throw new BrokerError('invalid_grant', 'redirect_uri_mismatch')",
      'void redirectUri',
    ],
    ['test/broker/code.test.ts', 'another redirect address'],
  ),
  one(
    'a page is the party of its token',
    'src/broker/grants.ts',
    [
      "if (origin !== null && origin !== opened.azp) throw new BrokerError('invalid_grant', 'origin_mismatch')",
      'void origin',
    ],
    [BROKER_TEST, 'who runs another page'],
  ),
  one(
    'tokens are bound to a key',
    'src/broker/grants.ts',
    ["if (jkt !== null && proof.jkt !== jkt) throw new BrokerError('invalid_dpop_proof', 'dpop_other_key')", ''],
    [BROKER_TEST, 'with a refresh token but not its key'],
  ),
  one(
    'proofs are used once',
    'src/broker/dpop.ts',
    [
      "if (!(await this.#options.singleUse.claim('proof', id, validSeconds))) throw refused('dpop_replayed')",
      'void [id, validSeconds]',
    ],
    [BROKER_TEST, 'who repeats a request'],
  ),
  one(
    'proofs for one address',
    'src/broker/dpop.ts',
    [
      "if (htu !== url && normalizedUrl(htu) !== normalizedUrl(url)) throw refused('dpop_htu')",
      'void [htu, url, normalizedUrl]',
    ],
    ['test/broker/dpop.test.ts', 'of another host is refused'],
  ),
  one(
    'proofs of the last minute',
    'src/broker/dpop.ts',
    ["if (Math.abs(age) > WINDOW) throw new BrokerError('use_dpop_nonce', 'dpop_clock')", ''],
    ['test/broker/dpop.test.ts', 'refreshes with the nonce of the broker'],
  ),
  one(
    'nonces of the broker’s own',
    'src/broker/dpop.ts',
    ["if (!this.#isCurrent(nonce)) throw new BrokerError('use_dpop_nonce', 'dpop_nonce')", 'void this.#isCurrent'],
    ['test/broker/dpop.test.ts', 'a nonce of its own making'],
  ),
  one(
    'the end of a chain',
    'src/broker/refresh-token.ts',
    ['Math.min(Math.max(idleEnd, earliestEnd), this.chainEndOf(grant))', 'Math.max(idleEnd, earliestEnd)'],
    ['test/broker/refresh-token.test.ts', 'expires at the end of its chain'],
  ),
  one(
    'the date of the last bearer token',
    'src/broker/grants.ts',
    ['    if (jkt === null) this.#checkUnbound()\n', '    void this.#checkUnbound\n'],
    ['test/broker/bearer-token.test.ts', 'from the operator’s date on'],
  ),
  one(
    'no refusal by time while the broker’s clock and Clerk’s disagree',
    'src/broker/clerk-time.ts',
    ['this.isRight() && isWithin(error.at', 'isWithin(error.at'],
    [BROKER_CLOCK_TEST, 'refuses no token by time until its clock is set'],
  ),
  one(
    'the time of the broker is Clerk’s',
    'src/broker/clerk-time.ts',
    ['Math.abs(offset) <= TOLERANCE ? own : own - offset', 'Math.abs(offset) <= TOLERANCE ? own : own'],
    [BROKER_CLOCK_TEST, 'refreshes, and issues tokens that end neither'],
  ),
  one(
    'no end is brought forward while the clocks disagree',
    'src/broker/grants.ts',
    [
      'issue(grant, time.isRight() ? undefined : expiresAt)',
      'issue(grant, time.isRight() ? expiresAt && undefined : undefined)',
    ],
    [BROKER_CLOCK_TEST, 'brings no end forward'],
  ),
  one(
    'a session whose known end has passed is asked about',
    'src/broker/grants.ts',
    ['const isCheckDue = mayHaveEnded ||', 'const isCheckDue = false ||'],
    [BROKER_CLOCK_TEST, 'counts as active'],
  ),
  one(
    'an unknown key of ours ends no session',
    'src/broker/sealed.ts',
    ["throw isOurs ? new BrokerError('unknown_key', 'unknown_key') : new", 'void isOurs\n    throw new'],
    [BROKER_TEST, 'a replaced key of the broker signs'],
  ),
  one(
    'a key of another instance ends no session',
    'src/broker/clerk-sessions.ts',
    [
      '  async #refuseMissing(issuer: string): Promise<never> {\n    await this.#options.instance.check(issuer)',
      '  async #refuseMissing(_issuer: string): Promise<never> {',
    ],
    [BROKER_TEST, 'the secret key of another instance signs'],
  ),
  one(
    'the limit of a user',
    'src/broker/grants.ts',
    [
      "if (waitSeconds > 0) throw new BrokerError('too_many_requests', 'too_many_requests', waitSeconds)",
      'void waitSeconds',
    ],
    ['test/broker/refresh.test.ts', 'answers 429 with Retry-After'],
  ),
  one(
    'bodies of 16 KiB',
    'src/broker/request.ts',
    ['const MAX_BODY_BYTES = 16 * 1024', 'const MAX_BODY_BYTES = 16 * 1024 * 1024'],
    ['test/broker/request.test.ts', 'without a request to Clerk'],
  ),
  one(
    'one fetch of keys in ten seconds',
    'src/broker/signing-keys.ts',
    ['const COOLDOWN = 10', 'const COOLDOWN = 0'],
    ['test/broker/signing-keys.test.ts', 'for invented key ids'],
  ),
  one(
    'no white space in a sealed token',
    'src/broker/sealed.ts',
    ['token.length > MAX_LENGTH || !COMPACT_JWE.test(token)', "token.length > MAX_LENGTH || COMPACT_JWE.source === ''"],
    ['test/broker/refresh-token.test.ts', 'with white space'],
  ),
]

const python: readonly Defence[] = [
  one(
    'Python: the proof of the daemon',
    PYTHON_WEBSOCKET,
    ["genuine = hmac.compare_digest(proof.encode(), endpoint.mac('server', nonce).encode())", 'genuine = True'],
    PYTHON_TEST,
  ),
  one(
    'Python: a damaged program is not installed',
    'embed/python/cadzero_auth/bundle.py',
    ['if digest.hexdigest() != file.sha256:', 'if not file.sha256:'],
    PYTHON_TEST,
  ),
  one(
    'Python: a header of another session is dropped',
    'embed/python/cadzero_auth/session_view.py',
    ['if before is None or _session_of(before) != _session_of(status):', 'if before is None:'],
    PYTHON_TEST,
  ),
  one(
    'Python: an older program replaces no newer one',
    'embed/python/cadzero_auth/versions.py',
    [
      'return (semver(self.version), self.commit_time) > (semver(other.version), other.commit_time)',
      'return self != other',
    ],
    PYTHON_TEST,
  ),
  one('Python: no repeated header', PYTHON_WEBSOCKET, [' or name.lower() in headers', ''], PYTHON_TEST),
  one(
    'Python: a file that only the user may read',
    PYTHON_DISCOVERY,
    ['status.st_mode & 0o077:', 'status.st_mode & 0o000:'],
    PYTHON_TEST,
  ),
  one('Python: no link is followed', PYTHON_DISCOVERY, ["| getattr(os, 'O_NOFOLLOW', 0) ", ''], PYTHON_TEST),
]

const UPDATE = 'src/update/update.ts'
const PROGRAM_FILES = 'src/update/program-files.ts'
const DECISION = 'src/update/decision.ts'
const MANIFEST = 'src/update/manifest.ts'
const DOWNLOAD = 'src/host/download.ts'
const UPDATE_TEST = 'test/update/update.test.ts'
const DECISION_TEST = 'test/update/decision.test.ts'
const MANIFEST_TEST = 'test/update/manifest.test.ts'
const DOWNLOAD_TEST = 'test/host/download.test.ts'

const update: readonly Defence[] = [
  one(
    'update.json is believed only with its signature',
    MANIFEST,
    [
      'if (!isSigned(bytes, signature, ed25519Key(publicKey))) return',
      'if (!isSigned(bytes, signature, ed25519Key(publicKey)) && bytes.length === 0) return',
    ],
    [MANIFEST_TEST, '[I1] is refused with another key'],
  ),
  one(
    'a file of a release names no other folder',
    MANIFEST,
    ['v.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/)', 'v.regex(/./)'],
    [MANIFEST_TEST, '[I2] is refused with a file name with a folder'],
  ),
  one(
    'a release expires',
    DECISION,
    ['if (now >= expiresAt)', 'if (now >= Number.POSITIVE_INFINITY)'],
    [DECISION_TEST, '[I3] is refused as expired'],
  ),
  one(
    'an old release is not repeated',
    DECISION,
    ['if (sequence < Math.max(seen, program.builtAt ?? 0))', 'if (sequence < 0)'],
    [DECISION_TEST, '[I4] is refused as replayed'],
  ),
  one(
    'no downgrade',
    DECISION,
    ['if (order < 0)', 'if (order < -1000)'],
    [DECISION_TEST, '[I4] is refused as downgrade'],
  ),
  one(
    'the newest release that was seen is remembered',
    UPDATE,
    ['if (isBelieved) await rememberSeen', 'if (!isBelieved) await rememberSeen'],
    [UPDATE_TEST, '[I4] remembers the newest release'],
  ),
  one(
    'a download is compared with its hash',
    UPDATE,
    ['if (found.size !== size || found.sha256 !== file.sha256)', 'if (found.size !== size)'],
    [UPDATE_TEST, '[I5] fails with other bytes of the same size and program'],
  ),
  one(
    'a program is compared with its hash',
    UPDATE,
    [
      'if (unpacked.size !== released.size || unpacked.sha256 !== released.sha256)',
      'if (unpacked.size !== released.size)',
    ],
    [UPDATE_TEST, '[I5] fails with a program of another hash'],
  ),
  one(
    'the new program is run before it replaces the old one',
    UPDATE,
    ['await requireRuns(updater, version, released)', 'void requireRuns'],
    [UPDATE_TEST, '[I5] fails with a program that does not run'],
  ),
  one(
    'root leaves the program of a user alone',
    UPDATE,
    ['if (found.some((one) => one.uid !== uid))', 'if (found.length === 0)'],
    [UPDATE_TEST, '[I5] refuses a program of another user'],
  ),
  one(
    'no update in a folder of a group of others',
    UPDATE,
    ['return (mode & 0o020) !== 0 && !isTrusted', 'return (mode & 0o020) !== 0 && mode === 0 && !isTrusted'],
    [UPDATE_TEST, '[I5] looks at who may write to its folder: a group of others'],
  ),
  one(
    'no file of a link’s target is removed',
    PROGRAM_FILES,
    ['(found) => found.isDirectory(),', '() => true,'],
    [UPDATE_TEST, '[I5] removes a link in its way'],
  ),
  one(
    'the previous version is kept until the new daemon is ready',
    UPDATE,
    ['await programs.keepPrevious()', 'void programs'],
    [UPDATE_TEST, '[I6] is undone if the new daemon does not get ready'],
  ),
  one(
    'an interrupted way back is finished, not turned around',
    PROGRAM_FILES,
    ['if (await exists(this.#files, this.staged(UNDO))) return false', ''],
    ['test/faults/killed-update.test.ts', '[I6] leaves complete programs'],
  ),
  one(
    'a program that was undone does not go on as the one in place',
    UPDATE,
    ['await requireInPlace(updater)', 'void requireInPlace'],
    ['test/faults/killed-update.test.ts', '[I6] leaves complete programs'],
  ),
  one(
    'a download never goes from https to http',
    DOWNLOAD,
    [
      'if (isDowngrade || !isSecureTransport(url))',
      'if ((isDowngrade && url.port === `x`) || !isSecureTransport(url))',
    ],
    [DOWNLOAD_TEST, '[I8] never goes from https to http'],
  ),
  one(
    'a download is bounded',
    DOWNLOAD,
    ['if (size > maxBytes)', 'if (size > Number.MAX_SAFE_INTEGER)'],
    [DOWNLOAD_TEST, '[I8] ends with the first piece'],
  ),
]

export const defences: readonly Defence[] = [...rpc, ...files, ...signIn, ...host, ...broker, ...update, ...python]
