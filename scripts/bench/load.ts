// Puts load on a server: `ws` clients send one constant request, and count and time the answers.
import type WebSocket from 'ws'
import type { ServerProcess } from './servers.ts'

export const REQUEST = '{"jsonrpc":"2.0","method":"getAuthHeader","id":1}'

export interface Sample {
  readonly perSecond: number
  /** CPU time of the server for one call, in µs. NaN if it is unknown. */
  readonly cpu: number
  /** Latency in µs. Meaningful only with one call in flight. */
  readonly p50: number
  readonly p99: number
}

export interface LoadOptions {
  /** Calls in flight on each connection. */
  readonly inFlight: number
  readonly seconds: number
  /** The expected size of every answer. */
  readonly answerBytes: number
}

/** Keeps calls in flight on every socket for the given time, and waits for the last answer. */
export async function load(
  server: ServerProcess,
  sockets: readonly WebSocket[],
  options: LoadOptions,
): Promise<Sample> {
  const latencies: number[] = []
  const cpuBefore = server.cpuSeconds() ?? Number.NaN
  const start = performance.now()
  const until = start + options.seconds * 1000
  await Promise.all(sockets.map((socket) => keepCalling(socket, options, until, latencies)))
  const ms = performance.now() - start
  const cpu = (((server.cpuSeconds() ?? Number.NaN) - cpuBefore) / latencies.length) * 1e6
  latencies.sort((a, b) => a - b)
  const quantile = (part: number) => (latencies[Math.floor(latencies.length * part)] ?? Number.NaN) * 1000
  return { perSecond: (latencies.length / ms) * 1000, cpu, p50: quantile(0.5), p99: quantile(0.99) }
}

function keepCalling(
  socket: WebSocket,
  { inFlight, answerBytes }: LoadOptions,
  until: number,
  latencies: number[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    let running = 0
    let sentAt = 0
    const send = () => {
      running++
      sentAt = performance.now()
      socket.send(REQUEST)
    }
    const onMessage = (data: Buffer) => {
      const now = performance.now()
      if (data.length !== answerBytes) return end(new Error(`not the constant answer: ${data.length} bytes`))
      latencies.push(now - sentAt)
      running--
      if (now < until) send()
      else if (running === 0) end()
    }
    const onClose = () => end(new Error('the connection was closed under load'))
    const end = (error?: Error) => {
      socket.off('message', onMessage)
      socket.off('close', onClose)
      if (error) reject(error)
      else resolve()
    }
    socket.on('message', onMessage)
    socket.on('close', onClose)
    for (let i = 0; i < inFlight; i++) send()
  })
}

/** Repeats for the given time: connects, completes the handshake, calls once and disconnects. */
export async function loadOfConnects(server: ServerProcess, seconds: number, answerBytes: number): Promise<Sample> {
  const cpuBefore = server.cpuSeconds() ?? Number.NaN
  const start = performance.now()
  let done = 0
  while (performance.now() < start + seconds * 1000) {
    const socket = await server.connect()
    const answer = await ask(socket)
    if (answer.length !== answerBytes) throw new Error(`not the constant answer: ${answer.length} bytes`)
    socket.terminate()
    done++
  }
  const ms = performance.now() - start
  const cpu = (((server.cpuSeconds() ?? Number.NaN) - cpuBefore) / done) * 1e6
  return { perSecond: (done / ms) * 1000, cpu, p50: Number.NaN, p99: Number.NaN }
}

/** Sends one request and returns its answer. Ignores notifications. */
export function ask(socket: WebSocket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new Error('the connection was closed'))
    const onMessage = (data: Buffer) => {
      if (isNotification(data)) return
      socket.off('message', onMessage)
      socket.off('close', onClose)
      resolve(data)
    }
    socket.on('message', onMessage)
    socket.on('close', onClose)
    socket.send(REQUEST)
  })
}

/** Whether a message is a notification such as `sessionChanged`. */
export function isNotification(message: Buffer): boolean {
  return message.includes('"method":')
}
