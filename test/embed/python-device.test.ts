// The Python client signs a user in on another device, at the real daemon.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { environment } from '../support/program.ts'
import { findPythons } from '../support/python.ts'
import { newWorld } from '../support/world.ts'

const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))
const SCRIPT = `
import cadzero_auth
client = cadzero_auth.Client(start=False)
print(client.login(method='device', wait=False)['deviceAuthorization']['userCode'], flush=True)
status = client.login(method='device', timeout=60)
print(status['state'], status['deviceAuthorization'])
`

const python = findPythons().at(0)

const skipped = python ? '' : ' (skipped: needs Python)'
it.skipIf(python === undefined)(
  `the code is in the status, and login waits for the user who enters it${skipped}`,
  async () => {
    const { sandbox, home, client } = await newWorld({ deviceInterval: 1 })
    const child = spawn(String(python?.program), ['-B', '-c', SCRIPT], {
      cwd: EMBED,
      env: environment({ home }),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const userCode = String((await lines.next()).value)
    expect(await client.call('status')).toMatchObject({ deviceAuthorization: { userCode } })
    await sandbox.authorizeDevice(`${sandbox.issuer}/oauth/device`, { userCode })
    expect((await lines.next()).value).toBe('signed_in None')
  },
)
