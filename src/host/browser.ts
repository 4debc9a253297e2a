// Opens a page in the user's browser: without a shell, with the user's desktop, and without the daemon's secrets.
import { spawn } from 'node:child_process'
import { basename } from 'node:path'
import { browserEnvironment, deniedToBrowser, systemProgramEnvironment } from './child-environment.ts'
import type { Clock } from './clock.ts'
import { type DesktopEnvironment, desktopChange, hasDisplay } from './desktop.ts'
import { isSecureTransport } from './network.ts'
import { argumentsOf, findOpeners, type Opener } from './openers.ts'
import { findProgram } from './programs.ts'

/**
 * Opens a URL in the browser. Resolves when an opener seems to have succeeded. That does not prove that the user sees
 * the page, so always show the URL as well.
 * @param environment the desktop variables of the client that asks; otherwise the daemon's own lead to the desktop
 * @throws BrowserError if no browser could be started
 */
export type OpenBrowser = (url: string, environment?: DesktopEnvironment) => Promise<void>

export class BrowserError extends Error {
  constructor() {
    super('no browser could be opened')
    this.name = 'BrowserError'
  }
}

/** The programs that can open a page, by their paths, the first choice first. @param env of the daemon, or of a command */
export function openerPaths(env: NodeJS.ProcessEnv): string[] {
  const openers = openersFor(browserEnvironment(env), isSystemdService(env), env.CADZERO_AUTH_BROWSER || undefined)
  return openers.map(({ program }) => program)
}

function isSystemdService(env: NodeJS.ProcessEnv): boolean {
  return env.CADZERO_AUTH_SERVICE === 'systemd'
}

function openersFor(env: NodeJS.ProcessEnv, isService: boolean, program: string | undefined): Opener[] {
  // The unit of a service gets its display from the user manager: the daemon cannot see whether there is one.
  return findOpeners({ platform: process.platform, env, program, isShown: isService || hasDisplay(env) })
}

interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

// An opener that still runs after this time is the browser itself, and it is open.
const LAUNCH_SECONDS = 5

/** Whether a text is a URL that is safe as an argument of a program: `https`, or `http` on loopback. */
export function isOpenable(text: string): boolean {
  if (text.length > 8192 || !URL.canParse(text)) return false
  const url = new URL(text)
  if (!isSecureTransport(url)) return false
  // No character that a command line, or a shell behind the opener, could take for more than one word.
  return url.href === text && url.username === '' && url.password === '' && !/[\s"'`<>\\^{|}$();]/.test(text)
}

/** @param program started with the URL as its only argument, instead of the system's browser */
export function systemBrowser(clock: Clock, program?: string, env: NodeJS.ProcessEnv = process.env): OpenBrowser {
  return async (url, environment) => {
    if (!isOpenable(url)) throw new BrowserError()
    const child = browserEnvironment(env, environment)
    const isService = isSystemdService(env)
    for (const opener of openersFor(child, isService, program)) {
      const command = isService
        ? asOwnUnit(opener, url, env, environment)
        : { program: opener.program, args: argumentsOf(opener, url), env: withBrowserVariable(child, opener) }
      if ((await launch(command, clock)) && !opener.isUncertain) return
    }
    throw new BrowserError()
  }
}

function withBrowserVariable(env: NodeJS.ProcessEnv, { browserVariable }: Opener): NodeJS.ProcessEnv {
  if (browserVariable === undefined) return env
  const { BROWSER: _, ...others } = env
  return browserVariable === '' ? others : { ...others, BROWSER: browserVariable }
}

const SYSTEMD_RUN = ['/usr/bin/systemd-run', '/bin/systemd-run', '/run/current-system/sw/bin/systemd-run']

/** Whether a value may have a password, as the address of a proxy with or without a scheme: other users can read arguments. */
const hasPassword = (value: string) => value.includes('@')

/**
 * Starts the opener as a systemd unit of its own. Within the daemon's unit the browser would have too few rights for its
 * sandbox (or to run as a snap), a private /tmp in which it cannot find a browser that already runs, perhaps no display,
 * and it would end together with the service. The unit has the environment of the user manager, which a desktop keeps
 * up to date, and the variables that a client has handed over.
 */
function asOwnUnit(opener: Opener, url: string, own: NodeJS.ProcessEnv, handedOver?: DesktopEnvironment): Command {
  const { program } = opener
  const args = argumentsOf(opener, url)
  const systemdRun = findProgram(SYSTEMD_RUN)
  if (systemdRun === undefined) return { program, args, env: browserEnvironment(own, handedOver) }
  const change = desktopChange(own, handedOver)
  const set = withBrowserVariable(change.set, opener) as Record<string, string>
  const unset = [...change.unset, ...deniedToBrowser(own), ...NEVER_IN_A_BROWSER].filter((name) => !(name in set))
  if (opener.browserVariable === '') unset.push('BROWSER')
  const variables = unitVariables(set)
  return {
    program: systemdRun,
    args: [
      // Without KillMode=process systemd would kill the browser as soon as the opener exits.
      ...['--user', '--quiet', '--collect', '--wait', '--property=KillMode=process'],
      `--property=UnsetEnvironment=${[...new Set(unset)].filter(isPlainName).join(' ')}`,
      ...variables.args,
      ...['--', program, ...args],
    ],
    env: { ...systemProgramEnvironment(own), ...variables.env },
  }
}

/** The arguments of systemd-run that give a unit its variables, and the part of its own environment that they refer to. */
export function unitVariables(set: Readonly<Record<string, string>>): { args: string[]; env: Record<string, string> } {
  const secret = Object.entries(set).filter(([, value]) => hasPassword(value))
  // A name alone passes on the value that systemd-run itself has.
  const args = Object.entries(set).map(([name, value]) => `--setenv=${hasPassword(value) ? name : `${name}=${value}`}`)
  return { args, env: Object.fromEntries(secret) }
}

/** systemd refuses other names, as those of exported functions of bash (`BASH_FUNC_x%%`). */
const isPlainName = (name: string) => /^[A-Za-z_]\w*$/.test(name)

// The user manager may have them although the daemon has not: it removes its secrets from its own environment.
const NEVER_IN_A_BROWSER = [
  'CADZERO_AUTH_PASSPHRASE',
  'CADZERO_BROKER_KEY',
  'CADZERO_BROKER_REDIS_URL',
  'CLERK_SECRET_KEY',
]

/** Resolves to whether the opener seems to have succeeded. */
async function launch({ program, args, env }: Command, clock: Clock): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore', detached: true, windowsHide: true, env })
    const cancel = clock.after(LAUNCH_SECONDS, () => resolve(true))
    const end = (isOpen: boolean) => {
      cancel()
      resolve(isOpen)
    }
    child.once('error', () => end(false))
    // The exit status of rundll32 has no meaning.
    child.once('exit', (status) => end(status === 0 || /^rundll32\.exe$/i.test(basename(program))))
    child.unref()
  }).catch(() => false) // Windows starts no script without a shell
}
