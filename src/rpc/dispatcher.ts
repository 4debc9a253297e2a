// Answers requests: from memory, with a result that other callers await already, or by running the method.
import {
  createJSONRPCErrorResponse,
  type JSONRPCErrorResponse,
  type JSONRPCID,
  type JSONRPCRequest,
  JSONRPCServer,
} from 'json-rpc-2.0'
import type { GenericSchema } from 'valibot'
import { errors, INTERNAL_ERROR, parseParams, RpcError } from './contract.ts'
import { LIMITS } from './limits.ts'
import { type Encoded, encode, invalidRequest, isRequest, requestId } from './message.ts'
import type { PreEncoded } from './pre-encoded.ts'

type ImmediateResult = PreEncoded | Promise<PreEncoded> | undefined

export interface Method {
  readonly params: GenericSchema
  /** Gets params that match the schema. An RpcError goes to the client; any other error becomes an internal error. */
  handle(params: never): unknown
  /**
   * The result if it is in memory, or a promise if other callers await it already. If it is undefined, throws or
   * rejects, `handle` runs.
   */
  immediate?(params: never): ImmediateResult
}

export type Methods = Readonly<Record<string, Method>>

/** Undefined for a notification, or a batch of them: JSON-RPC allows no response. */
export type Response = Encoded | PromiseLike<Encoded | undefined>

export class Dispatcher {
  readonly #server: JSONRPCServer
  readonly #immediate = new Map<string, (params: unknown) => ImmediateResult>()
  #stopping = false

  constructor(methods: Methods, onInternalError: (error: unknown) => void = () => undefined) {
    this.#server = new JSONRPCServer({
      errorListener: (_text, error) => {
        if (!(error instanceof RpcError)) onInternalError(error)
      },
    })
    this.#server.mapErrorToJSONRPCErrorResponse = toErrorResponse
    for (const [name, method] of Object.entries(methods)) this.#add(name, method)
  }

  /** From now on every call fails with `shutting down`. Calls that run already go on. */
  stop(): void {
    this.#stopping = true
  }

  /** Answers one message, or a batch. Never throws or rejects: a call that fails has an error response. */
  respond(message: unknown): Response {
    return Array.isArray(message) ? this.#batch(message) : this.#single(message)
  }

  #add(name: string, { params: schema, handle, immediate }: Method): void {
    if (immediate) {
      const empty = parseParams(schema, {}) // most calls have no params: these are parsed once
      this.#immediate.set(name, (params) =>
        immediate((params === undefined ? empty : parseParams(schema, params)) as never),
      )
    }
    this.#server.addMethod(name, (params: unknown) => {
      if (this.#stopping) throw new RpcError(errors.shuttingDown.code, errors.shuttingDown.message)
      return handle(parseParams(schema, params) as never)
    })
  }

  #batch(messages: readonly unknown[]): Response {
    if (messages.length === 0) return invalidRequest(null, 'an empty batch')
    if (messages.length > LIMITS.batchCalls) {
      return invalidRequest(null, `a batch of more than ${LIMITS.batchCalls} calls`)
    }
    return Promise.all(messages.map((message) => this.#single(message))).then((all) => {
      const responses = all.filter((response) => response !== undefined)
      return responses.length > 0 ? `[${responses.join(',')}]` : undefined
    })
  }

  #single(message: unknown): Response {
    if (!isRequest(message)) return invalidRequest(requestId(message))
    const { id } = message
    if (id === undefined) return this.#call(message)
    const result = this.#immediateResult(message)
    if (result === undefined) return this.#call(message)
    if (!(result instanceof Promise)) return result.responseTo(id)
    const respond = (shared: PreEncoded) => shared.responseTo(id)
    return result.then(respond, () => this.#call(message)) // a shared failure need not be this caller's: it asks for itself
  }

  #immediateResult({ method, params }: JSONRPCRequest): ImmediateResult {
    if (this.#stopping) return undefined
    try {
      return this.#immediate.get(method)?.(params)
    } catch {
      return undefined // the method fails in the same way, and responds
    }
  }

  #call(request: JSONRPCRequest): PromiseLike<Encoded | undefined> {
    return this.#server.receive(request).then((response) => (response ? encode(response) : undefined))
  }
}

// The library would send the message of any error.
function toErrorResponse(id: JSONRPCID, error: unknown): JSONRPCErrorResponse {
  if (error instanceof RpcError) return createJSONRPCErrorResponse(id, error.code, error.message, error.data)
  return createJSONRPCErrorResponse(id, INTERNAL_ERROR, 'internal error')
}
