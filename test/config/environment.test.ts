// Environment variables: an error names the variable, and an empty variable counts as unset.
import { expect, test } from 'vitest'
import { loadContent } from '../support/config.ts'

test.each([
  [{ CADZERO_AUTH_PROFILE: 'Mine' }, 'CADZERO_AUTH_PROFILE'],
  [{ CADZERO_AUTH_PORT: 'x' }, 'CADZERO_AUTH_PORT'],
  [{ CADZERO_AUTH_PORT: '1e9' }, 'CADZERO_AUTH_PORT'],
  [{ CADZERO_AUTH_LOG_LEVEL: 'x' }, 'CADZERO_AUTH_LOG_LEVEL'],
  [{ CADZERO_AUTH_KEY_PROTECTION: 'x' }, 'CADZERO_AUTH_KEY_PROTECTION'],
  [{ CADZERO_AUTH_ISSUER: 'http://example.com' }, 'CADZERO_AUTH_ISSUER'],
  [{ CADZERO_AUTH_CLIENT_ID: 'a b' }, 'CADZERO_AUTH_CLIENT_ID'],
  [{ CADZERO_AUTH_SCOPES: 'email' }, 'CADZERO_AUTH_SCOPES'],
  [{ CADZERO_AUTH_REDIRECT_PORT: '99999' }, 'CADZERO_AUTH_REDIRECT_PORT'],
  [{ CADZERO_AUTH_SIGN_IN_URL: 'file:///' }, 'CADZERO_AUTH_SIGN_IN_URL'],
  [{ CADZERO_AUTH_BROKER_URL: 'x' }, 'CADZERO_AUTH_BROKER_URL'],
])('names the variable that is wrong in %j', async (env, setting) => {
  const error = await loadContent(undefined, env).catch((error: unknown) => error)
  expect(error).toMatchObject({ name: 'ConfigurationError', setting, file: undefined })
})

test('an empty variable counts as unset', async () => {
  const config = await loadContent(undefined, { CADZERO_AUTH_PROFILE: '', CADZERO_AUTH_PORT: '' })
  expect(config).toMatchObject({ defaultProfile: 'production', port: 0 })
})

test('scopes may be separated by spaces or commas', async () => {
  const env = { CADZERO_AUTH_CLIENT_ID: 'c', CADZERO_AUTH_SCOPES: ' openid, email\toffline_access ' }
  const { profiles } = await loadContent(undefined, env)
  expect(profiles.get('production')).toMatchObject({ scopes: ['openid', 'email', 'offline_access'] })
})
