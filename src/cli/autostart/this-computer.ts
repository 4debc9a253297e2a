// The service manager of this computer, and how it has to start this very program.
import { isSea } from 'node:sea'
import { ServiceError } from '../../autostart/errors.ts'
import { serviceManagerOf } from '../../autostart/platform.ts'
import type { Launch, ServiceManager } from '../../autostart/service-manager.ts'
import type { FileSystem } from '../../host/files.ts'
import { absolutePath, EnvironmentError, homeFolder } from '../../host/home.ts'
import { systemRun, systemStart } from '../../host/run.ts'
import type { Context } from '../context.ts'
import { backgroundEnvironment } from '../daemon-connection.ts'

/** @throws ServiceError on an unsupported system, or without a home folder */
export function managerOfThisComputer({ host, folders }: Context): ServiceManager {
  return serviceManagerOf({
    platform: process.platform,
    files: host.files,
    clock: host.clock,
    run: systemRun(host.clock, process.env),
    start: systemStart(backgroundEnvironment(process.env)),
    env: process.env,
    home: serviceHome(process.env),
    uid: process.getuid?.() ?? 0,
    scratch: folders.data,
  })
}

/** A service is entered below the home folder or XDG_CONFIG_HOME. @throws ServiceError */
function serviceHome(env: NodeJS.ProcessEnv): string {
  const { XDG_CONFIG_HOME: config } = env
  try {
    if (config && process.platform === 'linux') absolutePath('XDG_CONFIG_HOME', config, process.platform)
    return homeFolder(env)
  } catch (error) {
    if (error instanceof EnvironmentError) throw new ServiceError(error.message, error.hint)
    throw error
  }
}

/** Follows links to this program: after an update they may point at another version. @throws a system error */
export async function launchOfThisProgram({ host }: Context): Promise<Launch> {
  const program = await host.files.realpath(process.execPath)
  const command = isSea()
    ? [await windowlessExecutable(host.files, program)]
    : [program, await host.files.realpath(String(process.argv[1]))]
  return { command, env: folderVariables(process.env) }
}

/** The executable beside this one that opens no console window, if it exists, otherwise this one. Windows has both. */
export async function windowlessExecutable(files: FileSystem, program: string): Promise<string> {
  const windowless = program.replace(/cadzero-auth(?=[^\\/]*\.exe$)/i, 'cadzero-authd')
  const exists = windowless !== program && (await files.stat(windowless).catch(() => undefined)) !== undefined
  return exists ? windowless : program
}

/** The environment variables that decide where the folders are. */
function folderVariables(env: NodeJS.ProcessEnv): Record<string, string> {
  const names =
    process.platform === 'linux' && !env.CADZERO_AUTH_HOME
      ? ['XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME']
      : ['CADZERO_AUTH_HOME']
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}
