// Every mistake in config.json is named with the setting and what it should be.
import { expect, test } from 'vitest'
import { loadContent } from '../support/config.ts'

const own = { issuer: 'https://clerk.example.com', clientId: 'client_1' }

test.each([
  ['{', 'the file', 'JSON'],
  ['[]', 'the file', 'object'],
  [{ defaultprofile: 'x' }, 'defaultprofile', 'left out: no such setting'],
  [{ defaultProfile: 'Mine' }, 'defaultProfile', 'profile name'],
  [{ profiles: [] }, 'profiles', 'object of profiles'],
  [{ profiles: [own] }, 'profiles', 'object of profiles'],
  [{ profiles: null }, 'profiles', 'object of profiles'],
  [{ port: 80 }, 'port', '1024'],
  [{ port: 1023 }, 'port', '1024'],
  [{ port: 65_536 }, 'port', '65535'],
  [{ port: 5000.5 }, 'port', 'whole number'],
  [{ port: '8080' }, 'port', 'whole number'],
  [{ logLevel: 'loud' }, 'logLevel', 'debug'],
  [{ keyProtection: 'none' }, 'keyProtection', 'keyring'],
  [{ proxy: 'http://user:password@proxy.example:3128' }, 'proxy', 'config proxy-password'],
  [{ proxy: 'http://user:@proxy.example:3128' }, 'proxy', 'without a password'],
  [{ proxy: 'http://us%er@proxy.example:3128' }, 'proxy', 'without a password'],
  [{ proxy: 'socks5://proxy.example:1080' }, 'proxy', 'http://host:port'],
  [{ proxy: 'http://proxy.example/path' }, 'proxy', 'http://host:port'],
  [{ proxy: 'proxy.example:3128' }, 'proxy', 'http://host:port'],
  [{ proxy: '' }, 'proxy', 'auto, none'],
  [{ proxy: true }, 'proxy', 'auto, none'],
  [{ caFile: 'ca.pem' }, 'caFile', 'absolute path'],
  [{ caFile: '~/ca.pem' }, 'caFile', 'absolute path'],
  [{ caFile: '/nowhere/ca.pem' }, 'caFile', 'a file that exists'],
  [{ caFile: '/' }, 'caFile', 'a regular file'],
  [{ updateUrl: 'http://releases.example/update.json' }, 'updateUrl', 'https'],
  [{ updateUrl: 'https://releases.example/update.json?x' }, 'updateUrl', 'without a query'],
  [{ updateUrl: '' }, 'updateUrl', 'the address of update.json'],
  [{ profiles: { 'Bad/Name': {} } }, 'profiles.Bad/Name', 'profile name'],
  [{ profiles: { ['a'.repeat(33)]: {} } }, `profiles.${'a'.repeat(33)}`, 'profile name'],
  ['{"profiles":{"constructor":{}}}', 'profiles.constructor', 'profile name'],
  [{ profiles: { mine: [] } }, 'profiles.mine.issuer', 'https'],
  [{ profiles: { mine: 'x' } }, 'profiles.mine', 'an object of settings'],
  [{ profiles: { mine: {} } }, 'profiles.mine.issuer', 'https'],
  [{ profiles: { mine: { ...own, issuer: 'http://clerk.example.com' } } }, 'profiles.mine.issuer', 'https'],
  [{ profiles: { mine: { ...own, issuer: 'https://a@clerk.example.com' } } }, 'profiles.mine.issuer', 'https'],
  [{ profiles: { mine: { ...own, issuer: 'javascript:alert(1)' } } }, 'profiles.mine.issuer', 'https'],
  [{ profiles: { mine: { ...own, signInUrl: 'file:///etc/passwd' } } }, 'profiles.mine.signInUrl', 'https'],
  [{ profiles: { mine: { ...own, brokerUrl: 'http://api.example.com' } } }, 'profiles.mine.brokerUrl', 'https'],
  [{ profiles: { mine: { ...own, clientID: 'x' } } }, 'profiles.mine.clientID', 'no such setting'],
  [{ profiles: { mine: { ...own, clientId: 'a b' } } }, 'profiles.mine.clientId', 'without spaces'],
  [{ profiles: { mine: { ...own, scopes: ['email'] } } }, 'profiles.mine.scopes', 'openid'],
  [{ profiles: { mine: { ...own, scopes: ['openid', 'a b'] } } }, 'profiles.mine.scopes.1', 'openid'],
  [{ profiles: { mine: { ...own, redirectPort: 80 } } }, 'profiles.mine.redirectPort', '1024'],
  [{ profiles: { mine: { ...own, publishableKey: 'pk_test_x' } } }, 'profiles.mine.publishableKey', 'publishable key'],
  [{ profiles: { mine: { ...own, authorizedParties: 'x' } } }, 'profiles.mine.authorizedParties', 'origins'],
  [{ profiles: { mine: { ...own, requireState: 'yes' } } }, 'profiles.mine.requireState', 'true or false'],
  [{ profiles: { mine: { ...own, refresh: 1 } } }, 'profiles.mine.refresh', 'true or false'],
])('names the setting that is wrong in %j', async (content, setting, expected) => {
  const error = await loadContent(content).catch((error: unknown) => error)
  expect(error).toMatchObject({ name: 'ConfigurationError', setting, expected: expect.stringContaining(expected) })
  expect(error).toHaveProperty('file', expect.stringMatching(/config\.json$/))
})

test.each([
  'auto',
  'none',
  'http://proxy.example:3128',
  'https://proxy.example',
  'http://10.0.0.1:8080/',
  'http://ada@proxy.example:3128',
  'http://CORP%5Cada@proxy.example:3128',
])('accepts the proxy %s', async (proxy) => {
  expect(await loadContent({ proxy })).toMatchObject({ proxy })
})

test('chooses the proxy by environment and system, and trusts no file of authorities, unless told otherwise', async () => {
  const config = await loadContent({})
  expect(config).toMatchObject({ proxy: 'auto' })
  expect(config.caFile).toBeUndefined()
})

test.each([1024, 65_535, 0])('accepts the port %d', async (port) => {
  expect(await loadContent({ port })).toMatchObject({ port })
})
