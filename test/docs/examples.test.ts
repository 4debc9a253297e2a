// Runs each example against the real daemon and the sandbox.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../sandbox/index.ts'
import { isWindows, needs } from '../support/posix.ts'
import { has, newUser, startSandbox, type User } from './user.ts'

/** The example, the program that runs it, and the program that it needs. */
const EXAMPLES = [
  ['examples/node/call-api.mjs', process.execPath, process.execPath],
  ['examples/python/call_api.py', 'python3', 'python3'],
  ['examples/curl/call-api.sh', 'sh', 'curl'],
] as const

for (const [example, program, needed] of EXAMPLES) {
  describe.skipIf(isWindows || !has(needed))(`${example}${needs('a browser that is a script')}`, () => {
    let sandbox: Sandbox
    let user: User
    beforeAll(async () => {
      sandbox = await startSandbox({ accessTokenTtl: 3600 }) // no refresh but the one that is asked for
      user = await newUser(sandbox)
      await user.signInUnlessSignedIn()
    })
    afterAll(async () => {
      await user.close()
      await sandbox.close()
    })

    it('calls an API with a header that the API accepts', async () => {
      const { code, output } = await user.run(program, [example, user.apiUrl])
      expect(output).toContain('200')
      expect(code, output).toBe(0)
      expect(sandbox.count('/oauth/token', 'refresh_token')).toBe(0)
    })

    it('calls again with a refreshed header if the API refuses the first one', async () => {
      const { code, output } = await user.run(program, [example, user.suspiciousApiUrl])
      expect(output).toContain('200')
      expect(code, output).toBe(0)
      expect(sandbox.count('/oauth/token', 'refresh_token')).toBe(1)
    })

    it('fails if no user is signed in', async () => {
      await user.run('cadzero-auth', ['logout'])
      const { code } = await user.run(program, [example, user.apiUrl])
      expect(code).not.toBe(0)
    })
  })
}
