// Opens a page in the user's default browser, without a shell and without the daemon's secrets in its environment.
import { spawn } from 'node:child_process'
import { delimiter, isAbsolute, join } from 'node:path'
import type { Clock } from './clock.ts'
import { isSecureTransport } from './network.ts'
import { findProgram } from './programs.ts'

/**
 * Opens a URL in the browser. Resolves when the launcher seems to have succeeded. That does not prove that the user sees
 * the page, so always show the URL as well.
 * @throws BrowserError if no browser could be started
 */
export type OpenBrowser = (url: string) => Promise<void>

export class BrowserError extends Error {
  constructor() {
    super('no browser could be opened')
    this.name = 'BrowserError'
  }
}

interface Launcher {
  readonly program: string
  readonly args: readonly string[]
}

// A launcher that still runs after this time is the browser itself, and it is open.
const LAUNCH_SECONDS = 5

// What a browser needs to find the user's desktop. Nothing else is passed on, above all not CADZERO_AUTH_PASSPHRASE.
const PASSED_ON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|XDG_.*|DBUS_SESSION_BUS_ADDRESS|DESKTOP_SESSION|GNOME_.*|KDE_.*|BROWSER|SYSTEMROOT|WINDIR|SYSTEMDRIVE|TEMP|TMP|USERPROFILE|USERNAME|USERDOMAIN|APPDATA|LOCALAPPDATA|PROGRAMDATA|PROGRAMFILES.*|COMMONPROGRAMFILES.*|HOMEDRIVE|HOMEPATH|COMSPEC|PATHEXT|WSL_.*|WSLENV|WINE.*|__CF_USER_TEXT_ENCODING)$/i

/** The variables of an environment that a child process may see. */
export function childEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => PASSED_ON.test(name)))
}

/** Whether a text is a URL that is safe as an argument of a program: `https`, or `http` on loopback. */
export function isOpenable(text: string): boolean {
  if (text.length > 8192 || !URL.canParse(text)) return false
  const url = new URL(text)
  if (!isSecureTransport(url)) return false
  // No character that a command line, or a shell behind the launcher, could take for more than one word.
  return url.href === text && url.username === '' && url.password === '' && !/[\s"'`<>\\^{|}$();]/.test(text)
}

/** @param program started with the URL as its only argument, instead of the system's browser */
export function systemBrowser(clock: Clock, program?: string, env: NodeJS.ProcessEnv = process.env): OpenBrowser {
  return async (url) => {
    if (!isOpenable(url)) throw new BrowserError()
    const launcher = program === undefined ? findLauncher(process.platform, env) : { program, args: [] }
    if (launcher === undefined) throw new BrowserError()
    const outer = env.CADZERO_AUTH_SERVICE === 'systemd' ? asOwnUnit(launcher) : launcher
    await launch(outer, url, clock, childEnvironment(env))
  }
}

const SYSTEMD_RUN = ['/usr/bin/systemd-run', '/bin/systemd-run', '/run/current-system/sw/bin/systemd-run']

/**
 * Starts the launcher as a systemd unit of its own. Within the daemon's unit the browser would have too few rights for its
 * sandbox (or to run as a snap), a private /tmp in which it cannot find a browser that already runs, perhaps no display,
 * and it would end together with the service.
 */
function asOwnUnit({ program, args }: Launcher): Launcher {
  const systemdRun = findProgram(SYSTEMD_RUN)
  if (systemdRun === undefined) return { program, args }
  // Without KillMode=process systemd would kill the browser as soon as the launcher exits.
  const options = ['--user', '--quiet', '--collect', '--wait', '--property=KillMode=process']
  return { program: systemdRun, args: [...options, '--', program, ...args] }
}

function launch({ program, args }: Launcher, url: string, clock: Clock, env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true, windowsHide: true, env })
    const cancel = clock.after(LAUNCH_SECONDS, resolve)
    child.once('error', () => {
      cancel()
      reject(new BrowserError())
    })
    child.once('exit', (status) => {
      cancel()
      // The exit status of rundll32 has no meaning.
      if (status === 0 || process.platform === 'win32') resolve()
      else reject(new BrowserError())
    })
    child.unref()
  })
}

/** The system's own launcher, by its absolute path, so that no program in the current folder is started instead. */
export function findLauncher(platform: NodeJS.Platform, env: NodeJS.ProcessEnv): Launcher | undefined {
  if (platform === 'darwin') return { program: '/usr/bin/open', args: [] }
  if (platform === 'win32') {
    const root = env.SystemRoot ?? env.SYSTEMROOT ?? 'C:\\Windows'
    // Not `start` (a shell built-in) and not PowerShell (slow, and a console window flashes).
    return { program: `${root}\\System32\\rundll32.exe`, args: ['url.dll,FileProtocolHandler'] }
  }
  const folders = (env.PATH ?? '').split(delimiter).filter(isAbsolute)
  const program = findProgram(['xdg-open', 'wslview'].flatMap((name) => folders.map((folder) => join(folder, name))))
  return program === undefined ? undefined : { program, args: [] }
}
