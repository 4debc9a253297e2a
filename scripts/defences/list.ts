// Every defence that can be taken out, how, and the test that must then turn red.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of sources

export interface Defence {
  readonly name: string
  readonly file: string
  /** Texts that are there once each, and what stands in their place without the defence. */
  readonly without: readonly (readonly [text: string, replacement: string])[]
  /** The test file, and a part of the test's name. */
  readonly test: readonly [file: string, name: string]
}

const one = (
  name: string,
  file: string,
  text: string,
  replacement: string,
  testFile: string,
  testName: string,
): Defence => ({ name, file, without: [[text, replacement]], test: [testFile, testName] })

const GUARD = 'src/rpc/guard.ts'
const UPGRADE = 'src/rpc/upgrade.ts'
const DISPATCHER = 'src/rpc/dispatcher.ts'
const LIMITS = 'src/rpc/limits.ts'
const CONNECTION = 'src/rpc/connection.ts'
const CLIENT = 'src/rpc/client.ts'
const FILES = 'src/host/files.ts'
const LISTENER = 'src/callback/callback-listener.ts'
const CALLBACK_REQUEST = 'src/callback/callback-request.ts'
const OAUTH = 'src/clerk/authorization-server.ts'
const METADATA = 'src/clerk/metadata.ts'
const TOKEN = 'src/clerk/session-token.ts'
const PROCESS = 'src/daemon/process-hardening.ts'
const REFRESH_TOKEN = 'src/broker/refresh-token.ts'
const BROKER_CLERK = 'src/broker/clerk-sessions.ts'
const BROKER = 'src/broker/broker.ts'
const BROKER_REQUEST = 'src/broker/request.ts'
const PYTHON_DISCOVERY = 'embed/python/cadzero_auth/discovery.py'
const PYTHON_WEBSOCKET = 'embed/python/cadzero_auth/websocket.py'
const PYTHON_TEST = 'test/embed/python.test.ts'

const WEB = 'test/security/web-page.test.ts'
const OTHERS = 'test/security/other-users.test.ts'
const REDIRECT = 'test/security/redirect.test.ts'
const SECRETS = 'test/security/secrets.test.ts'
const STANDARDS = 'test/security/standards.test.ts'
const GUARD_TEST = 'test/rpc/guard.test.ts'
const SOCKETS_TEST = 'test/rpc/unauthenticated-sockets.test.ts'
const DISPATCHER_TEST = 'test/rpc/dispatcher.test.ts'
const CONNECTION_TEST = 'test/rpc/connection.test.ts'
const STORE = 'test/store/store.test.ts'
const PROVIDER = 'test/clerk/authorization-server.test.ts'
const HANDOFF = 'test/clerk/handoff.test.ts'
const SESSION_TOKEN = 'test/clerk/session-token.test.ts'
const BROKER_REFRESH_TEST = 'test/broker/refresh.test.ts'
const BROKER_REQUEST_TEST = 'test/broker/request.test.ts'

export const defences: readonly Defence[] = [
  one(
    'no header of a browser or a proxy',
    GUARD,
    "if (FORBIDDEN.test(name)) return 'browser_header'",
    'void name',
    WEB,
    'opens no socket',
  ),
  one(
    'the exact Host',
    GUARD,
    "if (headers.get('host')?.[0] !== endpoint.endpoint) return 'host'",
    '',
    WEB,
    'DNS rebinding',
  ),
  one(
    'no header twice',
    GUARD,
    "if ((headers.get(name)?.length ?? 0) > 1) return 'repeated_header'",
    'void name',
    WEB,
    'fifty kinds',
  ),
  one(
    'one method, path and version',
    GUARD,
    "if (request.method !== 'GET' || request.url !== endpoint.path || request.httpVersion !== '1.1') return 'request_line'",
    '',
    WEB,
    'fifty kinds',
  ),
  one(
    '127.0.0.1 at both ends',
    GUARD,
    "if (request.socket.remoteAddress !== '127.0.0.1' || request.socket.localAddress !== '127.0.0.1') return 'address'",
    '',
    GUARD_TEST,
    'another loopback address',
  ),
  one(
    'WebSocket version 13',
    GUARD,
    "if (headers.get('sec-websocket-version')?.[0] !== '13') return 'websocket'",
    '',
    WEB,
    'fifty kinds',
  ),
  one(
    'the subprotocol',
    GUARD,
    "if (headers.get('sec-websocket-protocol')?.[0] !== SUBPROTOCOL) return 'websocket'",
    '',
    WEB,
    'fifty kinds',
  ),
  one('the client’s MAC', GUARD, '!sameMac(expected, credentials.mac) ||', '', WEB, 'fifty kinds'),
  one('each nonce once', GUARD, 'seen.has(credentials.nonce) || ', '', WEB, 'and only once'),
  one(
    'the form of the credentials',
    'src/rpc/handshake.ts',
    '/^CadzeroAuth instance="([A-Za-z0-9_-]{22})", nonce="([A-Za-z0-9_-]{22})", mac="([A-Za-z0-9_-]{43})"$/',
    '/CadzeroAuth instance="([A-Za-z0-9_-]{22})", nonce="([A-Za-z0-9_-]{22})", mac="([A-Za-z0-9_-]{43})"/i',
    WEB,
    'fifty kinds',
  ),
  one(
    'the endpoint in the MAC',
    'src/rpc/handshake.ts',
    '${role}\\n${endpoint.endpoint}\\n',
    '${role}\\n',
    OTHERS,
    'passing the client’s request on',
  ),
  one('the role in the MAC', 'src/rpc/handshake.ts', '.update(`${role}\\n', '.update(`', OTHERS, 'fools no client'),
  one(
    'the daemon’s proof, checked by the client',
    CLIENT,
    'if (genuine) return resolve()',
    'return resolve()',
    OTHERS,
    'fools no client',
  ),
  one(
    'listening on 127.0.0.1 alone',
    UPGRADE,
    "host: '127.0.0.1', port, backlog",
    "host: '0.0.0.0', port, backlog",
    WEB,
    'it listens on 127.0.0.1 alone',
  ),
  one('headers of 8 KiB', UPGRADE, 'HEADER_BYTES = 8 * 1024', 'HEADER_BYTES = 64 * 1024', WEB, 'syntax of HTTP'),
  one(
    'no header out of sight',
    UPGRADE,
    'this.#http.maxHeadersCount = 0',
    'this.#http.maxHeadersCount = 2000',
    WEB,
    'syntax of HTTP',
  ),
  one(
    'a key that ends with its nonces',
    UPGRADE,
    'this.#guards.slice(0, 1)',
    'this.#guards',
    'test/daemon/discovery-publisher.test.ts',
    'renews the key after many handshakes',
  ),
  one(
    'two seconds for strangers',
    LIMITS,
    'unauthenticatedSeconds: 2',
    'unauthenticatedSeconds: 60',
    SOCKETS_TEST,
    'after two seconds without a complete request',
  ),
  one(
    'so many strangers, the oldest goes first',
    LIMITS,
    'unauthenticatedSockets: 256',
    'unauthenticatedSockets: 100_000',
    SOCKETS_TEST,
    'destroys the oldest to accept one more',
  ),
  one(
    '256 connections',
    LIMITS,
    ' connections: 256',
    ' connections: 100_000',
    'test/rpc/server.test.ts',
    '257th connection',
  ),
  one(
    'one answer for every plain request',
    UPGRADE,
    "this.#http.on(event, (request: IncomingMessage) => this.#refuse(request.socket, 'request_line'))",
    'this.#http.on(event, (_request: IncomingMessage, response: { end(text: string): void }) => response.end("hello"))',
    WEB,
    'finds no other address',
  ),
  one(
    'errors are mapped, never quoted',
    DISPATCHER,
    'this.#server.mapErrorToJSONRPCErrorResponse = toErrorResponse',
    '',
    DISPATCHER_TEST,
    'a bare internal error',
  ),
  one(
    'frames of 64 KiB',
    LIMITS,
    'frameBytes: 64 * 1024',
    'frameBytes: 64 * 1024 * 1024',
    CONNECTION_TEST,
    'closes with 1009 on one more byte',
  ),
  one(
    '4,096 running calls',
    LIMITS,
    'runningCalls: 4096',
    'runningCalls: 400_000',
    CONNECTION_TEST,
    '4,096 calls at once',
  ),
  one('64 fragments', LIMITS, 'fragments: 64', 'fragments: 1_000_000', CONNECTION_TEST, 'more than 64 fragments'),
  one('batches of 32', LIMITS, 'batchCalls: 32', 'batchCalls: 3200', DISPATCHER_TEST, 'a batch of 32 calls'),
  one('JSON 64 deep', LIMITS, 'jsonDepth: 64', 'jsonDepth: 100_000', DISPATCHER_TEST, 'nested 64 deep'),
  one('text frames alone', CONNECTION, 'if (isBinary) {', 'if (false) {', CONNECTION_TEST, 'binary frame'),
  one(
    'a megabyte for who does not read',
    LIMITS,
    'bufferedBytes: 1024 * 1024',
    'bufferedBytes: 1024 * 1024 * 1024',
    CONNECTION_TEST,
    'disconnected before much is buffered',
  ),
  one(
    'who answers no ping is dropped',
    CONNECTION,
    'const UNANSWERED_PINGS = 2',
    'const UNANSWERED_PINGS = 2_000_000',
    CONNECTION_TEST,
    'silent for two pings',
  ),
  one(
    'params are checked',
    'src/rpc/contract.ts',
    'params: v.strictObject({\n      profile,\n      minValiditySeconds',
    'params: v.object({\n      profile,\n      minValiditySeconds',
    STANDARDS,
    '9449-4',
  ),

  one(
    'no symbolic link is followed',
    FILES,
    'const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0',
    'const O_NOFOLLOW = 0',
    OTHERS,
    'never another’s',
  ),
  one(
    'plain files with one name',
    FILES,
    "if (!found.isFile() || found.nlink > 1) throw new FileError('not_regular', path)\n    if (!isWindows",
    'if (!isWindows',
    STORE,
    'refuses a file that is',
  ),
  one(
    'files that nobody else may read',
    FILES,
    "if (isPrivate && !isWindows && (found.mode & 0o077) !== 0) throw new FileError('too_open', path)",
    '',
    OTHERS,
    'never another’s',
  ),
  one(
    'files of a size that makes sense',
    FILES,
    "if (found.size > maxBytes) throw new FileError('too_large', path)",
    '',
    'test/host/files.test.ts',
    'refuses a file that is too large',
  ),
  one(
    'folders of ours alone',
    FILES,
    "if (found.uid !== ownUid) throw new FileError('foreign_owner', path)\n  // Not",
    '// Not',
    OTHERS,
    'refused where they are foreign',
  ),
  one(
    'folders that are too open are closed',
    FILES,
    'if ((found.mode & 0o777) !== 0o700) await files.chmod(path, 0o700)',
    '',
    OTHERS,
    'made private where they are too open',
  ),
  {
    name: 'files that are private from the start',
    file: FILES,
    without: [
      ['O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)', 'O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)'],
      ['await handle.chmod(0o600)', 'await handle.chmod(0o644)'],
    ],
    test: [OTHERS, 'at any instant, under the umask 000'],
  },
  one(
    'what a crash has left is swept',
    FILES,
    'if (TEMPORARY.test(name)) await removeFile(files, join(folder, name))',
    'void [TEMPORARY, name]',
    SECRETS,
    'is swept at the next start',
  ),
  one(
    'a file that does not open is set aside',
    'src/store/store.ts',
    '      if (error instanceof StoreError) throw error\n      await this.setAside()\n',
    '      if (error instanceof StoreError) throw error\n',
    'test/daemon/session-lifecycle.test.ts',
    'is set aside if it is damaged',
  ),
  one(
    'a file is bound to profile, issuer and client',
    'src/store/envelope.ts',
    'if (profile !== binding.profile || iss !== binding.issuer || client_id !== binding.clientId) {',
    'if (profile === undefined && iss === client_id) {',
    STORE,
    'does not load the file of another',
  ),

  one(
    'the state',
    CALLBACK_REQUEST,
    'return states.length === 1 && state !== undefined && expected !== undefined && isSameText(state, expected)',
    'return states.length <= 100 || isSameText(String(state), String(expected))',
    REDIRECT,
    'with no, an empty',
  ),
  one(
    'no parameter twice',
    LISTENER,
    ' || repeatsParameter(searchParams)',
    ' && !repeatsParameter(searchParams)',
    STANDARDS,
    '9207-4',
  ),
  one(
    'the callback’s own name',
    LISTENER,
    'if (!this.#isOwnHost(request.headers.host)) return send(response, pages.wrongLink)',
    '',
    REDIRECT,
    'by another name',
  ),
  one(
    'no fetching ahead',
    LISTENER,
    'if (isPrefetch(request.headers)) return sendNothing(response)',
    '',
    REDIRECT,
    'fetches ahead',
  ),
  one(
    'a callback is looked at once',
    LISTENER,
    'if (inProgress !== undefined) return inProgress',
    '',
    REDIRECT,
    'or twice',
  ),
  one(
    'a gate for other users',
    LISTENER,
    'if (await this.#isOtherUser(request.socket)) return void request.socket.destroy()',
    '',
    OTHERS,
    'nothing at all from the callback',
  ),
  one(
    'no answer at an address with a query',
    LISTENER,
    'redirect(response, RESULT_PATHS[this.#finalOutcome ?? (await this.#handle(callback))])',
    'send(response, pages[this.#finalOutcome ?? (await this.#handle(callback))])',
    REDIRECT,
    'an address without a query',
  ),
  one(
    'the port closes with the sign-in',
    'src/session/sign-in.ts',
    '    this.#cancelDeadline()\n    void this.#listener?.close()\n    tell()',
    '    this.#cancelDeadline()\n    tell()',
    STANDARDS,
    '8252-5',
  ),
  one(
    'pages may load nothing',
    'src/callback/page.ts',
    "'Content-Security-Policy': contentSecurityPolicy,",
    '',
    'test/callback/pages.test.ts',
    'every security header',
  ),
  one(
    'PKCE with S256',
    METADATA,
    "if (!metadata.code_challenge_methods_supported?.includes('S256')) throw new RejectedError('pkce_unsupported')",
    '',
    PROVIDER,
    'does not support PKCE',
  ),
  one(
    'metadata of the very issuer',
    METADATA,
    "if (metadata.issuer !== issuer) throw new RejectedError('issuer_mismatch')",
    '',
    STANDARDS,
    '8414-1',
  ),
  one(
    'endpoints at the issuer’s home',
    METADATA,
    "if (typeof value !== 'string' || !belongsTo(issuerUrl, value)) throw new RejectedError('unsafe_metadata')",
    'void [value, belongsTo, issuerUrl]',
    PROVIDER,
    'a token endpoint at another host',
  ),
  one(
    'the ID token’s signature',
    OAUTH,
    'client.enableNonRepudiationChecks(configuration)',
    'void configuration',
    STANDARDS,
    'an ID token is believed',
  ),
  one(
    'only invalid_grant ends a session',
    'src/clerk/response-watch.ts',
    "if (last.error === 'invalid_grant') return new SessionEndedError('session_revoked')",
    "if (last.error !== undefined) return new SessionEndedError('session_revoked')",
    PROVIDER,
    'invalid_client',
  ),
  one(
    'a grant that nobody holds is revoked',
    'src/session/authenticator.ts',
    "if (before.state === 'signed_in') void provider.retire(before.session)",
    '',
    'test/session/authenticator.test.ts',
    'replaces the session from before',
  ),

  one(
    'a redirect is not followed',
    'src/host/network.ts',
    "redirect: 'manual'",
    "redirect: 'follow'",
    PROVIDER,
    'redirects',
  ),
  one(
    'answers of a megabyte',
    'src/host/network.ts',
    "if (size > maxBytes) throw new NetworkError('too_large')",
    'void maxBytes',
    PROVIDER,
    'answers two megabytes',
  ),
  one(
    'only web addresses are opened',
    'src/host/browser.ts',
    'if (!isOpenable(url)) throw new BrowserError()',
    '',
    'test/host/browser.test.ts',
    'starts no program for',
  ),
  one(
    'the browser sees none of the daemon’s settings',
    'src/host/browser.ts',
    'await launch(outer, url, clock, childEnvironment(env))',
    'await launch(outer, url, clock, { ...env, ...childEnvironment({}) })',
    'test/host/browser.test.ts',
    'none of the daemon’s settings',
  ),
  one(
    'no debugger by a signal',
    PROCESS,
    "process.on('SIGUSR1', () => undefined)",
    '',
    OTHERS,
    'cannot attach a debugger',
  ),
  one(
    'no debugger by the environment',
    PROCESS,
    "if (heedsOptions && UNWANTED_OPTIONS.test(env.NODE_OPTIONS ?? '')) return 'NODE_OPTIONS'",
    'void [UNWANTED_OPTIONS, heedsOptions]',
    OTHERS,
    'cannot attach a debugger',
  ),
  one(
    'no memory in a core dump',
    PROCESS,
    "writeFileSync('/proc/self/coredump_filter', '0x0')",
    'void writeFileSync',
    SECRETS,
    'core dump',
  ),
  one(
    'a clean environment in the background',
    'src/cli/daemon-connection.ts',
    '.filter(([name]) => !NOT_INHERITED.test(name))',
    '.filter(([name]) => !NOT_INHERITED.test(`x${name}`))',
    SECRETS,
    'whole life with OAuth',
  ),
  one(
    'certificates are checked, whatever is set',
    PROCESS,
    'delete process.env.NODE_TLS_REJECT_UNAUTHORIZED',
    'void process.env.NODE_TLS_REJECT_UNAUTHORIZED',
    STANDARDS,
    '8414-3',
  ),

  one(
    'a session token’s issuer',
    TOKEN,
    "if (decodeJwt(token).iss !== issuer) throw new CallbackRefusedError('wrong_audience')",
    '',
    SESSION_TOKEN,
    'a token of another instance',
  ),
  {
    name: 'a session token’s signature',
    file: TOKEN,
    without: [
      [
        'const { payload, protectedHeader } = await jwtVerify(token, this.#keys, {',
        'const [payload, protectedHeader] = [decodeJwt(token) as JWTPayload, { typ: "JWT" }]\n      void ({ jwtVerify, keys: this.#keys,',
      ],
      ['currentDate: new Date(now * 1000),\n      })', 'currentDate: new Date(now * 1000),\n      })'],
    ],
    test: [SESSION_TOKEN, 'another key has signed'],
  },
  one(
    'a session token’s party',
    TOKEN,
    'if (authorizedParties.length > 0 && !authorizedParties.some((party) => party === azp)) {',
    'if (authorizedParties.length > 1000 && azp) {',
    SESSION_TOKEN,
    'a token of the party',
  ),
  one(
    'the same person',
    'src/clerk/handoff.ts',
    '(user.id !== null && user.id !== claims.userId)',
    'claims.userId === null',
    HANDOFF,
    'another user',
  ),
  one(
    'the same session',
    'src/clerk/handoff.ts',
    'const isOther = claims.sessionId !== null && sessionId !== null && claims.sessionId !== sessionId',
    'const isOther = false',
    HANDOFF,
    'another session',
  ),
  one(
    'names are for showing, and short',
    'src/clerk/handoff.ts',
    ".replaceAll(/\\p{C}+/gu, ' ')",
    '',
    HANDOFF,
    'keeps no control characters',
  ),

  one(
    'a refresh token’s end',
    REFRESH_TOKEN,
    '...(allowExpired ? { clockTolerance: Number.MAX_SAFE_INTEGER } : {}),',
    'clockTolerance: Number.MAX_SAFE_INTEGER,',
    'test/broker/refresh-token.test.ts',
    'expires',
  ),
  one(
    'the broker’s instances',
    BROKER,
    "if (!options.issuers.includes(session.issuer)) throw new BrokerError('invalid_grant', 'unknown_issuer')",
    '',
    'test/broker/broker.test.ts',
    'of an instance that it no longer serves',
  ),
  one(
    'the broker’s limit for a session',
    BROKER,
    "if (waitSeconds > 0) throw new BrokerError('too_many_requests', 'too_many_requests', waitSeconds)",
    '',
    'test/broker/limiter.test.ts',
    'answers 429 with Retry-After beyond the limit',
  ),
  one(
    'bodies of 16 KiB',
    BROKER_REQUEST,
    "if (size > MAX_BODY_BYTES) throw new BrokerError('payload_too_large')",
    '',
    BROKER_REQUEST_TEST,
    'without a request to Clerk',
  ),
  one(
    'only JSON',
    BROKER_REQUEST,
    "if (type !== 'application/json') throw new BrokerError('unsupported_media_type')",
    '',
    BROKER_REQUEST_TEST,
    'a form',
  ),
  one(
    'only a session’s own id goes to Clerk',
    BROKER_REQUEST,
    '/^sess_[A-Za-z0-9]{1,64}$/.test(id)',
    'id.length > 0',
    BROKER_REQUEST_TEST,
    'without a request to Clerk',
  ),
  one(
    'the broker’s user',
    BROKER_CLERK,
    "if (session.userId !== userId) throw new BrokerError('invalid_grant', 'user_mismatch')",
    '',
    BROKER_REFRESH_TEST,
    'only for a session of the token’s user',
  ),
  one(
    'the broker’s session',
    BROKER_CLERK,
    "if (claims.sid !== undefined && claims.sid !== sessionId) throw new BrokerError('invalid_grant', 'session_mismatch')",
    '',
    BROKER_REFRESH_TEST,
    'one of another session or user',
  ),
  one(
    'the broker’s parties',
    BROKER_CLERK,
    'if (claims.azp !== undefined && authorizedParties.length > 0 && !authorizedParties.includes(claims.azp)) {',
    'if (claims.azp === "never") {',
    BROKER_REFRESH_TEST,
    'refuses an azp that is not an authorized party',
  ),
  one(
    'a session that is over',
    BROKER_CLERK,
    "throw new BrokerError('invalid_grant', 'session_ended')",
    '',
    BROKER_REFRESH_TEST,
    'revoked',
  ),
  one(
    'keys are not asked for without end',
    BROKER_CLERK,
    "if (waitSeconds > 0) throw new BrokerError('temporarily_unavailable', 'unknown_key_limit', waitSeconds)",
    '',
    BROKER_REFRESH_TEST,
    'unknown key ids',
  ),
  one(
    'a deadline for each call to Clerk',
    BROKER_CLERK,
    'withTimeout(clock, timeoutSeconds, call(), timedOut)',
    'withTimeout(clock, timeoutSeconds * 1000, call(), timedOut)',
    'test/broker/clerk-errors.test.ts',
    'Clerk never answers',
  ),

  one(
    'Python: the daemon’s proof',
    PYTHON_WEBSOCKET,
    "genuine = hmac.compare_digest(proof.encode(), endpoint.mac('server', nonce).encode())",
    'genuine = True',
    PYTHON_TEST,
    'hostile daemons',
  ),
  one('Python: no header twice', PYTHON_WEBSOCKET, ' or name.lower() in headers', '', PYTHON_TEST, 'hostile daemons'),
  one(
    'Python: a file of the user’s alone',
    PYTHON_DISCOVERY,
    'or status.st_mode & 0o077)',
    'or status.st_mode & 0o000)',
    PYTHON_TEST,
    'hostile daemons',
  ),
  one(
    'Python: no link is followed',
    PYTHON_DISCOVERY,
    "| getattr(os, 'O_NOFOLLOW', 0) ",
    '',
    PYTHON_TEST,
    'hostile daemons',
  ),
]
