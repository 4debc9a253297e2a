// The checks on a request to the callback listener.
import { describe, expect, test } from 'vitest'
import {
  hasState,
  isInterrupted,
  isPrefetch,
  isVisit,
  lacksState,
  queryAt,
  repeatsParameter,
} from '../../src/callback/callback-request.ts'

const STATE = 'A1b2C3d4'
const params = (query: string) => new URLSearchParams(query)

describe('the query of a request target', () => {
  test.each([
    ['/callback', '/callback?code=1', 'code=1'],
    ['/callback', '/callback?', ''],
    ['/callback', '/callback?a=1?b=2', 'a=1?b=2'],
    ['/', '/?token=1', 'token=1'],
  ])('at %s in %s is %j', (path, target, query) => {
    expect(queryAt(path, target)).toBe(query)
  })

  test.each([
    '/callback',
    '/callback/?code=1',
    '/callbacks?code=1',
    '/?code=1',
    '//callback?code=1',
    'http://127.0.0.1/callback?code=1',
    '/CALLBACK?code=1',
    '*',
    '',
  ])('is undefined for %j, which is another path or has none', (target) => {
    expect(queryAt('/callback', target)).toBeUndefined()
  })
})

describe('the state', () => {
  test('is the expected one, exactly once', () => {
    expect(hasState(params(`code=1&state=${STATE}`), STATE)).toBe(true)
  })

  test.each([
    ['is missing', 'code=1'],
    ['is empty', 'state='],
    ['is another one', 'state=B1b2C3d4'],
    ['is longer', `state=${STATE}x`],
    ['is shorter', `state=${STATE.slice(1)}`],
    ['has another case', `state=${STATE.toUpperCase()}`],
    ['appears twice', `state=${STATE}&state=${STATE}`],
    ['appears with another one', `state=${STATE}&state=x`],
    ['has another name', `STATE=${STATE}`],
  ])('does not match if it %s', (_name, query) => {
    expect(hasState(params(query), STATE)).toBe(false)
  })

  test('never matches before the sign-in expects one', () => {
    for (const query of ['', 'state=', 'state=null', `state=${STATE}`]) {
      expect(hasState(params(query), null), query).toBe(false)
    }
  })

  test('is not needed if the page returns none', () => {
    for (const query of ['', 'state=x', 'code=1']) {
      expect(lacksState(params(query), { value: null, mayBeMissing: false }), query).toBe(true)
    }
  })

  test.each([
    ['token=1', true],
    ['', true],
    ['token=1&state=', false],
    ['token=1&state=x', false],
    ['code=1', false],
    ['token=1&code=1', false],
  ])('of a page of unknown version may be missing in %j: %s', (query, mayLack) => {
    expect(lacksState(params(query), { value: STATE, mayBeMissing: true })).toBe(mayLack)
    expect(lacksState(params(query), { value: STATE, mayBeMissing: false })).toBe(false)
  })
})

describe('an interrupted sign-in', () => {
  test.each(['error=x', 'error=x&state=', 'error=&error_description=x'])('is %s', (query) => {
    expect(isInterrupted(params(query))).toBe(true)
  })

  test.each(['', 'state=', 'code=1', 'error=x&code=1', `error=x&state=${STATE}`, `error=x&state=&state=${STATE}`])(
    'is not %j',
    (query) => {
      expect(isInterrupted(params(query))).toBe(false)
    },
  )
})

test.each(['code', 'error', 'iss', 'state'])('the parameter %s must not repeat', (name) => {
  expect(repeatsParameter(params(`${name}=1`))).toBe(false)
  expect(repeatsParameter(params(`${name}=1&x=1&${name}=1`))).toBe(true)
})

test('a parameter without a meaning here may repeat', () => {
  expect(repeatsParameter(params('code=1&x=1&x=2'))).toBe(false)
})

test.each([
  [{ 'sec-purpose': 'prefetch' }],
  [{ 'sec-purpose': 'prefetch;prerender' }],
  [{ purpose: 'prefetch' }],
  [{ 'x-purpose': 'preview' }],
  [{ 'x-moz': 'Prefetch' }],
  [{ purpose: 'prerender' }],
])('the headers %j are those of a prefetch', (headers) => {
  expect(isPrefetch(headers)).toBe(true)
})

test.each([[{}], [{ 'sec-purpose': '' }], [{ purpose: 'navigate' }], [{ accept: 'prefetch' }]])(
  'the headers %j are not those of a prefetch',
  (headers) => {
    expect(isPrefetch(headers)).toBe(false)
  },
)

test.each([
  [{}],
  [{ 'sec-fetch-dest': 'document', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'cross-site' }],
  [{ 'sec-fetch-mode': 'navigate' }],
  [{ 'sec-fetch-mode': 'cors' }], // the fetch of Node.js
])('the headers %j are those of a visit', (headers) => expect(isVisit(headers)).toBe(true))

test.each([
  [{ origin: 'https://evil.example' }],
  [{ origin: 'null' }],
  [{ 'sec-fetch-dest': 'image', 'sec-fetch-mode': 'no-cors' }],
  [{ 'sec-fetch-dest': 'iframe', 'sec-fetch-mode': 'navigate' }],
  [{ 'sec-fetch-dest': 'document', 'sec-fetch-mode': 'cors' }],
  [{ 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'cross-site' }],
  [{ 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }],
  [{ 'sec-fetch-mode': 'cors', origin: 'https://evil.example' }],
  [{ 'sec-fetch-mode': 'no-cors' }],
  [{ 'sec-fetch-dest': 'empty' }],
  [{ 'sec-fetch-mode': 'websocket' }],
  [{ 'sec-fetch-dest': '' }],
])('the headers %j are not those of a visit', (headers) => expect(isVisit(headers)).toBe(false))
