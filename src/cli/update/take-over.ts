// Has the program that was just put in place take over from the running daemon, and proves that its daemon is ready.
import { ServiceError } from '../../autostart/errors.ts'
import type { Config } from '../../config/config.ts'
import { connect } from '../../rpc/client.ts'
import type { Result } from '../../rpc/contract.ts'
import type { Endpoint } from '../../rpc/discovery.ts'
import { StoreError } from '../../store/errors.ts'
import { requireReadableKey } from '../../store/inspect.ts'
import { compareVersions } from '../../update/decision.ts'
import { launchOfThisProgram, managerOfThisComputer } from '../autostart/this-computer.ts'
import type { Context } from '../context.ts'
import { startInBackground } from '../daemon-connection.ts'
import { CommandError, StartError } from '../failure.ts'
import { runningDaemon, waitForDaemon } from '../running-daemon.ts'

const SETTLE_SECONDS = 2 // a daemon that crashes when it serves its first clients has done so by then

/**
 * A daemon that could not save a session is not replaced: the session would end with it.
 * @throws CommandError if a session is in memory only
 */
export async function requireSavedSessions(context: Context, config: Config): Promise<void> {
  for (const profile of config.profiles.keys()) {
    const current = await status(context, profile)
    if (!current || current.tokenExpiresAt === null || current.store.persisted) continue
    throw new CommandError(
      `the session of ${profile} is in memory only, and would end with its daemon`,
      'free some space on the disk, and run cadzero-auth status until it shows that the session is on disk; then try again',
    )
  }
}

type KeyProtection = NonNullable<Result<'status'>['store']['keyProtection']>

/**
 * A daemon that is started from here needs the key that the present one has in memory: over ssh, there may be no keyring.
 * @throws CommandError if it cannot be read here
 */
export async function requireKey({ host, folders }: Context, protection: KeyProtection): Promise<void> {
  const { wrappedKeyFile } = folders
  const passphrase = process.env.CADZERO_AUTH_PASSPHRASE
  try {
    await requireReadableKey(protection, { ...host, wrappedKeyFile, passphrase })
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    throw new CommandError(
      `the key of your session cannot be read from here (${error.code})`,
      protection === 'passphrase'
        ? 'set CADZERO_AUTH_PASSPHRASE to the right passphrase, then try again'
        : 'run the update in a terminal of your desktop',
    )
  }
}

/**
 * A session that the old daemon had must be there in the new one.
 * @param version the version of the program in place; undefined if it is not known
 * @throws CommandError, StartError, FileError, ServiceError, or a system error
 */
export async function takeOver(context: Context, config: Config, version: string | undefined): Promise<void> {
  const before = await runningDaemon(context)
  // A newer one belongs to another copy of the program.
  if (before && version !== undefined && compareVersions(before.daemonVersion, version) >= 0) return
  await requireSavedSessions(context, config)
  const current = await status(context)
  const wasSignedIn = current?.state === 'signed_in'
  if (!(await restartService(context, config, before))) {
    if (wasSignedIn && current.store.keyProtection !== null) await requireKey(context, current.store.keyProtection)
    await startInBackground(process.env, context.host.clock, '--replace').catch(withItsWords)
  }
  const daemon = await waitForDaemon(
    context,
    ({ instance, daemonVersion }) => instance !== before?.instance && (version ?? daemonVersion) === daemonVersion,
  )
  if (!daemon) throw new CommandError('it does not respond')
  await context.host.clock.wait(SETTLE_SECONDS)
  const after = await status(context)
  if ((await runningDaemon(context))?.instance !== daemon.instance) throw new CommandError('it has ended again')
  if (wasSignedIn && after?.state !== 'signed_in') throw new CommandError('it does not open the session')
}

/** @returns false if no service manager starts this program for these folders; one that does goes on supervising the daemon */
async function restartService(context: Context, { keyProtection }: Config, before?: Endpoint): Promise<boolean> {
  try {
    const manager = managerOfThisComputer(context)
    const launch = await launchOfThisProgram(context)
    const { command, pid, problem } = await manager.status(launch)
    const isOfThisProgram = command.join('\0') === launch.command.join('\0')
    // An entry that this program would write differently may be for other folders, whose daemon is left alone.
    const isOfTheseFolders = problem === null || (pid !== null && pid === before?.pid)
    // A service knows no passphrase.
    if (!isOfThisProgram || !isOfTheseFolders || keyProtection === 'passphrase') return false
    await manager.restart()
    return true
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    return false // there is an entry, but no manager here, as after su
  }
}

/** The first line that the daemon printed says why it ended: for example, that an older one hangs. */
function withItsWords(error: unknown): never {
  if (!(error instanceof StartError) || error.output === '') throw error
  throw new CommandError(`${error.message}: ${error.output.split('\n')[0]}`)
}

/** Undefined if no daemon gives one. @param profile the default profile if undefined */
async function status({ host, folders }: Context, profile?: string): Promise<Result<'status'> | undefined> {
  try {
    const client = await connect(host.files, folders.discoveryFile, host.random)
    return await client.call('status', profile === undefined ? {} : { profile }).finally(() => client.close())
  } catch {
    return undefined
  }
}
