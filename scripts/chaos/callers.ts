// A child process that is a thousand callers: at each word all ask at once, and it says how long the last one waited.
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { endpointOf, frame, openRaw, type RawClient, TEXT, takeFrame } from './raw-client.ts'

const CONNECTIONS = 50
const CALLS = 20 // on each
const ALL = Buffer.concat(
  Array.from({ length: CALLS }, () => frame(1, '{"jsonrpc":"2.0","method":"getAuthHeader","id":1}')),
)

const say = (text: string) => void writeSync(1, `${text}\n`)

/** Sends all its calls, and resolves with the different answers when all have come. */
function ask({ socket }: RawClient): Promise<Set<string>> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0)
    let answered = 0
    const texts = new Set<string>()
    const look = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      for (let found = takeFrame(bytes); found; found = takeFrame(bytes)) {
        const text = found.payload.toString('latin1')
        bytes = bytes.subarray(found.size)
        if (found.opcode !== TEXT || text.includes('"method"')) continue // a ping, a notification
        texts.add(text)
        if (++answered < CALLS) continue
        socket.off('data', look)
        return resolve(texts)
      }
    }
    socket.on('data', look)
    socket.resume()
    socket.write(ALL)
  })
}

async function main(): Promise<void> {
  const endpoint = endpointOf(process.argv[2] ?? '')
  const clients: RawClient[] = []
  while (clients.length < CONNECTIONS) clients.push(await openRaw(endpoint))
  createInterface({ input: process.stdin }).on('line', async () => {
    const startedAt = performance.now()
    const texts = await Promise.all(clients.map(ask))
    const ms = performance.now() - startedAt
    say(JSON.stringify({ ms, texts: [...new Set(texts.flatMap((one) => [...one]))] }))
  })
  say('here')
}

void main()
