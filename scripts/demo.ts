// The demo: the real daemon signs in at services on this computer, returns a header and refreshes it. It stays until Ctrl-C,
// for commands in another terminal. Without a terminal it signs in by itself, and ends after one refresh.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeUser } from '../src/cli/status-text.ts'
import { systemFiles } from '../src/host/files.ts'
import { systemRandom } from '../src/host/random.ts'
import { ConnectionClosedError, connect, NoDaemonError, type RpcClient } from '../src/rpc/client.ts'
import { errors, type Result, RpcError } from '../src/rpc/contract.ts'
import { createHome } from './demo/home.ts'
import { startHandoff, startOAuth } from './demo/services.ts'

const PROGRAM = fileURLToPath(new URL('../dist/cadzero-auth.cjs', import.meta.url))
const { values: flags } = parseArgs({
  options: {
    auto: { type: 'boolean' }, // signs in by itself
    once: { type: 'boolean' }, // ends after one refresh
    stay: { type: 'boolean' }, // stays also without a terminal
    handoff: { type: 'boolean' }, // signs in at a page, and refreshes through a broker
  },
})
const isAttended = process.stdin.isTTY === true || process.stdout.isTTY === true || flags.stay === true
const isChosen = flags.auto === true || flags.once === true
const auto = flags.auto ?? (!isAttended && !isChosen)
const ends = flags.once ?? (!isAttended && flags.stay !== true)
// Shorter than Clerk's 60 s, so that the viewer sees a refresh soon. A demo that ends waits until a token expires.
const TOKEN_SECONDS = ends ? 3 : 20
const SIGN_IN_SECONDS = isAttended ? 300 : 60

const say = (text: string) => void process.stdout.write(`${text}\n`)

const services = flags.handoff ? await startHandoff(TOKEN_SECONDS, PROGRAM) : await startOAuth(TOKEN_SECONDS)
// With --auto the demo follows the link itself, and no browser opens.
const home = await createHome(services, PROGRAM, auto && existsSync('/bin/true') ? '/bin/true' : undefined)

let isStopping: Promise<void> | undefined
const stop = () => {
  isStopping ??= (async () => {
    await cadzeroAuth('daemon', '--stop')
    await services.close()
    await home.remove()
  })()
  return isStopping
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void stop().then(() => process.exit(0)))
}

/** A sign-in that failed, as one sentence. */
class SignInError extends Error {}

try {
  for (const line of services.lines) say(line)
  await run()
} catch (error) {
  if (isStopping === undefined) {
    if (!(error instanceof SignInError)) throw error
    process.stderr.write(`error: ${error.message}; run the demo again to sign in\n`)
    process.exitCode = 1
    await wait(1000) // the browser still has to load the page about the failure
  }
} finally {
  await stop()
}

async function run(): Promise<void> {
  if ((await cadzeroAuth('status')) !== 0) throw new Error('the daemon did not start')
  if (ends) return await showOnce(await connectToDaemon())
  say(`\nIn a second terminal, this line makes cadzero-auth use this sandbox:\n\n  ${home.line}\n`)
  for (;;) {
    try {
      await showUntilStopped(await connectToDaemon())
    } catch (error) {
      if (!(error instanceof ConnectionClosedError)) throw error
    }
    say('the daemon has stopped; a command in the second terminal starts it again')
    while (!(await isRunning())) await wait(500)
  }
}

async function showOnce(client: RpcClient): Promise<void> {
  await signIn(client)
  const { headers, expiresAt } = await client.call('getAuthHeader')
  say(`header   Authorization: ${shorten(headers.Authorization)}`)
  await wait(Math.max(0, expiresAt * 1000 - Date.now()) + 100)
  const next = await client.call('getAuthHeader', { interactive: false })
  if (next.headers.Authorization === headers.Authorization)
    throw new Error('the daemon returned the expired token again')
  say(`header   Authorization: ${shorten(next.headers.Authorization)} (after the first one expired)`)
  const { revoked } = await client.call('logout')
  if (!revoked) throw new Error('the provider did not confirm the logout')
  say('logout   revoked at the provider')
  client.close()
}

async function showUntilStopped(client: RpcClient): Promise<void> {
  if ((await client.call('status')).state === 'signed_out') await signIn(client).catch(reportFailedSignIn)
  say('the demo now gets a header every second, as a busy add-in does; press Ctrl-C to stop')
  for (;;) {
    await client.call('getAuthHeader', { interactive: false }).catch((error: unknown) => {
      // After a sign-out by a command, the demo waits for the next sign-in.
      if (!(error instanceof RpcError && error.code === errors.interactionRequired.code)) throw error
    })
    await Promise.race([wait(1000), client.closed])
  }
}

function reportFailedSignIn(error: unknown): void {
  if (!(error instanceof SignInError)) throw error
  say(`${error.message}; run cadzero-auth login in the second terminal to try again`)
}

/** Signs in with the browser. @throws SignInError */
async function signIn(client: RpcClient): Promise<void> {
  const params = { timeoutSeconds: SIGN_IN_SECONDS }
  try {
    await client.call('login', params).catch(async (error: unknown) => {
      if (reasonOf(error) !== 'browser') throw error
      say('no browser could be opened, and the link above has ended: open the next one yourself')
      await client.call('login', { ...params, openBrowser: false })
    })
  } catch (error) {
    if (!(error instanceof RpcError)) throw error
    const reason = reasonOf(error)
    if (reason === 'access_denied') throw new SignInError('the sign-in was declined in the browser')
    throw new SignInError(`${error.message} (${reason})`)
  }
}

function reasonOf(error: unknown): unknown {
  return error instanceof RpcError ? error.data?.reason : undefined
}

async function connectToDaemon(): Promise<RpcClient> {
  const client = await connect(systemFiles, home.discoveryFile, systemRandom)
  showChanges(client)
  return client
}

async function isRunning(): Promise<boolean> {
  try {
    const client = await connect(systemFiles, home.discoveryFile, systemRandom)
    client.close()
    return true
  } catch (error) {
    if (error instanceof NoDaemonError) return false
    throw error
  }
}

/** Prints each sign-in and each new token; with --auto also signs in as the user does in the browser. */
function showChanges(client: RpcClient): void {
  let shown: { url: string | null; token: number | null } = { url: null, token: null }
  client.onNotification((method, params) => {
    if (method !== 'sessionChanged') return
    const { state, authorizationUrl, tokenExpiresAt, user, refresh } = params as Result<'status'>
    if (authorizationUrl !== null && authorizationUrl !== shown.url) {
      say(`sign in  ${authorizationUrl}`)
      // The daemon may end before the last page is loaded. Whether the sign-in has succeeded, it says itself.
      if (auto) services.visit(authorizationUrl).catch(() => undefined)
    }
    if (tokenExpiresAt !== null && tokenExpiresAt !== shown.token) {
      const event =
        shown.token === null || refresh.lastAt === null ? `signed in as ${describeUser({ user })}` : 'refreshed'
      say(`${event}; the token is valid until ${new Date(tokenExpiresAt * 1000).toLocaleTimeString()}`)
    }
    if (tokenExpiresAt === null && shown.token !== null && state === 'signed_out') say('signed out')
    shown = { url: authorizationUrl, token: tokenExpiresAt }
  })
}

/** Runs a command as in the second terminal. @returns its exit code */
async function cadzeroAuth(...args: string[]): Promise<number | null> {
  const own = Object.entries(process.env).filter(([name]) => !/^CADZERO_AUTH_(?!BROWSER$)/i.test(name))
  const browser = auto && existsSync('/bin/true') ? { CADZERO_AUTH_BROWSER: '/bin/true' } : {}
  const env = { ...Object.fromEntries(own), ...browser, CADZERO_AUTH_HOME: home.folder }
  const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = (await once(child, 'close')) as [number | null]
  return code
}

function shorten(header: string): string {
  return `${header.slice(0, 22)}…${header.slice(-6)} (${header.length} characters)`
}
