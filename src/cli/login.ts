// `cadzero-auth login`: signs in with the browser or on another device, and prints who has signed in.
import type { CommonOptions, Context } from './context.ts'
import { withDaemon } from './daemon-connection.ts'
import { repeatedWith } from './failure.ts'
import { signIn } from './sign-in.ts'
import { describeUser } from './status-text.ts'
import { print, printJson } from './terminal.ts'

export interface LoginArguments extends CommonOptions {
  /** False for `--no-browser`. */
  readonly browser: boolean
  readonly device?: boolean
  readonly switchAccount?: boolean
  /** Seconds. */
  readonly timeout?: number
  /** Whether to read callback addresses from standard input even if it is not a terminal. */
  readonly paste?: boolean
  /** Whether to sign in although the saved session belongs to another installation. */
  readonly takeOver?: boolean
}

export async function login(context: Context, options: LoginArguments): Promise<void> {
  const status = await withDaemon(context, options, (client) =>
    signIn(context, client, { ...options, userAsked: true }).catch((error: unknown) => {
      throw repeatedWith(optionsToRepeat(options), error)
    }),
  )
  if (options.json) printJson(status)
  else print(`signed in as ${describeUser(status)}`)
}

/** Without them, another try would go another way, or end as another user. */
function optionsToRepeat({ device, switchAccount, takeOver }: LoginArguments): string[] {
  return [
    ...(device ? ['--device'] : []),
    ...(switchAccount ? ['--switch-account'] : []),
    ...(takeOver ? ['--take-over'] : []),
  ]
}
