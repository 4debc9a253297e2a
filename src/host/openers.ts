// Finds the programs that can open a web page, by their absolute paths, in the order in which they are tried.
import { isAbsolute, join, posix, win32 } from 'node:path'
import { hasDisplay } from './desktop.ts'
import { findProgram } from './programs.ts'

export interface Opener {
  readonly program: string
  readonly args: readonly string[]
  /** Whether `%s` in the arguments stands for the URL; otherwise the URL is one more argument, the last one. */
  readonly hasPlaceholder?: boolean
  /** What it finds in BROWSER; undefined: what is set there. An empty text removes the variable. */
  readonly browserVariable?: string
  /** Whether its success proves nothing: it returns before the browser has started, and there is no display. */
  readonly isUncertain?: boolean
}

/** The arguments of an opener for a URL. */
export function argumentsOf({ args, hasPlaceholder }: Opener, url: string): string[] {
  if (!hasPlaceholder) return [...args, url]
  return args.map((arg) => arg.replace(/%[s%]/g, (found) => (found === '%s' ? url : '%')))
}

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin'
const FALSE = ['/bin/false', '/usr/bin/false', '/run/current-system/sw/bin/false']
const WINDOWS_FROM_WSL = '/mnt/c/Windows/System32'
const RUNDLL32_ARGS = ['url.dll,FileProtocolHandler']

const OPENERS = ['xdg-open', 'wslview', 'sensible-browser', 'x-www-browser', 'gio']
const OPENERS_IN_WSL = ['wslview', 'xdg-open', 'sensible-browser', 'x-www-browser', 'gio']
// Only with a display. Containers often have a browser without any of the openers.
const BROWSERS = [
  'firefox',
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
  'brave-browser',
  'epiphany',
  'konqueror',
]

export interface FindOptions {
  readonly platform: NodeJS.Platform
  readonly env: NodeJS.ProcessEnv
  /** Started instead of all others, with the URL as its only argument. */
  readonly program: string | undefined
  /** Whether to expect a display; by default if the environment names one. */
  readonly isShown?: boolean
}

/** The programs that can open a page, the first choice first: the commands in `BROWSER`, then the system's own openers. */
export function findOpeners({ platform, env, program, isShown = hasDisplay(env) }: FindOptions): Opener[] {
  const find = (name: string) => findByName(name, platform, env)
  if (program !== undefined) {
    const path = find(program)
    return path === undefined ? [] : [{ program: path, args: [] }]
  }
  return [...openersInVariable(platform, env, find), ...openersOfSystem(platform, env, find, isShown)]
}

/**
 * The conventions of xdg-utils: commands separated by colons, words by spaces; `%s` stands for the URL, which is otherwise
 * added as the last argument. A whole entry that is the path of a program may contain spaces.
 */
function openersInVariable(
  platform: NodeJS.Platform,
  { BROWSER = '' }: NodeJS.ProcessEnv,
  find: (name: string) => string | undefined,
): Opener[] {
  const { delimiter, basename } = platform === 'win32' ? win32 : posix
  return BROWSER.split(delimiter).flatMap((entry) => {
    const command = entry.trim().replace(/\s+&$/, '')
    const whole = isAbsolute(command) ? findProgram([command]) : undefined
    const [name = '', ...args] = whole === undefined ? command.split(/\s+/) : [whole]
    const program = name === '' ? undefined : find(name)
    // An opener that reads BROWSER itself would call itself for ever. It is among the system's openers anyway.
    if (program === undefined || OPENERS.includes(basename(program))) return []
    return [{ program, args, hasPlaceholder: args.some((arg) => arg.includes('%s')) }]
  })
}

function openersOfSystem(
  platform: NodeJS.Platform,
  env: NodeJS.ProcessEnv,
  find: (name: string) => string | undefined,
  isShown: boolean,
): Opener[] {
  if (platform === 'darwin') return [{ program: '/usr/bin/open', args: [] }]
  if (platform === 'win32') {
    const root = env.SystemRoot ?? env.SYSTEMROOT ?? 'C:\\Windows'
    // Not `start` (a shell built-in) and not PowerShell (slow, and a console window flashes).
    return [{ program: `${root}\\System32\\rundll32.exe`, args: RUNDLL32_ARGS }]
  }
  const isWsl = Boolean(env.WSL_DISTRO_NAME || env.WSL_INTEROP)
  // BROWSER has been tried by now. Without a display xdg-open would run a text browser that no person sees.
  const browserVariable = isShown ? '' : (findProgram(FALSE) ?? '')
  const opener = (name: string): Opener[] => {
    const program = find(name)
    if (program === undefined) return []
    const isGio = name === 'gio'
    return [{ program, args: isGio ? ['open'] : [], browserVariable, isUncertain: isGio && !isShown }]
  }
  const windows = find('rundll32.exe') ?? findProgram([`${WINDOWS_FROM_WSL}/rundll32.exe`])
  return [
    ...(isWsl ? OPENERS_IN_WSL : OPENERS).flatMap(opener),
    ...(isShown ? BROWSERS.flatMap(opener) : []),
    ...(windows === undefined ? [] : [{ program: windows, args: RUNDLL32_ARGS }]),
  ]
}

/** Only in folders that `PATH` gives by their absolute path, so that no program in the current folder is started instead. */
function findByName(name: string, platform: NodeJS.Platform, env: NodeJS.ProcessEnv): string | undefined {
  if (isAbsolute(name)) return findProgram([name])
  if (/[\\/]/.test(name)) return undefined
  const isWindows = platform === 'win32'
  const path = env.PATH ?? env.Path ?? (isWindows ? '' : DEFAULT_PATH)
  const folders = path.split((isWindows ? win32 : posix).delimiter).filter(isAbsolute)
  const file = isWindows && !/\.exe$/i.test(name) ? `${name}.exe` : name
  return findProgram(folders.map((folder) => join(folder, file)))
}
