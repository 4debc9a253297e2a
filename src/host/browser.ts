// Opens a page in the person's own browser, without a shell and without our secrets in its environment.
import { spawn } from 'node:child_process'
import { delimiter, isAbsolute, join } from 'node:path'
import type { Clock } from './clock.ts'
import { isSecureTransport } from './network.ts'
import { findProgram } from './programs.ts'

/**
 * Starts the browser with a URL. Resolves once the launcher seems to have done its work, which does not prove that a
 * page is seen: the URL must always be shown as well.
 * @throws BrowserError where no browser could be started.
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

// A launcher that is still there after this long is the browser itself, and it is open.
const LAUNCH_SECONDS = 5

// What a browser needs to find the person's desktop. Everything else stays with us, above all CADZERO_AUTH_PASSPHRASE.
const PASSED_ON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|XDG_.*|DBUS_SESSION_BUS_ADDRESS|DESKTOP_SESSION|GNOME_.*|KDE_.*|BROWSER|SYSTEMROOT|WINDIR|SYSTEMDRIVE|TEMP|TMP|USERPROFILE|USERNAME|USERDOMAIN|APPDATA|LOCALAPPDATA|PROGRAMDATA|PROGRAMFILES.*|COMMONPROGRAMFILES.*|HOMEDRIVE|HOMEPATH|COMSPEC|PATHEXT|WSL_.*|WSLENV|WINE.*|__CF_USER_TEXT_ENCODING)$/i

/** The part of an environment that a program which we start may see. */
export function childEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => PASSED_ON.test(name)))
}

/** Whether a text is a web address that is safe as a program's argument: `https`, or `http` on loopback. */
export function isOpenable(text: string): boolean {
  if (text.length > 8192 || !URL.canParse(text)) return false
  const url = new URL(text)
  if (!isSecureTransport(url)) return false
  // Nothing that a command line or a shell behind the launcher could read as more than one word.
  return url.href === text && url.username === '' && url.password === '' && !/[\s"'`<>\\^{|}$();]/.test(text)
}

/** @param program a program to start with the URL as its only argument, in place of the system's browser. */
export function systemBrowser(clock: Clock, program?: string, env: NodeJS.ProcessEnv = process.env): OpenBrowser {
  return async (url) => {
    if (!isOpenable(url)) throw new BrowserError()
    const launcher = program === undefined ? findLauncher(process.platform, env) : { program, args: [] }
    if (launcher === undefined) throw new BrowserError()
    const outer = env.CADZERO_AUTH_SERVICE === 'systemd' ? besideTheService(launcher) : launcher
    await launch(outer, url, clock, childEnvironment(env))
  }
}

const SYSTEMD_RUN = ['/usr/bin/systemd-run', '/bin/systemd-run', '/run/current-system/sw/bin/systemd-run']

/**
 * As a unit of its own. In ours a browser would have our rights, which are too few for its sandbox (and for a snap), a /tmp
 * in which it does not find the browser that runs already, perhaps no display, and would end when the service ends.
 */
function besideTheService({ program, args }: Launcher): Launcher {
  const systemdRun = findProgram(SYSTEMD_RUN)
  if (systemdRun === undefined) return { program, args }
  // Without KillMode=process the browser would be ended together with the opener that has started it.
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
      // rundll32 has no exit status worth the name.
      if (status === 0 || process.platform === 'win32') resolve()
      else reject(new BrowserError())
    })
    child.unref()
  })
}

/** The system's own opener, by an absolute path so that nothing in the current folder is taken for it. */
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
