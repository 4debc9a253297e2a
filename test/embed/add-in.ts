// Assembles the example add-in as its README says, and plays the browser of its user.
import { chmod, cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Sandbox } from '../sandbox/index.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The script that plays Fusion. */
export const FUSION = join(ROOT, 'embed/python/tests/fusion.py')

/** Returns the path of a copy of the example with the client. Its name is that of its main module, as in Fusion. */
export async function newAddIn(folder: string): Promise<string> {
  const addIn = join(folder, 'CadzeroExample')
  await cp(join(ROOT, 'examples/fusion-addin'), addIn, { recursive: true })
  for (const part of ['auth.py', 'cadzero_auth'])
    await cp(join(ROOT, 'embed/python', part), join(addIn, part), { recursive: true })
  return addIn
}

/** Writes a program that sends a session token to the callback of a hand-off at once; returns its path and what it sends. */
export async function browserOf({ backend, user }: Sandbox, folder: string) {
  const session_id = backend.createSession()
  const token = await backend.sessionToken(session_id, { lifetimeSeconds: 300 })
  const query = new URLSearchParams({ token, session_id, user_id: user.id })
  await mkdir(join(folder, 'browser'))
  await writeFile(join(folder, 'browser', 'params'), query.toString(), { mode: 0o600 })
  const browser = join(folder, 'browser', 'open')
  await writeFile(
    browser,
    `#!${process.execPath}
const params = new URLSearchParams(require('node:fs').readFileSync(__dirname + '/params', 'utf8'))
const callback = new URL(new URL(process.argv[2]).searchParams.get('redirect_url'))
for (const [name, value] of params) callback.searchParams.set(name, value)
fetch(callback).then((page) => page.text())
`,
  )
  await chmod(browser, 0o700)
  return { browser, sessionId: session_id, token }
}
