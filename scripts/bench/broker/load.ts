// Sends requests to a server over kept connections: a number at once, or a number per second.
import { Agent, request as send } from 'node:http'

export interface LoadRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Reply {
  /** 0 if there was no answer. */
  readonly status: number
  readonly error: string | undefined
  readonly milliseconds: number
}

export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 512 })
  readonly #base: URL

  constructor(url: string) {
    this.#base = new URL(url)
  }

  post({ path, headers, body }: LoadRequest, timeoutMs = 30_000): Promise<Reply> {
    const startedAt = performance.now()
    return new Promise((resolve) => {
      const done = (status: number, text: string) =>
        resolve({ status, error: errorOf(text), milliseconds: performance.now() - startedAt })
      const { hostname, port } = this.#base
      const all = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }
      const options = { hostname, port, path, method: 'POST', headers: all, agent: this.#agent, timeout: timeoutMs }
      const request = send(options, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => done(response.statusCode ?? 0, text))
        response.on('error', () => done(0, ''))
      })
      request.on('timeout', () => request.destroy())
      request.on('error', () => done(0, ''))
      request.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Sends all requests, `inFlight` at a time. */
export async function sendAll(client: Client, requests: readonly LoadRequest[], inFlight: number): Promise<Reply[]> {
  const replies: Reply[] = []
  let next = 0
  const worker = async () => {
    for (let request = requests[next++]; request; request = requests[next++]) replies.push(await client.post(request))
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return replies
}

/** Sends requests at a steady rate, whether or not earlier ones have been answered. */
export async function sendAtRate(
  client: Client,
  newRequest: (n: number) => LoadRequest,
  perSecond: number,
  seconds: number,
): Promise<Reply[]> {
  const startedAt = performance.now()
  const running: Promise<Reply>[] = []
  const total = perSecond * seconds
  while (running.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startedAt) / 1000) * perSecond))
    while (running.length < due) running.push(client.post(newRequest(running.length)))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return await Promise.all(running)
}

function errorOf(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: string }
    return error
  } catch {
    return undefined
  }
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
