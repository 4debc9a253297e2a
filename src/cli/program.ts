// The commands, their options and their help. Each command loads its file only when it runs.
import {
  Argument,
  Command,
  CommanderError,
  Help,
  type HelpConfiguration,
  InvalidArgumentError,
  Option,
} from 'commander'
import type { CommonOptions, Command as RunnableCommand } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { UsageError } from './failure.ts'
import { paint } from './terminal.ts'
import { versionWithCommit } from './version.ts'

type Run = (command: RunnableCommand) => Promise<void>

/** Runs the command that the arguments name. Prints help itself, and sets its exit code. @throws UsageError; what the command throws */
export async function parse(argv: readonly string[], run: Run): Promise<void> {
  try {
    await createProgram(run).parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  }
}

const NARROWEST_TEXT = 20 // columns

const HELP: HelpConfiguration = {
  styleTitle: (title) => paint('bold', title, process.stdout),
  minWidthToWrap: NARROWEST_TEXT,
  // In a narrow terminal, Commander would not wrap a description beside its term: it goes below.
  formatItem(term, termWidth, description, helper) {
    const width = helper.helpWidth ?? 80
    if (description === '' || width - termWidth - 4 >= NARROWEST_TEXT) {
      return Help.prototype.formatItem.call(helper, term, termWidth, description, helper)
    }
    return `  ${term}\n${helper.boxWrap(description, width - 6).replaceAll(/^/gm, ' '.repeat(6))}`
  },
}

/** Every command. The completion of shells and the man page are made from it too. */
export function createProgram(run: Run): Command {
  const program = new Command('cadzero-auth')
    .description('Keeps you signed in to CADZERO, and gives your programs valid Authorization headers.')
    .version(versionWithCommit, '-v, --version', 'show the version')
    .helpOption('-h, --help', 'show the help')
    .configureHelp(HELP)
    .configureOutput({ outputError: () => undefined }) // parse throws it instead
  addDaemon(program, run)
  addSession(program, run)
  addDeveloperCommands(program, run)
  addService(program, run)
  addShell(program, run)
  addHelp(program)
  throwUsageErrors(program)
  return program
}

/** Commander's own command answers an unknown name with the usage of the group. */
function addHelp(group: Command): void {
  group
    .helpCommand(false)
    .command('help')
    .description('show the help of a command')
    .argument('[command...]', 'its name')
    .addOption(new Option('--json').hideHelp()) // an unknown name is an error, as JSON if that is wanted
    .action((names: readonly string[]) => {
      let named = group
      for (const name of names) {
        const found = named.commands.find((one) => one.name() === name)
        if (found === undefined) throw new UsageError(`unknown command '${name}'`, `run ${fullName(named)} --help`)
        named = found
      }
      named.outputHelp()
    })
}

function throwUsageErrors(command: Command): void {
  command.exitOverride((error) => {
    if (error.exitCode === 0 || error.code === 'commander.help') throw error
    throw new UsageError(usageText(error), `run ${fullName(command)} --help`)
  })
  for (const one of command.commands) throwUsageErrors(one)
}

/** `cadzero-auth service install`. */
export function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`
}

/** Commander's message in the form of all other errors. */
function usageText({ message }: CommanderError): string {
  return message
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/s, '; did you mean $1?')
    .replace(/( is invalid[^.]*)\. (.)/, (_, what: string, first: string) => `${what}: ${first.toLowerCase()}`)
    .replace(/\.$/, '')
}

function addDaemon(program: Command, run: Run): void {
  program
    .command('daemon')
    .description('run the daemon in the foreground')
    .option('--replace', 'replace a running daemon')
    .option('--stop', 'stop the running daemon; your session is kept')
    .addOption(new Option('--passphrase-stdin').hideHelp())
    .addOption(new Option('--home <folder>').hideHelp())
    .action((options) => {
      // The Run key of Windows has no environment variables. This has to be set before the folders are located.
      if (options.home !== undefined) process.env.CADZERO_AUTH_HOME = options.home
      return run(async (context) => {
        const { runDaemon } = await import('./daemon.ts')
        const { replace = false, stop = false, passphraseStdin = false } = options
        await runDaemon(context, { replace, stop, passphraseStdin })
      })
    })
}

function addSession(program: Command, run: Run): void {
  common(program.command('login').description('sign in with the browser, or on another device'))
    .option('--no-browser', 'only show the link')
    .option('--device', 'sign in on another device, such as your phone; used by itself over ssh without a display')
    .option('--switch-account', 'have the provider ask again who you are, to sign in with another account')
    .option('--take-over', 'sign in although the saved session belongs to another installation; its file is kept')
    .option('--paste', 'also read a pasted callback address from standard input (a terminal always does)')
    .option('--timeout <seconds>', 'how long to wait for you (default: 300, on another device 600)', seconds)
    .action((options) => run(async (context) => (await import('./login.ts')).login(context, options)))

  common(program.command('logout').description('sign out, on this computer and at the provider')).action(
    (options: CommonOptions) => run(async (context) => (await import('./session.ts')).logout(context, options)),
  )

  common(program.command('status').description('show the user, when the session ends, and how it is stored'))
    .option('--watch', 'show each change, until Ctrl-C; in a pipe also every ten seconds')
    .action((options) => run(async (context) => (await import('./session.ts')).status(context, options)))

  common(program.command('header').description('print a header for curl: curl -H "$(cadzero-auth header)" …'))
    .option('--min-validity <seconds>', 'how long its token must remain valid', seconds)
    .option('--interactive', 'open the browser if a sign-in is needed')
    .action((options) => run(async (context) => (await import('./session.ts')).header(context, options)))

  common(program.command('refresh').description('get a new token now, and print its header')).action(
    (options: CommonOptions) => run(async (context) => (await import('./session.ts')).refresh(context, options)),
  )

  common(
    program
      .command('import-legacy')
      .description('import the session from a token file of the add-in (.auth_token.json), and remove the file'),
  )
    .argument('<file>', 'the token file')
    .action((file, options) =>
      run(async (context) => (await import('./import-legacy.ts')).importLegacy(context, file, options)),
    )
}

function addDeveloperCommands(program: Command, run: Run): void {
  common(program.command('rpc').description('call a method of the daemon, and print its result'))
    .argument('<method>', 'a method that rpc.discover lists')
    .argument('[params]', 'a JSON object')
    .action((method, params, options) =>
      run(async (context) => (await import('./rpc.ts')).rpc(context, method, params, options)),
    )

  common(program.command('authorization').description('print a header with which a WebSocket client can connect once'))
    .option('--url', 'print the URL of the daemon instead')
    .action((options) => run(async (context) => (await import('./rpc.ts')).authorization(context, options)))

  common(program.command('doctor').description('find problems, and say how to solve them'), false)
    .option('--clerk', 'check the Clerk instance instead, with CLERK_SECRET_KEY')
    .option('--set-template-lifetime <time>', 'with --clerk: set the lifetime of a JWT template (90s, 15m, 1h)')
    .option('--template <name>', 'with --clerk: the template to set')
    .action((options) => run(async (context) => (await import('./doctor/doctor.ts')).doctor(context, options)))

  const config = common(program.command('config').description('show the effective configuration'), false).action(
    (options: CommonOptions) => run(async (context) => (await import('./config.ts')).config(context, options)),
  )
  config
    .command('proxy-password')
    .description('save the password of the proxy in config.json in the keyring; it is read from standard input')
    .option('--remove', 'remove it from the keyring instead')
    .action((options) => run(async (context) => (await import('./proxy-password.ts')).proxyPassword(context, options)))

  program
    .command('broker')
    .description('run the broker, the server part of the hand-off; environment variables configure it')
    .option('--generate-key', 'print a new CADZERO_BROKER_KEY')
    .action((options) => run(async (context) => (await import('./broker.ts')).runBroker(context, options)))
}

const SHELLS = ['bash', 'zsh', 'fish', 'powershell']

function addShell(program: Command, run: Run): void {
  program
    .command('version')
    .description('show the version, its commit and the time of that commit')
    .option('--json', 'print JSON')
    .action((options) => run(async () => (await import('./version-command.ts')).showVersion(options)))

  program
    .command('update')
    .description('install the newest release from updateUrl in config.json; your session is kept')
    .option('--check', 'only say whether there is a newer version (exit code 5) or not (0)')
    .option('--json', 'print JSON')
    .action((options) => run(async (context) => (await import('./update/update.ts')).update(context, options)))

  program
    .command('completion')
    .description('print a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action((shell) => run(async (context) => (await import('./completion.ts')).completion(context, program, shell)))
}

function addService(program: Command, run: Run): void {
  const service = program
    .command('service')
    .description('start the daemon when you log on (systemd user unit, launchd agent or Run key; no administrator)')
  const add = (name: string, description: string) =>
    service
      .command(name)
      .description(description)
      .option('--json', 'print JSON')
      .configureHelp({ ...HELP, sortOptions: true })

  add('install', 'install the service and start it; run this again after an update').action((options) =>
    run(async (context) => (await import('./autostart/service.ts')).installService(context, options)),
  )
  add('uninstall', 'remove the service and stop the daemon; your session is kept')
    .option('--purge', 'also sign out, and remove the session, its key and the configuration')
    .action((options) =>
      run(async (context) => (await import('./autostart/uninstall.ts')).uninstallService(context, options)),
    )
  add('status', 'show whether the service is installed, enabled and running, and what it starts').action((options) =>
    run(async (context) => (await import('./autostart/service.ts')).serviceStatus(context, options)),
  )
  add('restart', 'stop the daemon and start it again; your session is kept').action((options) =>
    run(async (context) => (await import('./autostart/service.ts')).restartService(context, options)),
  )
  add('logs', 'show the last lines of the daemon’s log')
    .option('-n, --lines <number>', 'how many lines', count, 50)
    .option('-f, --follow', 'also show new lines, until Ctrl-C')
    .action((options) => run(async (context) => (await import('./autostart/logs.ts')).serviceLogs(context, options)))
  addHelp(service)
}

function common(command: Command, needsDaemon = true): Command {
  command
    .option('--profile <name>', 'the profile to use instead of the default one')
    .option('--json', 'print JSON')
    .configureHelp({ ...HELP, sortOptions: true })
  return needsDaemon ? command.option('--no-start', 'do not start the daemon if it is not running') : command
}

function count(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('not a number of lines.')
  return Number(text)
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('not a number of seconds.')
  return value
}
