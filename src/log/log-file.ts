// Writes the log as JSON lines into a rotated file, by pino.
import pino from 'pino'
import { createStream } from 'rotating-file-stream'
import type { LogFields, LogLevel } from './fields.ts'

const MAX_SIZE = '1M'
const ROTATED_FILES = 3

export interface LogFile {
  write(level: Exclude<LogLevel, 'silent'>, event: string, fields: LogFields): void
  /** Resolves when every line is in the file. */
  close(): Promise<void>
}

/** @param folder an existing private folder */
export function openLogFile(folder: string, level: LogLevel): LogFile {
  const stream = createStream('daemon.log', { path: folder, size: MAX_SIZE, maxFiles: ROTATED_FILES, mode: 0o600 })
  stream.on('error', () => undefined) // a full disk must not end the daemon
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, stream)
  return {
    write: (level, event, fields) => logger[level](fields, event),
    close: () => new Promise((resolve) => stream.end(resolve)),
  }
}
