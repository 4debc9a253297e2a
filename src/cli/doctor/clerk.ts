// `cadzero-auth doctor --clerk`: what a developer with the secret key can see of the Clerk instance, and one setting to change.
import { ClerkInstance, ClerkInstanceError, type SessionLimits, type Template } from '../../broker/clerk-instance.ts'
import { isSafeUrl } from '../../host/network.ts'
import { connect } from '../../rpc/client.ts'
import { type CommonOptions, type Context, profileParams } from '../context.ts'
import { CommandError, UsageError } from '../failure.ts'
import { describeSpan } from '../terminal.ts'
import type { Finding } from './finding.ts'

export interface ClerkOptions extends CommonOptions {
  /** As the user wrote it: 900, 15m, 1h. */
  readonly setTemplateLifetime?: string
  readonly template?: string
}

const SHORTEST_LIFETIME = 30 // s; Clerk's own limits
const LONGEST_LIFETIME = 315_360_000 // s
const DEFAULT_MAXIMUM = 7 * 86_400 // s; Clerk's default, which the Dashboard can change
const API_URL = 'https://api.clerk.com'
const CHANGE_LIMITS =
  'change them in the Dashboard (Sessions), or for the broker’s sessions alone with CADZERO_BROKER_SESSION_SECONDS; in production both need a paid plan'

/** @throws UsageError, CommandError */
export async function checkClerk(context: Context, options: ClerkOptions, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const { CLERK_SECRET_KEY: secretKey, CLERK_API_URL: apiUrl = API_URL } = env
  const wanted = options.setTemplateLifetime === undefined ? undefined : parseLifetime(options.setTemplateLifetime)
  if (!secretKey || !/^sk_(test|live)_\S+$/.test(secretKey)) {
    throw new UsageError(
      'CLERK_SECRET_KEY is missing or wrong',
      'set CLERK_SECRET_KEY to a secret key of the instance (sk_test_… or sk_live_…), which the Dashboard shows once',
    )
  }
  if (!isSafeUrl(apiUrl)) {
    throw new UsageError('CLERK_API_URL is wrong', 'set it to an https URL, or unset it to use Clerk’s own API')
  }
  const instance = new ClerkInstance({ secretKey, apiUrl, clock: context.host.clock })
  try {
    const environment = await instance.environment()
    if (wanted !== undefined) await setLifetime(instance, options.template, wanted)
    const templates = await instance.templates()
    const limits = await limitsOf(instance, context, options)
    return [
      { check: 'clerk', verdict: 'ok', found: `it responds; a ${environment} instance` },
      ...templates.map(describeTemplate),
      ...(templates.length === 0 ? [NO_TEMPLATES] : []),
      describeLimits(limits),
      ...GUIDE,
    ]
  } catch (error) {
    if (!(error instanceof ClerkInstanceError)) throw error
    return [{ check: 'clerk', verdict: 'failed', ...PROBLEMS[error.reason] }]
  }
}

const PROBLEMS: Readonly<Record<ClerkInstanceError['reason'], { found: string; hint: string }>> = {
  wrong_key: {
    found: 'it does not accept the secret key',
    hint: 'create a new secret key in the Dashboard (API keys), which shows it once, and set CLERK_SECRET_KEY to it',
  },
  unreachable: { found: 'it cannot be reached', hint: 'check the network, and CLERK_API_URL if it is set' },
  rate_limited: { found: 'it refuses the request: rate limit exceeded', hint: 'wait ten seconds, then try again' },
  server: { found: 'it has a server error', hint: 'look at status.clerk.com, and try again later' },
  refused: {
    found: 'it refuses the request',
    hint: 'check the name of the template, and what the plan of the instance allows',
  },
}

async function setLifetime(instance: ClerkInstance, name: string | undefined, seconds: number): Promise<void> {
  const templates = await instance.templates()
  const names = templates.map((one) => one.name).join(', ')
  if (templates.length === 0) {
    throw new CommandError('the instance has no JWT template', 'create one in the Dashboard (JWT templates)')
  }
  const selected =
    name === undefined && templates.length === 1 ? templates[0] : templates.find((one) => one.name === name)
  if (!selected) {
    const error = name === undefined ? 'the instance has several JWT templates' : 'no such JWT template'
    throw new CommandError(error, `select one with --template: ${names}`)
  }
  if (selected.hasOwnKey) {
    const hint = 'change the lifetime in the Dashboard: Clerk does not return that key, which a change here would need'
    throw new CommandError(`${selected.name} signs with a key of its own`, hint)
  }
  await instance.setTemplateLifetime(selected.name, seconds)
}

async function limitsOf(instance: ClerkInstance, { host, folders }: Context, options: CommonOptions) {
  try {
    const client = await connect(host.files, folders.discoveryFile, host.random)
    try {
      const { sessionId } = await client.call('status', profileParams(options))
      return sessionId === null ? undefined : await instance.limitsOf(sessionId)
    } finally {
      client.close()
    }
  } catch (error) {
    if (error instanceof ClerkInstanceError) throw error
    return undefined // without a daemon, or for another instance's profile, there is no session to ask about
  }
}

function describeTemplate({ name, lifetime }: Template): Finding {
  const found = `its tokens are valid for ${describeSpan(lifetime)}; they contain no session id, outlive the session, and current JavaScript backends reject them as session tokens`
  const hint = 'prefer the broker or OAuth; otherwise choose a short lifetime, which limits the use of a stolen token'
  return { check: `template ${name}`, verdict: 'warning', found, hint }
}

const NO_TEMPLATES: Finding = {
  check: 'templates',
  verdict: 'ok',
  found: 'none: tokens are session tokens, valid for 60 s',
}

/** The limits of one session: the broker, or another program with the secret key, may have moved its end. */
function describeLimits(limits: SessionLimits | undefined): Finding {
  const check = 'session limits'
  if (!limits) {
    const found = `unknown without a session; by default ${describeSpan(DEFAULT_MAXIMUM)} at most`
    const hint = `sign in by hand-off with this profile to see them; ${CHANGE_LIMITS}`
    return { check, verdict: 'ok', found, hint }
  }
  const { maximum, inactivity } = limits
  const idle = inactivity < maximum ? `, and after ${describeSpan(inactivity)} without activity` : ''
  const found = `your session ends after ${describeSpan(maximum)}${idle}; you then sign in again`
  const hint = `${CHANGE_LIMITS}; OAuth refresh tokens have no such limit`
  return { check, verdict: 'ok', found, hint }
}

/** What CADZERO's guide (CLERK_TOKEN_SETUP.md) recommends, and what is true today. */
const GUIDE: readonly Finding[] = [
  {
    check: 'guide, option 1',
    verdict: 'ok',
    found:
      'it recommends a template lifetime of 10 to 15 minutes and allows one hour at most; Clerk accepts 30 s to 10 years',
    hint: 'run cadzero-auth doctor --clerk --set-template-lifetime 15m; no template changes the lifetime of the session token itself',
  },
  {
    check: 'guide, option 2',
    verdict: 'ok',
    found: 'no refresh at all: "refresh": false in the profile; the status shows when the next sign-in is due',
  },
  {
    check: 'guide, option 3',
    verdict: 'ok',
    found: 'OAuth: clientId in the profile; the user signs in once, and nothing has to be set here',
  },
]

/** @returns seconds @throws UsageError */
function parseLifetime(text: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})(s|m|h|d)?$/.exec(text) ?? []
  const seconds = Number(digits) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? Number.NaN)
  if (seconds >= SHORTEST_LIFETIME && seconds <= LONGEST_LIFETIME) return seconds
  throw new UsageError('Clerk does not accept this lifetime', 'use 90s, 15m, 1h or 7d: from 30 s to 3650 days')
}
