// `cadzero-auth doctor`: runs every check, and prints what each found and what the user can do about it.
import type { Profile } from '../../config/profile.ts'
import { diagnose } from '../../daemon/diagnose.ts'
import { openerPaths } from '../../host/browser.ts'
import type { Diagnosis } from '../../rpc/contract.ts'
import type { CommonOptions, Context } from '../context.ts'
import { UsageError } from '../failure.ts'
import { paint, printJson, printWrapped } from '../terminal.ts'
import { checkAutostart } from './autostart.ts'
import { checkBrowser } from './browser.ts'
import type { ClerkOptions } from './clerk.ts'
import { checkConfiguration } from './configuration.ts'
import { checkDaemon } from './daemon.ts'
import { describeFinding, type Finding, FOUND_COLUMN } from './finding.ts'
import { checkFolders } from './folders.ts'
import { checkHandoff, checkIssuer } from './handoff.ts'
import { checkKeyring } from './keyring.ts'
import { checkNetwork, isReached } from './network.ts'
import { checkProvider } from './provider.ts'
import { checkRedirectPort } from './redirect-port.ts'

export interface DoctorOptions extends ClerkOptions {
  readonly clerk?: boolean
}

/**
 * @returns whether no check has failed
 * @throws UsageError, CommandError
 */
export async function doctor(context: Context, options: DoctorOptions): Promise<boolean> {
  const { clerk = options.setTemplateLifetime !== undefined } = options
  if (options.template !== undefined && options.setTemplateLifetime === undefined) {
    throw new UsageError('--template needs --set-template-lifetime', 'add a lifetime: --set-template-lifetime 15m')
  }
  const findings = clerk
    ? await (await import('./clerk.ts')).checkClerk(context, options, process.env)
    : await checkAll(context, options)
  if (options.json) printJson(findings)
  else for (const finding of findings) printWrapped(describeFinding(finding, colour), FOUND_COLUMN)
  return findings.every(({ verdict }) => verdict !== 'failed')
}

const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red' } as const

function colour(verdict: Finding['verdict'], mark: string): string {
  return paint(COLOURS[verdict], mark, process.stdout)
}

async function checkAll(context: Context, options: CommonOptions): Promise<Finding[]> {
  const folders = await checkFolders(context)
  const { finding, config, profile } = await checkConfiguration(context, options.profile)
  const diagnosis = profile && (await diagnose({ host: context.host, profile, openers: openerPaths(process.env) }))
  return [
    ...folders,
    finding,
    await checkKeyring(context, config?.keyProtection),
    checkBrowser(process.env),
    ...(profile && diagnosis
      ? [
          await checkRedirectPort(profile),
          ...checkNetwork(diagnosis, profile.name),
          ...(await checkSignIn(context, profile, diagnosis)),
        ]
      : []),
    await checkAutostart(context),
    ...(await checkDaemon(context, options, diagnosis)),
  ]
}

/** What a server that can be reached says of itself. */
async function checkSignIn(context: Context, profile: Profile, diagnosis: Diagnosis): Promise<Finding[]> {
  if (profile.kind === 'handoff') {
    const ofBroker = isReached(diagnosis, 'broker') ? await checkIssuer(context, profile) : []
    return [...checkHandoff(profile, diagnosis), ...ofBroker]
  }
  return isReached(diagnosis, 'provider') ? await checkProvider(context, profile) : []
}
