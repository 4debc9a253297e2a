// `cadzero-auth config`: the effective configuration.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runProgram, temporaryFolder } from '../support/program.ts'

test('config prints the effective configuration without secrets', async () => {
  const home = await temporaryFolder()
  const env = { CADZERO_AUTH_CLIENT_ID: 'client_1', CADZERO_AUTH_PASSPHRASE: 'canary' }
  const { code, stdout } = await runProgram(['config'], { home, env })
  expect(code).toBe(0)
  expect(await runProgram(['config', '--json'], { home, env })).toEqual({ code, stdout, stderr: '' })
  expect(JSON.parse(stdout)).toMatchObject({
    file: join(home, 'config', 'config.json'),
    defaultProfile: 'production',
    profiles: { production: { clientId: 'client_1' } },
  })
  expect(stdout).not.toContain('canary')
})

test('config refuses an unknown profile and names the known ones', async () => {
  const { code, stderr } = await runProgram(['config', '--profile', 'other'], { home: await temporaryFolder() })
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'error: no such profile\nhint: use one of local, staging, production\n',
  })
})
