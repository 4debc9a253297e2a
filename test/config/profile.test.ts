// The two kinds of profile, and what a built-in profile adds to the settings in the file.
import { expect, test } from 'vitest'
import { ConfigurationError } from '../../src/config/errors.ts'
import { parseProfile } from '../../src/config/profile.ts'

const FILE = '/config.json'
const ISSUER = 'https://clerk.example.com'
const PAGE = 'https://www.example.com/cadzero/auth-callback'

test('a profile with a client ID signs in by OAuth and has the fields of OAuth alone', () => {
  const given = { issuer: ISSUER, clientId: 'client_1', brokerUrl: 'https://api.example.com', requireState: false }
  expect(parseProfile('mine', given, FILE)).toStrictEqual({
    kind: 'oauth',
    name: 'mine',
    issuer: ISSUER,
    clientId: 'client_1',
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    redirectPort: 0,
    signInUrl: undefined,
  })
})

test('a profile with a page and no client ID signs in by hand-off and has the fields of a hand-off alone', () => {
  expect(parseProfile('mine', { issuer: ISSUER, signInUrl: PAGE, scopes: ['openid'] }, FILE)).toStrictEqual({
    kind: 'handoff',
    name: 'mine',
    issuer: ISSUER,
    signInUrl: PAGE,
    brokerUrl: undefined,
    refresh: true,
    authorizedParties: [],
    requireState: true,
    tokenInCallback: true,
    redirectPort: 8765,
  })
})

test('keeps every setting of a profile that signs in by OAuth', () => {
  const given = { issuer: ISSUER, clientId: 'client_1', scopes: ['openid'], redirectPort: 34_338, signInUrl: PAGE }
  expect(parseProfile('mine', given, FILE)).toStrictEqual({ kind: 'oauth', name: 'mine', ...given })
})

test('keeps every setting of a profile that signs in by hand-off', () => {
  const given = {
    issuer: ISSUER,
    signInUrl: PAGE,
    brokerUrl: 'https://api.example.com',
    refresh: false,
    authorizedParties: ['https://www.example.com'],
    requireState: false,
    tokenInCallback: false,
    redirectPort: 0,
  }
  expect(parseProfile('mine', given, FILE)).toStrictEqual({ kind: 'handoff', name: 'mine', ...given })
})

test('a profile with neither client ID nor page is an error that names the page', () => {
  const error = parseProfile('mine', { issuer: ISSUER }, FILE)
  expect(error).toBeInstanceOf(ConfigurationError)
  expect(error).toMatchObject({
    setting: 'profiles.mine.signInUrl',
    expected: 'the page that hands the session over; or set clientId to sign in by OAuth',
    file: undefined,
  })
})

test('rejects a profile without an issuer', () => {
  expect(() => parseProfile('mine', {}, FILE)).toThrow(
    expect.objectContaining({ setting: 'profiles.mine.issuer', file: FILE }),
  )
})

test('rejects OAuth without a refresh', () => {
  expect(() => parseProfile('mine', { issuer: ISSUER, clientId: 'c', refresh: false }, FILE)).toThrow(
    expect.objectContaining({ setting: 'profiles.mine.refresh', file: FILE }),
  )
})

test('reads the issuer out of a publishable key', () => {
  const publishableKey = `pk_test_${Buffer.from('clerk.example.com$').toString('base64')}`
  expect(parseProfile('mine', { publishableKey, clientId: 'c' }, FILE)).toMatchObject({ issuer: ISSUER })
})

test('the built-in production profile uses the page’s port and does not require a state', () => {
  expect(parseProfile('production', {}, FILE)).toMatchObject({
    kind: 'handoff',
    issuer: 'https://clerk.cadzero.xyz',
    redirectPort: 8765,
    requireState: false,
    refresh: true,
  })
})

test('a built-in profile with another page requires a state', () => {
  expect(parseProfile('production', { signInUrl: PAGE }, FILE)).toMatchObject({ signInUrl: PAGE, requireState: true })
})

test('a built-in profile with another issuer has none of the built-in pages', () => {
  const given = { issuer: ISSUER, clientId: 'client_1' }
  expect(parseProfile('production', given, FILE)).toMatchObject({ ...given, signInUrl: undefined })
  const publishableKey = `pk_live_${Buffer.from('clerk.example.com$').toString('base64')}`
  expect(parseProfile('production', { publishableKey }, FILE)).toBeInstanceOf(ConfigurationError)
})

test('a built-in profile with a client ID does not send the browser to the page of the hand-off', () => {
  expect(parseProfile('production', { clientId: 'client_1' }, FILE)).toMatchObject({
    kind: 'oauth',
    issuer: 'https://clerk.cadzero.xyz',
    signInUrl: undefined,
  })
})
