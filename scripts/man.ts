// The man page, made from the commands of the program.
import { type Command, Help } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { EXIT } from '../src/cli/exit-codes.ts'
import { createProgram, fullName } from '../src/cli/program.ts'
import { VARIABLES } from '../src/config/environment.ts'

const help = new Help()

const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  failed: 'failed',
  usage: 'wrong usage: of an argument or an environment variable',
  noDaemon: 'no daemon runs, and none could be started',
  signInNeeded: 'a user must sign in',
  updateAvailable: 'update --check has found a newer version',
}

const OTHER_VARIABLES: readonly (readonly [string, string])[] = [
  ['CADZERO_AUTH_HOME', 'an absolute path: the folder for the configuration, the data and the log'],
  ['CADZERO_AUTH_PASSPHRASE', 'the passphrase of the store key, with the key protection passphrase'],
  ['CADZERO_AUTH_BROWSER', 'the absolute path of a program that opens a link'],
  ['NO_COLOR', 'if set, no output has colours'],
]

/** @returns cadzero-auth(1) in the man macros of roff */
export function manPage(): string {
  const program = createProgram(async () => undefined)
  const commands = help.visibleCommands(program).filter((one) => one.name() !== 'help')
  return [
    `.TH CADZERO-AUTH 1 "" "cadzero-auth ${manifest.version}" "User Commands"`,
    section('NAME', 'cadzero-auth \\- keeps you signed in to CADZERO'),
    section('SYNOPSIS', `.B ${roff('cadzero-auth')}\n${roff('COMMAND [OPTIONS]')}`),
    section('DESCRIPTION', roff(program.description())),
    section('OPTIONS', options(program)),
    section('COMMANDS', ''),
    ...commands.flatMap((command) => [command, ...help.visibleCommands(command)]).map(subsection),
    section(
      'EXIT STATUS',
      list(Object.entries(EXIT).map(([name, code]) => [`${code}`, EXIT_MEANINGS[name as keyof typeof EXIT]])),
    ),
    section('ENVIRONMENT', list([...OTHER_VARIABLES, ...settings()])),
    section('SEE ALSO', roff('The folder docs of the sources has a page for each question.')),
    '',
  ].join('\n')
}

function settings(): [string, string][] {
  return Object.entries(VARIABLES).map(([setting, variable]) => [variable, `overrides ${setting} of config.json`])
}

function section(title: string, text: string): string {
  return `.SH ${title}${text === '' ? '' : `\n${text}`}`
}

function subsection(command: Command): string {
  const usage = help.commandUsage(command).replace(`${fullName(command)} `, '')
  return `.SS ${roff(`${fullName(command)} ${usage}`)}\n${roff(help.commandDescription(command))}\n${options(command)}`
}

function options(command: Command): string {
  const described = help.visibleOptions(command).filter((option) => option.long !== '--help' || command.parent === null)
  return list(described.map((option): [string, string] => [option.flags, help.optionDescription(option)]))
}

function list(items: readonly (readonly [string, string])[]): string {
  return items.map(([name, text]) => `.TP\n.B ${roff(name)}\n${roff(text)}`).join('\n')
}

/** As text of roff: a line that begins with a dot or an apostrophe would be a request, and a hyphen is no minus sign. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '...')
    .replaceAll('"', '\\(dq')
    .replace(/^[.']/gm, '\\&$&')
}
