// The exceptions from the proxy: NO_PROXY as curl reads it, and the lists of the systems.
import { expect, test } from 'vitest'
import { isExcepted, isOwnHost, parseNoProxy } from '../../src/host/proxy-exceptions.ts'

test.each([
  ['*', 'https://clerk.example.com'],
  ['example.com', 'https://example.com'],
  ['example.com', 'https://clerk.example.com'],
  ['.example.com', 'https://clerk.example.com'],
  ['.example.com', 'https://example.com'],
  ['*.example.com', 'https://clerk.example.com'],
  ['EXAMPLE.com.', 'https://clerk.Example.COM'],
  ['example.com', 'https://clerk.example.com.'],
  ['a.test, example.com', 'https://example.com'],
  ['a.test example.com', 'https://example.com'],
  ['example.com:443', 'https://example.com'],
  ['example.com:8443', 'https://example.com:8443'],
  ['10.1.2.3', 'https://10.1.2.3'],
  ['10.0.0.0/8', 'https://10.200.3.4'],
  ['169.254/16', 'https://169.254.9.9'],
  ['fe80::/10', 'https://[fe80::1]'],
  ['[2001:db8::1]', 'https://[2001:db8::1]'],
  ['2001:db8:0:0:0:0:0:1', 'https://[2001:db8::1]'],
  ['192.168.*', 'https://192.168.7.7'],
  ['clerk-*.example.com', 'https://clerk-eu.example.com'],
  ['<local>', 'https://intranet'],
  ['https://example.com', 'https://example.com'],
])('%s excepts %s', (list, url) => {
  expect(isExcepted(new URL(url), parseNoProxy(list))).toBe(true)
})

test.each([
  ['', 'https://example.com'],
  ['.', 'https://example.com'],
  ['example.com', 'https://notexample.com'],
  ['clerk.example.com', 'https://example.com'],
  ['example.com:8443', 'https://example.com'],
  ['10.0.0.0/8', 'https://11.0.0.1'],
  ['10.0.0.0/8', 'https://10.example.com'],
  ['10.0.0.0/33', 'https://10.0.0.1'],
  ['0.0.0.1', 'https://10.0.0.1'],
  ['192.168.*', 'https://192.169.1.1'],
  ['clerk-*.example.com', 'https://clerkXexample.com'],
  ['<local>', 'https://example.com'],
  ['<local>', 'https://10.0.0.1'],
])('%j does not except %s', (list, url) => {
  expect(isExcepted(new URL(url), parseNoProxy(list))).toBe(false)
})

test.each(['localhost', 'a.localhost', '127.0.0.1', '127.1.2.3', '::1'])('%s is this computer', (host) => {
  expect(isOwnHost(host)).toBe(true)
})

test.each(['localhost.example.com', '128.0.0.1', '::2', '0.0.0.0'])('%s is not this computer', (host) => {
  expect(isOwnHost(host)).toBe(false)
})
