// Opening a browser: only with a URL that is safe as an argument, without a shell, without the daemon's secrets.
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BrowserError, childEnvironment, findLauncher, isOpenable, systemBrowser } from '../../src/host/browser.ts'
import { systemClock } from '../../src/host/clock.ts'
import { temporaryFolder } from '../support/folder.ts'

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

describe('systemBrowser', () => {
  it.each(['--new-window', 'file:///etc/passwd', 'https://x.example/";calc'])(
    '[C9] starts no program for %j',
    async (url) => {
      await expect(systemBrowser(systemClock, '/bin/true')(url)).rejects.toBeInstanceOf(BrowserError)
    },
  )

  it('[D3 8252-2] passes the URL as the only argument, and none of the daemon’s settings', async () => {
    const folder = await temporaryFolder()
    const [program, seen] = [join(folder, 'browser'), join(folder, 'seen')]
    await writeFile(
      program,
      `#!/bin/sh\n{ printf '%s\\n' "$#" "$1"; env; } > '${seen}.part'; mv '${seen}.part' '${seen}'\n`,
    )
    await chmod(program, 0o755)
    const env = { ...process.env, CADZERO_AUTH_PASSPHRASE: 'canary', NODE_OPTIONS: '--no-warnings', DISPLAY: ':7' }
    await systemBrowser(systemClock, program, env)(good)
    const text = await readFile(seen, 'utf8')
    expect(text.split('\n').slice(0, 2)).toEqual(['1', good])
    expect(text).toContain('DISPLAY=:7')
    expect(text).not.toMatch(/canary|NODE_OPTIONS/)
  })

  it.each(['/nowhere/browser', '/bin/false'])('throws if the program is %s', async (program) => {
    await expect(systemBrowser(systemClock, program)(good)).rejects.toMatchObject({ name: 'BrowserError' })
  })
})

describe('findLauncher', () => {
  it('returns the system’s own launcher by its absolute path', () => {
    expect(findLauncher('darwin', {})?.program).toBe('/usr/bin/open')
    expect(findLauncher('win32', { SystemRoot: 'D:\\Windows' })).toEqual({
      program: 'D:\\Windows\\System32\\rundll32.exe',
      args: ['url.dll,FileProtocolHandler'],
    })
    expect(findLauncher('linux', { PATH: '.:relative::' })).toBeUndefined()
  })
})

describe('childEnvironment', () => {
  it('keeps what leads to the desktop, and nothing of the daemon', () => {
    const env = {
      PATH: '/bin',
      WAYLAND_DISPLAY: 'w',
      XDG_RUNTIME_DIR: '/run/u',
      CADZERO_AUTH_PASSPHRASE: 'x',
      CLERK_SECRET_KEY: 'y',
    }
    expect(Object.keys(childEnvironment(env))).toEqual(['PATH', 'WAYLAND_DISPLAY', 'XDG_RUNTIME_DIR'])
  })
})
