// Three copies of the broker behind HAProxy with one Redis: limits count together, and no failure of a part signs a user out.
import { describe, expect, it } from 'vitest'
import { has } from '../docs/user.ts'
import { startCopies } from '../support/copies.ts'
import { hasRedis } from '../support/redis.ts'

const isPossible = hasRedis && has('haproxy')
const SLOW = { timeout: 90_000 }
// These clients try again at once, as no daemon does: a limit would make the test wait for its windows.
const UNLIMITED = { CADZERO_BROKER_USER_REQUESTS: '100000', CADZERO_BROKER_ADDRESS_REQUESTS: '100000' }

type Copies = Awaited<ReturnType<typeof startCopies>>
type Client = Awaited<ReturnType<Copies['newClient']>>

/** Refreshes as a daemon does, which tries again after a failure that does not end its session. @returns the last answer */
async function refreshUntilDone(client: Client) {
  for (;;) {
    const answer = await client.refresh(client.refreshToken).catch(() => undefined) // no connection: also tried again
    if (answer?.status === 200 || answer?.body.error === 'invalid_grant') return answer
    expect([undefined, 400, 429, 502, 503, 504]).toContain(answer?.status)
  }
}

describe.skipIf(!isPossible)(`three copies${isPossible ? '' : ' (skipped: needs redis-server and haproxy)'}`, () => {
  it('allow a user as many requests as one copy does', SLOW, async () => {
    const { newClient, copies } = await startCopies({ CADZERO_BROKER_USER_REQUESTS: '20' })
    const client = await newClient() // took one
    const statuses: number[] = []
    for (let n = 0; n < 30; n++) statuses.push((await client.refresh(client.refreshToken)).status)
    // Ten in half a minute, as one copy has it.
    expect(statuses.filter((status) => status === 200)).toHaveLength(9)
    expect(statuses.filter((status) => status === 429)).toHaveLength(21)
    for (const { stdout } of copies) expect(stdout()).toContain('"event":"refreshed"')
    const other = await newClient()
    expect((await other.refresh(other.refreshToken)).status).toBe(200)
  })

  it('accept a proof and a session token once', SLOW, async () => {
    const { newClient, sandbox } = await startCopies()
    const client = await newClient()
    const token = await sandbox.backend.sessionToken(client.sessionId, { azp: 'https://www.example.com' })
    const codes = await Promise.all(Array.from({ length: 9 }, () => client.authorize(client.sessionId, token)))
    expect(codes.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(codes.filter(({ body }) => body.error === 'invalid_grant')).toHaveLength(8)
  })

  it('lose no session when one of them is killed and started again', SLOW, async () => {
    const { newClient, copies, startCopy } = await startCopies(UNLIMITED)
    const clients = await Promise.all(Array.from({ length: 12 }, newClient))
    const first = clients.map(refreshUntilDone)
    copies[0]?.child.kill('SIGKILL')
    for (const answer of await Promise.all(first)) expect(answer?.status).toBe(200)
    for (const answer of await Promise.all(clients.map(refreshUntilDone))) expect(answer?.status).toBe(200)
    await startCopy(0)
    for (const answer of await Promise.all(clients.map(refreshUntilDone))) expect(answer?.status).toBe(200)
  })

  it('refuse and lose no request while one of them drains and ends', SLOW, async () => {
    const { newClient, copies } = await startCopies({
      CADZERO_BROKER_DRAIN_SECONDS: '3', // HAProxy asks each copy every second whether it is ready
      CADZERO_BROKER_USER_REQUESTS: '100000',
    })
    const clients = await Promise.all(Array.from({ length: 4 }, newClient))
    const [copy] = copies as [Copies['copies'][0]]
    let hasEnded = false
    const ended = copy.exited.finally(() => {
      hasEnded = true
    })
    const statuses: (number | undefined)[] = []
    const refreshing = clients.map(async ({ refresh, refreshToken }) => {
      for (let after = 0; after < 5; after += hasEnded ? 1 : 0) {
        statuses.push((await refresh(refreshToken).catch(() => undefined))?.status)
      }
    })
    copy.child.kill('SIGTERM')
    await Promise.all(refreshing)
    expect(await ended).toEqual([0, null])
    expect(copy.stdout()).toContain('"event":"draining"')
    expect(statuses.filter((status) => status !== 200)).toEqual([])
  })

  it('refresh while Redis is down, refuse codes with 503, and work as before when it is back', SLOW, async () => {
    const { newClient, redis, sandbox, copies } = await startCopies(UNLIMITED)
    const clients = await Promise.all(Array.from({ length: 6 }, newClient))
    await redis.stop()
    for (const answer of await Promise.all(clients.map(refreshUntilDone))) expect(answer?.status).toBe(200)
    const [client] = clients as [Client]
    const newToken = () => sandbox.backend.sessionToken(client.sessionId, { azp: 'https://www.example.com' })
    expect(await client.authorize(client.sessionId, await newToken())).toMatchObject({
      status: 503,
      body: { error: 'temporarily_unavailable' },
    })
    for (const { url } of copies) {
      const response = await fetch(`${url}/readyz`)
      expect({ status: response.status, ...((await response.json()) as object) }).toMatchObject({
        status: 200,
        redis: 'degraded',
      })
    }
    await redis.start()
    const authorize = async () => (await client.authorize(client.sessionId, await newToken())).status
    await expect.poll(authorize, { timeout: 15_000 }).toBe(200)
    for (const answer of await Promise.all(clients.map(refreshUntilDone))) expect(answer?.status).toBe(200)
  })
})
