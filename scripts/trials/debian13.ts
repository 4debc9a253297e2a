// A folder with Debian 13, made once, in which the trials run: its Wine 10 runs programs for Windows.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Outside /tmp, which the tests share with it. */
export const DEBIAN13 = process.env.CADZERO_AUTH_DEBIAN13 ?? '/var/lib/cadzero-auth-debian13'

const SCRIPT = fileURLToPath(new URL('debian13.sh', import.meta.url))

/** What this computer lacks; empty if it lacks nothing. */
export function lacking(): string {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux x64'
  if (process.getuid?.() !== 0) return 'needs root to create mounts'
  const hasFolder = existsSync(join(DEBIAN13, '.complete'))
  const canMake = spawnSync('mmdebstrap', ['--version']).status === 0
  if (!hasFolder && !canMake) return 'needs mmdebstrap'
  return spawnSync('unshare', ['--mount', 'true']).status === 0 ? '' : 'needs the right to create namespaces'
}

/** Makes the folder, unless it is there, which takes two minutes. */
export async function makeDebian13(): Promise<void> {
  const child = spawn(SCRIPT, [DEBIAN13], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`debian13.sh ended with ${code}`)
  for (const name of ['hosts', 'resolv.conf']) await cp(`/etc/${name}`, join(DEBIAN13, 'etc', name))
}

/** Runs a program of Debian 13 with the /tmp, /dev and /proc of this computer. */
export function inDebian13(command: readonly string[], options: SpawnOptions): ChildProcess {
  const mounts = ['proc', 'dev', 'sys', 'tmp'].map((name) => `mount --rbind /${name} "$0/${name}"`).join(' && ')
  const shell = `${mounts} && exec /usr/sbin/chroot "$0" "$@"`
  return spawn(
    'unshare',
    ['--mount', '--propagation', 'private', '--', 'sh', '-c', shell, DEBIAN13, ...command],
    options,
  )
}
