// Reading the claims of a token without verifying it.
import { expect, test } from 'vitest'
import { unverifiedClaims } from '../../src/clerk/jwt.ts'
import { signToken, USER_ID } from '../support/session-token.ts'

test('returns the claims of a JWT', async () => {
  expect(unverifiedClaims(await signToken(1_800_000_000))).toMatchObject({ sub: USER_ID, exp: 1_800_000_060 })
})

test.each(['', 'oat_opaque', 'a.b', 'a.b.c', 'a.W10.c', 'a.bnVsbA.c', 'a.e30.c.d.e'])('%j is not a JWT', (token) => {
  expect(unverifiedClaims(token)).toBeUndefined()
})
