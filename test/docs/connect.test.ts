// The examples of «Connect from your own program» against a server in the role of the daemon, which a real one cannot play.
import { spawn } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocketServer } from 'ws'
import { temporaryFolder } from '../support/folder.ts'
import { endOf } from '../support/program.ts'
import { ROOT, readPage } from './markdown.ts'
import { pythonWithWebsockets } from './user.ts'

const EXAMPLES = readPage('docs/rpc.md').blocks.filter(({ language }) => language === 'js' || language === 'python')
const RUN = {
  js: (text: string) => [process.execPath, '--input-type=module', '-e', text],
  python: (text: string) => [String(pythonWithWebsockets), '-c', text],
} as const

interface Role {
  /** Whether the server knows the key of the discovery file. */
  readonly isGenuine: boolean
  /** What it sends once it is connected. */
  readonly first?: string
}

/** A server in the role of the daemon, its discovery file, and what it receives. */
async function newServer({ isGenuine, first }: Role) {
  const home = await temporaryFolder()
  const [key, instance] = [randomBytes(32), randomBytes(16).toString('base64url')]
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    path: '/rpc',
    handleProtocols: () => 'cadzero-auth.v1',
  })
  await new Promise((resolve) => server.once('listening', resolve))
  onTestFinished(() => server.close())
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const received: string[] = []
  let isAuthorized = false
  const macOf = (role: string, nonce: string) =>
    createHmac('sha256', key).update(`${role}\n${endpoint}\n${instance}\n${nonce}`).digest('base64url')
  server.on('headers', (headers, { headers: { authorization = '' } }) => {
    const [, nonce = ''] = /nonce="([\w-]+)"/.exec(authorization) ?? []
    isAuthorized =
      authorization === `CadzeroAuth instance="${instance}", nonce="${nonce}", mac="${macOf('client', nonce)}"`
    headers.push(`CadzeroAuth-Proof: ${isGenuine ? macOf('server', nonce) : randomBytes(32).toString('base64url')}`)
  })
  server.on('connection', (socket) => {
    if (first !== undefined) socket.send(first)
    socket.on('message', (data) => {
      received.push(String(data))
      const result = { headers: { Authorization: 'Bearer canary' }, expiresAt: 0, refreshAt: 0 }
      socket.send(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(String(data)).id, result }))
    })
  })
  await mkdir(join(home, 'data'))
  const file = { version: 1, endpoint, path: '/rpc', instance, key: key.toString('base64url') }
  await writeFile(join(home, 'data', 'endpoint.json'), JSON.stringify(file))
  return { home, received, isAuthorized: () => isAuthorized }
}

it('are one in Node.js and one in Python', () => {
  expect(EXAMPLES.map(({ language }) => language)).toEqual(['js', 'python'])
})

for (const { language, text } of EXAMPLES) {
  const isSkipped = language === 'python' && !pythonWithWebsockets
  const skipped = isSkipped ? ' (skipped: needs python3-websockets)' : ''
  const run = async (home: string) => {
    const [program = '', ...args] = RUN[language as keyof typeof RUN](text)
    return await endOf(spawn(program, args, { cwd: ROOT, env: { PATH: process.env.PATH, CADZERO_AUTH_HOME: home } }))
  }

  describe.skipIf(isSkipped)(`the example in ${language}${skipped}`, () => {
    it('waits for its answer although a notification comes first', async () => {
      const first = JSON.stringify({ jsonrpc: '2.0', method: 'sessionChanged', params: {} })
      const { home, isAuthorized, received } = await newServer({ isGenuine: true, first })
      const { code, stdout, stderr } = await run(home)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('Bearer canary')
      expect(isAuthorized()).toBe(true)
      expect(received).toHaveLength(1)
    })

    it('sends nothing to a server that does not know the key', async () => {
      const { home, received } = await newServer({ isGenuine: false })
      const { code, stdout, stderr } = await run(home)
      expect(code).not.toBe(0)
      expect(stdout).toBe('')
      expect(stderr).toContain('not the genuine daemon')
      expect(received).toEqual([])
    })
  })
}
