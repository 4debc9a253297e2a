// The doctor's check of the running daemon: it responds, is genuine, and has this version; then its session.
import { explainNoDaemon } from '../../daemon/single-instance.ts'
import { connect, NoDaemonError } from '../../rpc/client.ts'
import type { Diagnosis } from '../../rpc/contract.ts'
import type { Endpoint } from '../../rpc/discovery.ts'
import { compareVersions } from '../../update/decision.ts'
import type { CommonOptions, Context } from '../context.ts'
import { tryToStart } from '../daemon-connection.ts'
import { version } from '../version.ts'
import { compareNetwork } from './daemon-network.ts'
import { type Finding, findingOf } from './finding.ts'
import { checkSession } from './session.ts'

const check = 'daemon'

/**
 * Leaves no daemon running that did not run before.
 * @param own what this process sees of the network; undefined without a usable profile
 */
export async function checkDaemon(
  context: Context,
  options: CommonOptions,
  own: Diagnosis | undefined,
): Promise<Finding[]> {
  const { host, folders } = context
  try {
    const client = await connect(host.files, folders.discoveryFile, host.random)
    try {
      return [
        checkVersion(client.endpoint, host.program),
        ...(own ? await compareNetwork(client, options, own) : []),
        ...(await checkSession(client, options, host.clock)),
      ]
    } finally {
      client.close()
    }
  } catch (error) {
    if (!(error instanceof NoDaemonError)) return [findingOf(check, error)]
    const cause = await explainNoDaemon(error, host, folders)
    return [
      cause === error && error.reason !== 'not_genuine' ? await checkStart(context, error) : findingOf(check, cause),
    ]
  }
}

/** No daemon runs: is that because none starts? */
async function checkStart(context: Context, error: NoDaemonError): Promise<Finding> {
  try {
    await tryToStart(context)
    return findingOf(check, error, 'warning')
  } catch (startError) {
    return findingOf(check, startError)
  }
}

function checkVersion({ daemonVersion, pid, program }: Endpoint, own: string): Finding {
  const isOther = program !== undefined && program !== own // an earlier version does not say
  const found = `${daemonVersion}, process ${pid}${isOther ? `, ${program}` : ''}`
  if (daemonVersion === version) return { check, verdict: 'ok', found }
  const isNewerCopy = isOther && compareVersions(daemonVersion, version) > 0
  const hint = isNewerCopy
    ? `use ${program}, which is newer than this program (${version}), or remove one of the two`
    : `run cadzero-auth service restart if it is a service, else cadzero-auth daemon --stop: the next command starts ${version}`
  return { check, verdict: 'warning', found, hint }
}
