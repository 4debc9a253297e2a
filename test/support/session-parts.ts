// The parts of a profile on a real store, with a clock that the test moves and a log that it reads.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Renewal, Revocation } from '../../src/clerk/identity-provider.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { LogFields } from '../../src/log/fields.ts'
import type { Log } from '../../src/log/log.ts'
import { CurrentSession } from '../../src/session/current-session.ts'
import { LoginHint } from '../../src/session/login-hint.ts'
import { Mutex } from '../../src/session/mutex.ts'
import { SessionWriter } from '../../src/session/session-writer.ts'
import { keyfileProvider } from '../../src/store/key.ts'
import type { Session } from '../../src/store/session.ts'
import { SessionStore } from '../../src/store/store.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { TestClock } from './clock.ts'
import { temporaryFolder } from './folder.ts'
import { newSession } from './session.ts'
import { ownInstallation } from './store.ts'

const binding = { profile: 'test', issuer: 'https://clerk.example.com', clientId: 'client_1', broker: null }

/** A signed-in profile unless `saved` is null. Its refreshes and revocations do as the test says. */
export async function newSessionParts({ saved = newSession() }: { saved?: Session | null } = {}) {
  const home = await temporaryFolder()
  const folder = join(home, 'sessions')
  await mkdir(folder, { mode: 0o700 })
  const clock = new TestClock()
  const disk = { isFull: false, isReadOnly: false }
  const files: FileSystem = {
    ...systemFiles,
    rename: async (...args) => {
      if (disk.isFull) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      return await systemFiles.rename(...args)
    },
    unlink: async (path) => {
      if (disk.isReadOnly) throw Object.assign(new Error('read only'), { code: 'EROFS' })
      return await systemFiles.unlink(path)
    },
  }
  const openStore = () =>
    new SessionStore({
      files,
      clock,
      folder,
      keys: new StoreKeys([keyfileProvider(systemFiles, join(home, 'store-key.jwk'), systemRandom)]),
      binding,
      installation: async () => ownInstallation,
    })
  if (saved) await openStore().save(saved)
  const logged: [event: string, fields: LogFields | undefined][] = []
  const write = (event: string, fields?: LogFields) => void logged.push([event, fields])
  const log: Log = { debug: write, info: write, warn: write, error: write }
  let issued = 0
  const provider = {
    canRefresh: (session: Session) => session.refreshToken !== null,
    refreshed: [] as Session[],
    revoked: [] as Session[],
    answer: async (_session: Session): Promise<Renewal> => ({
      accessToken: { value: `token-${++issued}`, receivedAt: clock.now(), lifetime: 60 },
      refreshToken: `refresh-${issued}`,
    }),
    async refresh(session: Session) {
      provider.refreshed.push(session)
      return await provider.answer(session)
    },
    async revoke(session: Session): Promise<Revocation> {
      provider.revoked.push(session)
      return { revoked: true, accessTokenValidUntil: 42 }
    },
  }
  const writer = new SessionWriter(openStore(), clock)
  const mutex = new Mutex()
  const changes: string[] = []
  const current = new CurrentSession({
    provider,
    writer,
    mutex,
    clock,
    log,
    isRefreshing: () => false,
    onChange: () => void changes.push(current.state.kind),
    onExpiring: () => undefined,
  })
  const load = async () => {
    const session = await writer.load()
    if (session) current.publishFromDisk(session)
    else current.publish({ kind: 'signed_out', reason: 'signed_out' })
  }
  return {
    parts: { provider, writer, mutex, clock, log, current, loginHint: new LoginHint(files, join(home, 'user.json')) },
    load,
    logged,
    changes,
    disk,
    openStore,
    path: join(folder, 'test.jwe'),
    deleteFile: () => rm(join(folder, 'test.jwe')),
  }
}
