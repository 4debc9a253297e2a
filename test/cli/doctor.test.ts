// The doctor on a hand-off profile and on a Clerk instance: what it finds, what it says to do, and what it changes.
import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Finding } from '../../src/cli/doctor/doctor.ts'
import { startBroker } from '../support/broker.ts'
import { comeBack, configure, newHandoff } from '../support/handoff.ts'
import { runProgram, temporaryFolder } from '../support/program.ts'
import { newSandbox } from '../support/world.ts'

async function doctor(home: string, args: string[] = [], env: Record<string, string> = {}) {
  const ended = await runProgram(['doctor', '--json', ...args], { home, env })
  const findings = ended.stdout === '' ? [] : (JSON.parse(ended.stdout) as Finding[])
  return { ...ended, finding: (check: string) => findings.find((one) => one.check.startsWith(check)) }
}

describe('the doctor on a hand-off profile', () => {
  it('is content with keys, a page with a state, and a broker that answers', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    const broker = await startBroker(sandbox)
    await configure(home, sandbox.issuer, { brokerUrl: broker.url })
    const { code, finding } = await doctor(home)
    expect(code).toBe(0)
    expect(finding('configuration')).toMatchObject({ verdict: 'ok' })
    expect(finding('provider')).toMatchObject({ verdict: 'ok', found: 'it gives its public keys' })
    expect(finding('sign-in page')).toMatchObject({ verdict: 'ok' })
    expect(finding('broker')).toMatchObject({ verdict: 'ok', found: 'it answers' })
  })

  it('warns of a page without a state, and of nothing that refreshes', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    await configure(home, sandbox.issuer, { requireState: false, refresh: false })
    const { code, finding } = await doctor(home)
    expect(code).toBe(0)
    expect(finding('sign-in page')).toMatchObject({
      verdict: 'warning',
      hint: expect.stringContaining('auth-callback'),
    })
    expect(finding('broker')).toMatchObject({ verdict: 'warning', found: expect.stringContaining('again') })
  })

  it('finds a backend that is no broker, an issuer that is no Clerk, and a port that is taken on ::1 alone', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    const squatter = createServer()
    await new Promise<void>((resolve) => squatter.listen(0, '::1', resolve))
    onTestFinished(() => void squatter.close())
    const { port } = squatter.address() as { port: number }
    await configure(home, `${sandbox.issuer}/other`, { brokerUrl: sandbox.issuer, redirectPort: port })
    const { code, finding } = await doctor(home)
    expect(code).toBe(1)
    expect(finding('provider')).toMatchObject({ verdict: 'failed' })
    expect(finding('broker')).toMatchObject({ verdict: 'failed', found: expect.stringContaining('no broker answers') })
    expect(finding('redirect port')).toMatchObject({ verdict: 'failed', found: expect.stringContaining('EADDRINUSE') })
  })
})

it('the doctor warns of a browser that is none', async () => {
  const { finding } = await doctor(await temporaryFolder(), [], { CADZERO_AUTH_BROWSER: '/no/such/browser' })
  expect(finding('browser')).toMatchObject({ verdict: 'warning', found: expect.stringContaining('/no/such/browser') })
})

describe('doctor --clerk', () => {
  async function newInstance() {
    const world = await newHandoff()
    const { backend } = world.sandbox
    const env = { CLERK_SECRET_KEY: backend.secretKey, CLERK_API_URL: backend.url }
    return { ...world, backend, look: (...args: string[]) => doctor(world.home, ['--clerk', ...args], env) }
  }

  it('shows what the instance is set to, and says where the guide is wrong', async () => {
    const { backend, look, start, params, sessionId } = await newInstance()
    backend.addTemplate('cadzero', 900)
    const before = await look()
    expect(before.code).toBe(0)
    expect(before.finding('clerk')).toMatchObject({ verdict: 'ok', found: 'it answers; a development instance' })
    expect(before.finding('template cadzero')).toMatchObject({
      verdict: 'warning',
      found: expect.stringContaining('15 min'),
    })
    expect(before.finding('session limits')).toMatchObject({ found: expect.stringContaining('not to be seen') })
    expect(before.finding('guide, option 1')?.found).toContain('10 years')

    await comeBack(await start(), params(await backend.sessionToken(sessionId)))
    const after = await look()
    expect(after.finding('session limits')).toMatchObject({
      found: 'a session ends after 7 days; then a person signs in again',
      hint: expect.stringContaining('Dashboard'),
    })
    expect(after.stdout + after.stderr).not.toContain(backend.secretKey)
  })

  it('sets the lifetime of the one template, or of the one that is named, and of no other', async () => {
    const { backend, look } = await newInstance()
    expect((await look('--set-template-lifetime', '15m')).stderr).toContain('make one in the Dashboard first')
    backend.addTemplate('cadzero', 60)
    const one = await look('--set-template-lifetime', '15m')
    expect(one.finding('template cadzero')?.found).toContain('15 min')
    backend.addTemplate('other', 60)
    const which = await look('--set-template-lifetime', '1h')
    expect({ code: which.code, said: which.stderr }).toEqual({
      code: 1,
      said: 'error: which template?\nhint: name one with --template: cadzero, other\n',
    })
    const named = await look('--set-template-lifetime', '1h', '--template', 'other')
    expect(named.finding('template cadzero')?.found).toContain('15 min')
    expect(named.finding('template other')?.found).toContain('60 min')
  })

  it.each(['29', '1', '15 m', '-5m', '3651d', '', 'canary'])(
    'refuses %j as a lifetime before it asks Clerk',
    async (text) => {
      const { look, sandbox } = await newInstance()
      const { code, stderr } = await look(`--set-template-lifetime=${text}`)
      expect({ code, asked: sandbox.requests.length }).toEqual({ code: 2, asked: 0 })
      expect(stderr).toMatch(/^error: no lifetime that Clerk takes\nhint: .*30 s/)
    },
  )

  it('says what is wrong with the key, without showing it', async () => {
    const { home, backend } = await newInstance()
    const without = await doctor(home, ['--clerk'])
    expect({ code: without.code, said: without.stderr.split('\n')[0] }).toEqual({
      code: 2,
      said: 'error: CLERK_SECRET_KEY is missing or wrong',
    })
    const wrong = await doctor(home, ['--clerk'], { CLERK_SECRET_KEY: 'sk_test_canary', CLERK_API_URL: backend.url })
    expect(wrong.code).toBe(1)
    expect(wrong.finding('clerk')).toMatchObject({ verdict: 'failed', hint: expect.stringContaining('Dashboard') })
    expect(wrong.stdout + wrong.stderr).not.toContain('canary')
  })

  it('sends the key to no place that is not safe', async () => {
    const { home } = await newInstance()
    const env = { CLERK_SECRET_KEY: 'sk_test_canary', CLERK_API_URL: 'http://api.example.com' }
    const { code, stderr } = await doctor(home, ['--clerk'], env)
    expect({ code, said: stderr.split('\n')[0] }).toEqual({ code: 2, said: 'error: CLERK_API_URL is wrong' })
  })

  it.each([
    [{ kind: 'drop' }, 'it cannot be reached'],
    [
      { kind: 'answer', status: 429, headers: { 'content-type': 'application/json' }, body: '{"errors":[]}' },
      'it is asked too often',
    ],
    [{ kind: 'answer', status: 503, body: '<html>' }, 'it has a problem of its own'],
  ] as const)('says what to do where Clerk answers with %j', async (fault, found) => {
    const { look, sandbox } = await newInstance()
    sandbox.script('/v1/instance', fault)
    const { code, finding } = await look()
    expect(code).toBe(1)
    expect(finding('clerk')).toMatchObject({ verdict: 'failed', found, hint: expect.any(String) })
  })
})
