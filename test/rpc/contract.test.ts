// The params that a client hands over: what is accepted, and how a wrong one is named.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DESKTOP_VARIABLES } from '../../src/host/desktop.ts'
import { methods, parseParams, RpcError } from '../../src/rpc/contract.ts'

const login = (environment: unknown) => parseParams(methods.login.params, { environment })

function issuesOf(environment: unknown): unknown {
  try {
    login(environment)
  } catch (error) {
    return error instanceof RpcError && { code: error.code, ...error.data }
  }
  return undefined
}

describe('the environment of a login', () => {
  it('may have every desktop variable, and none is required', () => {
    const environment = Object.fromEntries(DESKTOP_VARIABLES.map((name) => [name, 'x'.repeat(4096)]))
    expect(login(environment)).toEqual({ environment })
    expect(login({})).toEqual({ environment: {} })
  })

  it.each([
    'PATH',
    'LD_PRELOAD',
    'HOME',
    'NODE_OPTIONS',
    'CADZERO_AUTH_BROWSER',
    'display',
    'DISPLAY ',
    '__proto__x',
    'secret.name',
    '',
  ])('has no variable %j', (name) => {
    const issues = [{ path: 'environment', expected: 'no other names than rpc.discover lists' }]
    expect(issuesOf({ DISPLAY: ':0', [name]: 'canary' })).toEqual({ code: -32602, issues })
  })

  it.each([
    ['longer than 4 KiB', 'x'.repeat(4097)],
    ['with a zero byte', 'a\0b'],
    ['that is no text', 7],
    ['that is null', null],
  ])('has no value %s', (_name, value) => {
    expect(issuesOf({ DISPLAY: value })).toMatchObject({ code: -32602, issues: [{ path: 'environment.DISPLAY' }] })
    expect(JSON.stringify(issuesOf({ DISPLAY: value }))).not.toContain('xxx')
  })

  it('has the names that the Python client hands over, and no other', () => {
    const source = readFileSync(new URL('../../embed/python/cadzero_auth/desktop.py', import.meta.url), 'utf8')
    const [, names = ''] = /NAMES = \(([^)]*)\)/.exec(source) ?? []
    expect([...names.matchAll(/'(\w+)'/g)].map(([, name]) => name)).toEqual([...DESKTOP_VARIABLES])
  })

  it('is an object', () => {
    expect(issuesOf(['DISPLAY'])).toMatchObject({ code: -32602 })
    expect(issuesOf('DISPLAY=:0')).toMatchObject({ code: -32602 })
  })
})
