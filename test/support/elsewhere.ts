// Commands that run a program as on another computer, in a container, or on a disk without locks (Linux, as root).
import { spawnSync } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from './folder.ts'

/** Enters a network of its own, as a container has. */
export const OTHER_NETWORK = ['unshare', '--net', '--uts', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
/** The same with another host name: for a program this is another computer with the same home directory. */
export const OTHER_COMPUTER = [
  ...OTHER_NETWORK.slice(0, -2),
  'ip link set lo up && hostname machine-b && exec "$@"',
  'sh',
]

export const hasNamespaces =
  spawnSync('unshare', ['--net', '--uts', '--mount', 'sh', '-c', 'ip link set lo up && hostname b']).status === 0

const FLOCK = '/usr/bin/flock'

/** @returns a command before which no file can be locked, as on some network disks */
export async function newDiskWithoutLocks(): Promise<string[]> {
  const flock = join(await temporaryFolder(), 'flock')
  await writeFile(flock, '#!/bin/sh\necho "flock: 3: No locks available" >&2\nexit 71\n')
  await chmod(flock, 0o755)
  return ['unshare', '--mount', 'sh', '-c', `mount --bind '${flock}' ${FLOCK} && exec "$@"`, 'sh']
}
