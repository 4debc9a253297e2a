// The check of the settings against Clerk at the start: a mistake ends the start, an outage of Clerk does not.
import { createPublicKey, generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type CheckedInstance, checkInstance } from '../../src/broker/instance-check.ts'
import { systemClock } from '../../src/host/clock.ts'
import { limitedFetch } from '../../src/host/network.ts'
import { brokerEnv } from '../support/broker-process.ts'
import { runProgram, temporaryFolder } from '../support/program.ts'
import { newSandbox } from '../support/world.ts'

const hostFetch = limitedFetch((url, init) => fetch(url, init as RequestInit), systemClock)

async function problemsOf(
  change: (instance: CheckedInstance) => Partial<CheckedInstance> | Promise<Partial<CheckedInstance>>,
) {
  const sandbox = await newSandbox()
  const { secretKey, url: apiUrl } = sandbox.backend
  const instance = { secretKey, apiUrl, issuers: [sandbox.issuer] }
  const problems = await checkInstance({ ...instance, ...(await change(instance)) }, hostFetch)
  return problems.map(({ variable, problem }) => `${variable} ${problem}`)
}

const newPem = () =>
  String(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }))

describe('the check at the start', () => {
  it('finds nothing wrong with right settings, also with the instance’s own public key', async () => {
    expect(await problemsOf(() => ({}))).toEqual([])
    const found = await problemsOf(async ({ apiUrl }) => {
      const { keys } = (await (await fetch(`${apiUrl}/.well-known/jwks.json`)).json()) as { keys: object[] }
      const key = createPublicKey({ key: keys[0] as JsonWebKey, format: 'jwk' })
      return { jwtKey: String(key.export({ type: 'spki', format: 'pem' })) }
    })
    expect(found).toEqual([])
  })

  it('finds a secret key that Clerk does not know', async () => {
    expect(await problemsOf(() => ({ secretKey: 'sk_test_other' }))).toEqual(['CLERK_SECRET_KEY is not known to Clerk'])
  })

  it('finds an instance that the secret key does not belong to', async () => {
    const other = await newSandbox()
    await other.rotateKeys() // sandboxes share their first key
    const problems = await problemsOf(() => ({ issuers: [other.issuer] }))
    expect(problems).toEqual(['CADZERO_BROKER_INSTANCES has another instance than that of CLERK_SECRET_KEY'])
  })

  it('finds an issuer that the metadata spells otherwise', async () => {
    const problems = await problemsOf(({ issuers }) => ({
      issuers: issuers.map((issuer) => issuer.replace('127.0.0.1', 'localhost')),
    }))
    expect(problems).toEqual(['CADZERO_BROKER_INSTANCES has an issuer that its metadata spells otherwise'])
  })

  it('finds the public key of another instance', async () => {
    expect(await problemsOf(() => ({ jwtKey: newPem() }))).toEqual(['CLERK_JWT_KEY is a key of another instance'])
  })

  it('lets the broker start while Clerk is down', async () => {
    const dead = 'http://127.0.0.1:1'
    expect(await problemsOf(() => ({ apiUrl: dead, issuers: [dead], jwtKey: newPem() }))).toEqual([])
  })

  it.each([
    ['/v1/jwks', 500],
    ['/.well-known/jwks.json', 503],
    ['/.well-known/openid-configuration', 500],
  ])('lets the broker start if %s answers %i', async (path, status) => {
    const sandbox = await newSandbox()
    sandbox.script(path, { kind: 'respond', status })
    const { secretKey, url: apiUrl } = sandbox.backend
    expect(await checkInstance({ secretKey, apiUrl, issuers: [sandbox.issuer] }, hostFetch)).toEqual([])
  })

  it('ends the command with exit code 2, and repeats no secret', async () => {
    const env = await brokerEnv(await newSandbox(), { CLERK_SECRET_KEY: 'sk_test_canary' })
    const { code, stderr } = await runProgram(['broker'], { home: await temporaryFolder(), env })
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        'error: CLERK_SECRET_KEY is not known to Clerk\nhint: set CLERK_SECRET_KEY to a new secret key: Clerk shows each one only when it is created\n',
    })
  })
})
