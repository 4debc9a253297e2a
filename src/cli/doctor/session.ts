// The doctor's check of the session, as the daemon reports it: the user, the storage, the last refresh, the token.
import type { Clock } from '../../host/clock.ts'
import type { RpcClient } from '../../rpc/client.ts'
import type { Status } from '../../rpc/contract.ts'
import { type CommonOptions, profileParams } from '../context.ts'
import { describeUser } from '../status-text.ts'
import { type Finding, findingOf } from './finding.ts'

export async function checkSession(client: RpcClient, options: CommonOptions, clock: Clock): Promise<Finding[]> {
  const check = 'session'
  try {
    const status = await client.call('status', profileParams(options))
    if (status.state !== 'signed_in') {
      return [{ check, verdict: 'warning', found: 'no user is signed in', hint: 'cadzero-auth login' }]
    }
    return [
      { check, verdict: 'ok', found: `signed in as ${describeUser(status)}` },
      checkStorage(status),
      ...checkRefresh(status),
      ...checkToken(status, clock.now()),
    ]
  } catch (error) {
    return [findingOf(check, error)]
  }
}

function checkStorage({ store: { persisted, keyProtection } }: Status): Finding {
  const check = 'store'
  if (persisted) return { check, verdict: 'ok', found: `encrypted; key protection: ${keyProtection}` }
  const hint = 'free disk space, or correct the permissions of the session folder'
  return { check, verdict: 'failed', found: 'the session is in memory only', hint }
}

function checkRefresh({ refresh: { lastError } }: Status): Finding[] {
  if (lastError === null) return []
  const found = `the last refresh failed: ${lastError}`
  return [{ check: 'refresh', verdict: 'warning', found, hint: 'run cadzero-auth refresh to retry now' }]
}

function checkToken({ tokenExpiresAt, refresh: { lastAt } }: Status, now: number): Finding[] {
  if (tokenExpiresAt === null) return []
  const remaining = Math.round(tokenExpiresAt - now)
  const lifetime = lastAt === null ? '' : ` (lifetime ${tokenExpiresAt - lastAt} s)`
  const found =
    remaining > 0
      ? `valid for another ${remaining} s${lifetime}`
      : `expired${lifetime}; the daemon refreshes it at the next request`
  return [{ check: 'token', verdict: 'ok', found }]
}
