// The network namespace of a process: each one has a 127.0.0.1 of its own, as each container has.
import { readlinkSync } from 'node:fs'

/** Whether the process of this computer has another 127.0.0.1 than this one. False if the system does not tell. */
export function hasOtherLoopback(pid: number): boolean {
  if (process.platform !== 'linux') return false
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net')
  } catch {
    return false
  }
}
