// A client of the daemon: finds it, completes the mutual handshake and calls its methods.
import { JSONRPCClient, type JSONRPCErrorResponse } from 'json-rpc-2.0'
import WebSocket from 'ws'
import { errorCode, type FileSystem } from '../host/files.ts'
import type { Random } from '../host/random.ts'
import { type MethodName, type Params, type Result, RpcError } from './contract.ts'
import { type Endpoint, readEndpoint } from './discovery.ts'
import { authorization, mac, PROOF_HEADER, SUBPROTOCOL, sameMac } from './handshake.ts'

/** No daemon that knows the discovery file's key can be reached. */
export class NoDaemonError extends Error {
  /**
   * @param reason `absent` if no program listens there, `refused` if one closed the connection, `timeout` if the connection
   * was dropped, `no_answer` if a program accepted it and did not answer, `not_genuine` if a program answered that could not
   * prove to be the daemon
   * @param endpoint what the discovery file names, if there is one
   */
  constructor(
    readonly reason: 'absent' | 'refused' | 'timeout' | 'no_answer' | 'not_genuine',
    readonly endpoint?: Endpoint,
  ) {
    super(reason === 'not_genuine' ? 'not the genuine daemon' : 'no daemon is running')
    this.name = 'NoDaemonError'
  }
}

/** The connection was closed before the response. */
export class ConnectionClosedError extends Error {
  constructor(readonly code: number) {
    super('the daemon closed the connection')
    this.name = 'ConnectionClosedError'
  }
}

export interface RpcClient {
  /** The endpoint whose key the daemon has proven to know. */
  readonly endpoint: Endpoint
  /** @throws RpcError with the code of the daemon's response; ConnectionClosedError */
  call<M extends MethodName>(method: M, params?: Params<M>): Promise<Result<M>>
  /** The same for a method and params that are not known at compile time. */
  callAny(method: string, params?: unknown): Promise<unknown>
  /** Called for each notification. */
  onNotification(listener: (method: string, params: unknown) => void): void
  /** Resolves with the close code once the connection is closed. */
  readonly closed: Promise<number>
  close(): void
}

const HANDSHAKE_MS = 5000

/**
 * Connects to the daemon of the discovery file. If that fails, it reads the file once more: the daemon may have been
 * replaced in between.
 * @param handshakeMs how long the daemon may take to answer
 * @throws NoDaemonError; FileError if other users may access the discovery file
 */
export async function connect(
  files: FileSystem,
  discoveryFile: string,
  random: Random,
  handshakeMs?: number,
): Promise<RpcClient> {
  const endpoint = await readEndpoint(files, discoveryFile)
  if (!endpoint) throw new NoDaemonError('absent')
  try {
    return await connectTo(endpoint, random, handshakeMs)
  } catch (error) {
    const again = await readEndpoint(files, discoveryFile)
    if (!again || again.instance === endpoint.instance) throw error
    return await connectTo(again, random, handshakeMs)
  }
}

/** @throws NoDaemonError */
export async function connectTo(endpoint: Endpoint, random: Random, handshakeMs = HANDSHAKE_MS): Promise<RpcClient> {
  const { value, nonce } = authorization(endpoint, random)
  let isConnected = false
  const socket = new WebSocket(`ws://${endpoint.endpoint}${endpoint.path}`, [SUBPROTOCOL], {
    headers: { Authorization: value },
    perMessageDeflate: false,
    handshakeTimeout: handshakeMs,
    maxPayload: 1024 * 1024,
    finishRequest(request) {
      request.once('socket', (tcp) =>
        tcp.once('connect', () => {
          isConnected = true
        }),
      )
      request.end()
    },
  })
  const expected = mac('server', endpoint, nonce)
  await new Promise<void>((resolve, reject) => {
    let genuine = false
    socket.once('upgrade', (response) => {
      const proof = response.headers[PROOF_HEADER.toLowerCase()]
      genuine = typeof proof === 'string' && sameMac(expected, proof)
    })
    socket.once('open', () => {
      if (genuine) return resolve()
      socket.terminate() // before the client sends its first frame
      reject(new NoDaemonError('not_genuine', endpoint))
    })
    socket.once('error', (error) => {
      reject(new NoDaemonError(reasonOf(error, isConnected), endpoint))
    })
  })
  return createClient(socket, endpoint)
}

function reasonOf(error: Error, isConnected: boolean): NoDaemonError['reason'] {
  if (errorCode(error) === 'ECONNREFUSED') return 'absent'
  // A handshake timeout has no code of its own in ws.
  const isTimeout = errorCode(error) === 'ETIMEDOUT' || error.message.includes('timed out')
  if (isTimeout) return isConnected ? 'no_answer' : 'timeout'
  return 'refused'
}

function createClient(socket: WebSocket, endpoint: Endpoint): RpcClient {
  const listeners: ((method: string, params: unknown) => void)[] = []
  const client = new JSONRPCClient((request) => socket.send(JSON.stringify(request)))
  socket.on('message', (data) => {
    const message = parseMessage(String(data))
    if (message === undefined) return socket.terminate() // its text may hold a token: no error names it
    if ('method' in message) {
      const { method, params } = message as { method: string; params: unknown }
      for (const listener of listeners) listener(method, params)
    } else client.receive(message as JSONRPCErrorResponse)
  })
  socket.on('error', () => undefined) // `close` follows
  let closeCode: number | undefined
  const closed = new Promise<number>((resolve) => {
    socket.once('close', (code) => {
      closeCode = code
      resolve(code)
      client.rejectAllPendingRequests('')
    })
  })
  const callAny = async (method: string, params?: unknown) => {
    if (closeCode !== undefined) throw new ConnectionClosedError(closeCode)
    try {
      return (await client.request(method, params as never)) as unknown
    } catch (error) {
      if (closeCode !== undefined) throw new ConnectionClosedError(closeCode)
      throw toRpcError(error)
    }
  }
  return {
    endpoint,
    callAny,
    call: (method, params) => callAny(method, params) as never,
    onNotification: (listener) => void listeners.push(listener),
    closed,
    close: () => socket.close(),
  }
}

/** Undefined if the text is no JSON object. */
function parseMessage(text: string): object | undefined {
  try {
    const message: unknown = JSON.parse(text)
    return typeof message === 'object' && message !== null ? message : undefined
  } catch {
    return undefined
  }
}

function toRpcError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'number') return error
  const data = 'data' in error && typeof error.data === 'object' ? (error.data as Record<string, unknown>) : undefined
  return new RpcError(error.code, error.message, data)
}
