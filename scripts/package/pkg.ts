// Makes a single executable with @yao-pkg/pkg in its simple SEA mode: Node, the launcher, and the program and the addon as assets.
import { execFileSync } from 'node:child_process'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PLATFORM_VERSION, type Target } from './targets.ts'

const SCRIPT = fileURLToPath(new URL('builder/run-pkg.cjs', import.meta.url))

export interface Parts {
  readonly target: Target
  /** The file with Node of the target. */
  readonly node: string
  /** A file name in the work folder. */
  readonly main: string
  readonly assets: Readonly<Record<string, string>>
}

/** The builder, and the Node that runs it: of the version that it packs, which could not read another version's data. */
export interface Builder {
  readonly node: string
  /** The node_modules folder with pkg. */
  readonly packages: string
}

/** @param work a folder for temporary files, which contains `main` */
export async function buildExecutable(
  builder: Builder,
  { target, node, main, assets }: Parts,
  output: string,
  work: string,
) {
  const home = join(work, 'home')
  await rm(home, { recursive: true, force: true })
  await placeNode(join(home, '.pkg-cache/sea'), target, node)
  const settings = {
    // Relative to pkg's temporary folder, which is in the work folder: the executable keeps the path, so it must not
    // reveal the build machine.
    main: `../${main}`,
    execArgv: ['--disable-sigusr1'], // no debugger by a signal, from the start
    execArgvExtension: 'none', // ignores NODE_OPTIONS, which could open a debugger or load other code
    assets,
  }
  const platform = target.os === 'win32' ? 'win' : target.os === 'darwin' ? 'macos' : 'linux'
  const options = {
    targets: [{ platform, arch: target.cpu, nodeRange: `node${PLATFORM_VERSION}`, output }],
    signature: false, // macOS files get theirs afterwards
    seaConfig: settings,
  }
  execFileSync(
    builder.node,
    [SCRIPT, join(builder.packages, '@yao-pkg/pkg'), join(work, main), JSON.stringify(options)],
    {
      cwd: work,
      env: { PATH: process.env.PATH, HOME: home, USERPROFILE: home, TMPDIR: work, TEMP: work },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
}

/**
 * Fills pkg's cache with the Node that npm has downloaded and checked, so that pkg downloads nothing. pkg takes a file with a
 * mark beside it for verified, and unpacks no archive if what it unpacks is there.
 */
async function placeNode(cache: string, { os, cpu }: Target, node: string): Promise<void> {
  const name = `node-v${PLATFORM_VERSION}-${os === 'win32' ? 'win' : os}-${cpu}`
  const archive = join(cache, `${name}.${os === 'win32' ? 'zip' : 'tar.gz'}`)
  const unpacked = os === 'win32' ? join(cache, `${name}.exe`) : join(cache, name, 'bin/node')
  await mkdir(dirname(unpacked), { recursive: true })
  await symlink(node, unpacked)
  for (const empty of [archive, `${archive}.ok`, `${unpacked}.ok`]) await writeFile(empty, '')
}
