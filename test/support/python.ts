// Finds the Python interpreters of this computer that the add-in's client supports.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

export interface Python {
  readonly program: string
  /** Major and minor version, such as [3, 13]. */
  readonly version: readonly [number, number]
}

/** Returns one Python of each version from 3.9 on, oldest first: from PATH, from Debian, and from pyenv. */
export function findPythons(): Python[] {
  const names = ['python3', '/usr/bin/python3', ...[9, 10, 11, 12, 13, 14].map((minor) => `python3.${minor}`)]
  const pyenv = spawnSync('pyenv', ['versions', '--bare'], { encoding: 'utf8' })
  const managed = (pyenv.stdout ?? '').split('\n').filter((version) => /^3\.\d+/.test(version))
  for (const version of managed) {
    const { stdout, status } = spawnSync('pyenv', ['prefix', version], { encoding: 'utf8' })
    if (status === 0) names.push(join(stdout.trim(), 'bin', 'python3'))
  }
  const found = new Map<string, Python>()
  for (const program of names) {
    const { stdout, status } = spawnSync(program, ['-c', 'import sys; print(*sys.version_info[:2])'], {
      encoding: 'utf8',
    })
    const [major = 0, minor = 0] = (stdout ?? '').trim().split(' ').map(Number)
    if (status === 0 && major === 3 && minor >= 9) found.set(`${major}.${minor}`, { program, version: [major, minor] })
  }
  return [...found.values()].sort((a, b) => a.version[1] - b.version[1])
}
