// A child process with a thousand callers: for each line on stdin all call at once, and it prints when the last response came.
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { endpointOf, frame, openRaw, type RawClient, TEXT, takeFrame } from './raw-client.ts'

const CONNECTIONS = 50
const CALLS = 20 // on each connection
const ALL = Buffer.concat(
  Array.from({ length: CALLS }, () => frame(1, '{"jsonrpc":"2.0","method":"getAuthHeader","id":1}')),
)

const say = (text: string) => void writeSync(1, `${text}\n`)

/** Sends all calls of a connection; resolves with the distinct responses when all have arrived. */
function callAll({ socket }: RawClient): Promise<Set<string>> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0)
    let responses = 0
    const texts = new Set<string>()
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      for (let found = takeFrame(bytes); found; found = takeFrame(bytes)) {
        const text = found.payload.toString('latin1')
        bytes = bytes.subarray(found.size)
        if (found.opcode !== TEXT || text.includes('"method"')) continue // a ping or a notification
        texts.add(text)
        if (++responses < CALLS) continue
        socket.off('data', onData)
        return resolve(texts)
      }
    }
    socket.on('data', onData)
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
    const texts = await Promise.all(clients.map(callAll))
    const ms = performance.now() - startedAt
    say(JSON.stringify({ ms, texts: [...new Set(texts.flatMap((one) => [...one]))] }))
  })
  say('ready')
}

void main()
