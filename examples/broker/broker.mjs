// The broker that the recipes beside this file mount. It takes the same environment variables as `cadzero-auth broker`.
import { createBroker, optionsFromEnvironment } from 'cadzero-auth/broker'

export const broker = createBroker({
  ...optionsFromEnvironment(process.env),
  log: (fields) => process.stdout.write(`${JSON.stringify(fields)}\n`),
})
broker.start() // fetches Clerk's keys now, and then by a timer
