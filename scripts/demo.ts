// The demo: the real daemon signs in at the sandbox, returns a header, and refreshes it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { systemFiles } from '../src/host/files.ts'
import { systemRandom } from '../src/host/random.ts'
import { connect, type RpcClient } from '../src/rpc/client.ts'
import { errors, type Result, RpcError } from '../src/rpc/contract.ts'
import { type Sandbox, startSandbox } from '../test/sandbox/index.ts'

const PROGRAM = fileURLToPath(new URL('../dist/cadzero-auth.cjs', import.meta.url))
const auto = process.argv.includes('--auto')
const isSingleRefresh = process.argv.includes('--once')
// Shorter than Clerk's 60 s, so that the viewer sees a refresh soon. With --once, the demo waits until a token expires.
const TOKEN_SECONDS = isSingleRefresh ? 3 : 20

const say = (text: string) => void process.stdout.write(`${text}\n`)

const home = process.env.CADZERO_AUTH_HOME || (await mkdtemp(join(tmpdir(), 'cadzero-auth-demo-')))
const sandbox = await startSandbox({ accessTokenTtl: TOKEN_SECONDS })
say(`sandbox ${sandbox.issuer} (an OpenID provider, configured as Clerk is; token lifetime ${TOKEN_SECONDS} s)`)
const daemon = await startDaemon(sandbox)
const client = await connect(systemFiles, daemon.discoveryFile, systemRandom)

/** A sign-in that failed; printed as one sentence. */
class SignInError extends Error {}

let stopping: Promise<void> | undefined
const stop = () => {
  stopping ??= (async () => {
    client.close()
    daemon.child.kill('SIGTERM')
    if (daemon.child.exitCode === null) await once(daemon.child, 'exit')
    await sandbox.close()
    if (!process.env.CADZERO_AUTH_HOME) await rm(home, { recursive: true, force: true })
  })()
  return stopping
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop().then(() => process.exit(0)))

try {
  await run(client)
} catch (error) {
  if (!(error instanceof SignInError)) throw error
  process.stderr.write(`error: ${error.message}\n`)
  process.exitCode = 1
  await wait(1000) // the browser still has to load the page about the failure
} finally {
  await stop()
}

async function run(client: RpcClient): Promise<void> {
  showChanges(client)
  if ((await client.call('status')).state !== 'signed_in') await signIn(client)
  const { headers, expiresAt } = await client.call('getAuthHeader')
  say(`header  Authorization: ${shorten(headers.Authorization)}`)
  if (isSingleRefresh) return await refreshOnceAndLogout(client, headers.Authorization, expiresAt)
  say('the demo now gets a header every second, as a busy add-in does; press Ctrl-C to stop')
  for (;;) {
    const isRunning = await Promise.race([wait(1000, true), client.closed.then(() => false)])
    if (!isRunning) return say('the daemon was stopped')
    // After a sign-out by another client (`cadzero-auth logout`), the demo waits for the next sign-in.
    await client.call('getAuthHeader', { interactive: false }).catch((error: unknown) => {
      if (!(error instanceof RpcError && error.code === errors.interactionRequired.code)) throw error
    })
  }
}

async function refreshOnceAndLogout(client: RpcClient, first: string, expiresAt: number): Promise<void> {
  await wait(Math.max(0, expiresAt * 1000 - Date.now()) + 100)
  const { headers } = await client.call('getAuthHeader', { interactive: false })
  if (headers.Authorization === first) throw new Error('the daemon returned the expired token again')
  say(`header  Authorization: ${shorten(headers.Authorization)} (after the first one expired)`)
  const { revoked } = await client.call('logout')
  if (!revoked) throw new Error('the provider did not confirm the logout')
  say(`logout  revoked at the provider; token requests: ${sandbox.count('/oauth/token')}`)
}

/** Signs in with the browser. @throws SignInError */
async function signIn(client: RpcClient): Promise<void> {
  try {
    await client.call('login').catch(async (error: unknown) => {
      if (reasonOf(error) !== 'browser') throw error
      say('no browser could be opened: open the next link yourself')
      await client.call('login', { openBrowser: false })
    })
  } catch (error) {
    if (!(error instanceof RpcError)) throw error
    const reason = reasonOf(error)
    const declined = 'the sign-in was declined in the browser; run the demo again to sign in'
    throw new SignInError(reason === 'access_denied' ? declined : `${error.message} (${reason})`)
  }
}

function reasonOf(error: unknown): unknown {
  return error instanceof RpcError ? error.data?.reason : undefined
}

/** Prints each sign-in and each new token; with --auto also signs in as the user does in the browser. */
function showChanges(client: RpcClient): void {
  let shown: { url: string | null; token: number | null } = { url: null, token: null }
  client.onNotification((_method, params) => {
    const { authorizationUrl, tokenExpiresAt, user, refresh } = params as Result<'status'>
    if (authorizationUrl !== null && authorizationUrl !== shown.url) {
      say(`sign in ${authorizationUrl}`)
      if (auto) void sandbox.signIn(authorizationUrl)
    }
    if (tokenExpiresAt !== null && tokenExpiresAt !== shown.token) {
      const event =
        shown.token === null || refresh.lastAt === null ? `signed in as ${user?.name} <${user?.email}>` : 'refreshed'
      say(`${event}; the token is valid until ${new Date(tokenExpiresAt * 1000).toLocaleTimeString()}`)
    }
    shown = { url: authorizationUrl, token: tokenExpiresAt }
  })
}

async function startDaemon(sandbox: Sandbox) {
  const child = spawn(process.execPath, [PROGRAM, 'daemon'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      CADZERO_AUTH_HOME: home,
      CADZERO_AUTH_ISSUER: sandbox.issuer,
      CADZERO_AUTH_CLIENT_ID: sandbox.clientId,
      // The demo does not touch the real keyring of its user.
      CADZERO_AUTH_KEY_PROTECTION: process.env.CADZERO_AUTH_KEY_PROTECTION ?? 'keyfile',
      // With --auto the demo follows the link itself, and no browser opens.
      ...(auto && existsSync('/bin/true') ? { CADZERO_AUTH_BROWSER: '/bin/true' } : {}),
    },
  })
  const [line] = await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error('the daemon did not start')
    }),
  ])
  say(String(line).trim())
  return { child, discoveryFile: join(home, 'data', 'endpoint.json') }
}

function shorten(header: string): string {
  return `${header.slice(0, 22)}…${header.slice(-6)} (${header.length} characters)`
}
