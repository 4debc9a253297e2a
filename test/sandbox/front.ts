// The public port of the sandbox: records every request, injects the scripted faults, and forwards the rest to the provider.
import { once } from 'node:events'
import { type IncomingMessage, request as makeRequest, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, HttpResponse } from './faults.ts'
import type { RecordedRequest } from './record.ts'

export type { HttpResponse }

export interface FrontOptions {
  readonly providerPort: () => number
  /** Records a request; returns the fault that is scripted for it. */
  readonly record: (recorded: RecordedRequest) => Fault
  /** Responds instead of the provider to the requests that only Clerk supports; undefined for others. */
  readonly intercept: (
    recorded: RecordedRequest,
    request: IncomingMessage,
    body: Buffer,
  ) => Promise<HttpResponse | undefined>
  /** Changes the response of the provider to that of Clerk, if they differ. */
  readonly translate: (recorded: RecordedRequest, response: HttpResponse) => HttpResponse
  /** The time of the header Date, in Unix seconds. */
  readonly now: () => number
  /** Aborted when the sandbox closes. */
  readonly closing: AbortSignal
  readonly onError: (error: unknown) => void
}

export function createFront(options: FrontOptions) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request).catch(() => undefined)
    if (body === undefined) return // the client disconnected before the end of the request
    response.setHeader('date', new Date(options.now() * 1000).toUTCString())
    try {
      const recorded = describe(request, body)
      const fault = options.record(recorded)
      const handle = async () =>
        options.translate(
          recorded,
          (await options.intercept(recorded, request, body)) ?? (await forward(options.providerPort(), request, body)),
        )
      await respond(fault, handle, response, options.closing)
    } catch (error) {
      if (!options.closing.aborted) options.onError(error)
      response.destroy()
    }
  }
}

/** @param handle has the provider handle the request */
async function respond(
  fault: Fault,
  handle: () => Promise<HttpResponse>,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  switch (fault.kind) {
    case 'pass':
      return send(response, await handle())
    case 'delay':
      // Even if the client has disconnected: a slow provider rotates all the same.
      await sleep(fault.ms, undefined, { signal })
      return send(response, await handle())
    case 'hold':
      await fault.until
      return send(response, await handle())
    case 'respond': {
      const { status, headers = {}, body = '' } = fault
      return send(response, { status, headers, body: Buffer.from(body) })
    }
    case 'drop':
      response.destroy()
      return
    case 'dropAfter':
      await handle()
      response.destroy()
      return
    case 'hang':
      return
    case 'hangAfter':
      await handle()
      fault.then?.()
      return
    case 'reset': {
      const { status, headers, body } = await handle()
      if (fault.at !== 'start') response.writeHead(status, { ...headers, 'content-length': body.length })
      if (fault.at === 'headers') response.flushHeaders()
      if (fault.at === 'body') await writeAndFlush(response, body.subarray(0, body.length >> 1))
      response.socket?.resetAndDestroy()
      return
    }
    case 'headersOnly': {
      const { status, headers, body } = await handle()
      response.writeHead(status, { ...headers, 'content-length': body.length }).flushHeaders()
      return
    }
    case 'drip': {
      const { status, headers, body } = await handle()
      response.writeHead(status, { ...headers, 'content-length': body.length }).flushHeaders()
      for (let at = 0; at < body.length; at += fault.bytes) {
        if (response.destroyed) return // the client has disconnected
        await sleep(fault.ms, undefined, { signal })
        response.write(body.subarray(at, at + fault.bytes))
      }
      response.end()
      return
    }
    case 'raw':
      response.socket?.write(fault.bytes, 'latin1')
      if (fault.ends) response.socket?.destroySoon()
      return
    case 'alter':
      return send(response, fault.alter(await handle()))
    case 'stall':
      return sendHalf(response, await handle())
    case 'truncate':
      sendHalf(response, await handle())
      response.socket?.destroySoon() // not destroy: the first half must arrive
      return
    case 'replace': {
      const { status, headers, body } = await handle()
      const changed = fault.body(JSON.parse(body.toString('utf8')))
      return send(response, { status: fault.status ?? status, headers, body: Buffer.from(JSON.stringify(changed)) })
    }
  }
}

function send(response: ServerResponse, { status, headers, body }: HttpResponse): void {
  response.writeHead(status, { ...headers, 'content-length': body.length }).end(body)
}

function writeAndFlush(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => response.write(bytes, () => resolve()))
}

function sendHalf(response: ServerResponse, { status, headers, body }: HttpResponse): void {
  response.writeHead(status, { ...headers, 'content-length': body.length })
  response.write(body.subarray(0, body.length >> 1))
}

async function forward(port: number, { method, url, headers }: IncomingMessage, body: Buffer): Promise<HttpResponse> {
  // The Host header stays unchanged, so that the provider's URLs contain the public port.
  const forwardedHeaders = { ...headers, connection: 'close' }
  const forwarded = makeRequest({ host: '127.0.0.1', port, method, path: url, headers: forwardedHeaders })
  forwarded.end(body)
  const [response] = (await once(forwarded, 'response')) as [IncomingMessage]
  const { 'transfer-encoding': _, connection: __, date: ___, ...kept } = response.headers
  return { status: response.statusCode ?? 500, headers: kept, body: await readBody(response) }
}

export async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function describe({ method = '', url = '' }: IncomingMessage, body: Buffer): RecordedRequest {
  const { pathname, searchParams } = new URL(url, 'http://127.0.0.1')
  const form = Object.fromEntries(new URLSearchParams(body.toString('utf8')))
  const query = Object.fromEntries(searchParams)
  return { method, path: pathname, grantType: form.grant_type ?? null, at: Date.now(), form, query }
}
