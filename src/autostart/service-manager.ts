// What the systems have in common: a service manager that starts the daemon when the user logs on.
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import type { Run, Start } from '../host/run.ts'

/** The program that the system has to start. */
export interface Launch {
  /** Absolute paths: the program, and its script if it runs one. */
  readonly command: readonly string[]
  /** The variables that decide where the folders are: the system starts the daemon without those of a shell. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * Why an entry is stale: its program does not exist, it starts another copy of the program, or this program would write
 * it differently (another version, or other folders).
 */
export type Problem = 'missing_target' | 'other_program' | 'outdated'

export interface ServiceStatus {
  readonly installed: boolean
  /** The path of the entry, if it is not that of the manager: a unit that a package has installed. */
  readonly place?: string
  /** Whether the system starts the daemon at the next log-on. */
  readonly enabled: boolean
  /** Null if the system starts the daemon, but does not supervise it. */
  readonly running: boolean | null
  readonly pid: number | null
  /** The program that the entry starts. */
  readonly command: readonly string[]
  readonly problem: Problem | null
}

export interface ServiceManager {
  /** As users call it. */
  readonly name: string
  /** The path of the file or the registry value with the entry. */
  readonly place: string
  /**
   * Enters the daemon and starts it. May be repeated. If it fails, the entry is as before.
   * @returns whether a daemon was started; false if the right one is running already
   * @throws ServiceError, FileError, or a system error
   */
  install(launch: Launch): Promise<boolean>
  /**
   * Stops the daemon and removes the entry.
   * @param launch what this program would enter: a package's entry for another program is left
   * @returns whether there was one @throws ServiceError, or a system error
   */
  uninstall(launch: Launch): Promise<boolean>
  /** @param launch what this program would enter @throws ServiceError, FileError, or a system error */
  status(launch: Launch): Promise<ServiceStatus>
  /** Stops the daemon, if it is running, and starts it. @throws ServiceError, or a system error */
  restart(): Promise<void>
}

export const NOT_INSTALLED: ServiceStatus = {
  installed: false,
  enabled: false,
  running: false,
  pid: null,
  command: [],
  problem: null,
}

/** The parts of a computer that a manager uses. */
export interface Machine {
  readonly platform: NodeJS.Platform
  readonly files: FileSystem
  readonly clock: Clock
  readonly run: Run
  readonly start: Start
  readonly env: NodeJS.ProcessEnv
  readonly home: string
  readonly uid: number
  /** A private folder for temporary files. */
  readonly scratch: string
}
