// The broker's log: JSON lines on standard output, with a closed list of fields.
import { pino } from 'pino'
import type { BrokerLogFields } from './log-fields.ts'

const MAX_WAITING = 1024 * 1024 // bytes of lines that wait while the output is full; more are dropped

/** What the process says of itself. */
export interface ProcessLogFields {
  readonly event: 'draining' | 'redis_connected' | 'redis_lost' | 'unknown_setting'
  /** The name of an environment variable. */
  readonly variable?: string
  /** What the operator can do. */
  readonly hint?: string
}

export type Log = (fields: BrokerLogFields | ProcessLogFields) => void

export function openLog(): Log {
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_WAITING })
  output.on('error', () => undefined) // a full disk must not end the broker; the next line tries again
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, output)
  return ({ event, ...fields }) => {
    if (event === 'failed' || event === 'clock_wrong' || event === 'redis_lost') logger.error(fields, event)
    else if (event === 'unknown_setting') logger.warn(fields, event)
    else logger.info(fields, event)
  }
}
