// The doctor's look at the session, through the daemon: who is signed in, how it is kept, how long a token lives.
import type { RpcClient } from '../../rpc/client.ts'
import { type CommonOptions, type Context, profileOf } from '../context.ts'
import { failureOf } from '../failure.ts'
import { describeUser } from '../login.ts'
import type { Finding } from './doctor.ts'

export async function checkSession(client: RpcClient, options: CommonOptions, context: Context): Promise<Finding[]> {
  const check = 'session'
  try {
    const status = await client.call('status', profileOf(options))
    if (status.state !== 'signed_in') {
      return [{ check, verdict: 'warning', found: 'nobody is signed in', hint: 'cadzero-auth login' }]
    }
    const findings: Finding[] = [{ check, verdict: 'ok', found: `signed in as ${describeUser(status)}` }]
    const { persisted, keyProtection } = status.store
    if (!persisted) {
      const hint = 'make room on the disk, or mend the rights of its folder'
      findings.push({ check: 'store', verdict: 'failed', found: 'the session is in memory only', hint })
    } else findings.push({ check: 'store', verdict: 'ok', found: `encrypted, the key in: ${keyProtection}` })
    if (status.refresh.lastError !== null) {
      const hint = 'it is tried again when a token is needed'
      findings.push({
        check: 'refresh',
        verdict: 'warning',
        found: `the last one failed: ${status.refresh.lastError}`,
        hint,
      })
    }
    const { refresh, tokenExpiresAt } = status
    if (tokenExpiresAt !== null) {
      const left = Math.round(tokenExpiresAt - context.host.clock.now())
      const life = refresh.lastAt === null ? '' : `; it lives ${tokenExpiresAt - refresh.lastAt} s`
      const found = left > 0 ? `good for ${left} s${life}` : `expired${life}; the next caller gets a new one`
      findings.push({ check: 'token', verdict: 'ok', found })
    }
    return findings
  } catch (error) {
    const { error: found, hint } = failureOf(error)
    return [{ check, verdict: 'failed', found, ...(hint === undefined ? {} : { hint }) }]
  }
}
