// What the service commands and the doctor work with: this machine's service manager, and what it would have to start.
import { homedir } from 'node:os'
import { isSea } from 'node:sea'
import { type Launch, type ServiceManager, serviceManager } from '../../autostart/service-manager.ts'
import type { FileSystem } from '../../host/files.ts'
import { systemRun, systemStart } from '../../host/run.ts'
import type { Context } from '../context.ts'
import { backgroundEnvironment } from '../daemon-connection.ts'

/** @throws ServiceError where this system has no way that we know */
export function managerOf({ host, folders }: Context): ServiceManager {
  return serviceManager({
    platform: process.platform,
    files: host.files,
    clock: host.clock,
    run: systemRun(host.clock, process.env),
    start: systemStart(backgroundEnvironment(process.env)),
    env: process.env,
    home: homedir(),
    uid: process.getuid?.() ?? 0,
    scratch: folders.data,
  })
}

/** This very program: links are followed, since they may be another version's tomorrow. */
export async function ownLaunch({ host }: Context): Promise<Launch> {
  const program = await host.files.realpath(process.execPath)
  const command = isSea()
    ? [await withoutConsole(host.files, program)]
    : [program, await host.files.realpath(String(process.argv[1]))]
  return { command, env: folderSettings(process.env) }
}

/** The executable beside this one that shows no window, where there is one: on Windows there are two. */
export async function withoutConsole(files: FileSystem, program: string): Promise<string> {
  const twin = program.replace(/cadzero-auth(?=[^\\/]*\.exe$)/i, 'cadzero-authd')
  const isThere = twin !== program && (await files.stat(twin).catch(() => undefined)) !== undefined
  return isThere ? twin : program
}

/** Whatever has a say in where our files are. */
export function folderSettings(env: NodeJS.ProcessEnv): Record<string, string> {
  const names =
    process.platform === 'linux' && !env.CADZERO_AUTH_HOME
      ? ['XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME']
      : ['CADZERO_AUTH_HOME']
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}
