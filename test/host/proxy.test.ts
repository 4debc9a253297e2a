// The choice of a proxy for a URL.
import { describe, expect, it } from 'vitest'
import { chooseRoute, credentialsOf, parseProxy, redactedProxy } from '../../src/host/proxy.ts'
import type { SystemProxy } from '../../src/host/system-proxy.ts'

const CLERK = 'https://clerk.example.com'
const NONE: SystemProxy = { exceptions: [] }

async function route(env: NodeJS.ProcessEnv, { setting = 'auto', system = NONE, url = CLERK } = {}) {
  const chosen = await chooseRoute(new URL(url), setting, env, async () => system)
  return chosen.kind === 'proxy' ? `${chosen.proxy.href} (${chosen.variable ?? chosen.source})` : chosen
}

describe('the proxy', () => {
  it('is none if none is set', async () => {
    expect(await route({})).toEqual({ kind: 'direct' })
  })

  it.each<[NodeJS.ProcessEnv, string]>([
    [{ https_proxy: 'http://a', HTTPS_PROXY: 'http://b' }, 'http://a/ (https_proxy)'],
    [{ HTTPS_PROXY: 'http://b', all_proxy: 'http://c' }, 'http://b/ (HTTPS_PROXY)'],
    [{ all_proxy: 'http://c', ALL_PROXY: 'http://d', http_proxy: 'http://e' }, 'http://c/ (all_proxy)'],
    [{ ALL_PROXY: 'http://d', HTTP_PROXY: 'http://e' }, 'http://d/ (ALL_PROXY)'],
    [{ HTTP_PROXY: 'http://e' }, 'http://e/ (HTTP_PROXY)'],
    [{ https_proxy: '', HTTPS_PROXY: 'http://b' }, 'http://b/ (HTTPS_PROXY)'],
    [{ HTTPS_PROXY: 'proxy.example:3128' }, 'http://proxy.example:3128/ (HTTPS_PROXY)'],
    [{ HTTPS_PROXY: 'http://[fd78::2]:3128/' }, 'http://[fd78::2]:3128/ (HTTPS_PROXY)'],
    [{ HTTPS_PROXY: 'https://proxy.example' }, 'https://proxy.example/ (HTTPS_PROXY)'],
  ])('of %j is %s', async (env, expected) => {
    expect(await route(env)).toBe(expected)
  })

  it.each([
    'http://127.0.0.1:4000',
    'https://localhost:1',
    'http://[::1]:1',
    'https://127.9.9.9',
    'https://a.localhost',
  ])('is never used for %s, which is this computer', async (url) => {
    const env = { HTTPS_PROXY: 'http://a', HTTP_PROXY: 'http://a' }
    expect(await route(env, { url })).toEqual({ kind: 'direct' })
    expect(await route(env, { url, setting: 'http://a' })).toEqual({ kind: 'direct' })
    expect(await route({}, { url, system: { https: 'a:1', exceptions: [] } })).toEqual({ kind: 'direct' })
  })

  it('is not used for a host in NO_PROXY, from whichever source it comes', async () => {
    for (const env of [{ NO_PROXY: 'example.com' }, { no_proxy: '.example.com' }, { NO_PROXY: '*' }]) {
      expect(await route({ ...env, HTTPS_PROXY: 'http://a' })).toEqual({ kind: 'direct' })
      expect(await route(env, { setting: 'http://a' })).toEqual({ kind: 'direct' })
      expect(await route(env, { system: { https: 'a:1', exceptions: [] } })).toEqual({ kind: 'direct' })
    }
  })

  it('is that of config.json before that of the environment and of the system', async () => {
    const system = { https: 'c:1', exceptions: [] }
    expect(await route({ HTTPS_PROXY: 'http://b' }, { setting: 'http://a:1', system })).toBe(
      'http://a:1/ (configuration)',
    )
    expect(await route({ HTTPS_PROXY: 'http://b' }, { system })).toBe('http://b/ (HTTPS_PROXY)')
    expect(await route({}, { system })).toBe('http://c:1/ (system)')
    expect(await route({ HTTPS_PROXY: 'http://b' }, { setting: 'none', system })).toEqual({ kind: 'direct' })
  })

  it('does not ask the system if something else decides', async () => {
    const fail = () => Promise.reject(new Error('asked'))
    const url = new URL(CLERK)
    await chooseRoute(url, 'none', {}, fail)
    await chooseRoute(url, 'http://a', {}, fail)
    await chooseRoute(url, 'auto', { HTTPS_PROXY: 'http://a' }, fail)
    await chooseRoute(new URL('http://127.0.0.1:1'), 'auto', {}, fail)
  })

  it('follows the exceptions of the system', async () => {
    expect(await route({}, { system: { https: 'c:1', exceptions: ['*.example.com'] } })).toEqual({ kind: 'direct' })
  })
})

describe('a proxy that cannot be used is not bypassed', () => {
  it.each([
    ['socks5://proxy.example:1080', { problem: 'socks', proxyHost: 'proxy.example' }],
    ['socks5h://proxy.example:1080', { problem: 'socks', proxyHost: 'proxy.example' }],
    ['ftp://proxy.example', { problem: 'invalid', proxyHost: 'proxy.example' }],
    ['http://', { problem: 'invalid' }],
    ['http://user:p#ss@proxy.example', { problem: 'invalid' }],
    ['http://user:p%ss@proxy.example', { problem: 'invalid' }],
    // Here the host would be `user`, and the port the beginning of the password, which would be shown.
    ['http://user:12#ss@proxy.example', { problem: 'invalid' }],
    ['http://user:12/ss@proxy.example', { problem: 'invalid' }],
    ['user:12?ss@proxy.example', { problem: 'invalid' }],
    ['"http://proxy.example:3128"', { problem: 'invalid' }],
  ])('%s', async (HTTPS_PROXY, expected) => {
    const unusable = { kind: 'unusable', source: 'environment', variable: 'HTTPS_PROXY', ...expected }
    expect(await route({ HTTPS_PROXY })).toEqual(unusable)
  })

  it('if the system has only one for SOCKS', async () => {
    const unusable = { kind: 'unusable', problem: 'socks', proxyHost: 'proxy.example', source: 'system' }
    expect(await route({}, { system: { socks: 'proxy.example:1080', exceptions: [] } })).toEqual(unusable)
  })
})

it('a script is not run, and a proxy beside it is used', async () => {
  const pac = 'http://wpad/proxy.pac'
  expect(await route({}, { system: { pac, exceptions: [] } })).toEqual({ kind: 'pac', source: 'system' })
  expect(await route({}, { system: { pac, https: 'c:1', exceptions: [] } })).toBe('http://c:1/ (system)')
})

it('the user and the password of a proxy are decoded, and not shown', () => {
  const proxy = parseProxy('http://DOMAIN%5Cperson:p%40ss:word@proxy.example:3128') as URL
  expect(credentialsOf(proxy)).toBe('DOMAIN\\person:p@ss:word')
  expect(redactedProxy(proxy)).toBe('http://proxy.example:3128')
  expect(credentialsOf(new URL('http://proxy.example'))).toBe('')
})
