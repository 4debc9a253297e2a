// A session with secrets that are new in each run.
import { randomBytes } from 'node:crypto'
import type { Session } from '../../src/store/session.ts'

export function newSession(change: Partial<Session> = {}): Session {
  return {
    generation: 1,
    user: { id: 'user_1', email: 'ada@example.com', name: 'Ada' },
    sessionId: null,
    sessionExpiresAt: null,
    accessToken: { value: randomBytes(16).toString('hex'), receivedAt: 1_800_000_000, lifetime: 60 },
    refreshToken: randomBytes(16).toString('hex'),
    ...change,
  }
}
