// The arguments of the command line: usage errors, help and the version.
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { runProgram, stopDaemonAfterTest, temporaryFolder } from '../support/program.ts'

describe('the command line', () => {
  it.each([
    [['nonsense'], /unknown command/],
    [['status', '--nonsense'], /unknown option/],
    [['rpc'], /missing required argument/],
    [['rpc', 'status', 'no json'], /PARAMS is not JSON/],
    [['rpc', 'status', '[1]'], /PARAMS is not an object/],
    [['login', '--timeout', 'soon'], /not a number of seconds/],
    [['doctor', '--template', 'cadzero'], /--template needs --set-template-lifetime/],
  ])('exits with 2 for %j, and prints an error and a hint to standard error', async (args, text) => {
    const { code, stdout, stderr } = await runProgram(args, { home: await temporaryFolder() })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(text)
    expect(stderr).toMatch(/^error: /)
    expect(stderr).toMatch(/^hint: /m)
  })

  it('says as JSON which build it is, so that an installer can tell which of two is newer', async () => {
    const { code, stdout } = await runProgram(['version', '--json'], { home: await temporaryFolder() })
    expect(code).toBe(0)
    const { version, commit, commitTime } = JSON.parse(stdout)
    expect(version).toBe(manifest.version)
    const { stdout: text } = await runProgram(['version'], { home: await temporaryFolder() })
    expect(text).toBe(commit === null ? `${version}\n` : `${version} (${commit})\n`)
    if (commit !== null) expect(commitTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  })

  it.each([['--help'], ['--version'], ['-v'], ['login', '--help'], ['status', '--help']])(
    'prints to standard output and exits with 0 for %s %s',
    async (...args) => {
      const { code, stdout, stderr } = await runProgram(args.filter(Boolean), { home: await temporaryFolder() })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout.length).toBeGreaterThan(4)
    },
  )

  it.each([
    [['nonsense'], "unknown command 'nonsense'", 'cadzero-auth'],
    [['stats'], "unknown command 'stats'; did you mean status?", 'cadzero-auth'],
    [['status', '--nonsense'], "unknown option '--nonsense'", 'cadzero-auth status'],
    [['service', 'restart', 'now'], expect.stringMatching(/^too many arguments/), 'cadzero-auth service restart'],
    [['service', 'nonsense'], "unknown command 'nonsense'", 'cadzero-auth service'],
    [
      ['login', '--timeout', 'soon'],
      "option '--timeout <seconds>' argument 'soon' is invalid: not a number of seconds",
      'cadzero-auth login',
    ],
  ])('refers to the help of the command itself for %j', async (args, message, command) => {
    const { code, stderr } = await runProgram([...args, '--json'], { home: await temporaryFolder() })
    expect(code).toBe(2)
    expect(JSON.parse(stderr)).toEqual({ error: { message, exitCode: 2, hint: `run ${command} --help` } })
  })

  it.each([
    [[], /^Usage: cadzero-auth \[options\]/],
    [['login'], /^Usage: cadzero-auth login /],
    [['service', 'logs'], /^Usage: cadzero-auth service logs /],
  ])('shows the help of a command with help %j', async (names, usage) => {
    const home = await temporaryFolder()
    expect((await runProgram(['help', ...names], { home })).stdout).toMatch(usage)
  })

  it.each([
    [['help', 'nope'], 'cadzero-auth'],
    [['help', 'service', 'nope'], 'cadzero-auth service'],
    [['service', 'help', 'nope'], 'cadzero-auth service'],
  ])('refuses an unknown command in %j', async (args, group) => {
    const home = await temporaryFolder()
    const { code, stdout, stderr } = await runProgram([...args, '--json'], { home })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(JSON.parse(stderr)).toEqual({
      error: { message: "unknown command 'nope'", exitCode: 2, hint: `run ${group} --help` },
    })
  })

  it('prints an error as one line of JSON with --json, and as text after --', async () => {
    const home = await temporaryFolder()
    expect(await runProgram(['status', '--no-start', '--json'], { home })).toEqual({
      code: 3,
      stdout: '',
      stderr:
        '{"error":{"message":"no daemon is running","exitCode":3,"hint":"run cadzero-auth status to start it in the background"}}\n',
    })
    const { stderr } = await runProgram(['completion', 'tcsh'], { home })
    expect(stderr).toMatch(
      /^error: .*'tcsh' is invalid for argument 'shell': allowed choices are bash, zsh, fish, powershell\nhint: /,
    )
    expect((await runProgram(['--', '--json'], { home })).stderr).toMatch(/^error: /)
  })

  it.each([
    ['status'],
    ['header'],
    ['login'],
    ['logout'],
    ['refresh'],
    ['authorization'],
    ['rpc', 'status'],
    ['config'],
    ['doctor'],
  ])('exits with 2 for an unknown profile of %s %s', async (...command) => {
    const home = await temporaryFolder()
    stopDaemonAfterTest({ home })
    const { code, stderr } = await runProgram([...command.filter(Boolean), '--profile', 'nowhere'], { home })
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'error: no such profile\nhint: use one of local, staging, production\n',
    })
  })
})
