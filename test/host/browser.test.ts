// Opening a browser: only with a URL that is safe as an argument, without a shell, with the user's desktop.
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { BrowserError, isOpenable, systemBrowser, unitVariables } from '../../src/host/browser.ts'
import { systemClock } from '../../src/host/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

const good = 'https://clerk.example.com/oauth/authorize?response_type=code&scope=openid+email&state=a_b-c%20d'

describe('isOpenable', () => {
  it.each([
    good,
    'http://127.0.0.1:4000/a?b=c',
    'http://localhost:5173/sign-in?redirect_url=http%3A%2F%2Flocalhost%3A8765%2F',
  ])('accepts %s', (url) => expect(isOpenable(url)).toBe(true))

  it.each([
    'file:///etc/passwd',
    'javascript:alert(1)',
    'http://clerk.example.com/',
    'https://user:secret@clerk.example.com/',
    'https://clerk.example.com/";calc',
    'http://127.0.0.1/$(touch canary)',
    'https://clerk.example.com/`id`',
    'https://clerk.example.com/a b',
    'https://clerk.example.com/\n-h',
    '--new-window',
    '-a Calculator',
    '',
    'HTTPS://clerk.example.com',
    `https://clerk.example.com/${'x'.repeat(10_000)}`,
  ])('refuses %j', (url) => expect(isOpenable(url)).toBe(false))
})

it.each(['http://ada:canary@proxy:3128', 'ada:canary@proxy:3128', 'http://ada:can/ary@proxy'])(
  'a unit of its own gets %s without an argument that other users can read',
  (proxy) => {
    const { args, env } = unitVariables({ DISPLAY: ':1', https_proxy: proxy })
    expect(args).toEqual(['--setenv=DISPLAY=:1', '--setenv=https_proxy'])
    expect(env).toEqual({ https_proxy: proxy })
  },
)

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
})

/** A program that records its arguments and its environment under its name, and then exits. */
async function program(name: string, exitCode = 0): Promise<string> {
  const path = join(folder, name)
  const seen = `${path}.seen`
  const record = `{ printf '%s\\n' "$#" "$@"; /usr/bin/env; } > '${seen}.part'; /bin/mv '${seen}.part' '${seen}'`
  await writeFile(path, `#!/bin/sh\n${record}\nexit ${exitCode}\n`)
  await chmod(path, 0o755)
  return path
}

const seenBy = (name: string) => readFile(join(folder, `${name}.seen`), 'utf8').then((text) => text.split('\n'))
const isUnused = (name: string) =>
  seenBy(name).then(
    () => false,
    () => true,
  )

describe('systemBrowser', () => {
  it.each(['--new-window', 'file:///etc/passwd', 'https://x.example/";calc'])(
    '[C9] starts no program for %j',
    async (url) => {
      await expect(systemBrowser(systemClock, '/bin/true')(url)).rejects.toBeInstanceOf(BrowserError)
    },
  )

  it.skipIf(isWindows)(
    `[D3 8252-2] passes the URL as the only argument, and none of the daemon’s settings${needs('a shell script')}`,
    async () => {
      const env = { ...process.env, CADZERO_AUTH_PASSPHRASE: 'canary', NODE_OPTIONS: '--no-warnings', DISPLAY: ':7' }
      await systemBrowser(systemClock, await program('browser'), env)(good)
      const seen = await seenBy('browser')
      expect(seen.slice(0, 2)).toEqual(['1', good])
      expect(seen).toContain('DISPLAY=:7')
      expect(seen.join()).not.toMatch(/canary|NODE_OPTIONS/)
    },
  )

  it.each(['/nowhere/browser', '/bin/false'])('throws if the program is %s, and starts no other', async (path) => {
    const env = { PATH: folder, BROWSER: await program('other') }
    await program('xdg-open')
    await expect(systemBrowser(systemClock, path, env)(good)).rejects.toMatchObject({ name: 'BrowserError' })
    expect([await isUnused('other'), await isUnused('xdg-open')]).toEqual([true, true])
  })

  it.skipIf(isWindows)(`gives the browser the desktop of the client, once${needs('a shell script')}`, async () => {
    const browser = await program('browser')
    const env = { PATH: '/usr/bin:/bin', DISPLAY: ':0', http_proxy: 'http://old.example:1', QT_QPA_PLATFORM: 'xcb' }
    const open = systemBrowser(systemClock, browser, env)
    await open(good, { WAYLAND_DISPLAY: 'wayland-1', https_proxy: 'http://proxy.example:3128' })
    const seen = await seenBy('browser')
    expect(seen).toEqual(
      expect.arrayContaining([
        'WAYLAND_DISPLAY=wayland-1',
        'https_proxy=http://proxy.example:3128',
        'QT_QPA_PLATFORM=xcb',
      ]),
    )
    expect(seen.join()).not.toMatch(/DISPLAY=:0|old\.example/)
    await open(good)
    expect(await seenBy('browser')).toEqual(expect.arrayContaining(['DISPLAY=:0', 'http_proxy=http://old.example:1']))
    expect(env).toMatchObject({ DISPLAY: ':0' })
  })
})

describe.skipIf(process.platform !== 'linux')('the browser is found on Linux', () => {
  // Real openers of this computer come later than these, and are never reached.
  const open = (env: NodeJS.ProcessEnv, environment = {}) =>
    systemBrowser(systemClock, undefined, { PATH: folder, DISPLAY: ':7', ...env })(good, environment)

  it('by BROWSER, which the client has handed over, although xdg-utils are there', async () => {
    await program('xdg-open')
    const helper = await program('helper')
    await open({}, { BROWSER: helper, VSCODE_IPC_HOOK_CLI: '/run/user/1/vscode.sock' })
    expect(await seenBy('helper')).toEqual(
      expect.arrayContaining(['1', good, 'VSCODE_IPC_HOOK_CLI=/run/user/1/vscode.sock']),
    )
    expect(await isUnused('xdg-open')).toBe(true)
  })

  it('by the first command in BROWSER that works, with the URL in place of %s', async () => {
    await program('broken', 3)
    await program('browser')
    await open({ BROWSER: 'missing:broken:browser --new-window %s --name=%%x:other' })
    expect((await seenBy('broken')).slice(0, 2)).toEqual(['1', good])
    expect((await seenBy('browser')).slice(0, 4)).toEqual(['3', '--new-window', good, '--name=%x'])
  })

  it('by the next opener if one fails, in this order', async () => {
    const names = ['xdg-open', 'wslview', 'sensible-browser', 'x-www-browser']
    for (const name of names) await program(name, 3)
    await program('gio')
    await open({ BROWSER: '/nowhere/browser' })
    for (const name of names) expect((await seenBy(name)).slice(0, 2), name).toEqual(['1', good])
    expect((await seenBy('gio')).slice(0, 3)).toEqual(['2', 'open', good])
  })

  it('without an opener that reads BROWSER itself calling itself for ever', async () => {
    await program('xdg-open')
    await open({ BROWSER: 'xdg-open' })
    expect((await seenBy('xdg-open')).join()).not.toContain('BROWSER')
  })

  it('without a text browser, which xdg-open would run if there is no display', async () => {
    await program('xdg-open')
    await open({ DISPLAY: '' })
    expect((await seenBy('xdg-open')).find((line) => line.startsWith('BROWSER='))).toMatch(/\/false$/)
  })
})
