// `cadzero-auth doctor`: looks at everything that can be wrong, and says what to do about each.
import { isAbsolute } from 'node:path'
import type { Profile } from '../../config/profile.ts'
import { findLauncher } from '../../host/browser.ts'
import { findProgram } from '../../host/programs.ts'
import { connect, NoDaemonError } from '../../rpc/client.ts'
import type { CommonOptions, Context } from '../context.ts'
import { failureOf, UsageError } from '../failure.ts'
import { print, printJson } from '../terminal.ts'
import { version } from '../version.ts'
import { checkService } from './autostart.ts'
import { type ClerkOptions, checkClerk } from './clerk.ts'
import { checkHandoff } from './handoff.ts'
import { checkFolders, checkKeyring, checkPort, loadProfile } from './machine.ts'
import { checkProvider } from './provider.ts'
import { checkSession } from './session.ts'

export interface Finding {
  readonly check: string
  readonly verdict: 'ok' | 'warning' | 'failed'
  readonly found: string
  /** What to do about it. */
  readonly hint?: string
}

export interface DoctorOptions extends ClerkOptions {
  readonly clerk?: boolean
}

/**
 * @returns whether nothing has failed
 * @throws UsageError, CommandError
 */
export async function doctor(context: Context, options: DoctorOptions): Promise<boolean> {
  const { clerk = options.setTemplateLifetime !== undefined } = options
  if (options.template !== undefined && options.setTemplateLifetime === undefined) {
    throw new UsageError('--template changes nothing by itself', 'say the lifetime too: --set-template-lifetime 15m')
  }
  const findings = clerk ? await checkClerk(context, options, process.env) : await checkAll(context, options)
  if (options.json) printJson(findings)
  else for (const finding of findings) print(describe(finding))
  return findings.every(({ verdict }) => verdict !== 'failed')
}

async function checkAll(context: Context, options: CommonOptions): Promise<Finding[]> {
  const findings: Finding[] = await checkFolders(context)
  const loaded = await loadProfile(context, options.profile)
  findings.push(loaded.finding)
  findings.push(await checkKeyring(context, loaded.config?.keyProtection))
  findings.push(checkBrowser())
  if (loaded.profile) {
    findings.push(await checkPort(loaded.profile))
    findings.push(...(await checkSignIn(context, loaded.profile)))
  }
  findings.push(await checkService(context))
  findings.push(...(await checkDaemon(context, options)))
  return findings
}

async function checkSignIn(context: Context, profile: Profile): Promise<Finding[]> {
  return profile.kind === 'oauth' ? await checkProvider(context, profile) : await checkHandoff(context, profile)
}

function checkBrowser(): Finding {
  const own = process.env.CADZERO_AUTH_BROWSER
  const program = own || findLauncher(process.platform, process.env)?.program
  if (program === undefined) {
    return {
      check: 'browser',
      verdict: 'warning',
      found: 'no program that opens a browser',
      hint: 'install xdg-utils, or use the link that cadzero-auth login --no-browser shows',
    }
  }
  // A name without its folder is looked up by the system, in ways of its own.
  if (!isAbsolute(program) || findProgram([program])) return { check: 'browser', verdict: 'ok', found: program }
  return {
    check: 'browser',
    verdict: 'warning',
    found: `${program} is no program that can be started`,
    hint: 'set CADZERO_AUTH_BROWSER to the path of one, or leave it out',
  }
}

async function checkDaemon(context: Context, options: CommonOptions): Promise<Finding[]> {
  try {
    const client = await connect(context.host.files, context.folders.discoveryFile, context.host.random)
    try {
      const running = client.endpoint.daemonVersion
      const finding: Finding = { check: 'daemon', verdict: 'ok', found: `${running}, process ${client.endpoint.pid}` }
      const outdated = {
        verdict: 'warning' as const,
        hint: `this is ${version}; cadzero-auth daemon --replace takes over`,
      }
      return [
        running === version ? finding : { ...finding, ...outdated },
        ...(await checkSession(client, options, context)),
      ]
    } finally {
      client.close()
    }
  } catch (error) {
    const { error: found, hint } = failureOf(error)
    const stranger = error instanceof NoDaemonError && error.reason !== 'not_genuine'
    return [
      { check: 'daemon', verdict: stranger ? 'warning' : 'failed', found, ...(hint === undefined ? {} : { hint }) },
    ]
  }
}

const MARKS = { ok: 'ok     ', warning: 'warning', failed: 'FAILED ' } as const

function describe({ check, verdict, found, hint }: Finding): string {
  const line = `${MARKS[verdict]}  ${check}: ${found}`
  return hint === undefined ? line : `${line}\n         hint: ${hint}`
}
