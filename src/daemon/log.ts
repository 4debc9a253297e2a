// The daemon's log: JSON lines by pino into a rotated file, from a closed list of events and fields.
import pino from 'pino'
import { createStream } from 'rotating-file-stream'

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

const LARGEST = '1M'
const KEPT = 3

/** @param folder is there, and private */
export function openLog(folder: string, level: LogLevel): Log {
  const stream = createStream('daemon.log', { path: folder, size: LARGEST, maxFiles: KEPT, mode: 0o600 })
  stream.on('error', () => undefined) // a full disk must not end the daemon
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, stream)
  const write =
    (level: Exclude<LogLevel, 'silent'>) =>
    (event: string, fields: LogFields = {}) =>
      logger[level](fields, event)
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    close: () => new Promise((resolve) => stream.end(resolve)),
  }
}
