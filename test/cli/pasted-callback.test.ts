// The address that a user pastes from a browser on another machine: only the query of this sign-in's own callback is used.
import { describe, expect, test } from 'vitest'
import { pastedCallback } from '../../src/cli/pasted-callback.ts'

const CALLBACK = 'http://127.0.0.1:50123/callback'
const AUTHORIZE = 'https://clerk.example.com/oauth/authorize'
const query = (name: string, url: string) => new URLSearchParams({ [name]: url }).toString()
const OAUTH_LINK = `${AUTHORIZE}?${query('redirect_uri', CALLBACK)}&client_id=c`
const PAGE = 'https://www.example.com/cadzero/auth-callback'
const HANDOFF_LINK = `${PAGE}?${query('redirect_url', 'http://localhost:8765/?state=s')}`

describe('a pasted address is the callback', () => {
  test('of an OAuth link', () => {
    expect(String(pastedCallback(`${CALLBACK}?code=1&state=s`, OAUTH_LINK))).toBe(`${CALLBACK}?code=1&state=s`)
  })

  test('of a hand-off link', () => {
    const pasted = 'http://localhost:8765/?state=s&token=t'
    expect(String(pastedCallback(pasted, HANDOFF_LINK))).toBe(pasted)
  })

  test('of an OAuth link that goes through a sign-in page', () => {
    const link = `${PAGE}?${query('redirect_url', OAUTH_LINK)}`
    expect(String(pastedCallback(`${CALLBACK}?code=1`, link))).toBe(`${CALLBACK}?code=1`)
  })

  test.each(['127.0.0.1', 'localhost', '[::1]'])(
    'with the host %s, while the request goes to the host of the link',
    (host) => {
      const pasted = `http://${host}:50123/callback?code=1`
      expect(String(pastedCallback(pasted, OAUTH_LINK))).toBe(`${CALLBACK}?code=1`)
    },
  )

  test('with https, to which a browser has upgraded it, or without a protocol', () => {
    for (const start of ['https://', 'HTTPS://', '']) {
      expect(String(pastedCallback(`${start}127.0.0.1:50123/callback?code=1`, OAUTH_LINK))).toBe(`${CALLBACK}?code=1`)
      expect(String(pastedCallback(`${start}localhost:8765/?token=t`, HANDOFF_LINK))).toBe(
        'http://localhost:8765/?token=t',
      )
    }
  })

  test('however long it is', () => {
    const pasted = `${CALLBACK}?code=${'x'.repeat(20_000)}`
    expect(String(pastedCallback(pasted, OAUTH_LINK))).toBe(pasted)
  })

  test('without the user and the fragment that it may carry', () => {
    const pasted = 'http://user:password@127.0.0.1:50123/callback?code=1#fragment'
    expect(String(pastedCallback(pasted, OAUTH_LINK))).toBe(`${CALLBACK}?code=1`)
  })
})

describe('a pasted address is refused if it has', () => {
  test.each([
    ['another host', 'http://evil.example:50123/callback?code=1'],
    ['a host that begins like loopback', 'http://127.0.0.1.evil.example:50123/callback?code=1'],
    ['a host that ends like loopback', 'http://evil.localhost:50123/callback?code=1'],
    ['another loopback address', 'http://127.0.0.2:50123/callback?code=1'],
    ['an address of the local network', 'http://192.168.0.7:50123/callback?code=1'],
    ['loopback as its user', 'http://127.0.0.1:50123@evil.example/callback?code=1'],
    ['another port', 'http://127.0.0.1:50124/callback?code=1'],
    ['no port', 'http://127.0.0.1/callback?code=1'],
    ['another path', 'http://127.0.0.1:50123/other?code=1'],
    ['another protocol', 'ftp://127.0.0.1:50123/callback?code=1'],
    ['a protocol that runs code', 'javascript:alert(1)//127.0.0.1:50123/callback?code=1'],
    ['another host and no protocol', 'evil.example:50123/callback?code=1'],
    ['no address at all', 'code=1'],
  ])('%s', (_name, pasted) => {
    expect(pastedCallback(pasted, OAUTH_LINK)).toBeUndefined()
  })

  test.each([AUTHORIZE, `${AUTHORIZE}?redirect_uri=x`, `${PAGE}?redirect_url=x`])(
    'no callback in its link %s',
    (link) => {
      expect(pastedCallback(`${CALLBACK}?code=1`, link)).toBeUndefined()
    },
  )
})
