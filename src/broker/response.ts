// The response to a request, before it becomes a Response of the Fetch standard or is written by a server of Node.js.

export interface BrokerResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON; null for a response without a body. */
  readonly text: string | null
}

export function jsonResponse(
  body: object,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): BrokerResponse {
  const all = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers }
  return { status, headers: all, text: JSON.stringify(body) }
}

export function withHeaders(answer: BrokerResponse, headers: Readonly<Record<string, string>>): BrokerResponse {
  return { ...answer, headers: { ...answer.headers, ...headers } }
}

export function toFetchResponse({ status, headers, text }: BrokerResponse): Response {
  return new Response(text, { status, headers })
}
