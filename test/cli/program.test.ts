// The arguments of the command line: usage errors, help and the version.
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { runProgram, temporaryFolder } from '../support/program.ts'

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

  it.each([['--help'], ['--version'], ['login', '--help'], ['status', '--help']])(
    'prints to standard output and exits with 0 for %s %s',
    async (...args) => {
      const { code, stdout, stderr } = await runProgram(args.filter(Boolean), { home: await temporaryFolder() })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout.length).toBeGreaterThan(4)
    },
  )
})
