// The messages and exit codes that docs/troubleshooting.md quotes are those that the commands print.
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Sandbox } from '../sandbox/index.ts'
import { readPage } from './markdown.ts'
import { newUser, startSandbox, type User } from './user.ts'

const { text } = readPage('docs/troubleshooting.md')

/** The text in backticks at the start of a row, with «…» for anything. */
const symptoms = [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, symptom = '']) => symptom)
const exitCodes = [...text.matchAll(/^\| (\d) \| ([^|]+) \|$/gm)].map(([, code, meaning = '']) => [
  Number(code),
  meaning,
])

/** @param symptom as the page quotes it */
function expectQuoted(symptom: string, output: string): void {
  expect(symptoms).toContain(symptom)
  const pattern = symptom
    .split('…')
    .map((part) => part.replace(/[^\w ]/g, '\\$&'))
    .join('.*')
  expect(output).toMatch(new RegExp(pattern))
}

let sandbox: Sandbox
let user: User
beforeEach(async () => {
  sandbox = await startSandbox()
  user = await newUser(sandbox)
})
afterEach(async () => {
  await user.close()
  await sandbox.close()
})

it('quotes what a command says if no daemon runs and none may be started', async () => {
  const { code, output } = await user.run('cadzero-auth', ['status', '--no-start'])
  expectQuoted('no daemon is running', output)
  expect(code).toBe(3)
})

it('quotes what the daemon says about a NODE_OPTIONS that opens it', async () => {
  const { code, output } = await user.run('cadzero-auth', ['daemon'], { NODE_OPTIONS: '--trace-warnings' })
  expectQuoted('the daemon does not run with this NODE_OPTIONS', output)
  expect(code).toBe(2)
})

it('quotes what a command says about a profile without a sign-in method', async () => {
  const { code, output } = await user.run('cadzero-auth', ['header'], { CADZERO_AUTH_CLIENT_ID: '' })
  expectQuoted('profiles.….signInUrl is missing or wrong', output)
  expect(code).toBe(1)
})

it('quotes what a command says if the provider cannot be reached', async () => {
  const { code, output } = await user.run('cadzero-auth', ['login'], { CADZERO_AUTH_ISSUER: 'http://127.0.0.1:9' })
  expectQuoted('temporarily unavailable', output)
  expect(code).toBe(1)
})

it('quotes what a command says about a lost passphrase', async () => {
  const env = { CADZERO_AUTH_KEY_PROTECTION: 'passphrase' }
  const { code, output } = await user.run('cadzero-auth', ['login'], env)
  expectQuoted('store unavailable: wrong_passphrase', output)
  expect(code).toBe(1)
})

it('lists every exit code', async () => {
  expect(exitCodes.map(([code]) => code)).toEqual([0, 1, 2, 3, 4, 5])
  expect((await user.run('cadzero-auth', ['config'])).code).toBe(0)
  expect((await user.run('cadzero-auth', ['nonsense'])).code).toBe(2)
  expect((await user.run('cadzero-auth', ['header'])).code).toBe(4)
})
