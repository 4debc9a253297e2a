// An add-in that brings the real Linux executable along, in a fresh account without Node.js: installed, upgraded, removed.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { browserOf, FUSION, newAddIn } from '../embed/add-in.ts'
import { configure } from '../support/handoff.ts'
import { type Ended, endOf } from '../support/program.ts'
import { newSandbox } from '../support/world.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TSX = createRequire(import.meta.url).resolve('tsx/cli')
const PYTHON = '/usr/bin/python3'
const NEWER = '99.0.0'
const BUILD_MS = 600_000

const hasProgram = (name: string) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0
const lacking = ['useradd', 'userdel', 'setpriv'].filter((name) => !hasProgram(name))
const canRun =
  process.platform === 'linux' &&
  process.arch === 'x64' &&
  process.getuid?.() === 0 &&
  lacking.length === 0 &&
  spawnSync(PYTHON, ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0

describe.skipIf(!canRun)(
  `a bundle with the executable${canRun ? '' : ' (skipped: needs Linux x64, root, useradd, setpriv and Python 3.9)'}`,
  () => {
    let folder = ''
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
      await chmod(folder, 0o755)
      await buildPackage(ROOT, join(folder, 'first'))
      await buildPackage(await repositoryWithVersion(join(folder, 'source'), NEWER), join(folder, 'second'))
    }, BUILD_MS)
    afterAll(async () => {
      if (folder !== '') await rm(folder, { recursive: true })
    })

    it('is installed at the first call, signs in, is upgraded by a newer one, and refuses an older one', async () => {
      const sandbox = await newSandbox()
      const account = await newAccount()
      await configure(join(account.home, 'own'), sandbox.issuer)
      const { browser } = await browserOf(sandbox, join(account.home, 'own'))
      await writeFile(browser, PYTHON_BROWSER)
      await account.own()
      const env = { CADZERO_AUTH_HOME: join(account.home, 'own'), CADZERO_AUTH_BROWSER: browser }
      const program = join(account.home, '.local/bin/cadzero-auth')
      const start = async (bundle: string) => {
        const addIn = await newAddIn(join(account.home, bundle))
        await cp(join(folder, bundle), join(addIn, 'cadzero-auth'), { recursive: true })
        await account.own()
        return () => account.run([PYTHON, '-B', '-W', 'error', FUSION, addIn, 'bundle'], env)
      }
      const [older, newer] = [await start('first'), await start('second')]

      const first = await older()
      expect(first.code, first.stdout + first.stderr).toBe(0)
      expect(first.stdout).toContain(`ok installed ${manifest.version}\n`)
      expect(first.stdout).toContain('shows the state signed_out\n')
      expect(await readdir(join(account.home, '.local/bin'))).toEqual(['cadzero-auth'])
      expect((await account.run(['sh', '-c', 'command -v node'], env)).code).not.toBe(0)

      const second = await newer()
      expect(second.code, second.stdout + second.stderr).toBe(0)
      expect(second.stdout).toContain(`ok upgraded ${NEWER}\n`)
      expect(second.stdout).toContain('shows the state signed_in\n')

      const third = await older()
      expect(third.code, third.stdout + third.stderr).toBe(0)
      expect(third.stdout).toContain(`ok newer ${NEWER}\n`)
      expect(third.stdout).toContain('shows the state signed_in\n')
      const { stdout } = await account.run([program, 'status', '--json'], env)
      expect(JSON.parse(stdout)).toMatchObject({ state: 'signed_in', daemon: { version: NEWER } })

      const removed = await account.run([program, 'service', 'uninstall', '--purge'], env)
      expect(removed.code, removed.stderr).toBe(0)
    }, 300_000)

    it('is installed by the command line, and says how to remove it', async () => {
      const account = await newAccount()
      const addIn = await newAddIn(account.home)
      await cp(join(folder, 'first'), join(addIn, 'cadzero-auth'), { recursive: true })
      await account.own()
      const env = { PYTHONPATH: addIn, PYTHONDONTWRITEBYTECODE: '1' }
      const { code, stdout, stderr } = await account.run(
        [PYTHON, '-m', 'cadzero_auth', 'install', join(addIn, 'cadzero-auth')],
        env,
      )
      expect(code, stderr).toBe(0)
      expect(stdout).toContain(`cadzero-auth ${manifest.version}: installed: ${account.home}/.local/bin/cadzero-auth\n`)
      const [, ...commands] = stdout.slice(stdout.indexOf('to remove it')).trim().split('\n')
      const removed = await account.run(['sh', '-e', '-c', commands.join('\n')], {})
      expect(removed.code, removed.stderr).toBe(0)
      expect(await readdir(join(account.home, '.local/bin'))).toEqual([])
    }, 120_000)
  },
)

async function buildPackage(root: string, out: string): Promise<void> {
  await run(process.execPath, [TSX, 'scripts/package.ts', '--out', out, '--target', 'linux-x64'], { cwd: root })
}

/** A copy of this repository with another version, built. */
async function repositoryWithVersion(copy: string, version: string): Promise<string> {
  await mkdir(copy)
  for (const name of ['src', 'scripts', 'docs', 'tsconfig.json', 'package-lock.json'])
    await cp(join(ROOT, name), join(copy, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  await writeFile(join(copy, 'package.json'), JSON.stringify({ ...manifest, version }, null, 2))
  await run(process.execPath, [TSX, 'scripts/build.ts'], { cwd: copy })
  return copy
}

/** The user's browser, in a computer without Node.js: it sends the session token to the callback at once. */
const PYTHON_BROWSER = `#!${PYTHON}
import os, sys, urllib.parse, urllib.request
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'params')) as file:
    params = file.read()
callback = urllib.parse.parse_qs(urllib.parse.urlsplit(sys.argv[1]).query)['redirect_url'][0]
urllib.request.urlopen(callback + ('&' if '?' in callback else '?') + params, timeout=30).read()
`

/** A new user of this computer, whose home has spaces and accents in its name, and whose PATH has no Node.js. */
async function newAccount() {
  const name = `cza${process.pid}n${Math.floor(process.uptime() * 1000)}`
  const parent = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
  await chmod(parent, 0o755)
  const home = join(parent, 'Zoë Ångström 太郎')
  const bin = join(parent, 'bin') // the programs that every Linux has, but no Node.js
  await mkdir(bin)
  for (const program of ['sh', 'rm', 'flock', 'env', 'uname', 'id'])
    await symlink(`/usr/bin/${program}`, join(bin, program))
  execFileSync('useradd', ['--create-home', '--home-dir', home, '--shell', '/bin/sh', name], { stdio: 'ignore' })
  const idOf = (kind: string) => Number(execFileSync('id', [kind, name], { encoding: 'utf8' }))
  const [uid, gid] = [idOf('-u'), idOf('-g')]
  onTestFinished(async () => {
    for (const pid of await processesOf(uid)) spawnSync('kill', ['-KILL', String(pid)]) // it may end by itself meanwhile
    spawnSync('userdel', [name])
    await rm(parent, { recursive: true, force: true, maxRetries: 5 })
  })
  return {
    home,
    /** Gives the user all files in the home folder. */
    async own(): Promise<void> {
      execFileSync('chown', ['-R', `${uid}:${gid}`, home])
      await chown(home, uid, gid)
    },
    /** Runs a program as this user. */
    run([file = '', ...args]: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
      const as = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
      const child = spawn('/usr/bin/setpriv', [...as, file, ...args], {
        cwd: '/',
        env: { HOME: home, USER: name, PATH: bin, CADZERO_AUTH_KEY_PROTECTION: 'keyfile', ...env },
      })
      child.stdin.end()
      return endOf(child)
    },
  }
}

/** The processes of this user alone. */
async function processesOf(uid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const owners = pids.map(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    return new RegExp(`^Uid:\\s+${uid}\\s`, 'm').test(status) ? [Number(pid)] : []
  })
  return (await Promise.all(owners)).flat()
}
