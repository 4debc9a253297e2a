// Runs the commands that the documentation shows, as a user would, against the real daemon and the sandbox.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../sandbox/index.ts'
import { type Block, pages } from './markdown.ts'
import { has, newUser, startSandbox, type User } from './user.ts'

const SHELLS = ['sh', 'bash', 'shell', 'console', 'powershell', 'cmd']
const NOT_RUN = ['http', 'json', 'mermaid', 'text']

const SLOW = { timeout: 60_000 } // a block starts a dozen processes at most

let sandbox: Sandbox
let user: User

beforeAll(async () => {
  sandbox = await startSandbox()
  user = await newUser(sandbox)
})
afterAll(async () => {
  await user.close()
  await sandbox.close()
})

/** The programs of a block that a machine may lack. */
const lackedBy = ({ language, text }: Block) =>
  ['curl', 'python3'].filter((name) => (text.includes(`${name} `) || language === name.replace(/3$/, '')) && !has(name))

const runnable = (block: Block) => block.skip === undefined && !NOT_RUN.includes(block.language)
const pagesToRun = pages
  .map(({ path, blocks }) => [path, blocks.filter(runnable)] as const)
  .filter(([, blocks]) => blocks.length > 0)

describe.each(pagesToRun)('%s', (_path, blocks) => {
  for (const block of blocks) {
    it.skipIf(lackedBy(block).length > 0)(
      `shows a working ${block.language} block in line ${block.line}`,
      SLOW,
      async () => {
        if (!block.text.includes('cadzero-auth login')) await user.signInUnlessSignedIn()
        const { code, output } = await run(block)
        expect(code, output).toBe(0)
      },
    )
  }
})

async function run(block: Block) {
  if (SHELLS.includes(block.language)) return await user.runShell(block.text)
  if (block.language === 'python') return await user.run('python3', ['-c', block.text])
  if (block.language === 'js' && block.use === 'broker') return await runBroker(block.text)
  throw new Error(`no test knows how to run a block of ${block.language}`)
}

/** A refusal in the broker's own words shows that the handler of the block is one. */
async function runBroker(text: string) {
  const ask = `
    const headers = { 'Content-Type': 'application/json' }
    const request = new Request('http://localhost/api/auth/refresh', { method: 'POST', headers, body: '{}' })
    const { error } = await (await broker(request)).json()
    if (error !== 'invalid_request') throw new Error(error)`
  const env = { CLERK_SECRET_KEY: 'sk_test_docs', CADZERO_BROKER_KEY: randomBytes(32).toString('base64url') }
  return await user.run(process.execPath, ['--input-type=module', '-e', text + ask], env)
}
