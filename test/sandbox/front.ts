// The sandbox's one port: notes every request, plays the scripted faults, and passes the rest on to the provider behind it.
import { once } from 'node:events'
import { type IncomingMessage, request as makeRequest, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, Fault } from './faults.ts'
import type { SeenRequest } from './record.ts'

export type { Answer }

export interface FrontOptions {
  /** The port of the provider. */
  readonly behind: () => number
  readonly enter: (seen: SeenRequest) => Fault
  /** Answers in place of the provider where Clerk does what it cannot. */
  readonly intercept: (seen: SeenRequest, request: IncomingMessage, body: Buffer) => Promise<Answer | undefined>
  /** Changes an answer where Clerk's differs from the provider's. */
  readonly translate: (seen: SeenRequest, answer: Answer) => Answer
  /** Aborted when the sandbox closes. */
  readonly closing: AbortSignal
  readonly onError: (error: unknown) => void
}

export function createFront(options: FrontOptions) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request).catch(() => undefined)
    if (body === undefined) return // the client left before it had said all
    try {
      const seen = describe(request, body)
      const fault = options.enter(seen)
      const process = async () =>
        options.translate(
          seen,
          (await options.intercept(seen, request, body)) ?? (await passOn(options.behind(), request, body)),
        )
      await play(fault, process, response, options.closing)
    } catch (error) {
      if (!options.closing.aborted) options.onError(error)
      response.destroy()
    }
  }
}

async function play(
  fault: Fault,
  process: () => Promise<Answer>,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  switch (fault.kind) {
    case 'pass':
      return send(response, await process())
    case 'delay':
      // A client that has left meanwhile does not stop it: a slow provider rotates all the same.
      await sleep(fault.ms, undefined, { signal })
      return send(response, await process())
    case 'hold':
      await fault.until
      return send(response, await process())
    case 'answer': {
      const { status, headers = {}, body = '' } = fault
      return send(response, { status, headers, body: Buffer.from(body) })
    }
    case 'drop':
      response.destroy()
      return
    case 'dropAfter':
      await process()
      response.destroy()
      return
    case 'hang':
      return
    case 'hangAfter':
      await process()
      fault.then?.()
      return
    case 'reset': {
      const { status, headers, body } = await process()
      if (fault.at !== 'start') response.writeHead(status, { ...headers, 'content-length': body.length })
      if (fault.at === 'headers') response.flushHeaders()
      if (fault.at === 'body') await written(response, body.subarray(0, body.length >> 1))
      response.socket?.resetAndDestroy()
      return
    }
    case 'headersOnly': {
      const { status, headers, body } = await process()
      response.writeHead(status, { ...headers, 'content-length': body.length }).flushHeaders()
      return
    }
    case 'drip': {
      const { status, headers, body } = await process()
      response.writeHead(status, { ...headers, 'content-length': body.length }).flushHeaders()
      for (let at = 0; at < body.length; at += fault.bytes) {
        if (response.destroyed) return // the client has had enough
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
      return send(response, fault.alter(await process()))
    case 'stall':
      return sendHalf(response, await process())
    case 'truncate':
      sendHalf(response, await process())
      response.socket?.destroySoon() // only now: the half that was promised shall arrive
      return
    case 'replace': {
      const { status, headers, body } = await process()
      const changed = fault.body(JSON.parse(body.toString('utf8')))
      return send(response, { status: fault.status ?? status, headers, body: Buffer.from(JSON.stringify(changed)) })
    }
  }
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, { ...headers, 'content-length': body.length }).end(body)
}

function written(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => response.write(bytes, () => resolve()))
}

function sendHalf(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, { ...headers, 'content-length': body.length })
  response.write(body.subarray(0, body.length >> 1))
}

async function passOn(port: number, { method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
  // The Host stays as it was, so that the provider's own addresses are the front's.
  const passedHeaders = { ...headers, connection: 'close' }
  const passed = makeRequest({ host: '127.0.0.1', port, method, path: url, headers: passedHeaders })
  passed.end(body)
  const [answer] = (await once(passed, 'response')) as [IncomingMessage]
  const { 'transfer-encoding': _, connection: __, ...kept } = answer.headers
  return { status: answer.statusCode ?? 500, headers: kept, body: await readBody(answer) }
}

export async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function describe({ method = '', url = '' }: IncomingMessage, body: Buffer): SeenRequest {
  const { pathname, searchParams } = new URL(url, 'http://127.0.0.1')
  const form = Object.fromEntries(new URLSearchParams(body.toString('utf8')))
  const query = Object.fromEntries(searchParams)
  return { method, path: pathname, grantType: form.grant_type ?? null, at: Date.now(), form, query }
}
