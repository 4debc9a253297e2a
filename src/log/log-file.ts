// Writes the log: JSON lines by pino into a rotated file.
import pino from 'pino'
import { createStream } from 'rotating-file-stream'
import type { LogFields, LogLevel } from './log.ts'

const LARGEST = '1M'
const KEPT = 3

export interface LogFile {
  write(level: Exclude<LogLevel, 'silent'>, event: string, fields: LogFields): void
  /** Resolves when everything is in the file. */
  close(): Promise<void>
}

/** @param folder is there, and private */
export function openLogFile(folder: string, level: LogLevel): LogFile {
  const stream = createStream('daemon.log', { path: folder, size: LARGEST, maxFiles: KEPT, mode: 0o600 })
  stream.on('error', () => undefined) // a full disk must not end the daemon
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, stream)
  return {
    write: (level, event, fields) => logger[level](fields, event),
    close: () => new Promise((resolve) => stream.end(resolve)),
  }
}
