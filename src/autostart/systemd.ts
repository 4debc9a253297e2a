// Linux: a unit of the systemd user manager, which needs no administrator rights.
//
// A package (deb, rpm) may have installed a unit for all users. It counts as installed. The user's own unit takes precedence over it, and
// a mask, a link to /dev/null in the place of the user's own unit, switches it off for that user.
import { isAbsolute, join } from 'node:path'
import type { Ran } from '../host/run.ts'
import { DAEMON, problemOf, programOf, readEntry, restoreEntry, writeEntry } from './entry.ts'
import { lastLine, ServiceError } from './errors.ts'
import { type Launch, type Machine, NOT_INSTALLED, type ServiceManager, type ServiceStatus } from './service-manager.ts'

/** The paths of systemctl on the distributions. */
export const SYSTEMCTL = ['/usr/bin/systemctl', '/bin/systemctl', '/run/current-system/sw/bin/systemctl']

const UNIT = 'cadzero-auth.service'

/**
 * The text of the unit.
 * @throws ServiceError if the path of the program has a character that systemd accepts in no program path, even escaped
 */
export function unitText({ command, env }: Launch): string {
  const [program = '', ...rest] = command
  if (/["'\\\p{Cc}]/u.test(program)) {
    throw new ServiceError(
      'systemd starts no program with a quote or a backslash in its path',
      'move the program to another folder',
    )
  }
  const environment = Object.entries({ ...env, CADZERO_AUTH_SERVICE: 'systemd' })
  return `# Written by: cadzero-auth service install
[Unit]
Description=cadzero-auth, keeps you signed in to CADZERO
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
# --replace: if a command has started a daemon in the background, a plain start would exit with 0, and systemd would
# supervise no process. This does not loop: a replaced daemon exits with 0, and systemd does not restart it.
ExecStart=${[quote(program), ...rest.map(quoteArgument)].join(' ')} ${DAEMON} --replace
${environment.map(([name, value]) => `Environment=${quote(`${name}=${value}`)}`).join('\n')}
# These variables would change what the daemon runs or trusts.
UnsetEnvironment=NODE_OPTIONS NODE_TLS_REJECT_UNAUTHORIZED
Restart=on-failure
RestartSec=1
TimeoutStopSec=25
NoNewPrivileges=yes
PrivateTmp=${livesInTmp([...command, ...Object.values(env)]) ? 'no' : 'yes'}
UMask=0177
LimitCORE=0

[Install]
WantedBy=default.target
`
}

/** A unit with a private /tmp cannot see a program or a folder in the shared /tmp. */
function livesInTmp(paths: readonly string[]): boolean {
  return paths.some((path) => /^\/(var\/)?tmp(\/|$)/.test(path))
}

/** One word of a unit file: in quotes, with C escapes, and without specifiers (`%h`). */
function quote(text: string): string {
  const escaped = text
    .replace(/[\\"]/g, '\\$&')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a path may have control characters, a line may not
    .replace(/[\x00-\x1f\x7f]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return `"${escaped.replaceAll('%', '%%')}"`
}

/** In an argument, unlike in the program's path, systemd also replaces variables (`$x`). */
function quoteArgument(text: string): string {
  return quote(text).replaceAll('$', '$$$$')
}

/** The program in the text of a unit that `unitText` wrote. */
export function unitProgram(text: string): string[] {
  const [, line = ''] = /^ExecStart=(.*)$/m.exec(text) ?? []
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain = '']) =>
    quoted === undefined ? plain : unquote(quoted),
  )
  return programOf(words.map((word, index) => (index === 0 ? word : word.replaceAll('$$', '$'))))
}

function unquote(quoted: string): string {
  return quoted
    .replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_all, hex: string | undefined, one: string) =>
      hex === undefined ? one : String.fromCharCode(Number.parseInt(hex, 16)),
    )
    .replaceAll('%%', '%')
}

/** A changed comment alone does not make a unit outdated. */
function withoutComments(unit: string): string {
  return unit.replace(/^#.*\n/gm, '')
}

export class Systemd implements ServiceManager {
  readonly name = 'systemd user unit'
  readonly place: string
  readonly #machine: Machine
  readonly #systemctl: string | undefined

  constructor(machine: Machine, systemctl: string | undefined) {
    this.#machine = machine
    this.#systemctl = systemctl
    this.place = join(machine.env.XDG_CONFIG_HOME || join(machine.home, '.config'), 'systemd/user', UNIT)
  }

  async install(launch: Launch): Promise<boolean> {
    const { files } = this.#machine
    await this.#requireManager()
    const wasMasked = await this.#isMasked()
    if (wasMasked) await this.#must('unmask', UNIT)
    const before = await readEntry(files, this.place)
    const text = unitText(launch)
    const current = before ?? (await this.#packageUnit())?.text
    const isCurrent = current !== undefined && withoutComments(current) === withoutComments(text)
    try {
      if (!isCurrent) await writeEntry(files, this.place, text)
      await this.#must('daemon-reload')
      const { UnitFileState, ActiveState } = await this.#properties()
      // A link of the user's own to the unit of a package would outlive the package.
      if (before !== undefined || !isCurrent || UnitFileState !== 'enabled') await this.#must('enable', UNIT)
      if (isCurrent && ActiveState === 'active') return false
      await this.restart()
      return true
    } catch (error) {
      await this.#undo(before, wasMasked)
      throw error
    }
  }

  async #undo(before: string | undefined, wasMasked: boolean): Promise<void> {
    if (before === undefined) await this.#ask('disable', '--now', UNIT)
    await restoreEntry(this.#machine.files, this.place, before)
    if (wasMasked) await this.#ask('mask', UNIT)
    await this.#ask('daemon-reload')
  }

  async uninstall(launch: Launch): Promise<boolean> {
    const { files } = this.#machine
    if (await this.#isMasked()) return false
    const hadOwn = (await readEntry(files, this.place)) !== undefined
    // Without a manager no unit can be running, so that only the file has to go.
    const hasManager = this.#systemctl !== undefined && (await this.#hasManager())
    if (hasManager && (hadOwn || (await this.#isPackageOf(launch)))) {
      await this.#ask('disable', '--now', UNIT)
      await this.#ask('reset-failed', UNIT)
    }
    await restoreEntry(files, this.place, undefined)
    if (hadOwn && this.#systemctl !== undefined) await this.#ask('daemon-reload')
    if (!hasManager || !(await this.#isPackageOf(launch))) return hadOwn
    await this.#must('mask', UNIT) // the administrator has enabled it for all users, which `disable` does not change
    return true
  }

  /** The unit of a package that starts another program is not this one's to switch off. */
  async #isPackageOf({ command }: Launch): Promise<boolean> {
    const unit = await this.#packageUnit()
    return unit !== undefined && unitProgram(unit.text).join('\0') === command.join('\0')
  }

  async status(launch: Launch): Promise<ServiceStatus> {
    const { files } = this.#machine
    if (await this.#isMasked()) return NOT_INSTALLED
    const own = await readEntry(files, this.place)
    const unit = own === undefined ? await this.#packageUnit() : { path: this.place, text: own }
    if (unit === undefined) return NOT_INSTALLED
    const { UnitFileState, ActiveState, MainPID } = await this.#properties()
    const command = unitProgram(unit.text)
    const isCurrent = withoutComments(unit.text) === withoutComments(unitText(launch))
    return {
      installed: true,
      place: unit.path,
      enabled: UnitFileState === 'enabled',
      running: ActiveState === 'active',
      pid: Number(MainPID) || null,
      command,
      problem: await problemOf(files, command, launch.command, isCurrent),
    }
  }

  async #isMasked(): Promise<boolean> {
    return (await this.#machine.files.readlink(this.place).catch(() => '')) === '/dev/null'
  }

  /** The unit that a package has installed; undefined if there is none, it is masked, or the user has a unit of their own. */
  async #packageUnit(): Promise<{ readonly path: string; readonly text: string } | undefined> {
    const { FragmentPath: path = '', LoadState } = await this.#properties()
    // Masked for all users: by the administrator, or by a Debian package that was removed and not purged.
    if (!isAbsolute(path) || path === this.place || LoadState === 'masked') return undefined
    // Root may own it. It decides nothing here: systemd has read it already.
    const text = await this.#machine.files.readFile(path, 'utf8').catch(() => undefined)
    return text === undefined ? undefined : { path, text }
  }

  async restart(): Promise<void> {
    await this.#requireManager()
    await this.#ask('reset-failed', UNIT) // after too many failures, systemd refuses a manual start as well
    await this.#must('restart', UNIT)
  }

  async #properties(): Promise<Readonly<Record<string, string>>> {
    const { stdout } = await this.#ask(
      'show',
      '--property=ActiveState,UnitFileState,MainPID,FragmentPath,LoadState',
      UNIT,
    )
    return Object.fromEntries(stdout.split('\n').map((line) => line.split('=', 2)))
  }

  async #hasManager(): Promise<boolean> {
    return (await this.#ask('show', '--property=Version')).status === 0
  }

  async #requireManager(): Promise<void> {
    if (await this.#hasManager()) return
    throw new ServiceError(
      'no systemd user manager responds',
      'log in as this user (not by su or sudo; in WSL set systemd=true in /etc/wsl.conf), or use no service: every command starts the daemon',
    )
  }

  async #ask(...args: string[]): Promise<Ran> {
    if (this.#systemctl === undefined) return { status: undefined, stdout: '', stderr: '' }
    return await this.#machine.run(this.#systemctl, ['--user', '--no-pager', ...args])
  }

  async #must(...args: string[]): Promise<void> {
    const ran = await this.#ask(...args)
    if (ran.status === 0) return
    throw new ServiceError(
      `systemctl --user ${args.join(' ')} failed: ${lastLine(ran)}`,
      `run journalctl --user --unit ${UNIT} to see why`,
    )
  }
}
