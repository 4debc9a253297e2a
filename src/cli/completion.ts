// `cadzero-auth completion SHELL`: prints the script that completes commands, options, profiles and other known values.
//
// The scripts are complete in themselves: a shell starts no program at a Tab, and evaluates none of the words that were typed.
import { type Command, Help } from 'commander'
import { loadConfig } from '../config/config.ts'
import { type Completed, SCRIPTS, type Shell } from './completion-scripts.ts'
import type { Context } from './context.ts'
import { print } from './terminal.ts'

export async function completion(context: Context, program: Command, shell: Shell): Promise<void> {
  const profiles = await profileNames(context)
  print(SCRIPTS[shell](completedCommands(program, profiles)))
}

/** None if the configuration cannot be read: other commands say why. */
async function profileNames({ host, folders }: Context): Promise<string[]> {
  try {
    return [...(await loadConfig(host.files, folders.configFile, process.env)).profiles.keys()]
  } catch {
    return []
  }
}

/** The program and each command below it, in the order of the help. */
export function completedCommands(program: Command, profiles: readonly string[]): Completed[] {
  const help = new Help()
  const visit = (command: Command, path: readonly string[]): Completed[] => {
    const commands = help.visibleCommands(command).filter((one) => one.name() !== 'help')
    const own: Completed = {
      path,
      commands: commands.map((one) => ({ word: one.name(), description: ascii(one.description()) })),
      options: help.visibleOptions(command).map((option) => ({
        words: [option.short, option.long].filter((word) => word !== undefined),
        description: ascii(option.description),
        takesValue: option.required || option.optional,
        values: option.long === '--profile' ? profiles : (option.argChoices ?? []),
      })),
      values: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
      takesFile: command.registeredArguments.some((argument) => argument.name() === 'file'),
    }
    return [own, ...commands.flatMap((one) => visit(one, [...path, one.name()]))]
  }
  return visit(program, [])
}

/** Not every shell reads UTF-8, and PowerShell takes ’ for a quotation mark. */
function ascii(text: string): string {
  return text.replaceAll('’', "'").replaceAll('…', '...')
}
