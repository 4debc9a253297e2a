// The broker’s options: a mistake is an error when the broker is made, and says which option is wrong.
import { describe, expect, it } from 'vitest'
import { type BrokerOptions, createBroker } from '../../src/broker/broker.ts'
import { brokerOptions, newKey } from '../support/broker.ts'
import { newSandbox } from '../support/world.ts'

const PEM = '-----BEGIN PUBLIC KEY-----\ncanary\n-----END PUBLIC KEY-----'

describe('createBroker', () => {
  it.each<[keyof BrokerOptions, unknown]>([
    ['secretKey', undefined],
    ['secretKey', ''],
    ['secretKey', 'pk_test_canary'],
    ['keys', undefined],
    ['keys', []],
    ['keys', [Buffer.from('canary')]],
    ['keys', [newKey(), newKey().subarray(1)]],
    ['keys', ['canarycanarycanarycanarycanary00']],
    ['issuers', undefined],
    ['issuers', []],
    ['issuers', ['https://canary.example/']],
    ['issuers', ['http://canary.example']],
    ['issuers', ['canary.example']],
    ['publicUrl', undefined],
    ['publicUrl', 'https://canary.example/'],
    ['publicUrl', 'https://canary.example?x'],
    ['publicUrl', 'http://canary.example'],
    ['authorizedParties', undefined],
    ['authorizedParties', []],
    ['authorizedParties', ['https://canary.example/']],
    ['authorizedParties', ['https://canary.example/path']],
    ['authorizedParties', ['https://CANARY.example']],
    ['authorizedParties', ['*']],
    ['audience', ''],
    ['apiUrl', 'http://canary.example'],
    ['jwtKey', PEM],
    ['jwtKey', 'canary'],
    ['template', ''],
    ['tokenSeconds', 5],
    ['tokenSeconds', Number.NaN],
    ['sessionSeconds', 299],
    ['refreshTokenSeconds', -1],
    ['chainSeconds', Number.POSITIVE_INFINITY],
    ['deadlineSeconds', 0],
    ['requestsPerMinute', 0],
    ['sessionTokens', 'canary'],
  ])('throws at once for %s: %j, and does not repeat the value', async (name, value) => {
    const options = { ...brokerOptions(await newSandbox()), [name]: value } as BrokerOptions
    let thrown: unknown
    try {
      createBroker(options)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(TypeError)
    expect(String(thrown)).toContain(`${name}: expected `)
    expect(String(thrown)).not.toContain('canary')
  })

  it('throws for a date until which bearer tokens are accepted, while it goes on issuing them', async () => {
    const contradiction = { sessionTokens: 'unbound', unboundUntil: 1_800_000_000 } as const
    const options = brokerOptions(await newSandbox(), contradiction)
    expect(() => createBroker(options)).toThrow(/^unboundUntil: expected /)
  })

  it('asks Clerk nothing before it is started', async () => {
    const sandbox = await newSandbox()
    const broker = createBroker(brokerOptions(sandbox))
    expect({ ready: broker.isReady(), requests: sandbox.requests }).toEqual({ ready: false, requests: [] })
    const arrived = sandbox.arrived('/v1/jwks')
    broker.start()
    await arrived
    await expect.poll(() => broker.isReady()).toBe(true)
    broker.close()
  })
})
