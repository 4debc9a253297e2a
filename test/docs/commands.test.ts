// Runs the commands that the documentation shows, as a user would, against the real daemon and the sandbox.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../sandbox/index.ts'
import { isWindows, needs } from '../support/posix.ts'
import { type Block, pages } from './markdown.ts'
import { has, newUser, pythonWithWebsockets, startSandbox, type User } from './user.ts'

const SHELLS = ['sh', 'bash', 'shell', 'console', 'powershell', 'cmd']
const NOT_RUN = ['http', 'json', 'mermaid', 'text']

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

const needsWebsockets = ({ language, text }: Block) => language === 'python' && text.includes('websockets')

/** The programs and packages of a block that a machine may lack. */
const lackedBy = (block: Block) => [
  ...['curl', 'npx', 'python3'].filter(
    (name) => (block.text.includes(`${name} `) || block.language === name.replace(/3$/, '')) && !has(name),
  ),
  ...(needsWebsockets(block) && !pythonWithWebsockets ? ['python3-websockets'] : []),
]

const runnable = (block: Block) => block.skip === undefined && !NOT_RUN.includes(block.language)
const pagesToRun = pages
  .map(({ path, blocks }) => [path, blocks.filter(runnable)] as const)
  .filter(([, blocks]) => blocks.length > 0)

describe.skipIf(isWindows).each(pagesToRun)(`%s${needs('a shell of POSIX')}`, (_path, blocks) => {
  for (const block of blocks) {
    const lacked = lackedBy(block)
    it.skipIf(lacked.length > 0)(
      `shows a working ${block.language} block in line ${block.line}${lacked.length > 0 ? ` (skipped: needs ${lacked})` : ''}`,
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
  const python = (needsWebsockets(block) && pythonWithWebsockets) || 'python3'
  if (block.language === 'python') return await user.run(python, ['-c', block.text])
  if (block.language === 'js' && block.use === 'broker') return await runBroker(block.text)
  if (block.language === 'js') return await user.run(process.execPath, ['--input-type=module', '-e', block.text])
  throw new Error(`no test knows how to run a block of ${block.language}`)
}

/** A refusal in the broker's own words shows that the handler of the block is one. */
async function runBroker(text: string) {
  const ask = `
    const headers = { 'Content-Type': 'application/json' }
    const request = new Request('http://localhost/api/auth/refresh', { method: 'POST', headers, body: '{}' })
    const { error } = await (await broker(request)).json()
    if (error !== 'invalid_request') throw new Error(error)
    broker.close()`
  const env = { CLERK_SECRET_KEY: 'sk_test_docs', CADZERO_BROKER_KEY: randomBytes(32).toString('base64url') }
  return await user.run(process.execPath, ['--input-type=module', '-e', text + ask], env)
}
