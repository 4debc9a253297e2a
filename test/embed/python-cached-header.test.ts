// The header that the Python client keeps, while another client of the same daemon signs out, or signs in as another user.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { environment } from '../support/program.ts'
import { findPythons } from '../support/python.ts'
import { newWorld } from '../support/world.ts'

const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))

/** Prints the header twice: the daemon's, and the kept one, without asking again. Then the same after each notification. */
const SCRIPT = `
import queue
import cadzero_auth

client = cadzero_auth.Client(start=False)
changes = queue.Queue()
client.on_change(changes.put)

def say(state, timeout):
    try:
        print(state, client.get_auth_header(timeout=timeout)['Authorization'], flush=True)
    except cadzero_auth.InteractionRequiredError:
        print(state, 'none', flush=True)

say('first', 15)
say('kept', 0)
while True:
    status = changes.get()
    if status['state'] == 'signed_out' or status['user']['name'] == 'Grace Hopper':
        say(status['state'], 15)
`

const python = findPythons().at(0)

/** A signed-in daemon whose tokens last an hour, and a Python client that keeps its header. */
async function newKeptHeader() {
  const world = await newWorld({ accessTokenTtl: 3600 })
  await world.signIn()
  const child = spawn(String(python?.program), ['-B', '-c', SCRIPT], {
    cwd: EMBED,
    env: environment({ home: world.home }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => String((await lines.next()).value).split(/ (.*)/, 2)
  const { headers } = await world.client.call('getAuthHeader')
  expect(await next()).toEqual(['first', headers.Authorization])
  expect(await next()).toEqual(['kept', headers.Authorization])
  return { ...world, header: headers.Authorization, next }
}

describe.skipIf(python === undefined)(`a kept header${python === undefined ? ' (skipped: needs Python)' : ''}`, () => {
  it('is gone once another client has signed out', async () => {
    const { client, next } = await newKeptHeader()
    await client.call('logout')
    expect(await next()).toEqual(['signed_out', 'none'])
  })

  it('is the one of the new user once another client has signed in as another user', async () => {
    const { sandbox, client, header, next } = await newKeptHeader()
    Object.assign(sandbox.user, { id: `${sandbox.user.id}other`, name: 'Grace Hopper' })
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false, prompt: 'login' })
    await sandbox.signIn(String(authorizationUrl))
    const { headers } = await client.call('getAuthHeader')
    expect(headers.Authorization).not.toBe(header)
    expect(await next()).toEqual(['signed_in', headers.Authorization])
  })
})
