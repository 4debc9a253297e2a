// The load: raw `ws` clients that send one constant request, and count and time the answers.
import type WebSocket from 'ws'
import type { Peer } from './peers.ts'

export const REQUEST = '{"jsonrpc":"2.0","method":"getAuthHeader","id":1}'

export interface Sample {
  readonly perSecond: number
  /** Processor time that the peer used for one call, in µs; NaN where it cannot be told. */
  readonly cpu: number
  /** In µs; of use only where one call is under way at a time. */
  readonly p50: number
  readonly p99: number
}

export interface LoadOptions {
  /** Calls under way on each connection. */
  readonly inFlight: number
  readonly seconds: number
  /** How long every answer must be. */
  readonly answerBytes: number
}

/** Keeps so many calls under way on every socket for so long, and waits for the last answer. */
export async function load(peer: Peer, sockets: readonly WebSocket[], options: LoadOptions): Promise<Sample> {
  const latencies: number[] = []
  const cpuBefore = peer.cpuSeconds() ?? Number.NaN
  const start = performance.now()
  const until = start + options.seconds * 1000
  await Promise.all(sockets.map((socket) => keepCalling(socket, options, until, latencies)))
  const ms = performance.now() - start
  const cpu = (((peer.cpuSeconds() ?? Number.NaN) - cpuBefore) / latencies.length) * 1e6
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

/** Connects, proves, asks once and hangs up, over and over. */
export async function loadOfConnects(peer: Peer, seconds: number, answerBytes: number): Promise<Sample> {
  const cpuBefore = peer.cpuSeconds() ?? Number.NaN
  const start = performance.now()
  let done = 0
  while (performance.now() < start + seconds * 1000) {
    const socket = await peer.connect()
    const answer = await ask(socket)
    if (answer.length !== answerBytes) throw new Error(`not the constant answer: ${answer.length} bytes`)
    socket.terminate()
    done++
  }
  const ms = performance.now() - start
  const cpu = (((peer.cpuSeconds() ?? Number.NaN) - cpuBefore) / done) * 1e6
  return { perSecond: (done / ms) * 1000, cpu, p50: Number.NaN, p99: Number.NaN }
}

/** The answer to one request; notifications are passed over. */
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

/** Such as `sessionChanged`, which every connection is told. */
export function isNotification(message: Buffer): boolean {
  return message.includes('"method":')
}
