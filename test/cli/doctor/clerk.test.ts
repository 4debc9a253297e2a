// `doctor --clerk`: what it finds in a Clerk instance, what it changes, and how it treats the secret key.
import { describe, expect, it } from 'vitest'
import { runDoctor } from '../../support/doctor.ts'
import { comeBack, newHandoff } from '../../support/handoff.ts'

describe('doctor --clerk', () => {
  async function newInstance() {
    const world = await newHandoff()
    const { backend } = world.sandbox
    const env = { CLERK_SECRET_KEY: backend.secretKey, CLERK_API_URL: backend.url }
    return { ...world, backend, look: (...args: string[]) => runDoctor(world.home, ['--clerk', ...args], env) }
  }

  it('shows the settings of the instance, and corrects the guide', async () => {
    const { backend, look, start, params, sessionId } = await newInstance()
    backend.addTemplate('cadzero', 900)
    const before = await look()
    expect(before.code).toBe(0)
    expect(before.finding('clerk')).toMatchObject({ verdict: 'ok', found: 'it responds; a development instance' })
    expect(before.finding('template cadzero')).toMatchObject({
      verdict: 'warning',
      found: expect.stringContaining('15 min'),
    })
    expect(before.finding('session limits')).toMatchObject({
      found: expect.stringContaining('unknown without a session'),
    })
    expect(before.finding('guide, option 1')?.found).toContain('10 years')

    await comeBack(await start(), params(await backend.sessionToken(sessionId)))
    const after = await look()
    expect(after.finding('session limits')).toMatchObject({
      found: 'your session ends after 7 days; you then sign in again',
      hint: expect.stringContaining('Dashboard'),
    })
    expect(after.stdout + after.stderr).not.toContain(backend.secretKey)
  })

  it('sets the lifetime of the only template, or of the selected one, and of no other', async () => {
    const { backend, look } = await newInstance()
    expect((await look('--set-template-lifetime', '15m')).stderr).toContain('create one in the Dashboard')
    backend.addTemplate('cadzero', 60)
    const one = await look('--set-template-lifetime', '15m')
    expect(one.finding('template cadzero')?.found).toContain('15 min')
    backend.addTemplate('other', 60)
    const which = await look('--set-template-lifetime', '1h')
    expect({ code: which.code, error: which.error }).toEqual({
      code: 1,
      error: {
        message: 'the instance has several JWT templates',
        hint: 'select one with --template: cadzero, other',
        exitCode: 1,
      },
    })
    const named = await look('--set-template-lifetime', '1h', '--template', 'other')
    expect(named.finding('template cadzero')?.found).toContain('15 min')
    expect(named.finding('template other')?.found).toContain('60 min')
  })

  it.each(['29', '1', '15 m', '-5m', '3651d', '', 'canary'])(
    'refuses %j as a lifetime without a request to Clerk',
    async (text) => {
      const { look, sandbox } = await newInstance()
      const { code, error } = await look(`--set-template-lifetime=${text}`)
      expect({ code, asked: sandbox.requests.length }).toEqual({ code: 2, asked: 0 })
      expect(error).toMatchObject({
        message: 'Clerk does not accept this lifetime',
        hint: expect.stringContaining('30 s'),
      })
    },
  )

  it('reports a missing and a wrong secret key without showing it', async () => {
    const { home, backend } = await newInstance()
    const without = await runDoctor(home, ['--clerk'])
    expect({ code: without.code, said: without.error?.message }).toEqual({
      code: 2,
      said: 'CLERK_SECRET_KEY is missing or wrong',
    })
    const wrong = await runDoctor(home, ['--clerk'], { CLERK_SECRET_KEY: 'sk_test_canary', CLERK_API_URL: backend.url })
    expect(wrong.code).toBe(1)
    expect(wrong.finding('clerk')).toMatchObject({ verdict: 'failed', hint: expect.stringContaining('Dashboard') })
    expect(wrong.stdout + wrong.stderr).not.toContain('canary')
  })

  it('does not send the secret key over plain HTTP', async () => {
    const { home } = await newInstance()
    const env = { CLERK_SECRET_KEY: 'sk_test_canary', CLERK_API_URL: 'http://api.example.com' }
    const { code, error } = await runDoctor(home, ['--clerk'], env)
    expect({ code, said: error?.message }).toEqual({ code: 2, said: 'CLERK_API_URL is wrong' })
  })

  it.each([
    [{ kind: 'drop' }, 'it cannot be reached'],
    [
      { kind: 'respond', status: 429, headers: { 'content-type': 'application/json' }, body: '{"errors":[]}' },
      'it refuses the request: rate limit exceeded',
    ],
    [{ kind: 'respond', status: 503, body: '<html>' }, 'it has a server error'],
  ] as const)('gives a hint if Clerk responds with %j', async (fault, found) => {
    const { look, sandbox } = await newInstance()
    sandbox.script('/v1/instance', fault)
    const { code, finding } = await look()
    expect(code).toBe(1)
    expect(finding('clerk')).toMatchObject({ verdict: 'failed', found, hint: expect.any(String) })
  })
})
