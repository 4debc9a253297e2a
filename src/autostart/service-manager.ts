// What starts the daemon at log-on: one manager a system, all with the same five answers.
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import { findProgram } from '../host/programs.ts'
import type { Run, Start } from '../host/run.ts'
import { ServiceError } from './errors.ts'
import { Launchd } from './launchd.ts'
import { SYSTEMCTL, Systemd } from './systemd.ts'
import { RunKey } from './windows.ts'

/** What the system is to start, and with what around it. */
export interface Launch {
  /** The program, and the script where it runs one: absolute paths. */
  readonly command: readonly string[]
  /** The settings that say where our files are: a session that the system starts does not have the shell's own. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * What is wrong with an entry: the file that it starts has gone, it starts another copy of the program than this one,
 * or this one would write it otherwise (another version, or other folders).
 */
export type Problem = 'missing_target' | 'other_program' | 'outdated'

export interface ServiceStatus {
  readonly installed: boolean
  /** Whether the system starts it at the next log-on. */
  readonly enabled: boolean
  /** Whether the system has it running; null where the system only starts it, and does not know. */
  readonly running: boolean | null
  readonly pid: number | null
  /** What the entry starts. */
  readonly command: readonly string[]
  readonly problem: Problem | null
}

export interface ServiceManager {
  /** As a person calls it. */
  readonly name: string
  /** The file or the registry key that holds the entry. */
  readonly place: string
  /**
   * Enters the daemon and starts it. Harmless where that was done before. Where it fails, nothing is left of it.
   * @returns whether a daemon was started; false where the right one runs already
   * @throws ServiceError, FileError, or a system error
   */
  install(launch: Launch): Promise<boolean>
  /** Ends the daemon and takes the entry away. @returns whether there was one @throws ServiceError, or a system error */
  uninstall(): Promise<boolean>
  /** @param launch what this program would enter @throws ServiceError, FileError, or a system error */
  status(launch: Launch): Promise<ServiceStatus>
  /** Ends the daemon, if it runs, and starts it. @throws ServiceError */
  restart(): Promise<void>
}

/** What a manager works with. */
export interface Machine {
  readonly platform: NodeJS.Platform
  readonly files: FileSystem
  readonly clock: Clock
  readonly run: Run
  readonly start: Start
  readonly env: NodeJS.ProcessEnv
  readonly home: string
  readonly uid: number
  /** A private folder for a file of a moment. */
  readonly scratch: string
}

/** @throws ServiceError where this system has no way that we know */
export function serviceManager(machine: Machine): ServiceManager {
  switch (machine.platform) {
    case 'linux':
      return new Systemd(machine, findProgram(SYSTEMCTL))
    case 'darwin':
      return new Launchd(machine)
    case 'win32':
      return new RunKey(machine)
    default:
      throw new ServiceError(`no service is known for ${machine.platform}`, 'every command starts the daemon by itself')
  }
}
