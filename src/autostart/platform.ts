// Chooses the service manager of a system.
import { findProgram } from '../host/programs.ts'
import { ServiceError } from './errors.ts'
import { Launchd } from './launchd.ts'
import type { Machine, ServiceManager } from './service-manager.ts'
import { SYSTEMCTL, Systemd } from './systemd.ts'
import { RunKey } from './windows.ts'

/** @throws ServiceError on an unsupported system */
export function serviceManagerOf(machine: Machine): ServiceManager {
  switch (machine.platform) {
    case 'linux':
      return new Systemd(machine, findProgram(SYSTEMCTL))
    case 'darwin':
      return new Launchd(machine)
    case 'win32':
      return new RunKey(machine)
    default:
      throw new ServiceError(
        `cadzero-auth has no service for ${machine.platform}`,
        'use cadzero-auth without a service: every command starts the daemon',
      )
  }
}
