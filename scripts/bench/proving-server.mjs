// A bare `ws` server with the proof of both sides and nothing else: what the contract costs a connection.
// It reads its endpoint from the first line of stdin, and the answer to each message from the second.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { WebSocketServer } from 'ws'

const AUTHORIZATION = /^CadzeroAuth instance="([\w-]{22})", nonce="([\w-]{22})", mac="([\w-]{43})"$/
const lines = createInterface({ input: process.stdin })
const received = lines[Symbol.asyncIterator]()
const { instance, key } = JSON.parse((await received.next()).value)
const answer = (await received.next()).value
const secret = Buffer.from(key, 'base64url')
const http = createServer()
const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
const [nonces, proofs] = [new Set(), new WeakMap()]
webSockets.on('headers', (headers, request) => headers.push(`CadzeroAuth-Proof: ${proofs.get(request)}`))
http.on('upgrade', (request, socket, head) => {
  const [, , nonce, given] = AUTHORIZATION.exec(request.headers.authorization ?? '') ?? []
  if (nonce === undefined || nonces.has(nonce) || !isSame(mac('client', nonce), given)) return socket.destroy()
  nonces.add(nonce)
  proofs.set(request, mac('server', nonce))
  webSockets.handleUpgrade(request, socket, head, (client) => {
    client.on('message', () => client.send(answer))
    client.on('error', () => undefined)
  })
})
http.listen(0, '127.0.0.1', () => process.stdout.write(`${http.address().port}\n`))
lines.once('close', () => process.exit()) // the bench has ended

function mac(role, nonce) {
  const endpoint = `127.0.0.1:${http.address().port}`
  return createHmac('sha256', secret).update(`${role}\n${endpoint}\n${instance}\n${nonce}`).digest('base64url')
}

function isSame(expected, given) {
  return timingSafeEqual(Buffer.from(expected), Buffer.from(given))
}
