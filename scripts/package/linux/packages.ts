// Makes the Debian and the RPM package of an executable: the program, its user unit, its man page and its licences.
import { chmod, cp, mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { unitText } from '../../../src/autostart/systemd.ts'
import { filesBelow, runTool } from '../tools.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const PROGRAM = '/usr/bin/cadzero-auth'
const UNIT = 'cadzero-auth.service'

export interface LinuxPackage {
  readonly executable: string
  readonly notices: string
  readonly version: string
  readonly cpu: 'x64' | 'arm64'
  /** The time of all files, in Unix seconds, so that each build has the same bytes. */
  readonly time: number
}

const CONTROL = `Maintainer: CADZERO <support@cadzero.xyz>
Depends: libc6 (>= 2.28), libstdc++6, libgcc-s1, libatomic1, util-linux
Recommends: gnome-keyring | org.freedesktop.secrets, xdg-utils, dbus-user-session, init-system-helpers
Section: net
Priority: optional
Homepage: https://www.cadzero.xyz
Description: keeps you signed in to CADZERO
 A daemon of each user's own that holds the session and gives the CADZERO
 add-in a valid header.
`

/** @param work an empty folder for temporary files @returns the path of the package */
export async function makeDeb(from: LinuxPackage, out: string, work: string): Promise<string> {
  const root = join(work, 'deb')
  await stage(from, root)
  const architecture = from.cpu === 'x64' ? 'amd64' : 'arm64'
  const size = `Installed-Size: ${await kibibytesOf(root)}`
  const control = `Package: cadzero-auth\nVersion: ${from.version}\nArchitecture: ${architecture}\n${size}\n${CONTROL}`
  await put(join(root, 'DEBIAN/control'), control)
  const userManagers = await readFile(join(HERE, 'user-managers.sh'), 'utf8')
  for (const name of ['postinst', 'prerm', 'postrm']) {
    const script = await readFile(join(HERE, name), 'utf8')
    await put(
      join(root, 'DEBIAN', name),
      script.replace('%USER_MANAGERS%\n', () => userManagers),
      0o755,
    )
  }
  const path = join(out, `cadzero-auth_${from.version}_${architecture}.deb`)
  // zstd, which Debian 12 and Ubuntu 22.04 know: xz takes ten times as long. With one thread, so that the bytes depend on no number of them.
  const compression = ['-Zzstd', '-z10', '--threads-max=1']
  runTool('dpkg-deb', ['--root-owner-group', ...compression, '--build', root, path], 'dpkg', epoch(from))
  await rm(root, { recursive: true })
  return path
}

/** @param work an empty folder for temporary files @returns the path of the package */
export async function makeRpm(from: LinuxPackage, out: string, work: string): Promise<string> {
  const [staged, top] = [join(work, 'rpm'), join(work, 'top')]
  await stage(from, staged)
  await put(join(staged, 'usr/lib/systemd/user-preset/80-cadzero-auth.preset'), `enable ${UNIT}\n`)
  const architecture = from.cpu === 'x64' ? 'x86_64' : 'aarch64'
  const name = `cadzero-auth-${from.version}-1.${architecture}.rpm`
  const define = (key: string, value: string) => ['--define', `${key} ${value}`]
  const settings = [
    ...define('_topdir', top),
    ...define('_rpmdir', out),
    ...define('_rpmfilename', name),
    ...define('version', from.version),
    ...define('staged', staged),
    ...define('user_managers', join(HERE, 'user-managers.sh')),
  ]
  const build = ['-bb', '--quiet', '--target', `${architecture}-linux`, ...settings, join(HERE, 'cadzero-auth.spec')]
  runTool('rpmbuild', build, 'rpm', epoch(from))
  for (const folder of [staged, top]) await rm(folder, { recursive: true })
  return join(out, name)
}

const epoch = ({ time }: LinuxPackage) => ({ SOURCE_DATE_EPOCH: String(time) })

/** Lays out the files as on the target system. */
async function stage({ executable, notices, time }: LinuxPackage, root: string): Promise<void> {
  const program = join(root, PROGRAM)
  await mkdir(dirname(program), { recursive: true })
  await cp(executable, program)
  await chmod(program, 0o755)
  const unit = unitText({ command: [PROGRAM], env: {} }).replace(/^# .*$/m, '# Installed for all users.')
  await put(join(root, 'usr/lib/systemd/user', UNIT), unit)
  await put(join(root, 'usr/share/doc/cadzero-auth/copyright'), await readFile(notices))
  await put(
    join(root, 'usr/share/man/man1/cadzero-auth.1.gz'),
    gzipSync(await readFile('dist/cadzero-auth.1'), { level: 9 }),
  )
  for (const path of await filesBelow(root)) await utimes(path, time, time)
}

/** The size of the files below a folder, as dpkg counts it: each rounded up to 1 KiB, and 1 KiB for a folder. */
async function kibibytesOf(folder: string): Promise<number> {
  const all = await Promise.all((await filesBelow(folder)).map((path) => stat(path)))
  return all.reduce((sum, one) => sum + (one.isFile() ? Math.ceil(one.size / 1024) : 1), 0)
}

async function put(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  await writeFile(path, content)
  await chmod(path, mode)
}
