// A user who follows the documentation: a home folder, the command in PATH, a browser, and an API that accepts the token.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { type Sandbox, startSandbox } from '../sandbox/index.ts'
import { isWindows } from '../support/posix.ts'
import { environment, PROGRAM } from '../support/program.ts'
import { ROOT } from './markdown.ts'

const LONGEST_SECONDS = 60

/** Whether this machine has a program. */
export function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}

/** A Python with the package `websockets`; undefined if there is none. */
export const pythonWithWebsockets = ['python3', '/usr/bin/python3'].find(
  (program) => spawnSync(program, ['-c', 'import websockets']).status === 0,
)

export interface Ran {
  readonly code: number | null
  /** Standard output and standard error, as they came. */
  readonly output: string
}

export interface User {
  /** Accepts every valid token. */
  readonly apiUrl: string
  /** Refuses the first header it sees, as after a key rotation, and accepts every other valid one. */
  readonly suspiciousApiUrl: string
  run(program: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>
  /** Runs a block of a page as a shell would, ending at the first command that fails. */
  runShell(text: string): Promise<Ran>
  signInUnlessSignedIn(): Promise<void>
  /** Stops the daemon and everything else. */
  close(): Promise<void>
}

/** @param sandbox where the user signs in */
export async function newUser(sandbox: Sandbox): Promise<User> {
  const home = await mkdtemp(join(tmpdir(), 'cadzero-auth-docs-'))
  const person = await startPerson(sandbox)
  const bin = join(home, 'bin')
  await mkdir(bin)
  await script(join(bin, 'cadzero-auth'), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`)
  const browser = join(bin, 'browser')
  await script(
    browser,
    `#!${process.execPath}\nvoid fetch('${person.url}/browser?url=' + encodeURIComponent(process.argv[2]))\n`,
  )
  const discoveryFile = join(home, 'files', 'data', 'endpoint.json')
  const own = {
    ...environment({ home: join(home, 'files') }),
    HOME: home,
    PATH: [bin, dirname(process.execPath), process.env.PATH].join(delimiter),
    CADZERO_AUTH_BROWSER: browser,
    CADZERO_AUTH_ISSUER: sandbox.issuer,
    CADZERO_AUTH_CLIENT_ID: sandbox.clientId,
    CADZERO_AUTH_COMMAND: join(bin, 'cadzero-auth'),
    PYTHONPATH: join(ROOT, 'embed/python'),
    PYTHONDONTWRITEBYTECODE: '1',
    API_URL: `${person.url}/api`,
  }
  const run: User['run'] = async (program, args, env = {}) => {
    // Windows starts no script without a shell.
    const [file, ...first] = isWindows && program === 'cadzero-auth' ? [process.execPath, PROGRAM] : [program]
    const command = [...first, ...args]
    const child = spawn(file, command, { cwd: ROOT, env: { ...own, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    return await ended(child)
  }
  return {
    apiUrl: own.API_URL,
    suspiciousApiUrl: `${person.url}/suspicious`,
    run,
    runShell: (text) => run('bash', ['-e', '-u', '-o', 'pipefail', '-c', text]),
    async signInUnlessSignedIn() {
      if ((await stateOf(discoveryFile)) === 'signed_in') return
      const { code, output } = await run('cadzero-auth', ['login'])
      if (code !== 0) throw new Error(`the user could not sign in: ${output}`)
    },
    async close() {
      await run('cadzero-auth', ['daemon', '--stop'])
      await person.close()
      await rm(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function stateOf(discoveryFile: string): Promise<string | undefined> {
  try {
    const client = await connect(systemFiles, discoveryFile, systemRandom)
    const { state } = await client.call('status')
    client.close()
    return state
  } catch {
    return undefined
  }
}

async function script(path: string, text: string): Promise<void> {
  await writeFile(path, text)
  await chmod(path, 0o755)
}

async function ended(child: ChildProcess): Promise<Ran> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk
    })
  }
  const late = setTimeout(() => child.kill('SIGKILL'), LONGEST_SECONDS * 1000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(late)
  return { code, output }
}

/** The browser's other half, and the API: both are servers of the test. */
async function startPerson(sandbox: Sandbox): Promise<{ readonly url: string; close(): Promise<void> }> {
  let refused: string | undefined
  const server: Server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://person')
    const answer = (status: number) => response.writeHead(status).end()
    if (pathname === '/browser') {
      answer(204)
      void sandbox.signIn(String(searchParams.get('url')))
      return
    }
    const { authorization = '' } = request.headers
    if (pathname === '/suspicious') refused ??= authorization
    if (authorization === refused) return void answer(401)
    void fetch(`${sandbox.issuer}/oauth/userinfo`, { headers: { authorization } }).then(({ status }) => answer(status))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

export { startSandbox }
