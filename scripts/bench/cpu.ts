// The processor time of another process (Linux).
import { readdirSync, readFileSync } from 'node:fs'

/** Processor seconds of all its threads so far; undefined on a system without /proc, or if the process has ended. */
export function cpuSecondsOf(pid: number): number | undefined {
  try {
    const tasks = `/proc/${pid}/task`
    // The first number of schedstat is the time on a processor, in ns.
    const times = readdirSync(tasks).map((task) =>
      Number.parseInt(readFileSync(`${tasks}/${task}/schedstat`, 'utf8'), 10),
    )
    return times.reduce((sum, time) => sum + time, 0) / 1e9
  } catch {
    return undefined
  }
}
