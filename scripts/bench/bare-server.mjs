// A bare `ws` server, the yardstick of the bench: answers each message with the first line of its stdin.
import { createInterface } from 'node:readline'
import { WebSocketServer } from 'ws'

const lines = createInterface({ input: process.stdin })
lines.once('line', (answer) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  server.on('connection', (socket) => {
    socket.on('message', () => socket.send(answer))
    socket.on('error', () => undefined)
  })
  server.on('listening', () => process.stdout.write(`${server.address().port}\n`))
})
lines.once('close', () => process.exit()) // the bench has ended
