// The command line: runs what the arguments name, and sets the exit code.
import { type Context, createContext } from './context.ts'
import { EXIT, failureOf } from './failure.ts'
import { printError } from './terminal.ts'

/** A command; false where it has failed and has said so itself. */
export type Action = (context: Context) => Promise<unknown>

const PLAIN_DAEMON = { replace: false, stop: false, passphraseStdin: false }

/** Ends with the exit code of the command. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    // What a start-up service runs at every start: the parser of arguments would be a twentieth of that.
    const isPlainDaemon = argv.length === 3 && argv[2] === 'daemon'
    if (isPlainDaemon) await run(async (context) => (await import('./daemon.ts')).runDaemon(context, PLAIN_DAEMON))
    else await (await import('./program.ts')).parse(argv, run)
  } catch (error) {
    const { exitCode, error: text, hint } = failureOf(error)
    printError(text, hint)
    process.exitCode = exitCode
  }
}

async function run(action: Action): Promise<void> {
  const done = await action(createContext(process.env))
  if (done === false) process.exitCode = EXIT.failed
}
