// Whether the process of an id runs.
import { errorCode } from './file-system.ts'

/** Whether a process of this computer has the id, of whichever user. It may be another one than the id was noted for. */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return errorCode(error) === 'EPERM' // a process of another user
  }
}
