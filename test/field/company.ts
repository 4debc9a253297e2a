// A company's network: the provider is outside, and the user's computer reaches it only as the test allows.
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { type Sandbox, startSandbox } from '../sandbox/index.ts'
import type { Authority } from '../support/certificates.ts'
import { temporaryFolder } from '../support/folder.ts'
import { PROGRAM, type ProgramOptions, runProgram, stopDaemonAfterTest } from '../support/program.ts'
import type { Namespace } from './namespaces.ts'

export const HOST = 'clerk.example.com'
const ISSUER = `https://${HOST}`
const VISIT = fileURLToPath(new URL('visit.ts', import.meta.url))

/**
 * The sandbox as https://clerk.example.com, on port 443 of addresses of a namespace.
 * Unix sockets pass between namespaces: the sandbox stays in this process, where the test can count its requests.
 */
export async function startProvider(
  authority: Authority,
  outside: Namespace,
  addresses: readonly string[],
): Promise<Sandbox> {
  const sandbox = await startSandbox({ issuer: ISSUER })
  const server = createServer(authority.issue(HOST), (incoming, outgoing) => {
    const { method, url, headers } = incoming
    const options = { host: '127.0.0.1', port: sandbox.port, method, path: url }
    const forwarded = request({ ...options, headers: { ...headers, 'x-forwarded-proto': 'https' } }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(outgoing)
    })
    forwarded.on('error', () => outgoing.destroy())
    incoming.pipe(forwarded)
  })
  server.on('tlsClientError', () => undefined)
  const socket = join(await temporaryFolder(), 'socket')
  server.listen(socket)
  await once(server, 'listening')
  onTestFinished(async () => {
    server.close()
    server.closeAllConnections()
    await sandbox.close()
  })
  for (const address of addresses) await startRelay(outside, address, socket)
  return sandbox
}

async function startRelay(outside: Namespace, address: string, socket: string): Promise<void> {
  const relay = outside.start(process.execPath, '-e', RELAY, address, socket)
  await printed(relay.stdout, /listening/)
}

const RELAY = `
  const net = require('node:net')
  const [, address, socket] = process.argv
  net.createServer((client) => {
    const server = net.connect(socket)
    for (const [one, other] of [[client, server], [server, client]]) one.on('error', () => other.destroy()).pipe(other)
  }).listen(443, address, () => console.log('listening'))
`

export interface Called {
  readonly code: number | null
  /** The error's message and hint, a line each; empty if the command succeeds. */
  readonly said: string
  /** What the command printed; empty if it failed. */
  readonly result: Record<string, unknown>
}

export interface Computer {
  readonly options: ProgramOptions
  call(...args: readonly string[]): Promise<Called>
  /** Starts a sign-in that does not open a browser. */
  login(): Promise<Called>
}

/** The user's computer. @param store its certificate store, instead of that of this computer */
export async function newComputer(
  sandbox: Sandbox,
  inside: Namespace,
  env: Readonly<Record<string, string>>,
  store?: string,
): Promise<Computer> {
  const options: ProgramOptions = {
    home: await temporaryFolder(),
    program: [...inside.command(store), process.execPath, PROGRAM],
    env: { CADZERO_AUTH_ISSUER: ISSUER, CADZERO_AUTH_CLIENT_ID: sandbox.clientId, ...env },
  }
  stopDaemonAfterTest(options)
  const call: Computer['call'] = async (...args) => {
    const { code, stdout, stderr } = await runProgram([...args, '--json'], options)
    if (code === 0) return { code, said: '', result: JSON.parse(stdout) }
    const { error } = JSON.parse(stderr) as { error: { message: string; hint: string } }
    return { code, said: `${error.message}\n${error.hint}`, result: {} }
  }
  return { options, call, login: () => call('rpc', 'login', JSON.stringify({ openBrowser: false, wait: false })) }
}

interface Company {
  readonly sandbox: Sandbox
  readonly inside: Namespace
  readonly outside: Namespace
  readonly authority: Authority
}

/** Signs in, each step through the real program. */
export async function signIn(
  computer: Computer,
  { inside, outside, authority }: Omit<Company, 'sandbox'>,
): Promise<void> {
  const started = await computer.login()
  expect(started).toMatchObject({ code: 0, result: { state: 'signing_in' } })
  const visit = [process.execPath, '--import', 'tsx', VISIT, ISSUER, String(started.result.authorizationUrl)]
  const callbackUrl = await outside.run('env', `NODE_EXTRA_CA_CERTS=${authority.file}`, ...visit)
  await inside.run(
    process.execPath,
    '-e',
    'fetch(process.argv[1]).then((r) => process.exit(r.ok ? 0 : 1))',
    callbackUrl,
  )
  expect(await computer.call('rpc', 'status')).toMatchObject({
    result: { state: 'signed_in', user: { email: 'ada@example.com' } },
  })
}

/** Signs in, refreshes and signs out, each through the real program. */
export async function expectWholeSession(computer: Computer, company: Company): Promise<void> {
  const { sandbox } = company
  await signIn(computer, company)
  expect(await computer.call('rpc', 'refresh')).toMatchObject({ code: 0, result: { headers: {} } })
  expect(sandbox.count('/oauth/token', 'refresh_token')).toBe(1)
  expect(await computer.call('rpc', 'logout')).toMatchObject({ code: 0, result: { revoked: true } })
}

/** Resolves when a program has printed the pattern. */
export function printed(stream: NodeJS.ReadableStream | null, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    stream?.on('data', (chunk) => {
      text += chunk
      if (pattern.test(text)) resolve()
    })
    stream?.on('end', () => reject(new Error(`it ended without printing ${pattern}: ${text}`)))
  })
}
