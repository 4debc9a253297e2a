// The broker in a plain server of Node.js: node node.mjs
import { createServer } from 'node:http'
import { toNodeHandler } from 'cadzero-auth/broker'
import { broker } from './broker.mjs'

const handleAuth = toNodeHandler(broker, { trustedHops: 0 }) // how many of your proxies are in front of this server

createServer((request, response) => {
  if (request.url?.startsWith('/api/auth/')) return handleAuth(request, response)
  response.end('the rest of the server')
}).listen(Number(process.env.PORT ?? 3000), '127.0.0.1')
