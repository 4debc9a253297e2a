// Writes the code caches of a built program: prepares a folder with a session for scripts/code-cache.cjs, so that it reads one.
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BINDING, makeFolders, openStore } from './chaos/store.ts'
import { plainEnvironment } from './plain-environment.ts'

const MAX_MS = 60_000

/** The files that `writeCodeCaches` writes. */
export const CACHES = ['program.cache', 'header.cache'] as const
const PREDICTABLE = ['--hash-seed=1', '--no-flush-bytecode', '--predictable'] // the same code cache each time

/**
 * The same program and the same Node.js give the same bytes.
 * @param dist the folder of the built program
 * @param out the folder for the caches
 * @param node the Node.js that is going to run the program, which rejects the caches of another one
 */
export async function writeCodeCaches(dist: string, out: string, node: string): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'cadzero-auth-build-'))
  const run = (script: string, ...args: readonly string[]) =>
    execFileSync(node, [...PREDICTABLE, script, ...args], {
      env: {
        ...plainEnvironment(),
        CADZERO_AUTH_HOME: home,
        CADZERO_AUTH_KEY_PROTECTION: 'keyfile',
        CADZERO_AUTH_ISSUER: BINDING.issuer,
        CADZERO_AUTH_CLIENT_ID: BINDING.clientId ?? '',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: MAX_MS,
    })
  try {
    await makeFolders(home)
    await openStore(home).save({
      generation: 1,
      user: { id: 'user_1', email: 'ada@example.com', name: 'Ada' },
      sessionId: null,
      sessionExpiresAt: null,
      accessToken: { value: 'token', receivedAt: Date.now() / 1000, lifetime: 3600 },
      refreshToken: 'token',
    })
    run('scripts/code-cache.cjs', dist, out)
    run('scripts/finish-code-cache.cjs', dist, ...CACHES.map((name) => join(out, name)))
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}
