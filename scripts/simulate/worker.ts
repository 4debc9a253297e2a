// Plays one fleet after another in a thread of its own.
import { parentPort } from 'node:worker_threads'
import { type FleetOptions, simulate } from './fleet.ts'

Error.stackTraceLimit = 0 // of a million refusals nobody reads the stacks

parentPort?.on('message', (options: FleetOptions) => {
  void simulate(options).then((day) => parentPort?.postMessage(day))
})
