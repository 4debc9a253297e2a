// What the front of the sandbox can do to a request in place of a plain answer.

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
      readonly body?: string
    }
  /** Ends the connection; the provider never sees the request. */
  | { readonly kind: 'drop' }
  /** The provider does its work (and rotates), then the connection ends without an answer. */
  | { readonly kind: 'dropAfter' }
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
