// Sends one request over a connection of its own: TCP, the proxy's tunnel, TLS with full verification, HTTP/1.1.
//
// No connection is kept. One that has died in a sleep or with a VPN accepts a request and never answers, and a request with a
// single-use refresh token cannot be sent again. A new connection fails before anything is sent, or works.
import { lookup } from 'node:dns'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { connect as connectTls, type PeerCertificate, type SecureContext, type TLSSocket } from 'node:tls'
import type { FetchInit } from './network.ts'
import {
  ConnectionError,
  causeOf,
  certificateProblemOf,
  type NetworkFailure,
  type ProxyProblem,
} from './network-failure.ts'
import { credentialsOf } from './proxy.ts'
import { hostOf } from './proxy-exceptions.ts'

export interface Connection {
  /** Undefined for a direct connection. */
  readonly proxy: URL | undefined
  readonly secureContext: SecureContext | undefined
  readonly signal: AbortSignal
}

// Node's 250 ms gives up on every address that is 300 ms away. A lost first packet is sent again after one second.
const ADDRESS_TIMEOUT_MS = 2000
const USER_AGENT = 'cadzero-auth'

/** @throws ConnectionError */
export async function sendRequest(url: URL, init: FetchInit, connection: Connection): Promise<Response> {
  const { proxy, signal } = connection
  const via = proxy === undefined ? {} : { proxyHost: hostOf(proxy) }
  const fail = (error: unknown, isSent: boolean) =>
    error instanceof ConnectionError ? error : new ConnectionError({ cause: causeOf(error), ...via }, isSent)
  let socket: Socket | undefined
  try {
    const raw =
      proxy === undefined ? await openTcp(hostOf(url), portOf(url), signal) : await openTunnel(url, proxy, connection)
    socket = url.protocol === 'https:' ? await openTls(raw, hostOf(url), connection, via) : raw
  } catch (error) {
    throw fail(error, false)
  }
  try {
    return await exchange(url, init, socket, signal)
  } catch (error) {
    socket.destroy()
    // The server was reached: a connection that it cuts now is not a refused one.
    const { failure } = fail(error, true)
    throw new ConnectionError(failure.cause === 'timeout' ? failure : { ...failure, cause: 'protocol' }, true)
  }
}

let lastFamily: 4 | 6 | undefined

/** The addresses of the family that worked last come first, so that a dead IPv6 costs its timeout once. */
const lookupLikeLast: LookupFunction = (host, options, callback) => {
  lookup(host, options, (error, addresses, family) => {
    if (error || !Array.isArray(addresses)) return callback(error, addresses, family)
    callback(
      null,
      [...addresses].sort((a, b) => Number(b.family === lastFamily) - Number(a.family === lastFamily)),
    )
  })
}

async function openTcp(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp({
    host,
    port,
    lookup: lookupLikeLast,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_TIMEOUT_MS,
  })
  await opened(socket, 'connect', signal)
  lastFamily = socket.remoteFamily === 'IPv6' ? 6 : 4
  return socket
}

/** Asks the proxy for a connection to the URL's host. @throws ConnectionError with the cause `proxy` */
async function openTunnel(url: URL, proxy: URL, connection: Connection): Promise<Socket> {
  const proxyHost = hostOf(proxy)
  const refuse = (proxyProblem: ProxyProblem) => new ConnectionError({ cause: 'proxy', proxyHost, proxyProblem }, false)
  const { signal } = connection
  try {
    const raw = await openTcp(proxyHost, portOf(proxy), signal)
    const socket = proxy.protocol === 'https:' ? await openTls(raw, proxyHost, connection, { proxyHost }) : raw
    const credentials = credentialsOf(proxy)
    const authority = `${isIP(hostOf(url)) === 6 ? `[${hostOf(url)}]` : hostOf(url)}:${portOf(url)}`
    const request = httpRequest({
      createConnection: () => socket,
      method: 'CONNECT',
      path: authority,
      headers: {
        host: authority,
        'user-agent': USER_AGENT,
        ...(credentials ? { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` } : {}),
      },
      signal,
    })
    request.on('error', () => undefined) // once() listens for the first alone
    request.end()
    const [response, tunnel, head] = (await once(request, 'connect')) as [IncomingMessage, Socket, Buffer]
    const { statusCode = 0 } = response
    if (statusCode >= 200 && statusCode < 300) {
      if (head.length > 0) tunnel.unshift(head)
      return tunnel
    }
    tunnel.destroy() // its body would be the proxy's, not the server's
    // Some proxies, such as tinyproxy, answer a wrong password with 401. Only the proxy answers a CONNECT.
    const isAuthentication = statusCode === 407 || statusCode === 401
    throw refuse(isAuthentication ? authenticationProblem(response) : 'refused')
  } catch (error) {
    throw error instanceof ConnectionError ? error : refuse('unreachable')
  }
}

/** NTLM and Kerberos (Negotiate) need the user's credentials of the system, which this program does not ask for. */
function authenticationProblem({ headers }: IncomingMessage): ProxyProblem {
  const offered = [headers['proxy-authenticate'] ?? headers['www-authenticate'] ?? ''].flat().join(', ')
  return /\bbasic\b/i.test(offered) || !/\b(?:ntlm|negotiate)\b/i.test(offered)
    ? 'password_needed'
    : 'integrated_authentication'
}

/** @throws ConnectionError with the cause `certificate` and the authority's name if the certificate is not trusted */
async function openTls(
  raw: Socket,
  host: string,
  { secureContext, signal }: Connection,
  via: Pick<NetworkFailure, 'proxyHost'>,
): Promise<TLSSocket> {
  const socket = connectTls({
    socket: raw,
    host, // the name that the certificate must have
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(secureContext ? { secureContext } : {}),
    rejectUnauthorized: true, // not Node's default, which NODE_TLS_REJECT_UNAUTHORIZED turns off
    ALPNProtocols: ['http/1.1'],
  })
  // Node verifies in a listener of this event, and drops a certificate that fails: its issuer is read before.
  let issuer: string | undefined
  socket.prependListener('secure', () => {
    issuer = issuerOf(socket.getPeerCertificate(true))
  })
  try {
    await opened(socket, 'secureConnect', signal)
    return socket
  } catch (error) {
    raw.destroy()
    const cause = causeOf(error)
    // What speaks no TLS behind a tunnel is the proxy's own page, sent after a false 200.
    if (cause === 'protocol' && via.proxyHost !== undefined) {
      throw new ConnectionError({ cause: 'proxy', ...via, proxyProblem: 'no_tunnel' }, false)
    }
    if (!socket.authorizationError && cause !== 'certificate') throw error
    const certificateProblem = certificateProblemOf(error)
    throw new ConnectionError(
      {
        cause: 'certificate',
        ...(issuer === undefined ? {} : { certificateIssuer: issuer }),
        ...(certificateProblem === undefined ? {} : { certificateProblem }),
        ...via,
      },
      false,
    )
  }
}

const LONGEST_NAME = 128

/** The issuer of the last certificate in the chain that the server sent: the authority that is missing here. */
function issuerOf(certificate: PeerCertificate & { issuerCertificate?: PeerCertificate }): string | undefined {
  const seen = new Set<string>()
  let last = certificate
  while (last.issuerCertificate && !seen.has(last.fingerprint256)) {
    seen.add(last.fingerprint256)
    last = last.issuerCertificate
  }
  const { CN, O, OU } = last.issuer ?? {}
  const name = [CN, O, OU].flat().find((part) => typeof part === 'string' && part !== '')
  return name?.replaceAll(/\p{C}+/gu, ' ').slice(0, LONGEST_NAME)
}

/** Waits until a socket is open, and destroys it if it fails or the request is given up. */
async function opened(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  socket.on('error', () => undefined) // a later error is reported by the request
  try {
    await once(socket, event, { signal })
  } catch (error) {
    socket.destroy()
    throw signal.aborted ? timedOut() : error
  }
}

async function exchange(
  url: URL,
  { method, headers, body }: FetchInit,
  socket: Socket,
  signal: AbortSignal,
): Promise<Response> {
  const given = new Headers(headers ?? {})
  if (!given.has('user-agent')) given.set('user-agent', USER_AGENT)
  if (body instanceof URLSearchParams && !given.has('content-type')) {
    given.set('content-type', 'application/x-www-form-urlencoded;charset=UTF-8')
  }
  const request = httpRequest({
    createConnection: () => socket,
    method: method ?? 'GET',
    path: `${url.pathname}${url.search}`,
    headers: { ...Object.fromEntries(given), host: url.host, 'accept-encoding': 'identity' },
    signal,
  })
  request.on('error', () => undefined)
  request.end(body === undefined || body === null ? undefined : textOf(body))
  try {
    const [message] = (await once(request, 'response')) as [IncomingMessage]
    return toResponse(message)
  } catch (error) {
    throw signal.aborted ? timedOut() : error
  }
}

function textOf(body: NonNullable<FetchInit['body']>): string {
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString()
  throw new TypeError('only texts are sent')
}

const WITHOUT_BODY = [204, 205, 304]

function toResponse(message: IncomingMessage): Response {
  const headers = new Headers()
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    headers.append(String(message.rawHeaders[i]), String(message.rawHeaders[i + 1]))
  }
  const { statusCode: status = 0 } = message
  if (WITHOUT_BODY.includes(status)) return new Response(null, { status, headers })
  return new Response(Readable.toWeb(message) as ReadableStream, { status, headers })
}

function timedOut(): Error {
  return Object.assign(new Error('given up'), { code: 'ETIMEDOUT' })
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port)
  return protocol === 'https:' ? 443 : 80
}
