// `rpc` and `authorization`, and what a developer learns from the daemon with them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { runProgram } from '../support/program.ts'
import { newWorld } from '../support/world.ts'

describe('rpc', () => {
  it('calls a method and prints its result', async () => {
    const { home, env, signIn } = await newWorld()
    await signIn()
    const { stdout } = await runProgram(['rpc', 'status'], { home, env })
    expect(JSON.parse(stdout)).toMatchObject({ state: 'signed_in' })
  })

  it('explains an unknown method and a wrong param', async () => {
    const { home, env } = await newWorld()
    expect(await runProgram(['rpc', 'nothing'], { home, env })).toMatchObject({
      code: 1,
      stderr: 'error: Method not found\nhint: run cadzero-auth rpc rpc.discover to list the methods\n',
    })
    const params = '{"minValiditySeconds":"long"}'
    expect(await runProgram(['rpc', 'getAuthHeader', params], { home, env })).toMatchObject({
      code: 2,
      stderr: 'error: invalid params\nhint: minValiditySeconds should be number\n',
    })
  })
})

describe('authorization', () => {
  const WSCAT = fileURLToPath(new URL('../../node_modules/wscat/bin/wscat', import.meta.url))

  it('prints a header with which any WebSocket client connects once', async () => {
    const { home, env } = await newWorld()
    const url = (await runProgram(['authorization', '--url'], { home, env })).stdout.trim()
    const header = (await runProgram(['authorization'], { home, env })).stdout.trim()
    const wscat = async () => {
      const call = '{"jsonrpc":"2.0","method":"status","id":1}'
      const args = [WSCAT, '-c', url, '-s', 'cadzero-auth.v1', '-H', header, '-x', call, '-w', '1']
      const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
      await once(child, 'close')
      return output
    }
    expect(await wscat()).toContain('"state":"signed_out"')
    expect(await wscat()).toContain('403')
  })
})

describe('a developer', () => {
  it('learns every method, its params and its errors from rpc.discover', async () => {
    const { client } = await newWorld()
    const document = (await client.callAny('rpc.discover')) as {
      openrpc: string
      methods: {
        name: string
        params: { name: string; required: boolean; schema: object }[]
        errors: { code: number }[]
      }[]
    }
    expect(document.openrpc).toMatch(/^1\./)
    expect(document.methods.map(({ name }) => name)).toEqual([
      'getAuthHeader',
      'refresh',
      'login',
      'cancelLogin',
      'logout',
      'importSession',
      'status',
      'diagnose',
      'shutdown',
      'rpc.discover',
    ])
    const [getAuthHeader] = document.methods
    expect(getAuthHeader?.params).toEqual([
      { name: 'profile', required: false, schema: expect.objectContaining({ type: 'string' }) },
      { name: 'minValiditySeconds', required: false, schema: expect.objectContaining({ type: 'number', minimum: 0 }) },
      { name: 'interactive', required: false, schema: { type: 'boolean' } },
      { name: 'userAsked', required: false, schema: { type: 'boolean' } },
    ])
    expect(getAuthHeader?.errors.map(({ code }) => code)).toEqual([1001, 1002, 1003, 1004, 1005, 1006, 1007])
  })

  it('learns which param is wrong and what it should be', async () => {
    const { client } = await newWorld()
    const wrong: [string, unknown][] = [
      ['getAuthHeader', { minValiditySeconds: -1 }],
      ['getAuthHeader', { minValiditySeconds: 'x' }],
      ['getAuthHeader', { interactive: 1 }],
      ['getAuthHeader', ['production']],
      ['getAuthHeader', { profil: 'x' }],
      ['refresh', { rejected: 1 }],
      ['login', { timeoutSeconds: 0 }],
      ['login', { wait: 'yes' }],
      ['logout', { profile: 1 }],
      ['status', { profile: '' }],
    ]
    for (const [method, params] of wrong) {
      await expect(client.callAny(method, params), `${method} ${JSON.stringify(params)}`).rejects.toMatchObject({
        code: -32602,
        data: { issues: [{ path: expect.any(String), expected: expect.any(String) }] },
      })
    }
  })
})
