// macOS: a launchd agent of the user's graphical session.
import { join } from 'node:path/posix'
import type { Ran } from '../host/run.ts'
import { DAEMON, problemOf, programOf, readEntry, restoreEntry, writeEntry } from './entry.ts'
import { lastLine, ServiceError } from './errors.ts'
import { type Launch, type Machine, NOT_INSTALLED, type ServiceManager, type ServiceStatus } from './service-manager.ts'

const LAUNCHCTL = '/bin/launchctl'
const LABEL = 'com.cadzero.auth'
const UMASK = 0o177

/**
 * The text of the property list.
 * @throws ServiceError if a path has a control character, which XML cannot contain
 */
export function plistText({ command, env }: Launch): string {
  const strings = (values: readonly string[]) => values.map((value) => `    <string>${escapeXml(value)}</string>`)
  const pairs = Object.entries(env).map(
    ([name, value]) => `    <key>${escapeXml(name)}</key>\n    <string>${escapeXml(value)}</string>`,
  )
  const limits = ['    <key>Core</key>', '    <integer>0</integer>'].join('\n')
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${strings([...command, DAEMON, '--replace']).join('\n')}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${pairs.join('\n')}
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ProcessType</key>
  <string>Background</string>
  <key>ExitTimeOut</key>
  <integer>25</integer>
  <key>Umask</key>
  <integer>${UMASK}</integer>
  <key>SoftResourceLimits</key>
  <dict>
${limits}
  </dict>
  <key>HardResourceLimits</key>
  <dict>
${limits}
  </dict>
</dict>
</plist>
`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the check is for control characters
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new ServiceError(
      'a path has a control character in its name',
      'move the program, or the folder in CADZERO_AUTH_HOME, to another path',
    )
  }
  return text.replace(/[&<>]/g, (one) => String(ENTITIES[one]))
}

/** The program in a property list that `plistText` wrote. */
export function plistProgram(text: string): string[] {
  const [, array = ''] = /<key>ProgramArguments<\/key>\s*<array>([\s\S]*?)<\/array>/.exec(text) ?? []
  const words = [...array.matchAll(/<string>([\s\S]*?)<\/string>/g)].map(([, word = '']) => word)
  return programOf(words.map((word) => word.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')))
}

const UNLOAD_SECONDS = 30 // longer than ExitTimeOut, in which the daemon may finish its calls
const POLL_SECONDS = 0.25

export class Launchd implements ServiceManager {
  readonly name = 'launchd agent'
  readonly place: string
  readonly #machine: Machine
  readonly #domain: string
  readonly #target: string

  constructor(machine: Machine) {
    this.#machine = machine
    this.place = join(machine.home, 'Library/LaunchAgents', `${LABEL}.plist`)
    this.#domain = `gui/${machine.uid}`
    this.#target = `${this.#domain}/${LABEL}`
  }

  async install(launch: Launch): Promise<boolean> {
    const { files } = this.#machine
    await this.#requireDomain()
    const before = await readEntry(files, this.place)
    const text = plistText(launch)
    const loaded = await this.#loaded()
    if (before === text && loaded !== undefined) {
      await this.#must('enable', this.#target)
      if (loaded.pid !== null) return false
      await this.#must('kickstart', this.#target)
      return true
    }
    try {
      await this.#unload()
      await writeEntry(files, this.place, text)
      await this.#must('enable', this.#target) // the user may have disabled it in the System Settings
      await this.#must('bootstrap', this.#domain, this.place) // RunAtLoad starts it
      return true
    } catch (error) {
      await this.#undo(before)
      throw error
    }
  }

  async #undo(before: string | undefined): Promise<void> {
    await this.#ask('bootout', this.#target)
    await restoreEntry(this.#machine.files, this.place, before)
    if (before !== undefined) await this.#ask('bootstrap', this.#domain, this.place)
  }

  async uninstall(): Promise<boolean> {
    const { files } = this.#machine
    const installed = (await readEntry(files, this.place)) !== undefined
    await this.#unload()
    await restoreEntry(files, this.place, undefined)
    return installed
  }

  async status(launch: Launch): Promise<ServiceStatus> {
    const { files } = this.#machine
    const text = await readEntry(files, this.place)
    if (text === undefined) return NOT_INSTALLED
    const loaded = await this.#loaded()
    const { stdout } = await this.#ask('print-disabled', this.#domain)
    const command = plistProgram(text)
    return {
      installed: true,
      enabled: !/"com\.cadzero\.auth"\s*=>\s*(disabled|true)/.test(stdout),
      running: loaded !== undefined && loaded.pid !== null,
      pid: loaded?.pid ?? null,
      command,
      problem: await problemOf(files, command, launch.command, text === plistText(launch)),
    }
  }

  async restart(): Promise<void> {
    await this.#requireDomain()
    if (await this.#loaded()) await this.#must('kickstart', '-k', this.#target)
    else await this.#must('bootstrap', this.#domain, this.place)
  }

  /** The loaded agent; undefined if launchd has not loaded it. */
  async #loaded(): Promise<{ readonly pid: number | null } | undefined> {
    const { status, stdout } = await this.#ask('print', this.#target)
    if (status !== 0) return undefined
    return { pid: Number(/^\s*pid = (\d+)$/m.exec(stdout)?.[1]) || null }
  }

  /** `bootout` may return before the agent is unloaded, and until then `bootstrap` fails. */
  async #unload(): Promise<void> {
    const { clock } = this.#machine
    const deadline = clock.monotonic() + UNLOAD_SECONDS
    await this.#ask('bootout', this.#target)
    while ((await this.#loaded()) && clock.monotonic() < deadline) await clock.wait(POLL_SECONDS)
  }

  async #requireDomain(): Promise<void> {
    if ((await this.#ask('print', this.#domain)).status === 0) return
    throw new ServiceError(
      'launchd has no graphical session of this user',
      'log in at the screen of this Mac and install the service there, or use no service: every command starts the daemon',
    )
  }

  async #ask(...args: string[]): Promise<Ran> {
    return await this.#machine.run(LAUNCHCTL, args)
  }

  async #must(...args: string[]): Promise<void> {
    const ran = await this.#ask(...args)
    if (ran.status === 0) return
    throw new ServiceError(
      `launchctl ${args.join(' ')} failed: ${lastLine(ran)}`,
      `run launchctl print ${this.#target} to see why`,
    )
  }
}
