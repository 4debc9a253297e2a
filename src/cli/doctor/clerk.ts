// `cadzero-auth doctor --clerk`: for the developer with the instance's secret key. What Clerk is set to, and where the guide is wrong.
import {
  type ClerkInstance,
  ClerkInstanceError,
  type SessionLimits,
  type Template,
} from '../../broker/clerk-instance.ts'
import { isSafeUrl } from '../../host/network.ts'
import { connect } from '../../rpc/client.ts'
import { type CommonOptions, type Context, profileOf } from '../context.ts'
import { CommandError, UsageError } from '../failure.ts'
import { describeSpan } from '../terminal.ts'
import type { Finding } from './doctor.ts'

export interface ClerkOptions extends CommonOptions {
  /** As written: 900, 15m, 1h. */
  readonly setTemplateLifetime?: string
  readonly template?: string
}

const SHORTEST = 30 // s
const LONGEST = 315_360_000 // s
const DEFAULT_MAXIMUM = 7 * 86_400 // s; Clerk's own, unless the Dashboard says otherwise
const API_URL = 'https://api.clerk.com'

/** @throws UsageError, CommandError */
export async function checkClerk(context: Context, options: ClerkOptions, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const { CLERK_SECRET_KEY: secretKey, CLERK_API_URL: apiUrl = API_URL } = env
  const wanted = options.setTemplateLifetime === undefined ? undefined : parseLifetime(options.setTemplateLifetime)
  if (!secretKey || !/^sk_(test|live)_\S+$/.test(secretKey)) {
    throw new UsageError(
      'CLERK_SECRET_KEY is missing or wrong',
      'set it to the secret key (sk_test_… or sk_live_…) of the instance',
    )
  }
  if (!isSafeUrl(apiUrl)) {
    throw new UsageError('CLERK_API_URL is wrong', 'an https URL, or http on loopback; leave it out for Clerk’s own')
  }
  const { ClerkInstance } = await import('../../broker/clerk-instance.ts')
  const instance = new ClerkInstance({ secretKey, apiUrl, clock: context.host.clock })
  try {
    const environment = await instance.environment()
    if (wanted !== undefined) await setLifetime(instance, options.template, wanted)
    const templates = await instance.templates()
    const limits = await limitsOf(instance, context, options)
    return [
      { check: 'clerk', verdict: 'ok', found: `it answers; a ${environment} instance` },
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
    found: 'it does not know the secret key',
    hint: 'take CLERK_SECRET_KEY anew from the Dashboard, API keys',
  },
  unreachable: { found: 'it cannot be reached', hint: 'check the network, and CLERK_API_URL if it is set' },
  rate_limited: { found: 'it is asked too often', hint: 'wait ten seconds' },
  server: { found: 'it has a problem of its own', hint: 'try again later; status.clerk.com' },
  refused: {
    found: 'it refuses that',
    hint: 'check the name of the template, and what the plan of the instance allows',
  },
}

async function setLifetime(instance: ClerkInstance, name: string | undefined, seconds: number): Promise<void> {
  const templates = await instance.templates()
  const names = templates.map((one) => one.name).join(', ')
  const chosen =
    name === undefined && templates.length === 1 ? templates[0] : templates.find((one) => one.name === name)
  if (!chosen) {
    const hint = names === '' ? 'make one in the Dashboard first: JWT templates' : `name one with --template: ${names}`
    throw new CommandError('which template?', hint)
  }
  if (chosen.hasOwnKey) {
    throw new CommandError(
      `${chosen.name} signs with a key of its own`,
      'Clerk does not give that key out: change it in the Dashboard',
    )
  }
  await instance.setTemplateLifetime(chosen.name, seconds)
}

async function limitsOf(instance: ClerkInstance, { host, folders }: Context, options: CommonOptions) {
  try {
    const client = await connect(host.files, folders.discoveryFile, host.random)
    try {
      const { sessionId } = await client.call('status', profileOf(options))
      return sessionId === null ? undefined : await instance.limitsOf(sessionId)
    } finally {
      client.close()
    }
  } catch (error) {
    if (error instanceof ClerkInstanceError) throw error
    return undefined // no daemon, or a profile of another instance: then there is no session to look at
  }
}

function describeTemplate({ name, lifetime }: Template): Finding {
  const found = `its tokens live ${describeSpan(lifetime)}; they name no session, outlive it, and current JavaScript backends refuse them as session tokens`
  const hint = 'prefer the broker or OAuth; the shorter it lives, the less is lost with one'
  return { check: `template ${name}`, verdict: 'warning', found, hint }
}

const NO_TEMPLATES: Finding = {
  check: 'templates',
  verdict: 'ok',
  found: 'none: tokens are session tokens, and live 60 s',
}

function describeLimits(limits: SessionLimits | undefined): Finding {
  const check = 'session limits'
  if (!limits) {
    const hint = 'sign in by hand-off with this profile, and a session shows them; the Dashboard alone can change them'
    return {
      check,
      verdict: 'ok',
      found: `not to be seen without a session; ${describeSpan(DEFAULT_MAXIMUM)} at most unless changed`,
      hint,
    }
  }
  const { maximum, inactivity } = limits
  const idle = inactivity < maximum ? `, and after ${describeSpan(inactivity)} without activity` : ''
  const found = `a session ends after ${describeSpan(maximum)}${idle}; then a person signs in again`
  return {
    check,
    verdict: 'ok',
    found,
    hint: 'the Dashboard alone can change that (Sessions); OAuth refresh tokens are not bound to it',
  }
}

/** What CADZERO's guide says (CLERK_TOKEN_SETUP.md), beside what holds today. */
const GUIDE: readonly Finding[] = [
  {
    check: 'guide, option 1',
    verdict: 'ok',
    found:
      'it recommends a template of 10 to 15 minutes, and says that one hour is the most; Clerk takes 30 s to 10 years',
    hint: 'doctor --clerk --set-template-lifetime 15m sets it; no template changes how long the session token itself lives',
  },
  {
    check: 'guide, option 2',
    verdict: 'ok',
    found: 'no refresh at all: "refresh": false in the profile, and the status says when the next sign-in is due',
  },
  {
    check: 'guide, option 3',
    verdict: 'ok',
    found: 'OAuth: clientId in the profile. The person signs in once, and nothing has to be set here',
  },
]

/** @throws UsageError */
export function parseLifetime(text: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})(s|m|h|d)?$/.exec(text) ?? []
  const seconds = Number(digits) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? Number.NaN)
  if (seconds >= SHORTEST && seconds <= LONGEST) return seconds
  throw new UsageError('no lifetime that Clerk takes', 'seconds, or 90s, 15m, 1h, 7d: from 30 s to 3650 days')
}
