// When a session ends, from the members of a token response.
import { expect, test } from 'vitest'
import { foretoldEnd } from '../../src/clerk/session-end.ts'

const NOW = 1_800_000_000.5

test.each([
  [{ refresh_token_expires_in: 3600 }, 3600],
  [{ refresh_token_timeout: 3600 }, 3600],
  [{ authorization_expires_in: 3600 }, 3600],
  [{ authorization_expires_in: 0 }, 0],
  [{ authorization_expires_in: 7200, refresh_token_expires_in: 3600, refresh_token_timeout: 9000 }, 3600],
  [{ authorization_expires_in: 7200, refresh_token_expires_in: -1 }, 7200],
])('%j is an end in %s seconds', (response, seconds) => {
  expect(foretoldEnd(response, NOW)).toBe(1_800_000_000 + seconds)
})

const NO_SPANS = [null, '3600', -1, Number.NaN, Number.POSITIVE_INFINITY, 1e300, [60], {}]

test.each<object>([
  {},
  { expires_in: 60 },
  ...NO_SPANS.map((value) => ({ refresh_token_expires_in: value, authorization_expires_in: value })),
])('%j names no end', (response) => {
  expect(foretoldEnd({ ...response }, NOW)).toBeNull()
})
