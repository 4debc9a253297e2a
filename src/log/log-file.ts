// Writes the log as JSON lines into a rotated file: pino makes the lines.
import pino from 'pino'
import type { LogFields, LogLevel } from './fields.ts'
import { LogWriter, type LogWriterOptions } from './log-writer.ts'

export interface LogFile {
  write(level: Exclude<LogLevel, 'silent'>, event: string, fields: LogFields): void
  /** Resolves when every line is in the file, or after two seconds if its disk does not respond. */
  close(): Promise<void>
}

export function openLogFile(options: Omit<LogWriterOptions, 'onLost'>, level: LogLevel): LogFile {
  const writer = new LogWriter({ ...options, onLost: (lines) => logger.error({ lines }, 'log_lines_lost') })
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, writer)
  return {
    write: (level, event, fields) => logger[level](fields, event),
    close: () => writer.close(),
  }
}
