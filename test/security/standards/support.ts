// What the tests of the standards share.
import type { RpcClient } from '../../../src/rpc/client.ts'
import type { Fault } from '../../sandbox/index.ts'

export const TOKEN = '/oauth/token'
export const REVOKE = '/oauth/token/revoke'

/** A JSON response that the provider sends in place of its own. */
export const json = (status: number, body: unknown): Fault => ({
  kind: 'respond',
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

/** Resolves with the result of a promise, or with its error. */
export const settled = (promise: Promise<unknown>) => promise.catch((error: unknown) => error)

/** Starts a sign-in, or joins the one that runs. */
export async function startSignIn(client: RpcClient) {
  const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
  const url = String(authorizationUrl)
  return { url, redirectUri: String(new URL(url).searchParams.get('redirect_uri')) }
}
