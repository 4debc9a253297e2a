// The demo as a newcomer runs it: from the link that it prints to its last line, and as a sandbox for a second terminal.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Block, ROOT, readPage } from '../docs/markdown.ts'
import { has } from '../docs/user.ts'
import { signIn, type VisitOptions } from '../sandbox/user.ts'
import { endOf, temporaryFolder } from '../support/program.ts'

const TIMEOUT = { timeout: 120_000 }
const DEMO = fileURLToPath(new URL('../../scripts/demo.ts', import.meta.url))
const BUILD = fileURLToPath(new URL('../../scripts/build.ts', import.meta.url))

/** The environment of a user whose browser does nothing. */
async function newUser(): Promise<NodeJS.ProcessEnv> {
  return { PATH: process.env.PATH, HOME: await temporaryFolder(), CADZERO_AUTH_BROWSER: '/bin/true' }
}

/** Starts the demo without a terminal. */
function startDemo(args: readonly string[], env: NodeJS.ProcessEnv) {
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, ['--import', 'tsx', DEMO, ...args], {
    env,
    cwd: ROOT,
    detached: true, // a process group of its own, as in a terminal
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stdin.end()
  let stdout = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  const ended = endOf(child)
  /** Resolves with the first group of the pattern once the output matches it. */
  const match = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const [, found] = pattern.exec(stdout) ?? []
        if (found !== undefined) resolve(found)
      }
      child.stdout.on('data', look)
      void ended.then(({ stderr }) => reject(new Error(`the demo has ended: ${stdout}${stderr}`)))
      look()
    })
  return { child, ended, match }
}

/** Runs the demo to its end, and follows its link in place of the browser. */
async function runDemo(visit: VisitOptions) {
  const demo = startDemo(['--once'], await newUser())
  const url = await demo.match(/^sign in +(\S+)\n/m)
  // A slow machine may load the last page too late: the demo stops the daemon soon after a declined sign-in.
  await signIn(new URL(url).origin, url, visit).catch(() => undefined)
  return await demo.ended
}

describe('a demo that ends by itself', () => {
  it('shows a sign-in, a refresh and a logout', TIMEOUT, async () => {
    const { code, stdout, stderr } = await runDemo({})
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('signed in as Ada Lovelace <ada@example.com>')
    expect(stdout).toContain('(after the first one expired)')
    expect(stdout).toContain('revoked at the provider')
  })

  it('reports a declined sign-in in one sentence', TIMEOUT, async () => {
    const { code, stderr } = await runDemo({ deny: true })
    expect(code).toBe(1)
    expect(stderr).toBe('error: the sign-in was declined in the browser; run the demo again to sign in\n')
  })

  it.each([[[]], [['--handoff']]])('is any demo that has no terminal, with %j', TIMEOUT, async (args) => {
    const { code, stdout, stderr } = await startDemo(args, await newUser()).ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('revoked at the provider')
  })
})

/** What the README shows under «Use», without what changes the machine. */
function useBlocks(): Block[] {
  const { text, blocks } = readPage('README.md')
  const lineOf = (heading: string) => text.split('\n').indexOf(heading) + 1
  const isInside = ({ line }: Block) => line > lineOf('## Use') && line < lineOf('## Configure')
  return blocks.filter((block) => isInside(block) && block.skip === undefined && block.language !== 'json')
}

/** Runs a broker of the user's own on a free port, until it has said that it is ready. */
const RUN_BROKER = `
  exec 3< <(CADZERO_BROKER_PORT=0 exec cadzero-auth broker); pid=$!
  read -r line <&3
  curl --silent --fail --retry 50 --retry-delay 0 --retry-all-errors "\${line#listening on }/readyz"
  kill -INT "$pid"`

describe('a demo that stays', () => {
  const run = async (env: NodeJS.ProcessEnv, line: string, text: string) => {
    const child = spawn('bash', ['-e', '-u', '-o', 'pipefail', '-c', `${line}\n${text}`], { env, cwd: ROOT })
    child.stdin.end()
    return await endOf(child)
  }

  it.skipIf(!has('curl') || !has('python3')).each([
    ['an OpenID provider', []],
    ['a page and a broker', ['--handoff']],
  ])('runs the section «Use» of the README in a second terminal, with %s', TIMEOUT, async (_what, args) => {
    const env = await newUser()
    const demo = startDemo(['--stay', '--auto', ...args], env)
    const line = await demo.match(/^ {2}(\. \S+)\n/m)
    const home = dirname(line.slice(3, -1))
    await demo.match(/(press Ctrl-C to stop)/)
    const blocks = useBlocks()
    expect(blocks.map(({ language }) => language)).toEqual(['sh', 'sh', 'python', 'sh'])
    for (const { language, text } of blocks) {
      const command = language === 'python' ? `python3 -B - <<'END'\n${text}\nEND` : text
      const { code, stdout, stderr } = await run({ PATH: env.PATH, HOME: env.HOME }, line, command)
      expect(code, `${text}\n${stdout}${stderr}`).toBe(0)
    }
    if (args.includes('--handoff')) {
      const { stdout } = await run(env, line, RUN_BROKER)
      expect(stdout).toContain('"ready":true')
    }
    const { stdout } = await run(env, line, 'cadzero-auth config; cadzero-auth daemon --stop; cadzero-auth logout')
    expect(stdout).toContain(`"file": "${home}/config/config.json"`)
    expect(stdout).toContain('signed out')
    demo.child.kill('SIGTERM')
    expect(await demo.ended).toMatchObject({ code: 0, stderr: '' })
    expect(existsSync(home)).toBe(false)
  })

  it('says in one sentence that a sign-in was declined, and lets a command sign in', TIMEOUT, async () => {
    const env = await newUser()
    const demo = startDemo(['--stay'], env)
    const line = await demo.match(/^ {2}(\. \S+)\n/m)
    const first = await demo.match(/^sign in +(\S+)\n/m)
    await signIn(new URL(first).origin, first, { deny: true })
    await demo.match(/^(the sign-in was declined in the browser; run cadzero-auth login .*)\n/m)
    const login = run(env, line, 'cadzero-auth login')
    const second = await demo.match(/(?:^sign in +\S+\n[\s\S]*){1}^sign in +(\S+)\n/m)
    await signIn(new URL(second).origin, second)
    expect(await login).toMatchObject({ code: 0, stdout: 'signed in as Ada Lovelace <ada@example.com>\n' })
    demo.child.kill('SIGINT')
    const { code, stderr } = await demo.ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  it('ends when its terminal is closed, with its broker', TIMEOUT, async () => {
    const demo = startDemo(['--stay', '--handoff'], await newUser())
    const home = dirname((await demo.match(/^ {2}(\. \S+)\n/m)).slice(3, -1))
    await demo.match(/^sign in +(\S+)\n/m)
    process.kill(-Number(demo.child.pid), 'SIGHUP')
    expect(await demo.ended).toMatchObject({ code: 0 })
    expect(existsSync(home)).toBe(false)
  })
})

it.skipIf(process.platform !== 'linux')('a build in a folder that cannot be written says so in two lines', async () => {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), BUILD], { cwd: '/sys' })
  const { code, stderr } = await endOf(child)
  expect(code).toBe(1)
  expect(stderr).toMatch(/^error: the folder dist cannot be written here: E[A-Z]+\nhint: clone the repository .*\n$/)
})

it.skipIf(process.platform !== 'linux')('a demo without temporary files says so in two lines', async () => {
  const env = { ...(await newUser()), TMPDIR: '/sys' }
  const { code, stderr } = await endOf(spawn('npm', ['run', '--silent', 'demo'], { cwd: ROOT, env }))
  expect(code).toBe(1)
  expect(stderr).toMatch(/^error: the folder for temporary files, \/sys, .*: E[A-Z]+\nhint: set TMPDIR to .*\n$/)
})
