// What the operator's tools ask the broker for: whether it lives, whether it is ready, its metrics and its API.
import type { IncomingMessage } from 'node:http'
import { isLoopback } from './client-address.ts'
import type { Monitor } from './monitor.ts'

export interface OperationResponse {
  readonly status: number
  readonly type: string
  readonly text: string
}

export type Operation = (request: IncomingMessage) => OperationResponse | Promise<OperationResponse>

const JSON_TYPE = 'application/json'
const NOT_FOUND: OperationResponse = { status: 404, type: JSON_TYPE, text: '{"error":"invalid_request"}' }
const LOOPBACK_NAME = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i
// A proxy on this computer connects from loopback, too, and says for whom.
const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via']

/** The answers by path, for the port that clients reach. */
export function publicOperations(monitor: Monitor, document: () => object): ReadonlyMap<string, Operation> {
  let description: string | undefined // made once: to make it costs as much as a refresh
  return new Map<string, Operation>([
    ['/livez', () => ({ status: 200, type: 'text/plain', text: 'ok' })],
    ['/healthz', () => ({ status: 200, type: 'text/plain', text: 'ok' })],
    ['/readyz', () => readiness(monitor)],
    [
      '/openapi.json',
      () => {
        description ??= JSON.stringify(document())
        return { status: 200, type: JSON_TYPE, text: description }
      },
    ],
  ])
}

/** The metrics for this computer alone: without a port of their own, clients could reach them. */
export function localMetrics(monitor: Monitor): Operation {
  return (request) => (isLoopback(request.socket.remoteAddress) && !isForwarded(request) ? metrics(monitor) : NOT_FOUND)
}

/** A proxy that says nothing of its client passes the client's Host on, or speaks HTTP/1.0, as nginx does by default. */
function isForwarded({ headers, httpVersion }: IncomingMessage): boolean {
  const isOfProxy = PROXY_HEADERS.some((name) => name in headers)
  return isOfProxy || httpVersion !== '1.1' || !LOOPBACK_NAME.test(headers.host ?? '')
}

export async function metrics({ metrics: measured }: Monitor): Promise<OperationResponse> {
  return { status: 200, type: measured.contentType, text: await measured.text() }
}

function readiness(monitor: Monitor): OperationResponse {
  const { ready, ...checks } = monitor.health()
  return { status: ready ? 200 : 503, type: JSON_TYPE, text: JSON.stringify({ ready, ...checks }) }
}
