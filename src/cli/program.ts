// The commands and their options: usage texts, and which file does the work. Each is loaded when it is called.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { CommonOptions } from './context.ts'
import { EXIT } from './failure.ts'
import type { Action } from './main.ts'
import { versionWithCommit } from './version.ts'

type Run = (action: Action) => Promise<void>

/** Runs the command that the arguments name; wrong ones it has answered itself, and they have their exit code. */
export async function parse(argv: readonly string[], run: Run): Promise<void> {
  try {
    await createProgram(run).parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  }
}

function createProgram(run: Run): Command {
  const program = new Command('cadzero-auth')
    .description('Keeps you signed in to CADZERO, and hands out fresh Authorization headers.')
    .version(versionWithCommit)
    .exitOverride()
    .showHelpAfterError('hint: cadzero-auth --help shows how')
    .configureOutput({ outputError: (text, write) => write(text) })

  program
    .command('daemon')
    .description('run the daemon in the foreground')
    .option('--replace', 'take over from a daemon that runs')
    .option('--stop', 'end the daemon that runs; nobody is signed out')
    .addOption(new Option('--passphrase-stdin').hideHelp())
    .addOption(new Option('--home <folder>').hideHelp())
    .action((options) => {
      // For the Run key of Windows, which has no room for settings: before the folders are looked for.
      if (options.home !== undefined) process.env.CADZERO_AUTH_HOME = options.home
      return run(async (context) => {
        const { runDaemon } = await import('./daemon.ts')
        const { replace = false, stop = false, passphraseStdin = false } = options
        await runDaemon(context, { replace, stop, passphraseStdin })
      })
    })

  common(program.command('login').description('sign in with the browser'))
    .option('--no-browser', 'only show the link')
    .option('--paste', 'also read the address at which a browser elsewhere has ended (a terminal always does)')
    .option('--timeout <seconds>', 'how long to wait for you', seconds, 300)
    .action((options) => run(async (context) => (await import('./login.ts')).login(context, options)))

  common(program.command('logout').description('sign out, here and at the provider')).action((options: CommonOptions) =>
    run(async (context) => (await import('./session.ts')).logout(context, options)),
  )

  common(program.command('status').description('show who is signed in, until when, and how the session is kept'))
    .option('--watch', 'show each change as it happens, until Ctrl-C')
    .action((options) => run(async (context) => (await import('./session.ts')).status(context, options)))

  common(program.command('header').description('print a header for curl: curl -H "$(cadzero-auth header)" …'))
    .option('--min-validity <seconds>', 'how long its token must be good for', seconds)
    .option('--interactive', 'open the browser where you must sign in')
    .action((options) => run(async (context) => (await import('./session.ts')).header(context, options)))

  common(program.command('refresh').description('get a new token now, and print its header')).action(
    (options: CommonOptions) => run(async (context) => (await import('./session.ts')).refresh(context, options)),
  )

  common(program.command('rpc').description('call a method of the daemon, and print what it answers'))
    .argument('<method>', 'as in rpc.discover')
    .argument('[params]', 'a JSON object')
    .action((method, params, options) =>
      run(async (context) => (await import('./rpc.ts')).rpc(context, method, params, options)),
    )

  common(program.command('authorization').description('print a fresh header with which a WebSocket client can connect'))
    .option('--url', 'print the address to connect to instead')
    .action((options) => run(async (context) => (await import('./rpc.ts')).authorization(context, options)))

  common(program.command('doctor').description('look for what is wrong, and say what to do'), false)
    .option('--clerk', 'look at the Clerk instance instead, with CLERK_SECRET_KEY')
    .option('--set-template-lifetime <time>', 'with --clerk: how long the tokens of a JWT template live (90s, 15m, 1h)')
    .option('--template <name>', 'with --clerk: which template')
    .action((options) => run(async (context) => (await import('./doctor/doctor.ts')).doctor(context, options)))

  common(
    program
      .command('import-legacy')
      .description('take the session over from a token file of the add-in (.auth_token.json), and remove the file'),
  )
    .argument('<file>', 'the token file')
    .action((file, options) =>
      run(async (context) => (await import('./import-legacy.ts')).importLegacy(context, file, options)),
    )

  addService(program, run)

  program
    .command('broker')
    .description(
      'run the broker, the server’s part of the hand-off; configured by environment variables (see the README)',
    )
    .option('--generate-key', 'print a new CADZERO_BROKER_KEY')
    .action((options) => run(async (context) => (await import('./broker.ts')).runBroker(context, options)))

  common(program.command('config').description('show what the configuration comes to'), false).action(
    (options: CommonOptions) => run(async (context) => (await import('./config.ts')).config(context, options)),
  )
  return program
}

function addService(program: Command, run: Run): void {
  const service = program
    .command('service')
    .description('start the daemon whenever you log on (systemd user unit, launchd agent or Run key; no administrator)')
  const add = (name: string, description: string) =>
    service.command(name).description(description).option('--json', 'print JSON').configureHelp({ sortOptions: true })

  add('install', 'enter it, and start it now; again after an update').action((options) =>
    run(async (context) => (await import('./autostart/service.ts')).installService(context, options)),
  )
  add('uninstall', 'take it out again and end the daemon; the session is kept')
    .option('--purge', 'sign out, and remove the session, its key and the configuration as well')
    .action((options) => run(async (context) => (await import('./uninstall.ts')).uninstallService(context, options)))
  add('status', 'show whether it is installed, switched on and running, and what it starts').action((options) =>
    run(async (context) => (await import('./autostart/service.ts')).serviceStatus(context, options)),
  )
  add('restart', 'end the daemon and start it; nobody is signed out').action((options) =>
    run(async (context) => (await import('./autostart/service.ts')).restartService(context, options)),
  )
  add('logs', 'show the last lines of the daemon’s log')
    .option('-n, --lines <number>', 'how many', count, 50)
    .option('-f, --follow', 'go on with each line that comes, until Ctrl-C')
    .action((options) => run(async (context) => (await import('./autostart/logs.ts')).serviceLogs(context, options)))
}

function common(command: Command, needsDaemon = true): Command {
  command
    .option('--profile <name>', 'the profile, in place of the default one')
    .option('--json', 'print JSON')
    .configureHelp({ sortOptions: true })
  return needsDaemon ? command.option('--no-start', 'do not start the daemon where none runs') : command
}

function count(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('it should be a number of lines.')
  return Number(text)
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('it should be seconds.')
  return value
}
