// The doctor on a hand-off profile: keys, sign-in page, broker and redirect port.
import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startBroker } from '../../support/broker.ts'
import { runDoctor } from '../../support/doctor.ts'
import { configure } from '../../support/handoff.ts'
import { temporaryFolder } from '../../support/program.ts'
import { newSandbox } from '../../support/world.ts'

describe('the doctor on a hand-off profile', () => {
  it('finds nothing wrong with public keys, a page that returns the state, and a broker that responds', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    const broker = await startBroker(sandbox)
    await configure(home, sandbox.issuer, { brokerUrl: broker.url })
    const { code, finding } = await runDoctor(home)
    expect(code).toBe(0)
    expect(finding('configuration')).toMatchObject({ verdict: 'ok' })
    expect(finding('provider')).toMatchObject({ verdict: 'ok', found: 'it publishes its public keys' })
    expect(finding('sign-in page')).toMatchObject({ verdict: 'ok' })
    expect(finding('broker')).toMatchObject({ verdict: 'ok', found: 'it responds' })
    expect(finding('tokenInCallback')).toMatchObject({
      verdict: 'ok',
      found: expect.stringMatching(/^on: .*history$/),
      hint: expect.stringContaining('tokenInCallback to false'),
    })
    await configure(home, sandbox.issuer, { brokerUrl: broker.url, tokenInCallback: false })
    expect((await runDoctor(home)).finding('tokenInCallback')).toBeUndefined()
  })

  it('reports a broker that does not serve the issuer of the profile', async () => {
    const [sandbox, other] = [await newSandbox(), await newSandbox()]
    const home = await temporaryFolder()
    const broker = await startBroker(other)
    await configure(home, sandbox.issuer, { brokerUrl: broker.url })
    const { code, stdout } = await runDoctor(home)
    expect(code).toBe(1)
    const findings = JSON.parse(stdout) as { verdict: string }[]
    expect(findings.filter(({ verdict }) => verdict === 'failed')).toMatchObject([
      {
        check: `broker ${broker.url}`,
        found: `it does not serve ${sandbox.issuer}`,
        hint: expect.stringContaining('CADZERO_BROKER_INSTANCES'),
      },
    ])
  })

  it('warns about a page that does not return the state, and about a profile without a refresh', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    await configure(home, sandbox.issuer, { requireState: false, refresh: false })
    const { code, finding } = await runDoctor(home)
    expect(code).toBe(0)
    expect(finding('sign-in page')).toMatchObject({
      verdict: 'warning',
      hint: expect.stringContaining('auth-callback'),
    })
    expect(finding('broker')).toMatchObject({ verdict: 'warning', found: expect.stringContaining('again') })
  })

  it('reports a backend without a broker, an issuer without keys, and a port that is in use on ::1 alone', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    const squatter = createServer()
    await new Promise<void>((resolve) => squatter.listen(0, '::1', resolve))
    onTestFinished(() => void squatter.close())
    const { port } = squatter.address() as { port: number }
    await configure(home, `${sandbox.issuer}/other`, { brokerUrl: sandbox.issuer, redirectPort: port })
    const { code, finding } = await runDoctor(home)
    expect(code).toBe(1)
    expect(finding('provider')).toMatchObject({ verdict: 'failed' })
    expect(finding('broker')).toMatchObject({ verdict: 'failed', found: expect.stringContaining('no broker responds') })
    expect(finding('redirect port')).toMatchObject({ verdict: 'failed', found: expect.stringContaining('EADDRINUSE') })
  })
})
