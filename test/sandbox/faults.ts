// What the front of the sandbox can do to a request in place of a plain answer.

import type { IncomingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export type Fault =
  /** Behaves. */
  | { readonly kind: 'pass' }
  /** Answers after a while. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Answers when the promise has resolved: the order of events is the test's. */
  | { readonly kind: 'hold'; readonly until: Promise<unknown> }
  /** Answers this; the provider never sees the request. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string | Buffer
    }
  /** Ends the connection; the provider never sees the request. */
  | { readonly kind: 'drop' }
  /** The provider does its work (and rotates), then the connection ends without an answer. */
  | { readonly kind: 'dropAfter' }
  /** The provider does its work (and rotates; `then` is called), and its answer never comes. */
  | { readonly kind: 'hangAfter'; readonly then?: () => void }
  /** The connection is reset: before an answer, after its headers, or in the middle of its body. */
  | { readonly kind: 'reset'; readonly at: 'start' | 'headers' | 'body' }
  /** The headers, then nothing. */
  | { readonly kind: 'headersOnly' }
  /** The headers, then so many bytes each so many milliseconds. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly ms: number }
  /** These very bytes in place of an answer in HTTP; the connection then ends, or stays open in silence. */
  | { readonly kind: 'raw'; readonly bytes: string; readonly ends: boolean }
  /** The provider's answer changed on the way, down to its bytes. */
  | { readonly kind: 'alter'; readonly alter: (answer: Answer) => Answer }
  /** Half an answer, then nothing. */
  | { readonly kind: 'stall' }
  /** Never an answer. */
  | { readonly kind: 'hang' }
  /** Half of what Content-Length promises, then the end. */
  | { readonly kind: 'truncate' }
  /** The provider's answer with its JSON changed on the way. */
  | {
      readonly kind: 'replace'
      readonly body: (answer: Record<string, unknown>) => unknown
      readonly status?: number
    }
