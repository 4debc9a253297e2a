// Simulates one fleet after another in a worker thread.
import { parentPort } from 'node:worker_threads'
import { type FleetOptions, simulate } from './fleet.ts'

Error.stackTraceLimit = 0 // a million rejected refreshes create as many errors, and their stacks are not read

parentPort?.on('message', (options: FleetOptions) => {
  void simulate(options).then((day) => parentPort?.postMessage(day))
})
