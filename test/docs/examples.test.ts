// Runs each example against the real daemon and the sandbox.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../sandbox/index.ts'
import { newUser, startSandbox, type User } from './user.ts'

const EXAMPLES: readonly (readonly [string, readonly string[]])[] = [
  [process.execPath, ['examples/node/call-api.mjs']],
  ['python3', ['examples/python/call_api.py']],
  ['sh', ['examples/curl/call-api.sh']],
]

describe.each(EXAMPLES)('%s %s', (program, args) => {
  let sandbox: Sandbox
  let user: User
  beforeAll(async () => {
    sandbox = await startSandbox()
    user = await newUser(sandbox)
    await user.signInUnlessSignedIn()
  })
  afterAll(async () => {
    await user.close()
    await sandbox.close()
  })

  it('calls an API with a header that the API accepts', async () => {
    const { code, output } = await user.run(program, [...args, user.apiUrl])
    expect(output).toContain('200')
    expect(code, output).toBe(0)
    expect(sandbox.count('/oauth/token', 'refresh_token')).toBe(0)
  })

  it('calls again with a refreshed header if the API refuses the first one', async () => {
    const { code, output } = await user.run(program, [...args, user.suspiciousApiUrl])
    expect(output).toContain('200')
    expect(code, output).toBe(0)
    expect(sandbox.count('/oauth/token', 'refresh_token')).toBe(1)
  })

  it('fails if no user is signed in', async () => {
    await user.run('cadzero-auth', ['logout'])
    const { code } = await user.run(program, [...args, user.apiUrl])
    expect(code).not.toBe(0)
  })
})
