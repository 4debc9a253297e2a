// A real browser that the daemon opens, with a proxy as the only way out that the user's environment alone names.
import { existsSync } from 'node:fs'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { spawnProgram } from '../support/program.ts'
import { startProxy } from '../support/proxy.ts'
import { newWorld } from '../support/world.ts'

const CHROMIUM = '/usr/bin/chromium'
const hasChromium = existsSync(CHROMIUM)
const why = hasChromium ? '' : ' (skipped: needs Debian’s chromium)'
const SIGN_IN = 'sign-in.corp.example' // a name that only the proxy resolves

/** A program that opens a link in Chromium, which ends with the test. */
async function newBrowser(): Promise<string> {
  const folder = await temporaryFolder()
  const [program, pid] = [join(folder, 'browser'), join(folder, 'pid')]
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking']
  const command = [CHROMIUM, ...flags, '--disable-component-update', '--disable-sync', `--user-data-dir=${folder}/data`]
  await writeFile(program, `#!/bin/sh\necho $$ > '${pid}'\nexec ${command.join(' ')} "$1" > '${folder}/log' 2>&1\n`)
  await chmod(program, 0o755)
  onTestFinished(async () => {
    const browser = Number(await readFile(pid, 'utf8').catch(() => ''))
    if (browser > 0) process.kill(browser, 'SIGKILL')
  })
  return program
}

it.skipIf(!hasChromium)(
  `uses the proxy of the user, although the daemon was started without it${why}`,
  { timeout: 90_000 },
  async () => {
    const settings = { CADZERO_AUTH_BROWSER: '', CADZERO_AUTH_SIGN_IN_URL: `https://${SIGN_IN}/go` }
    const { sandbox, home, env, client } = await newWorld({ env: settings })
    const proxy = await startProxy(sandbox.port)
    const asked = () => proxy.requests.some(({ authority }) => authority === `${SIGN_IN}:443`)
    const desktop = { BROWSER: await newBrowser(), DISPLAY: ':0', HTTPS_PROXY: proxy.url, https_proxy: proxy.url }
    const login = spawnProgram(['login'], { home, env: { ...env, ...desktop } })
    await expect.poll(asked, { timeout: 60_000 }).toBe(true)
    expect(proxy.requests.map(({ authority }) => authority)).not.toContain(new URL(sandbox.issuer).host)
    await client.call('cancelLogin')
    expect((await login.ended).code).toBe(1)
  },
)
