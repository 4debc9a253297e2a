// The doctor's look at what starts the daemon at log-on: that it is there, switched on, and starts this program.
import { ServiceError } from '../../autostart/errors.ts'
import { managerOf, ownLaunch } from '../autostart/machine.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../failure.ts'
import type { Finding } from './doctor.ts'

const check = 'service'
const INSTALL = 'cadzero-auth service install'

export async function checkService(context: Context): Promise<Finding> {
  try {
    const manager = managerOf(context)
    const { installed, enabled, running, command, problem } = await manager.status(await ownLaunch(context))
    const starts = command.join(' ')
    const where = `${manager.name} ${manager.place}`
    if (!installed) return { check, verdict: 'ok', found: `not installed; ${INSTALL} starts the daemon at log-on` }
    switch (problem) {
      case 'missing_target':
        return { check, verdict: 'failed', found: `${where} starts ${starts}, which is no longer there`, hint: INSTALL }
      case 'other_program':
        return { check, verdict: 'warning', found: `${where} starts ${starts}, not this program`, hint: INSTALL }
      case 'outdated':
        return { check, verdict: 'warning', found: `${where} is of another version or other folders`, hint: INSTALL }
    }
    if (!enabled) return { check, verdict: 'warning', found: `${where} is not enabled`, hint: INSTALL }
    if (running === false) {
      return { check, verdict: 'warning', found: `${where} is not running`, hint: 'cadzero-auth service restart' }
    }
    return { check, verdict: 'ok', found: `${where}, starts ${starts}` }
  } catch (error) {
    if (error instanceof ServiceError) return { check, verdict: 'warning', found: error.message, hint: error.hint }
    const { error: found, hint } = failureOf(error)
    return { check, verdict: 'failed', found, ...(hint === undefined ? {} : { hint }) }
  }
}
