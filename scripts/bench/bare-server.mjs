// A bare `ws` server, the yardstick of the bench: answers each message with the first line of its stdin. With an argument, it
// answers so many milliseconds after the first message that has no answer yet: all that have come by then, together.
import { createInterface } from 'node:readline'
import { WebSocketServer } from 'ws'

const delay = Number(process.argv[2] ?? 0)
const lines = createInterface({ input: process.stdin })
lines.once('line', (answer) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  const waiting = []
  const answerLater = (socket) => {
    if (waiting.push(socket) > 1) return
    setTimeout(() => {
      for (const one of waiting.splice(0)) one.send(answer)
    }, delay)
  }
  server.on('connection', (socket) => {
    socket.on('message', delay > 0 ? () => answerLater(socket) : () => socket.send(answer))
    socket.on('error', () => undefined)
  })
  server.on('listening', () => process.stdout.write(`${server.address().port}\n`))
})
lines.once('close', () => process.exit()) // the bench has ended
