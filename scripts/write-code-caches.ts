// Writes the code caches of a built program: prepares a folder with a session for scripts/code-cache.cjs, so that it reads one.
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BINDING, makeFolders, openStore } from './chaos/store.ts'
import { plainEnvironment } from './plain-environment.ts'

const MAX_MS = 60_000

/**
 * @param dist the folder of the built program
 * @param out the folder for the caches
 * @param node the Node.js that is going to run the program, which rejects the caches of another one; and its flags
 */
export async function writeCodeCaches(
  dist: string,
  out: string,
  [node, ...flags]: readonly [string, ...string[]] = [process.execPath],
): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'cadzero-auth-build-'))
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
    execFileSync(node, [...flags, 'scripts/code-cache.cjs', dist, out], {
      env: {
        ...plainEnvironment(),
        CADZERO_AUTH_HOME: home,
        UV_THREADPOOL_SIZE: '1', // file accesses end in their order: V8 numbers functions as it compiles them
        CADZERO_AUTH_KEY_PROTECTION: 'keyfile',
        CADZERO_AUTH_ISSUER: BINDING.issuer,
        CADZERO_AUTH_CLIENT_ID: BINDING.clientId ?? '',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: MAX_MS,
    })
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}
