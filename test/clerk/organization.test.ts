// The active organization, from the claims of each kind of token.
import { expect, test } from 'vitest'
import { organizationOf } from '../../src/clerk/organization.ts'

test.each([
  [
    'a session token',
    { o: { id: 'org_1', slg: 'acme', rol: 'admin', per: 'x', fpm: '1' } },
    ['org_1', 'acme', 'admin'],
  ],
  [
    'a session token of version 1',
    { org_id: 'org_1', org_slug: 'acme', org_role: 'org:admin' },
    ['org_1', 'acme', 'admin'],
  ],
  ['an OAuth access token', { org_id: 'org_1' }, ['org_1', null, null]],
  ['userinfo', { org_id: 'org_1', org_name: 'Acme', org_slug: 'acme' }, ['org_1', 'acme', null]],
  ['a slug with a line break', { o: { id: 'org_1', slg: 'a\r\n\u001b[2Jb' } }, ['org_1', 'a [2Jb', null]],
  ['members of other types', { o: { id: 'org_1', slg: 5, rol: {} } }, ['org_1', null, null]],
])('%s names it', (_name, claims, [id, slug, role]) => {
  expect(organizationOf(claims)).toEqual({ id, slug, role })
})

test.each([
  ['no organization', {}],
  ['an organization without an ID', { o: { slg: 'acme' } }],
  ['an ID that is not a text', { o: { id: ['org_1'] } }],
  ['an empty ID', { org_id: '' }],
  ['null', { o: null, org_id: null }],
  ['a text', { o: 'org_1' }],
])('claims with %s name none', (_name, claims) => {
  expect(organizationOf(claims)).toBeNull()
})

test('a text is cut after 320 characters', () => {
  expect(organizationOf({ org_id: 'x'.repeat(5000) })?.id).toHaveLength(320)
})
