// `cadzero-auth login`: the link, the browser, a pasted callback address, and a sign-in that fails.
import { existsSync } from 'node:fs'
import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RpcClient } from '../../src/rpc/client.ts'
import type { Status } from '../../src/rpc/contract.ts'
import { isWindows, needs } from '../support/posix.ts'
import { runProgram, spawnProgram, temporaryFolder } from '../support/program.ts'
import { newWorld } from '../support/world.ts'

const LINK = /^\s+(http:\S+)\n/m

/** Resolves with the authorization URL of the first status from now on that has one and is accepted. */
function authorizationUrl(client: RpcClient, accept: (status: Status) => boolean = () => true): Promise<string> {
  return new Promise((resolve) => {
    client.onNotification((_method, params) => {
      const status = params as Status
      if (accept(status) && status.authorizationUrl !== null) resolve(status.authorizationUrl)
    })
  })
}

describe('login', () => {
  it('shows the link, says that it waits, and prints the user who has signed in', async () => {
    const { sandbox, home, env } = await newWorld()
    const login = spawnProgram(['login', '--no-browser'], { home, env })
    await sandbox.signIn(await login.stderrMatch(LINK))
    const { code, stdout, stderr } = await login.ended
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'signed in as Ada Lovelace <ada@example.com>\n' })
    expect(stderr).toContain('Waiting for you to sign in')
  })

  it('[C8 F1] accepts the pasted callback address of this sign-in, and no other address', async () => {
    const { sandbox, home, env } = await newWorld()
    const login = spawnProgram(['login', '--no-browser', '--paste'], { home, env })
    const { callbackUrl } = await sandbox.signIn(await login.stderrMatch(LINK), { deliver: false })
    login.child.stdin.write(`https://evil.example/callback?code=x\n`)
    await login.stderrMatch(/(This is not the address of the callback)/)
    login.child.stdin.write(`${callbackUrl.replace(/state=[^&]+/, 'state=wrong')}\n`)
    await login.stderrMatch(/(did not accept this address)/)
    expect(sandbox.count('/oauth/token')).toBe(0)
    login.child.stdin.write(`${callbackUrl.replace('127.0.0.1', 'localhost')}\n`)
    expect(await login.ended).toMatchObject({ code: 0 })
  })

  it('[F1] says once that no browser opens, and continues with the link that it has shown', async () => {
    const { sandbox, home, env } = await newWorld({ env: { CADZERO_AUTH_BROWSER: '/nowhere/browser' } })
    const login = spawnProgram(['login'], { home, env })
    const url = await login.stderrMatch(LINK)
    await login.stderrMatch(/(No browser could be opened: open the link above yourself)/)
    await sandbox.signIn(url)
    const { code, stderr } = await login.ended
    expect(code).toBe(0)
    expect(stderr.match(/http:\S+/g)).toEqual([url])
    expect(stderr).not.toContain('Opening')
  })

  it.skipIf(isWindows)(
    `opens the link on the desktop of now, although the daemon was started without one${needs('a shell script')}`,
    async () => {
      const folder = await temporaryFolder()
      const browser = join(folder, 'browser')
      await writeFile(browser, `#!/bin/sh\nenv > '${folder}/part'\nmv '${folder}/part' '${folder}/env'\n`)
      await chmod(browser, 0o755)
      const { home, env } = await newWorld({ env: { CADZERO_AUTH_BROWSER: '', LANG: 'C' } })
      const desktop = {
        ...env,
        BROWSER: browser,
        DISPLAY: ':5',
        LANG: 'ja_JP.UTF-8',
        https_proxy: 'http://127.0.0.1:3128',
        VSCODE_IPC_HOOK_CLI: '/run/vscode.sock',
        LD_LIBRARY_PATH: '/opt/bundle/lib',
      }
      for (const command of [['header', '--interactive'], ['login']]) {
        const running = spawnProgram(command, { home, env: desktop })
        await expect.poll(() => existsSync(join(folder, 'env')), { timeout: 10_000 }).toBe(true)
        const seen = await readFile(join(folder, 'env'), 'utf8')
        for (const name of ['DISPLAY', 'LANG', 'https_proxy', 'VSCODE_IPC_HOOK_CLI'] as const) {
          expect(seen).toContain(`${name}=${desktop[name]}\n`)
        }
        expect(seen).not.toMatch(/CADZERO|LD_LIBRARY_PATH/)
        await rm(join(folder, 'env'))
        running.child.kill('SIGINT')
        await running.ended
      }
    },
  )

  it('does not follow from header --interactive without a terminal, in the minute after a cancelled one', async () => {
    const { home, env, client } = await newWorld()
    await client.call('login', { wait: false })
    await client.call('cancelLogin')
    const { code, stderr } = await runProgram(['header', '--interactive'], { home, env })
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining('you are not signed in') })
  })

  it.skipIf(isWindows)(
    `opens the link with the program that CADZERO_AUTH_BROWSER names${needs('a shell script')}`,
    async () => {
      const browser = join(await temporaryFolder(), 'browser')
      await writeFile(browser, `#!/bin/sh\nexec '${process.execPath}' -e 'fetch(process.argv[1])' "$1"\n`)
      await chmod(browser, 0o755)
      const { sandbox, home, env } = await newWorld({ env: { CADZERO_AUTH_BROWSER: browser } })
      const arrived = sandbox.arrived('/oauth/authorize')
      const login = runProgram(['login', '--timeout', '2'], { home, env })
      await arrived
      const { code, stderr } = await login
      expect(code).toBe(1)
      expect(stderr).toContain('error: sign-in failed: timeout\nhint: run cadzero-auth login to try again')
    },
  )

  it('exits with 1 if the user declines the sign-in', async () => {
    const { sandbox, home, env, client } = await newWorld()
    const login = runProgram(['login', '--no-browser'], { home, env })
    await sandbox.signIn(await authorizationUrl(client), { deny: true })
    const { code, stderr } = await login
    expect(code).toBe(1)
    expect(stderr).toContain('error: sign-in failed: access_denied')
  })
})
