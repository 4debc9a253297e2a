// A stand-in for Clerk's Backend API that costs little: tokens are signed once. Control it by POST /_control {"mode"}.
// Prints its port. A session's user is the session's id with another prefix.
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:http'

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const jwk = {
  ...createPublicKey(createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }))).export({ format: 'jwk' }),
  kid: 'ins_bench',
  use: 'sig',
  alg: 'RS256',
}
const LIFETIME = 60 // s
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const head = encode({ alg: 'RS256', typ: 'JWT', kid: jwk.kid, cat: 'cl_B7d4PD111AAA' })
const signature = sign(
  'RSA-SHA256',
  Buffer.from('the broker does not check the signature of a token that it has just received'),
  privateKey,
).toString('base64url')

let mode = 'ok'
let requests = 0
let refused = 0
const sockets = new Set()

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => answer(request, response))
})
server.on('connection', (socket) => {
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket))
})
server.keepAliveTimeout = 60_000

function answer({ url, method }, response) {
  if (url.startsWith('/_control/')) {
    const [, , name, value] = url.split('/')
    if (name === 'mode') mode = value
    return json(response, 200, { mode, requests, refused, sockets: sockets.size })
  }
  if (url.endsWith('/jwks') || url.endsWith('/jwks.json')) return json(response, 200, { keys: [jwk] })
  if (!url.startsWith('/v1/sessions/')) return json(response, 404, {})
  requests++
  if (mode === 'hang') return
  if (mode === 'limited') {
    refused++
    return json(response, 429, { errors: [{ code: 'too_many_requests' }] }, { 'retry-after': '3' })
  }
  const id = url.split('/')[3]
  if (method === 'GET') return json(response, 200, session(id))
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: origin,
    sub: userOf(id),
    sid: id,
    iat: now,
    nbf: now - 10,
    exp: now + LIFETIME,
    jti: 'x'.repeat(20),
    v: 2,
    sts: 'active',
    fva: [0, -1],
  }
  json(response, 200, { object: 'token', jwt: `${head}.${encode(claims)}.${signature}` })
}

const userOf = (id) => id.replace('sess_', 'user_')

function session(id) {
  const now = Date.now()
  return {
    object: 'session',
    id,
    user_id: userOf(id),
    client_id: 'client_1',
    actor: null,
    status: 'active',
    last_active_at: now,
    expire_at: now + 604_800_000,
    abandon_at: now + 604_800_000,
    updated_at: now,
    created_at: now,
  }
}

function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

let origin
server.listen(0, '127.0.0.1', () => {
  origin = `http://127.0.0.1:${server.address().port}`
  process.stdout.write(`listening on ${origin}\n`)
})
