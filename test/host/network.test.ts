// Loopback hosts and the addresses that secrets may be sent to.
import { expect, test } from 'vitest'
import { isLoopbackHost, isSafeUrl, limitedFetch, loopbackAddresses } from '../../src/host/network.ts'
import { TestClock } from '../support/clock.ts'
import { serve } from '../support/serve.ts'

test.each(['127.0.0.1', 'localhost', '[::1]'])('%s is a loopback host', (host) => {
  expect(isLoopbackHost(host)).toBe(true)
})

test.each(['', '0.0.0.0', '127.0.0.2', '127.0.0.1.example.com', 'localhost.example.com', '::1', '[::]', '10.0.0.1'])(
  '%j is not a loopback host',
  (host) => {
    expect(isLoopbackHost(host)).toBe(false)
  },
)

test('localhost stands for both loopback addresses, 127.0.0.1 for itself alone', () => {
  expect(loopbackAddresses('localhost')).toEqual(['127.0.0.1', '::1'])
  expect(loopbackAddresses('127.0.0.1')).toEqual(['127.0.0.1'])
})

test.each([
  'https://clerk.example.com',
  'https://clerk.example.com/path',
  'http://127.0.0.1:4000',
  'http://localhost:5173/sign-in',
  'http://[::1]:1',
])('secrets may be sent to %s', (url) => {
  expect(isSafeUrl(url)).toBe(true)
})

test.each([
  'http://clerk.example.com',
  'http://localhost.example.com',
  'https://user@clerk.example.com',
  'https://:password@clerk.example.com',
  'https://clerk.example.com/?query',
  'https://clerk.example.com/#fragment',
  'ftp://127.0.0.1',
  'clerk.example.com',
])('secrets may not be sent to %s', (url) => {
  expect(isSafeUrl(url)).toBe(false)
})

test('a fetch ends although what it waits for does not heed the signal, such as a keyring or a disk', async () => {
  const clock = new TestClock()
  const response = limitedFetch(() => new Promise(() => undefined), clock)('https://clerk.example.com')
  clock.advance(11)
  await expect(response).rejects.toMatchObject({ name: 'NetworkError', code: 'timeout' })
})

test('a redirect is not followed, although the fetch inside would follow it', async () => {
  const asked: string[] = []
  const origin = await serve(({ url }, response) => {
    asked.push(String(url))
    response.writeHead(307, { Location: '/other' }).end()
  })
  const response = await limitedFetch((url, init) => fetch(url, init as RequestInit), new TestClock())(String(origin), {
    method: 'POST',
  })
  expect(response.status).toBe(307)
  expect(asked).toEqual(['/'])
})
