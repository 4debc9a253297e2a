// The broker's log: JSON lines on standard output, with the closed list of fields that the handler provides.
import { pino } from 'pino'
import type { BrokerLogFields } from './broker.ts'

export function openLog(): (fields: BrokerLogFields) => void {
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' })
  return ({ event, ...fields }) => {
    if (event === 'failed') logger.error(fields, event)
    else logger.info(fields, event)
  }
}
