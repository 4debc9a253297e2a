// The doctor's check of the autostart entry: it exists, is enabled, and starts this program.
import { ServiceError } from '../../autostart/errors.ts'
import { launchOfThisProgram, managerOfThisComputer } from '../autostart/this-computer.ts'
import type { Context } from '../context.ts'
import { type Finding, findingOf } from './finding.ts'

const check = 'service'
const INSTALL = 'cadzero-auth service install'

export async function checkAutostart(context: Context): Promise<Finding> {
  try {
    const manager = managerOfThisComputer(context)
    const status = await manager.status(await launchOfThisProgram(context))
    const starts = status.command.join(' ')
    const entry = `${manager.name} ${status.place ?? manager.place}`
    if (!status.installed) {
      return { check, verdict: 'ok', found: `not installed; run ${INSTALL} to start the daemon at log-on` }
    }
    switch (status.problem) {
      case 'missing_target':
        return { check, verdict: 'failed', found: `${entry} starts ${starts}, which does not exist`, hint: INSTALL }
      case 'other_program':
        return { check, verdict: 'warning', found: `${entry} starts ${starts}, not this program`, hint: INSTALL }
      case 'outdated':
        return { check, verdict: 'warning', found: `${entry} is of another version or other folders`, hint: INSTALL }
    }
    if (!status.enabled) return { check, verdict: 'warning', found: `${entry} is not enabled`, hint: INSTALL }
    if (status.running === false) {
      return { check, verdict: 'warning', found: `${entry} is not running`, hint: 'cadzero-auth service restart' }
    }
    return { check, verdict: 'ok', found: `${entry}, starts ${starts}` }
  } catch (error) {
    return findingOf(check, error, error instanceof ServiceError ? 'warning' : 'failed')
  }
}
