// The command line: runs the command that the arguments name, and sets the exit code.
import { RpcError } from '../rpc/contract.ts'
import { type Command, createContext } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { type Failure, failureOf } from './failure.ts'
import { note, printError, watchOutput } from './terminal.ts'

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
    const failure = failureOf(error)
    if (wantsJson(argv)) note(describeAsJson(failure, error))
    else printError(failure.error, failure.hint)
    process.exitCode = failure.exitCode
  }
}

/** One line, so that a script finds it after notes and warnings. */
function describeAsJson({ error: message, ...details }: Failure, error: unknown): string {
  const { code = undefined, data = undefined } = error instanceof RpcError ? error : {}
  return JSON.stringify({ error: { message, ...details, code, reason: data?.reason } })
}

/** Read from the arguments themselves: if they are wrong, there are no parsed options. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(2, end === -1 ? undefined : end).includes('--json')
}

async function run(command: Command): Promise<void> {
  const done = await command(createContext(process.env))
  if (done === false) process.exitCode = EXIT.failed
}
