// The broker's log: JSON lines on standard output, with the closed list of fields that the handler provides.
import { pino } from 'pino'
import type { BrokerLogFields } from './log-fields.ts'

const MAX_WAITING = 1024 * 1024 // bytes of lines that wait while the output is full; more are dropped

export function openLog(): (fields: BrokerLogFields) => void {
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_WAITING })
  output.on('error', () => undefined) // a full disk must not end the broker; the next line tries again
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, output)
  return ({ event, ...fields }) => {
    if (event === 'failed') logger.error(fields, event)
    else logger.info(fields, event)
  }
}
