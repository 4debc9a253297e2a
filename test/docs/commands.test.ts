// Runs the commands that the documentation shows, as a user would, against the real daemon and the sandbox.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../sandbox/index.ts'
import { type Block, pages } from './markdown.ts'
import { newUser, startSandbox, type User } from './user.ts'

const SHELLS = ['sh', 'bash', 'shell', 'console', 'powershell', 'cmd']
const NOT_RUN = ['http', 'json', 'mermaid', 'text']

let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await startSandbox()
})
afterAll(() => sandbox.close())

const runnable = (block: Block) => block.skip === undefined && !NOT_RUN.includes(block.language)

describe.each(pages.filter(({ blocks }) => blocks.some(runnable)))('$path', ({ blocks }) => {
  let user: User
  beforeAll(async () => {
    user = await newUser(sandbox)
  })
  afterAll(() => user.close())

  it.each(blocks.filter(runnable))('has a $language block in line $line that works', async (block) => {
    if (!/cadzero-auth login/.test(block.text)) await user.signInUnlessSignedIn()
    const { code, output } = await run(block, user)
    expect(code, output).toBe(0)
  })
})

async function run(block: Block, user: User) {
  if (SHELLS.includes(block.language)) return await user.runShell(block.text)
  if (block.language === 'python') return await user.run('python3', ['-c', block.text])
  if (block.language === 'js' && block.use === 'broker') return await runBroker(block.text, user)
  throw new Error(`no test knows how to run a block of ${block.language}`)
}

/** A refusal in the broker's own words shows that the handler of the block is one. */
async function runBroker(text: string, user: User) {
  const ask = `
    const headers = { 'Content-Type': 'application/json' }
    const request = new Request('http://localhost/api/auth/refresh', { method: 'POST', headers, body: '{}' })
    const { error } = await (await broker(request)).json()
    if (error !== 'invalid_request') throw new Error(error)`
  const env = { CLERK_SECRET_KEY: 'sk_test_docs', CADZERO_BROKER_KEY: randomBytes(32).toString('base64url') }
  return await user.run(process.execPath, ['--input-type=module', '-e', text + ask], env)
}
