// The sandbox's one port: counts every request, plays the scripted faults, and passes the rest on to the provider.
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request as makeRequest, type ServerResponse } from 'node:http'
import type { Fault } from './faults.ts'

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly grantType: string | null
  readonly at: number
  readonly form: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface FrontOptions {
  /** The port of the provider behind. */
  readonly behind: () => number
  /** Changes an answer as Clerk's differs from the provider's. */
  readonly translate: (seen: SeenRequest, answer: Answer) => Answer
  /** Answers in place of the provider where Clerk does what it cannot. */
  readonly intercept: (seen: SeenRequest, request: IncomingMessage) => Promise<Answer | undefined>
  readonly onSeen: (seen: SeenRequest) => void
  /** The next scripted fault for a path. */
  readonly nextFault: (path: string) => Fault | undefined
}

export function createFront(options: FrontOptions) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const seen = describe(request, body)
    const fault = options.nextFault(seen.path) ?? { kind: 'pass' }
    options.onSeen(seen)
    const process = async () => {
      const answer = (await options.intercept(seen, request)) ?? (await passOn(options.behind(), request, body))
      return options.translate(seen, answer)
    }
    await play(fault, process, response)
  }
}

async function play(fault: Fault, process: () => Promise<Answer>, response: ServerResponse): Promise<void> {
  switch (fault.kind) {
    case 'pass':
      return send(response, await process())
    case 'delay':
      await new Promise((resolve) => setTimeout(resolve, fault.ms))
      return send(response, await process())
    case 'hold':
      await fault.until
      return send(response, await process())
    case 'answer':
      return send(response, {
        status: fault.status,
        headers: { ...fault.headers },
        body: Buffer.from(fault.body ?? ''),
      })
    case 'drop':
      return void response.destroy()
    case 'dropAfter':
      await process()
      return void response.destroy()
    case 'hang':
      return
    case 'stall':
    case 'truncate': {
      const { status, headers, body } = await process()
      response.writeHead(status, { ...headers, 'content-length': body.length })
      response.write(body.subarray(0, body.length >> 1))
      if (fault.kind === 'truncate') response.socket?.end()
      return
    }
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

async function passOn(port: number, { method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
  // The Host stays as it was, so that the provider's own addresses are the front's.
  const passed = makeRequest({
    host: '127.0.0.1',
    port,
    method,
    path: url,
    headers: { ...headers, connection: 'close' },
  })
  passed.end(body)
  const [answer] = (await once(passed, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  const { 'transfer-encoding': _, connection: __, ...kept } = answer.headers
  return { status: answer.statusCode ?? 500, headers: kept, body: Buffer.concat(chunks) }
}

function describe({ method = '', url = '' }: IncomingMessage, body: Buffer): SeenRequest {
  const { pathname, searchParams } = new URL(url, 'http://127.0.0.1')
  const form = Object.fromEntries(new URLSearchParams(body.toString('utf8')))
  const query = Object.fromEntries(searchParams)
  return { method, path: pathname, grantType: form.grant_type ?? null, at: Date.now(), form, query }
}
