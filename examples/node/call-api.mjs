// Calls an API with a header from the daemon: node call-api.mjs URL
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import WebSocket from 'ws'

const url = process.argv[2]
const client = await connect(discoveryFile())
try {
  let { headers } = await client.call('getAuthHeader', { interactive: false })
  let response = await fetch(url, { headers })
  if (response.status === 401) {
    // Naming the rejected header lets the daemon refresh once for all clients that were refused.
    ;({ headers } = await client.call('refresh', { rejected: headers.Authorization }))
    response = await fetch(url, { headers })
  }
  process.stdout.write(`${response.status} ${await response.text()}\n`)
  process.exitCode = response.ok ? 0 : 1
} finally {
  client.close()
}

function discoveryFile() {
  const { CADZERO_AUTH_HOME: home, LOCALAPPDATA, XDG_DATA_HOME } = process.env
  if (home) return join(home, 'data', 'endpoint.json')
  if (process.platform === 'win32') return join(LOCALAPPDATA, 'cadzero-auth', 'Data', 'endpoint.json')
  if (process.platform === 'darwin') {
    return join(homedir(), 'Library', 'Application Support', 'cadzero-auth', 'endpoint.json')
  }
  return join(XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'cadzero-auth', 'endpoint.json')
}

/** Connects, and checks that the other side is the user's daemon before it sends anything. */
async function connect(file) {
  // Read it for each connection: its key changes whenever the daemon starts.
  const { endpoint, path, instance, key } = JSON.parse(readFileSync(file, 'utf8'))
  const nonce = randomBytes(16).toString('base64url')
  const mac = (role) =>
    createHmac('sha256', Buffer.from(key, 'base64url'))
      .update(`${role}\n${endpoint}\n${instance}\n${nonce}`)
      .digest('base64url')
  const authorization = `CadzeroAuth instance="${instance}", nonce="${nonce}", mac="${mac('client')}"`
  const socket = new WebSocket(`ws://${endpoint}${path}`, 'cadzero-auth.v1', {
    headers: { Authorization: authorization },
  })
  await new Promise((resolve, reject) => {
    let isGenuine = false
    socket.once('upgrade', ({ headers }) => {
      const [expected, given] = [mac('server'), String(headers['cadzeroauth-proof'])].map((text) => Buffer.from(text))
      isGenuine = expected.length === given.length && timingSafeEqual(expected, given)
    })
    socket.once('open', () => (isGenuine ? resolve() : reject(new Error('not the genuine daemon'))))
    socket.once('error', reject)
  })
  return createClient(socket)
}

function createClient(socket) {
  const waiting = new Map()
  let lastId = 0
  socket.on('message', (data) => {
    const { id, result, error } = JSON.parse(String(data))
    const call = waiting.get(id) // a notification has no id
    waiting.delete(id)
    if (error) call?.reject(new Error(`${error.code} ${error.message}: ${error.data?.reason ?? ''}`))
    else call?.resolve(result)
  })
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the daemon closed the connection'))
  })
  return {
    call: (method, params) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        waiting.set(id, { resolve, reject })
        socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      }),
    close: () => socket.close(),
  }
}
