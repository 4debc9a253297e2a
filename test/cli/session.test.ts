// `header`, `refresh`, `status` and `logout`: their output, their errors and their exit codes.
import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { requestHeader } from '../../src/cli/session.ts'
import { INVALID_PARAMS, RpcError } from '../../src/rpc/contract.ts'
import { runProgram, spawnProgram } from '../support/program.ts'
import { newWorld } from '../support/world.ts'

async function newCommands() {
  const world = await newWorld()
  return { ...world, run: (...args: string[]) => runProgram(args, world) }
}

describe('header and refresh', () => {
  it('exit with 4 and a hint to sign in if no user is signed in', async () => {
    const { run } = await newCommands()
    const { code, stdout, stderr } = await run('header')
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toBe('error: you are not signed in\nhint: cadzero-auth login\n')
    const { error } = JSON.parse((await run('header', '--json')).stderr)
    expect(error).toMatchObject({ code: 1001, reason: 'signed_out', exitCode: 4, hint: 'cadzero-auth login' })
    const staging = await run('header', '--profile', 'staging')
    expect(staging.stderr).toMatch(/hint: cadzero-auth login --profile staging\n$/)
  })

  it('print the current header and a new one', async () => {
    const { run, signIn, client } = await newCommands()
    await signIn()
    const { headers } = await client.call('getAuthHeader')
    const header = await run('header')
    expect(header).toEqual({ code: 0, stdout: `Authorization: ${headers.Authorization}\n`, stderr: '' })
    expect(JSON.parse((await run('header', '--json')).stdout)).toMatchObject({ headers })
    const refreshed = JSON.parse((await run('refresh', '--json')).stdout)
    expect(refreshed.headers.Authorization).not.toBe(headers.Authorization)
  })
})

describe('header --interactive', () => {
  const params = { interactive: false }
  const header = { headers: { Authorization: 'Bearer x' }, expiresAt: 1, refreshAt: 1 }

  it('tells the daemon that a person has asked, and otherwise not', async () => {
    const call = vi.fn(async () => header)
    const client = { call } as unknown as Parameters<typeof requestHeader>[0]
    await requestHeader(client, params, true)
    expect(call).toHaveBeenLastCalledWith('getAuthHeader', { interactive: false, userAsked: true })
    await requestHeader(client, params, false)
    expect(call).toHaveBeenLastCalledWith('getAuthHeader', params)
  })

  it('works with a daemon of an earlier version', async () => {
    const call = vi.fn(async () => header).mockRejectedValueOnce(new RpcError(INVALID_PARAMS, 'invalid params'))
    const client = { call } as unknown as Parameters<typeof requestHeader>[0]
    expect(await requestHeader(client, params, true)).toEqual(header)
    expect(call).toHaveBeenLastCalledWith('getAuthHeader', params)
  })
})

describe('status', () => {
  it('shows the user and how the session is stored, but no token', async () => {
    const { run, signIn, sandbox, client } = await newCommands()
    await signIn()
    const { headers } = await client.call('getAuthHeader')
    const { code, stdout } = await run('status')
    expect(code).toBe(0)
    for (const text of [
      'signed in',
      'Ada Lovelace <ada@example.com>',
      sandbox.user.id,
      'on disk, encrypted',
      'keyfile',
    ]) {
      expect(stdout).toContain(text)
    }
    expect(stdout).not.toContain(headers.Authorization.slice(7, 40))
  })

  it('shows each change with --watch, until the daemon stops', async () => {
    const { home, env, signIn, daemon } = await newWorld()
    const watching = spawnProgram(['status', '--watch', '--json'], { home, env })
    await once(watching.child.stdout, 'data')
    await signIn()
    await daemon.stop()
    const { stdout } = await watching.ended
    const states = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).state)
    expect(states[0]).toBe('signed_out')
    expect(states).toContain('signing_in')
    expect(states.at(-1)).toBe('signed_in')
  })

  it('refuses an unknown profile and names the known ones', async () => {
    const { run } = await newCommands()
    const { code, stderr } = await run('status', '--profile', 'nowhere')
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'error: no such profile\nhint: use one of local, staging, production\n',
    })
  })
})

describe('logout', () => {
  it('says that a token in use stays valid, and leaves no session', async () => {
    const { run, signIn } = await newCommands()
    await signIn()
    const { code, stdout, stderr } = await run('logout')
    expect(code).toBe(0)
    expect(stdout).toContain('signed out')
    expect(stderr).toContain('stays valid until')
    expect((await run('header')).code).toBe(4)
  })
})
