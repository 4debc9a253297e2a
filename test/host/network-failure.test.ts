// The cause that a system error stands for.
import { expect, test } from 'vitest'
import { causeOf, type NetworkCause } from '../../src/host/network-failure.ts'

const coded = (code: string) => Object.assign(new Error(code), { code })

test.each<[NetworkCause, string[]]>([
  ['dns', ['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'ENODATA']],
  [
    'refused',
    ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EPERM'],
  ],
  ['timeout', ['ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT', 'ERR_SOCKET_CONNECTION_TIMEOUT']],
  [
    'certificate',
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'CERT_HAS_EXPIRED',
      'CERT_NOT_YET_VALID',
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  ],
  ['protocol', ['EPROTO', 'HPE_INVALID_CONSTANT', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_HTTP_INVALID_HEADER_VALUE']],
])('the cause %s has the codes %j', (cause, codes) => {
  expect(codes.map((code) => [code, causeOf(coded(code))])).toEqual(codes.map((code) => [code, cause]))
})

test('an error without a code breaks the protocol', () => {
  expect(causeOf(new Error('canary'))).toBe('protocol')
  expect(causeOf('canary')).toBe('protocol')
})

test('the cause of an error that wraps another is that of the inner one', () => {
  expect(causeOf(new TypeError('fetch failed', { cause: coded('ENOTFOUND') }))).toBe('dns')
})

test.each([
  [['ETIMEDOUT', 'ENETUNREACH'], 'timeout'],
  [['ECONNREFUSED', 'ENETUNREACH'], 'refused'],
  [['ETIMEDOUT', 'ECONNREFUSED'], 'refused'],
  [['ENETUNREACH', 'EHOSTUNREACH'], 'refused'],
])('the addresses of a host that fail with %j have the cause %s', (codes, cause) => {
  expect(causeOf(new AggregateError(codes.map(coded)))).toBe(cause)
})
