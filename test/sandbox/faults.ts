// The faults that the front of the sandbox can inject instead of a normal response.
import type { IncomingHttpHeaders } from 'node:http'

export interface HttpResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export type Fault =
  /** No fault. */
  | { readonly kind: 'pass' }
  /** Responds after a delay. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Responds when the promise has resolved, so that the test decides the order of events. */
  | { readonly kind: 'hold'; readonly until: Promise<unknown> }
  /** Sends this response; the request does not reach the provider. */
  | {
      readonly kind: 'respond'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string | Buffer
    }
  /** Closes the connection; the request does not reach the provider. */
  | { readonly kind: 'drop' }
  /** The provider handles the request (and rotates), then the connection closes without a response. */
  | { readonly kind: 'dropAfter' }
  /** The provider handles the request (and rotates), then calls `then`; the response is never sent. */
  | { readonly kind: 'hangAfter'; readonly then?: () => void }
  /** Resets the connection: before the response, after its headers, or in the middle of its body. */
  | { readonly kind: 'reset'; readonly at: 'start' | 'headers' | 'body' }
  /** Sends the headers, then nothing. */
  | { readonly kind: 'headersOnly' }
  /** Sends the headers, then `bytes` bytes every `ms` milliseconds. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly ms: number }
  /** Sends these bytes instead of an HTTP response. The connection then closes, or stays open without data. */
  | { readonly kind: 'raw'; readonly bytes: string; readonly ends: boolean }
  /** Changes the provider's response, down to its bytes. */
  | { readonly kind: 'alter'; readonly alter: (response: HttpResponse) => HttpResponse }
  /** Sends half of the response, then nothing. */
  | { readonly kind: 'stall' }
  /** Never responds. */
  | { readonly kind: 'hang' }
  /** Sends half of the bytes that Content-Length announces, then closes the connection. */
  | { readonly kind: 'truncate' }
  /** Changes the JSON of the provider's response. */
  | {
      readonly kind: 'replace'
      readonly body: (content: Record<string, unknown>) => unknown
      readonly status?: number
    }
