// A fake machine for the service managers: a temporary home folder, and system programs that only record their calls.
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Launch, Machine } from '../../src/autostart/service-manager.ts'
import { systemFiles } from '../../src/host/files.ts'
import type { Ran } from '../../src/host/run.ts'
import { TestClock } from './clock.ts'
import { temporaryFolder } from './folder.ts'

export interface FakeMachine extends Machine {
  /** Every call so far: the name of the program and its arguments, without options. */
  readonly calls: string[]
  /** Every command that was started in the background. */
  readonly started: (readonly string[])[]
}

export async function fakeMachine(
  platform: NodeJS.Platform,
  answer: (args: readonly string[]) => Partial<Ran> | Promise<Partial<Ran>>,
  env: NodeJS.ProcessEnv = {},
): Promise<FakeMachine> {
  const home = await temporaryFolder()
  const calls: string[] = []
  const started: (readonly string[])[] = []
  return {
    platform,
    files: systemFiles,
    clock: new TestClock(),
    env,
    home,
    uid: 501,
    scratch: home,
    calls,
    started,
    async run(program, args) {
      calls.push([program.split(/[\\/]/).at(-1), ...args.filter((one) => !one.startsWith('--'))].join(' '))
      return { status: 0, stdout: '', stderr: '', ...(await answer(args)) }
    },
    async start(command) {
      started.push(command)
    },
  }
}

/**
 * systemctl of a user manager that has no other unit.
 * @param fails the subcommand that fails
 * @param packaged the path of a unit that a package has installed and enabled for all users
 */
export function fakeSystemctl(fails?: string, packaged = '') {
  const unit = { enabled: packaged !== '', active: false, starts: 0, masked: false, maskedForAll: false }
  const answer = (args: readonly string[]): Partial<Ran> => {
    const words = args.filter((one) => one !== '--user' && one !== '--no-pager')
    if (words[0] === fails) return { status: 1, stderr: `Failed to ${fails}\n` }
    if (words[0] === 'enable') unit.enabled = true
    if (words[0] === 'disable') Object.assign(unit, { enabled: false, active: false })
    if (words[0] === 'mask' || words[0] === 'unmask') unit.masked = words[0] === 'mask'
    if (words[0] === 'restart') Object.assign(unit, { active: true, starts: unit.starts + 1 })
    if (words.includes('--property=Version')) return { stdout: 'Version=252\n' }
    const state = [unit.active ? 'active' : 'inactive', unit.enabled ? 'enabled' : 'disabled', unit.active ? 42 : 0]
    const load = unit.maskedForAll ? 'masked' : 'loaded'
    const properties = { ActiveState: state[0], UnitFileState: state[1], MainPID: state[2], FragmentPath: packaged }
    const lines = Object.entries({ ...properties, LoadState: load }).map(([name, value]) => `${name}=${value}\n`)
    return { stdout: lines.join('') }
  }
  return { unit, answer }
}

/** launchctl in a graphical session. @param fails the subcommand that fails */
export function fakeLaunchctl(fails?: string) {
  const agent = { loaded: false, disabled: false, starts: 0 }
  const answer = ([command, target = '']: readonly string[]): Partial<Ran> => {
    if (command === fails) return { status: 5, stderr: `${fails} failed: 5: Input/output error\n` }
    if (command === 'enable') agent.disabled = false
    if (command === 'bootstrap') Object.assign(agent, { loaded: true, starts: agent.starts + 1 })
    if (command === 'kickstart') agent.starts++
    if (command === 'bootout') agent.loaded = false
    if (command === 'print-disabled') return { stdout: agent.disabled ? '\t"com.cadzero.auth" => disabled\n' : '' }
    if (command !== 'print' || !target.endsWith('com.cadzero.auth')) return {}
    return agent.loaded ? { stdout: 'com.cadzero.auth = {\n\tstate = running\n\tpid = 42\n}\n' } : { status: 113 }
  }
  return { agent, answer }
}

/** reg.exe on a registry that is empty at first. */
export function fakeRegistry() {
  const values = new Map<string, string>()
  const answer = async (args: readonly string[]): Promise<Partial<Ran>> => {
    const [command, key = '', ...rest] = args
    const name = `${key}\\${rest[1]}`
    if (command === 'add') values.set(name, String(rest[rest.indexOf('/d') + 1]))
    if (command === 'delete') return { status: values.delete(name) ? 0 : 1 }
    if (command === 'query') {
      const value = values.get(name)
      return value === undefined ? { status: 1 } : { stdout: `    cadzero-auth    REG_BINARY    ${value}\r\n` }
    }
    if (command === 'export') {
      const lines = [...values].map(
        ([path, value]) => `"${path.split('\\').at(-1)}"="${value.replace(/[\\"]/g, '\\$&')}"`,
      )
      const text = `\ufeffWindows Registry Editor Version 5.00\r\n\r\n[${key}]\r\n${lines.join('\r\n')}\r\n`
      await rm(String(rest[0]), { force: true })
      await writeFile(String(rest[0]), text, 'utf16le')
    }
    return {}
  }
  return { values, answer }
}

/** Folder names with characters that are special in a unit, a property list or a command line. */
export const SPECIAL_NAMES = [
  'plain',
  'two words  here',
  '100% %h %%',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of systemd
  '$HOME ${HOME} $$ x',
  '"quoted" and \'so\'',
  '&amp; <b> ]]>',
  'Zoë Müller 日本',
  'back\\slash\\\\ \\x41',
  ';#|`id`~*?{}',
]

export function launchFrom(folder: string): Launch {
  return {
    command: [`${folder}/node`, `${folder}/cadzero-auth.cjs`],
    env: { CADZERO_AUTH_HOME: `${folder}/home` },
  }
}

/** A launch whose program and script exist. */
export async function existingLaunch(): Promise<Launch> {
  const folder = await temporaryFolder()
  const command = [join(folder, 'node'), join(folder, 'cadzero-auth.cjs')]
  for (const path of command) await writeFile(path, '#!/bin/sh\n', { mode: 0o755 })
  return { command, env: { CADZERO_AUTH_HOME: folder } }
}
