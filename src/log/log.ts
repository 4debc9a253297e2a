// The log of the daemon: events with a closed list of fields, written to a file that is opened after the start.
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import type { LogFields, LogLevel } from './fields.ts'

/** @param event a snake_case name */
type Write = (event: string, fields?: LogFields) => void

export interface Log {
  readonly debug: Write
  readonly info: Write
  readonly warn: Write
  readonly error: Write
}

export interface DaemonLog extends Log {
  /** Opens the file. Until then lines wait in memory, in order: loading the packages would make a start a tenth longer. */
  open(): void
  /** Resolves when every line is in the file, which is opened if it was not. */
  close(): Promise<void>
}

/** A log whose lines all name the profile. */
export function profileLog(log: Log, profile: string): Log {
  return {
    debug: (event, fields) => log.debug(event, { profile, ...fields }),
    info: (event, fields) => log.info(event, { profile, ...fields }),
    warn: (event, fields) => log.warn(event, { profile, ...fields }),
    error: (event, fields) => log.error(event, { profile, ...fields }),
  }
}

export interface LogOptions {
  /** An existing private folder. */
  readonly folder: string
  readonly level: LogLevel
  readonly files: FileSystem
  readonly clock: Clock
}

export function createLog({ level, ...place }: LogOptions): DaemonLog {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const file = opened.then(async () => (await import('./log-file.ts')).openLogFile(place, level))
  const writeAt =
    (level: Exclude<LogLevel, 'silent'>): Write =>
    (event, fields = {}) =>
      void file.then((file) => file.write(level, event, fields))
  return {
    debug: writeAt('debug'),
    info: writeAt('info'),
    warn: writeAt('warn'),
    error: writeAt('error'),
    open,
    async close() {
      open()
      await (await file).close()
    },
  }
}
