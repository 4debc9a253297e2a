// `cadzero-auth login` on another device, when it is chosen by itself, and `--switch-account`.
import { describe, expect, it } from 'vitest'
import { qrCode } from '../../src/cli/qr-code.ts'
import { isOverSsh, lacksBrowser } from '../../src/cli/user-place.ts'
import type { SandboxOptions } from '../sandbox/index.ts'
import { isWindows, needs } from '../support/posix.ts'
import { runProgram, spawnProgram } from '../support/program.ts'
import { newWorld, nextStatus } from '../support/world.ts'

const CODE = /^\s+([A-Z]{4}-[A-Z]{4})\n/m
const LINK = /^\s+(http:\S+\/oauth\/authorize\S*)\n/m
// The commands of tests name a browser otherwise, and a user who has named one is not sent to another device.
const NO_BROWSER = { CADZERO_AUTH_BROWSER: '' }
const SSH = { ...NO_BROWSER, SSH_CONNECTION: '192.0.2.1 50000 192.0.2.2 22' }
const SIGNED_IN = { code: 0, stdout: 'signed in as Ada Lovelace <ada@example.com>\n' }

async function newDeviceWorld(options: SandboxOptions & { env?: Record<string, string> } = {}) {
  const world = await newWorld({ deviceInterval: 1, ...options })
  const { sandbox, home, env } = world
  const login = (args: string[], more: Record<string, string> = {}) =>
    spawnProgram(['login', ...args], { home, env: { ...env, ...more } })
  const enter = (userCode: string, deny = false) =>
    sandbox.authorizeDevice(`${sandbox.issuer}/oauth/device`, { userCode, deny })
  return { ...world, login, enter }
}

describe('login --device', () => {
  it('shows the page, the code and a QR code, and prints the user who has entered it', async () => {
    const { login, enter, sandbox } = await newDeviceWorld()
    const running = login(['--device'])
    const code = await running.stderrMatch(CODE)
    await enter(code)
    const { stderr, ...ended } = await running.ended
    expect(ended).toEqual(SIGNED_IN)
    expect(stderr).toContain(`\n  ${sandbox.issuer}/oauth/device\n`)
    expect(stderr).toContain(`which is valid for 10 min:\n\n  ${code}\n`)
    expect(stderr).toContain(qrCode(`${sandbox.issuer}/oauth/device?user_code=${code}`, {}))
    expect(stderr.match(/enter this code/g)).toHaveLength(1)
    expect(stderr).not.toContain('/oauth/authorize')
  })

  it('exits with 1 if the user declines', async () => {
    const { login, enter } = await newDeviceWorld()
    const running = login(['--device'])
    await enter(await running.stderrMatch(CODE), true)
    const { code, stderr } = await running.ended
    expect(code).toBe(1)
    expect(stderr).toContain('error: sign-in failed: access_denied\nhint: run cadzero-auth login --device to try again')
  })

  it('says what to do if the provider has no sign-in on another device', async () => {
    const { home, env } = await newDeviceWorld({ deviceFlow: false })
    const { code, stderr } = await runProgram(['login', '--device'], { home, env })
    expect(code).toBe(1)
    expect(stderr).toBe(
      'error: provider rejected the request: device_authorization_unsupported\n' +
        'hint: run cadzero-auth login --no-browser instead: the provider has no sign-in on another device\n',
    )
  })

  it.skipIf(isWindows)(`is cancelled by Ctrl-C, and polls no more${needs('signals')}`, async () => {
    const { login, client, sandbox } = await newDeviceWorld()
    const running = login(['--device'])
    await running.stderrMatch(CODE)
    const ended = nextStatus(client, ({ state }) => state === 'signed_out')
    running.child.kill('SIGINT')
    expect(await running.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('cancelled') })
    expect(await ended).toMatchObject({ deviceAuthorization: null })
    const polls = sandbox.count('/oauth/token')
    await client.call('status')
    expect(sandbox.count('/oauth/token')).toBe(polls)
  })

  it('shows the code in the status', async () => {
    const { login, home, env } = await newDeviceWorld()
    const running = login(['--device', '--timeout', '60'])
    const code = await running.stderrMatch(CODE)
    const { stdout } = await runProgram(['status'], { home, env })
    expect(stdout).toMatch(new RegExp(`^code +${code}, to enter at http://127\\.0\\.0\\.1:\\d+/oauth/device$`, 'm'))
    running.child.kill('SIGINT')
    await running.ended
  })
})

describe('a sign-in on another device is tried by itself', () => {
  it('over ssh without a display, and no browser is opened', async () => {
    const { login, enter, sandbox } = await newDeviceWorld()
    const running = login([], SSH)
    await enter(await running.stderrMatch(CODE))
    expect(await running.ended).toMatchObject(SIGNED_IN)
    expect(sandbox.count('/oauth/authorize')).toBe(0)
  })

  it('if no browser can be opened', async () => {
    const { login, enter } = await newDeviceWorld({ env: { CADZERO_AUTH_BROWSER: '/nowhere/browser' } })
    const running = login([], NO_BROWSER)
    await running.stderrMatch(LINK)
    await running.stderrMatch(/(No browser could be opened: sign in on another device instead)/)
    await enter(await running.stderrMatch(CODE))
    expect(await running.ended).toMatchObject(SIGNED_IN)
  })

  it.each([
    ['over ssh', SSH],
    ['if no browser can be opened', NO_BROWSER],
  ])('%s, and if the provider has none, one link remains', async (_name, more) => {
    const env = { CADZERO_AUTH_BROWSER: '/nowhere/browser' }
    const { login, sandbox } = await newDeviceWorld({ deviceFlow: false, env })
    const running = login([], more)
    const link = await running.stderrMatch(LINK)
    await running.stderrMatch(/(No browser could be opened)/)
    await sandbox.signIn(link)
    const { stderr, ...ended } = await running.ended
    expect(ended).toEqual(SIGNED_IN)
    expect(stderr.match(/\/oauth\/authorize/g)).toHaveLength(1)
  })

  it.skipIf(isWindows)(
    `over ssh, and if the provider does not offer it to this client, the link remains${needs('/bin/true')}`,
    async () => {
      const { login, sandbox } = await newDeviceWorld()
      const body = JSON.stringify({ error: 'unauthorized_client' })
      const headers = { 'Content-Type': 'application/json' }
      sandbox.script('/oauth/device_authorization', { kind: 'respond', status: 400, headers, body })
      const running = login([], SSH)
      await sandbox.signIn(await running.stderrMatch(LINK))
      expect(await running.ended).toMatchObject(SIGNED_IN)
    },
  )

  it('but not with --no-browser', async () => {
    const { login, sandbox } = await newDeviceWorld()
    const running = login(['--no-browser'], SSH)
    await sandbox.signIn(await running.stderrMatch(LINK))
    expect(await running.ended).toMatchObject(SIGNED_IN)
    expect(sandbox.count('/oauth/device_authorization')).toBe(0)
  })
})

describe('the place of the user', () => {
  const ssh = { SSH_CONNECTION: 'a b c d' }
  it.each<[boolean, NodeJS.ProcessEnv]>([
    [true, ssh],
    [true, { SSH_TTY: '/dev/pts/1' }],
    [true, { SSH_CLIENT: 'a b c' }],
    [false, {}],
    [false, { ...ssh, DISPLAY: 'localhost:10.0' }],
    [false, { ...ssh, WAYLAND_DISPLAY: 'wayland-0' }],
    [false, { ...ssh, BROWSER: '/vscode/helper' }],
    [false, { ...ssh, CADZERO_AUTH_BROWSER: '/usr/bin/firefox' }],
  ])('is over ssh: %s for %j', (expected, env) => {
    expect(isOverSsh(env)).toBe(expected)
  })

  it.each<[boolean, NodeJS.ProcessEnv]>([
    [true, {}],
    [true, { WSL_DISTRO_NAME: 'Debian', DISPLAY: ':0' }],
    [false, { DISPLAY: ':0' }],
    [false, { WSL_DISTRO_NAME: 'Debian', BROWSER: 'wslview' }],
  ])('lacks a browser: %s for %j', (expected, env) => {
    expect(lacksBrowser(env)).toBe(expected)
  })
})

describe('a QR code', () => {
  const URL = 'https://accounts.example.com/device?user_code=BCDF-GHJK'

  it('is white on black in a terminal, and without colours in a file', () => {
    const plain = String(qrCode(URL, {}))
    const lines = plain.split('\n')
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
    expect(plain).toMatch(/^[ █▀▄\n]+$/)
    const coloured = String(qrCode(URL, { isTTY: true, columns: 200 }))
    expect(coloured.split('\n')).toEqual(lines.map((line) => `  \u001b[97;40m${line.slice(2)}\u001b[0m`))
  })

  it('fits a window of 25 lines and 80 columns, and is left out of a narrower one', () => {
    const lines = String(qrCode(URL, { isTTY: true, columns: 80 })).split('\n')
    expect(lines.length).toBeLessThan(25)
    const width = String(qrCode(URL, {})).indexOf('\n')
    expect(qrCode(URL, { isTTY: true, columns: width })).toBeDefined()
    expect(qrCode(URL, { isTTY: true, columns: width - 1 })).toBeUndefined()
  })
})

describe('another account', () => {
  const promptOf = (link: string) => new URL(link).searchParams.get('prompt')

  it('login --switch-account has the provider ask again who the user is', async () => {
    const { login, sandbox, signIn } = await newDeviceWorld()
    await signIn()
    const running = login(['--switch-account', '--no-browser'])
    const link = await running.stderrMatch(LINK)
    expect(promptOf(link)).toBe('login')
    await sandbox.signIn(link)
    expect(await running.ended).toMatchObject(SIGNED_IN)
  })

  it('logout says that the next sign-in asks again, and it does', async () => {
    const { login, sandbox, signIn, home, env } = await newDeviceWorld()
    await signIn()
    const { stdout, stderr } = await runProgram(['logout'], { home, env })
    expect(stdout).toBe('signed out; the session is deleted from this computer\n')
    expect(stderr).toContain('note: the next sign-in asks again who you are\n')
    const running = login(['--no-browser'])
    const link = await running.stderrMatch(LINK)
    expect(promptOf(link)).toBe('login')
    await sandbox.signIn(link)
    expect(await running.ended).toMatchObject(SIGNED_IN)
  })
})
