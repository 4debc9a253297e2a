// install.sh of an archive, with a small program in place of the executable.
import { spawnSync } from 'node:child_process'
import { chmod, chown, copyFile, lstat, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'

const PROGRAM = '#!/bin/sh\nprintf "%s\\n" "$*" >>"$(dirname "$0")/../calls"\necho 1.2.3\n'
const isRoot = process.getuid?.() === 0
const forRoot = isRoot ? '' : ' (skipped: needs root)'

interface Options {
  readonly env?: Readonly<Record<string, string>>
  /** The script is read from standard input, as from a pipe. */
  readonly piped?: boolean
  readonly cwd?: string
  /** How the script is named, if not by its whole path. */
  readonly script?: string
  readonly umask?: string
}

/** An unpacked archive, and an empty home folder. */
async function newArchive(program = PROGRAM) {
  const folder = await temporaryFolder()
  const [archive, home] = [join(folder, 'the archive'), join(folder, 'my home')]
  for (const path of [archive, home]) await mkdir(path)
  await copyFile('scripts/package/unix/install.sh', join(archive, 'install.sh'))
  await writeFile(join(archive, 'cadzero-auth'), program, { mode: 0o755 })
  const path = join(archive, 'install.sh')
  const run = async (args: readonly string[], options: Options = {}) => {
    const { env = {}, piped = false, cwd = home, script = path, umask = '022' } = options
    const command = piped ? ['-s', '--', ...args] : [script, ...args]
    const { status, stdout, stderr } = spawnSync(
      '/bin/sh',
      ['-c', `umask ${umask}; exec /bin/sh "$@"`, 'sh', ...command],
      {
        cwd,
        env: { PATH: '/usr/bin:/bin', HOME: home, ...env },
        input: piped ? await readFile(path) : '',
        encoding: 'utf8',
      },
    )
    return { status, stdout, stderr }
  }
  return { archive, home, bin: join(home, '.local/bin'), run }
}

describe.skipIf(process.platform === 'win32')('install.sh', () => {
  it('installs into a home folder with a space in its name, and uninstalls', async () => {
    const { home, bin, run } = await newArchive()
    const note = `note: ${bin} is not in PATH; for this shell, run: export PATH="${bin}:$PATH"`
    expect(await run([])).toEqual({
      status: 0,
      stdout: `installed ${bin}/cadzero-auth, 1.2.3\n${note}\n1.2.3\n`,
      stderr: '',
    })
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
    expect(await run(['--uninstall', '--purge'])).toMatchObject({ status: 0 })
    expect(await readFile(join(home, '.local/calls'), 'utf8')).toBe('service install\nservice uninstall --purge\n')
    expect(await readdir(bin)).toEqual([])
  })

  it('removes what an interrupted update has left, which would put an older program back', async () => {
    const { home, run } = await newArchive()
    const bin = join(home, 'bin')
    await mkdir(join(bin, '.cadzero-auth-update'), { recursive: true })
    await writeFile(join(bin, '.cadzero-auth-update', 'undo'), '')
    await writeFile(join(bin, 'cadzero-auth.previous'), 'an older program')
    const env = { PREFIX: home }
    expect(await run(['--no-service'], { env })).toMatchObject({ status: 0 })
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
    expect(await readFile(join(bin, 'cadzero-auth'), 'utf8')).toBe(PROGRAM)
    await writeFile(join(bin, 'cadzero-auth.previous'), 'an older program')
    expect(await run(['--uninstall'], { env })).toMatchObject({ status: 0 })
    expect(await readdir(bin)).toEqual([])
  })

  it.each([
    ['000', 0o755],
    ['002', 0o755],
    ['022', 0o755],
    ['077', 0o700],
  ])('makes no folder that others can write to, and keeps the mode of the program: umask %s', async (umask, mode) => {
    const { home, bin, run } = await newArchive()
    expect(await run(['--no-service'], { umask })).toMatchObject({ status: 0 })
    for (const path of [join(home, '.local'), bin]) expect((await stat(path)).mode & 0o777).toBe(mode)
    expect((await stat(join(bin, 'cadzero-auth'))).mode & 0o777).toBe(0o755)
  })

  it('runs by a relative path, whatever CDPATH is', async () => {
    const { archive, home, bin, run } = await newArchive()
    await mkdir(join(home, 'the archive'))
    const env = { CDPATH: `.:${home}` }
    expect(await run(['--no-service'], { env, cwd: dirname(archive), script: 'the archive/install.sh' })).toMatchObject(
      {
        status: 0,
        stderr: '',
      },
    )
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
  })

  it('installs below a PREFIX that is relative', async () => {
    const { home, run } = await newArchive()
    const { stdout } = await run(['--no-service'], {
      env: { PREFIX: 'a prefix', PATH: `/usr/bin:/bin:${home}/a prefix/bin` },
    })
    expect(stdout).toBe(`installed ${home}/a prefix/bin/cadzero-auth, 1.2.3\n`)
  })

  it('works from a pipe in the folder of the archive, and elsewhere says where to run it', async () => {
    const { archive, bin, run } = await newArchive()
    const refused = await run([], { piped: true })
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('error: there is no cadzero-auth in') })
    expect(refused.stderr).toContain('hint: unpack the archive')
    expect(await run([], { piped: true, cwd: archive })).toMatchObject({ status: 0 })
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
    expect(await run(['--uninstall'], { piped: true })).toMatchObject({ status: 0 })
  })

  it.each([[['--prefix', '/tmp']], [['--purge']], [['--no-service', '--purge']], [['--uninstall', '--nonsense']]])(
    'refuses the options %j, and changes nothing',
    async (args) => {
      const { home, run } = await newArchive()
      const hint = expect.stringContaining('PREFIX=DIR chooses the folder')
      expect(await run(args)).toEqual({ status: 1, stdout: '', stderr: hint })
      expect(await readdir(home)).toEqual([])
    },
  )

  it('says so without a home folder', async () => {
    const { run } = await newArchive()
    expect(await run([], { env: { HOME: '' } })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('HOME is not set'),
    })
  })

  it('changes nothing if the program does not start', async () => {
    const { home, run } = await newArchive('#!/bin/sh\nexit 127\n')
    expect(await run([])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('does not start on this computer'),
    })
    expect(await readdir(home)).toEqual([])
  })

  it('says on macOS how to lift a quarantine if the program does not start', async () => {
    const { archive, home, run } = await newArchive('#!/bin/sh\nkill -9 $$\n')
    const tools = join(home, 'tools')
    await mkdir(tools)
    await writeFile(join(tools, 'uname'), '#!/bin/sh\necho Darwin\n', { mode: 0o755 })
    const { status, stderr } = await run([], { env: { PATH: `${tools}:/usr/bin:/bin` } })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining(`run xattr -dr com.apple.quarantine '${archive}'`),
    })
  })

  it('keeps the previous program, and leaves no part of the new one, if that cannot be written', async () => {
    const { home, bin, run } = await newArchive()
    await mkdir(bin, { recursive: true })
    await writeFile(join(bin, 'cadzero-auth'), 'the previous program')
    const tools = join(home, 'tools')
    await mkdir(tools)
    await writeFile(join(tools, 'cp'), '#!/bin/sh\necho part >"$2"\necho "cp: No space left on device" >&2\nexit 1\n')
    await chmod(join(tools, 'cp'), 0o755)
    const { status, stderr } = await run([], { env: { PATH: `${tools}:/usr/bin:/bin` } })
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('hint: free some space') })
    expect(await readdir(bin)).toEqual(['cadzero-auth'])
    expect(await readFile(join(bin, 'cadzero-auth'), 'utf8')).toBe('the previous program')
  })

  it('repeats the warning about a session that could not be saved', async () => {
    const { run } = await newArchive(
      '#!/bin/sh\n[ "$1 $2" = "daemon --stop" ] && echo "warning: the session could not be saved" >&2\necho 1.2.3\n',
    )
    expect((await run(['--no-service'])).stderr).toContain('warning: the session could not be saved')
  })

  it.skipIf(!isRoot)(`run by root, leaves no file in the home of a user${forRoot}`, async () => {
    const { home, run } = await newArchive()
    await chown(home, 61_234, 61_234)
    const refused = { status: 1, stderr: expect.stringContaining(`error: ${home} belongs to another user`) }
    expect(await run([])).toMatchObject(refused)
    expect(await run(['--uninstall'])).toMatchObject(refused)
    expect(await readdir(home)).toEqual([])
    await expect(lstat(join(home, '.local'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
