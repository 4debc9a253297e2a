// The command line: runs the command that the arguments name, and sets the exit code.
import { type Command, createContext } from './context.ts'
import { EXIT, failureOf } from './failure.ts'
import { printError, watchOutput } from './terminal.ts'

const FOREGROUND = { replace: false, stop: false, passphraseStdin: false }

/** Sets the exit code of the process to that of the command. */
export async function main(argv: readonly string[]): Promise<void> {
  watchOutput()
  try {
    // Service managers run this command at every start: parsing its arguments would add a twentieth to the start time.
    const isPlainDaemon = argv.length === 3 && argv[2] === 'daemon'
    if (isPlainDaemon) await run(async (context) => (await import('./daemon.ts')).runDaemon(context, FOREGROUND))
    else await (await import('./program.ts')).parse(argv, run)
  } catch (error) {
    const { exitCode, error: text, hint } = failureOf(error)
    printError(text, hint)
    process.exitCode = exitCode
  }
}

async function run(command: Command): Promise<void> {
  const done = await command(createContext(process.env))
  if (done === false) process.exitCode = EXIT.failed
}
