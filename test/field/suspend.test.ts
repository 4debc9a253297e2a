// A laptop that wakes up: the daemon was frozen, and the network comes back later than the programs.
import { setTimeout as wait } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { hasOpenssl, newAuthority } from '../support/certificates.ts'
import { HOST, newComputer, signIn, startProvider } from './company.ts'
import { canMakeNamespaces, connectNamespaces, newNamespaces, OUTSIDE, setLine } from './namespaces.ts'

const canRun = canMakeNamespaces && hasOpenssl
const because = canRun ? '' : ' (skipped: needs root, iproute2 and openssl)'

/** A signed-in user whose computer can sleep. @param tokenSeconds the lifetime of each token */
async function newLaptop(tokenSeconds: number) {
  const authority = await newAuthority()
  const hosts = `${OUTSIDE} ${HOST}`
  const { inside, outside } = await newNamespaces({ inside: hosts, outside: hosts })
  connectNamespaces(inside, outside)
  const sandbox = await startProvider(authority, outside, [OUTSIDE])
  sandbox.setAccessTokenTtl(tokenSeconds)
  const computer = await newComputer(sandbox, inside, { NODE_EXTRA_CA_CERTS: authority.file })
  await signIn(computer, { inside, outside, authority })
  const { result } = await computer.call('status')
  const { pid } = result.daemon as { pid: number }
  return {
    sandbox,
    header: () => computer.call('header'),
    status: () => computer.call('status'),
    sleep: () => {
      process.kill(pid, 'SIGSTOP')
      setLine(inside, 'down')
    },
    wake: () => process.kill(pid, 'SIGCONT'),
    reconnect: () => setLine(inside, 'up'),
  }
}

it.skipIf(!canRun)(
  `a valid token is given after a sleep, without a network${because}`,
  { timeout: 120_000 },
  async () => {
    const { sandbox, header, sleep, wake } = await newLaptop(3600)
    const before = await header()
    sleep()
    const requests = sandbox.requests.length
    wake()
    expect(await header()).toMatchObject({ code: 0, result: { headers: before.result.headers } })
    expect(sandbox.requests).toHaveLength(requests)
  },
)

it.skipIf(!canRun)(
  `a token that expired in the sleep is refreshed once the network is back${because}`,
  { timeout: 120_000 },
  async () => {
    const { sandbox, header, status, sleep, wake, reconnect } = await newLaptop(3)
    const { expiresAt } = (await header()).result as { expiresAt: number }
    sleep()
    await wait(Math.max(0, expiresAt * 1000 - Date.now()))
    const refreshes = sandbox.count('/oauth/token', 'refresh_token')
    wake()
    expect((await header()).said).toContain('temporarily unavailable: network')
    expect((await status()).result).toMatchObject({ state: 'signed_in' })
    sandbox.setAccessTokenTtl(3600)
    reconnect()
    await expect.poll(header, { timeout: 60_000 }).toMatchObject({ code: 0 })
    expect(sandbox.count('/oauth/token', 'refresh_token')).toBe(refreshes + 1)
  },
)
