// What the demo signs in at, on this computer: an OpenID provider, or a web page and a broker; and an API that checks tokens.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { type Frontend, startFrontend } from '../../test/sandbox/frontend.ts'
import { type Sandbox, startSandbox } from '../../test/sandbox/index.ts'
import { freePort } from '../../test/support/free-port.ts'

export interface Services {
  /** What they are, in a line each. */
  readonly lines: readonly string[]
  /** The settings of the profile in config.json. */
  readonly profile: object
  /** Accepts every token that they issue. */
  readonly apiUrl: string
  /** Environment variables with which `cadzero-auth broker` runs in another terminal. */
  readonly brokerEnv?: Readonly<Record<string, string>>
  /** Signs in as the user does in the browser. */
  visit(authorizationUrl: string): Promise<void>
  close(): Promise<void>
}

/** @param tokenSeconds the lifetime of tokens */
export async function startOAuth(tokenSeconds: number): Promise<Services> {
  const sandbox = await startSandbox({ accessTokenTtl: tokenSeconds })
  const api = await startApi(sandbox)
  return {
    lines: [
      `sandbox  ${sandbox.issuer}, an OpenID provider that is configured as Clerk is; its tokens live ${tokenSeconds} s`,
    ],
    profile: { issuer: sandbox.issuer, clientId: sandbox.clientId },
    apiUrl: api.url,
    visit: async (url) => void (await sandbox.signIn(url)),
    async close() {
      await api.close()
      await sandbox.close()
    },
  }
}

/** @param program the built cadzero-auth, which runs the broker too */
export async function startHandoff(tokenSeconds: number, program: string): Promise<Services> {
  const sandbox = await startSandbox()
  const { backend, user } = sandbox
  backend.setTokenLifetime(tokenSeconds)
  const sessionId = backend.createSession()
  const page = await startFrontend({
    mint: (session, azp) => backend.sessionToken(session, { azp, lifetimeSeconds: 60 }),
    user,
    sessionId,
    status: null, // the user signs in there first
  })
  const broker = await startBroker(sandbox, page, program)
  const api = await startApi(sandbox)
  return {
    lines: [
      `page     ${page.pageUrl}, CADZERO's page with Clerk's own clerk-js, beside a stand-in for Clerk`,
      `broker   ${broker.url}, cadzero-auth broker; its tokens live ${tokenSeconds} s`,
    ],
    profile: {
      issuer: sandbox.issuer,
      signInUrl: page.pageUrl,
      brokerUrl: broker.url,
      authorizedParties: [page.origin],
      redirectPort: 0,
    },
    apiUrl: api.url,
    brokerEnv: { ...brokerEnv(sandbox, page), CADZERO_BROKER_PUBLIC_URL: 'http://127.0.0.1:8787' },
    async visit(url) {
      const callback = new URL(String(new URL(url).searchParams.get('redirect_url')))
      const token = await backend.sessionToken(sessionId, { azp: page.origin })
      const params = { token, session_id: sessionId, user_id: user.id, user_email: user.email, user_name: user.name }
      for (const [name, value] of Object.entries(params)) callback.searchParams.set(name, value)
      await fetch(callback)
    },
    async close() {
      await Promise.all([api.close(), page.close(), end(broker.child)])
      await sandbox.close()
    },
  }
}

function brokerEnv({ backend, issuer }: Sandbox, page: Frontend) {
  return {
    CLERK_SECRET_KEY: backend.secretKey,
    CLERK_API_URL: backend.url,
    CADZERO_BROKER_KEY: randomBytes(32).toString('base64url'),
    CADZERO_BROKER_INSTANCES: issuer,
    CADZERO_BROKER_AUTHORIZED_PARTIES: page.origin,
  }
}

async function startBroker(sandbox: Sandbox, page: Frontend, program: string) {
  const port = await freePort() // the broker is told the URL at which clients reach it
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, [program, 'broker'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      ...brokerEnv(sandbox, page),
      CADZERO_BROKER_PORT: String(port),
      CADZERO_BROKER_PUBLIC_URL: url,
    },
  })
  let output = ''
  for await (const chunk of child.stdout) {
    output += chunk
    if (output.includes(url)) return { child, url }
  }
  throw new Error('the broker did not start')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

/** An API as CADZERO's is: it verifies the token with the keys of the instance, and says whose it is. */
async function startApi({ issuer }: Sandbox) {
  const { jwks_uri } = (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as {
    jwks_uri: string
  }
  const keys = createRemoteJWKSet(new URL(jwks_uri))
  const server = createServer((request, response) => {
    const [, token = ''] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '') ?? []
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
    jwtVerify(token, keys, { issuer }).then(
      ({ payload }) => answer(200, { user: payload.sub }),
      () => answer(401, { error: 'invalid_token' }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
