// The daemon's log: what may be said in it, from a closed list of fields.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/**
 * All that a line may say. Never an error, a URL, a header or a body: secrets come in shapes that no redaction knows.
 * What is not in this list cannot be logged.
 */
export interface LogFields {
  readonly profile?: string
  readonly state?: string
  readonly reason?: string
  readonly setting?: string
  readonly port?: number
  readonly pid?: number
  readonly version?: string
  readonly ms?: number
  readonly revoked?: boolean
  readonly signal?: string
  readonly keyProtection?: string
}

export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  /** Resolves when everything is in the file. */
  close(): Promise<void>
}

/** A log whose lines all name the profile. */
export function profileLog(log: Log, profile: string): Log {
  return {
    debug: (event, fields) => log.debug(event, { profile, ...fields }),
    info: (event, fields) => log.info(event, { profile, ...fields }),
    warn: (event, fields) => log.warn(event, { profile, ...fields }),
    error: (event, fields) => log.error(event, { profile, ...fields }),
    close: () => log.close(),
  }
}

/**
 * Opens the log. What is said before its file is open waits, in order.
 * @param folder is there, and private
 * @param started when this has resolved the file is opened: loading pino would make a start longer by a tenth
 */
export function openLog(folder: string, level: LogLevel, started: Promise<void>): Log {
  const file = started.then(async () => (await import('./log-file.ts')).openLogFile(folder, level))
  const write =
    (level: Exclude<LogLevel, 'silent'>) =>
    (event: string, fields: LogFields = {}) =>
      void file.then((file) => file.write(level, event, fields))
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    close: async () => (await file).close(),
  }
}
