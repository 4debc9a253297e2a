// Windows: the Run key of the user's registry. It needs no administrator rights, and starts the daemon without a window.
import { join, win32 } from 'node:path'
import { ensurePrivateFolder, removePrivateFile } from '../host/files.ts'
import { DAEMON, problemOf, programOf } from './entry.ts'
import { lastLine, ServiceError } from './errors.ts'
import { type Launch, type Machine, NOT_INSTALLED, type ServiceManager, type ServiceStatus } from './service-manager.ts'

// Not a task of the Task Scheduler: only an administrator can create one that starts at log-on.
const RUN_KEY = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run'
// The Task Manager stores here whether the user has disabled an entry.
const APPROVED_KEY = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\StartupApproved\\Run'
const VALUE = 'cadzero-auth'
const LONGEST_LINE = 260 // characters; Windows ignores a longer entry

const GUI = 2 // IMAGE_SUBSYSTEM_WINDOWS_GUI

/** Whether a program runs without a console, by its PE header. @param head the first bytes of its file */
export function isWindowed(head: Buffer): boolean {
  const header = head.length >= 64 ? head.readUInt32LE(60) : head.length
  return header + 94 <= head.length && head.readUInt16LE(header + 92) === GUI
}

/**
 * The command line for the Run key.
 * @param conhost the program that hides the window of a console program; undefined for a program without a console
 * @throws ServiceError if the line is so long that Windows would ignore it
 */
export function runLine({ command, env }: Launch, conhost: string | undefined): string {
  const home = env.CADZERO_AUTH_HOME
  // The Run key has no environment variables, so that the folder has to be an argument.
  const args = [DAEMON, ...(home === undefined ? [] : ['--home', home])]
  const words = [...(conhost === undefined ? [] : [conhost, '--headless']), ...command, ...args]
  const line = words.map(quote).join(' ')
  if (line.length <= LONGEST_LINE) return line
  throw new ServiceError(
    `the command line is too long for Windows (${line.length} of ${LONGEST_LINE} characters)`,
    'move the program to a folder with a shorter path',
  )
}

/** Quotes for CommandLineToArgvW and Node: a backslash is an escape only before a quote. */
function quote(word: string): string {
  if (/^[\w:.\\/-]+$/.test(word) && !word.endsWith('\\')) return word
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, '$&$&')}"`
}

/** The words of a command line that `runLine` wrote, without `conhost --headless`. */
export function runWords(line: string): string[] {
  const words = [...line.matchAll(/"((?:[^"\\]|\\+(?!["\\])|\\.)*)"|(\S+)/g)].map(([, quoted, plain = '']) =>
    quoted === undefined ? plain : quoted.replace(/(\\+)("|$)/g, (_all, some: string, end) => half(some) + end),
  )
  return words[1] === '--headless' ? words.slice(2) : words
}

const half = (backslashes: string) => '\\'.repeat(Math.floor(backslashes.length / 2))

/** The value's data in a file that `reg export` wrote. */
export function exportedValue(text: string): string | undefined {
  const [, data] = /^"cadzero-auth"="((?:[^"\\]|\\.)*)"\r?$/m.exec(text) ?? []
  return data?.replace(/\\(.)/g, '$1')
}

export class RunKey implements ServiceManager {
  readonly name = 'Run key'
  readonly place = `${RUN_KEY}\\${VALUE}`
  readonly #machine: Machine
  readonly #system: string

  constructor(machine: Machine) {
    this.#machine = machine
    const root = machine.env.SystemRoot ?? machine.env.SYSTEMROOT ?? 'C:\\Windows'
    this.#system = win32.join(root, 'System32')
  }

  async install(launch: Launch): Promise<boolean> {
    const before = await this.#get()
    try {
      await this.#set(await this.#line(launch))
      await this.#reg('delete', APPROVED_KEY, '/v', VALUE, '/f') // an installation overrides a disabled entry
      await this.restart()
      return true
    } catch (error) {
      if (before === undefined) await this.#reg('delete', RUN_KEY, '/v', VALUE, '/f')
      else await this.#set(before)
      throw error
    }
  }

  async uninstall(): Promise<boolean> {
    const installed = (await this.#get()) !== undefined
    if (installed) {
      const ran = await this.#reg('delete', RUN_KEY, '/v', VALUE, '/f')
      if (ran.status !== 0) throw refused(ran)
    }
    await this.#reg('delete', APPROVED_KEY, '/v', VALUE, '/f')
    return installed
  }

  async status(launch: Launch): Promise<ServiceStatus> {
    const line = await this.#get()
    if (line === undefined) return { ...NOT_INSTALLED, running: null }
    const command = programOf(runWords(line))
    const { stdout } = await this.#reg('query', APPROVED_KEY, '/v', VALUE)
    const isCurrent = line === (await this.#line(launch))
    return {
      installed: true,
      enabled: !/REG_BINARY\s+[0-9A-F][13579BDF]/i.test(stdout), // an odd first byte means disabled
      running: null,
      pid: null,
      command,
      problem: await problemOf(this.#machine.files, command, launch.command, isCurrent),
    }
  }

  async restart(): Promise<void> {
    const line = await this.#get()
    if (line === undefined) throw new ServiceError('the service is not installed', 'cadzero-auth service install')
    await this.#machine.start([...runWords(line), '--replace'])
  }

  async #line(launch: Launch): Promise<string> {
    const [program = ''] = launch.command
    const windowed = isWindowed(await this.#head(program))
    return runLine(launch, windowed ? undefined : win32.join(this.#system, 'conhost.exe'))
  }

  async #head(path: string): Promise<Buffer> {
    const handle = await this.#machine.files.open(path, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0)
      return buffer.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  }

  async #set(line: string): Promise<void> {
    const ran = await this.#reg('add', RUN_KEY, '/v', VALUE, '/t', 'REG_SZ', '/d', line, '/f')
    if (ran.status !== 0) throw refused(ran)
  }

  /** Exports the key to a file: `reg query` prints in the console's code page, which may lack letters of a path. */
  async #get(): Promise<string | undefined> {
    if ((await this.#reg('query', RUN_KEY, '/v', VALUE)).status !== 0) return undefined
    const { files, scratch } = this.#machine
    await ensurePrivateFolder(files, scratch)
    const file = join(scratch, 'run-key.reg')
    try {
      const ran = await this.#reg('export', RUN_KEY, file, '/y')
      if (ran.status !== 0) throw refused(ran)
      return exportedValue((await files.readFile(file)).toString('utf16le'))
    } finally {
      await removePrivateFile(files, file)
    }
  }

  #reg(...args: string[]) {
    return this.#machine.run(win32.join(this.#system, 'reg.exe'), args)
  }
}

function refused(ran: { readonly stdout: string; readonly stderr: string }): ServiceError {
  return new ServiceError(
    `reg.exe failed: ${lastLine(ran)}`,
    'ask your administrator whether a policy forbids Run keys, or use no service: every command starts the daemon',
  )
}
