// The broker's environment variables: what they mean, and that an error names the variable but never its value.
import { describe, expect, it } from 'vitest'
import { readSettings, SettingError } from '../../src/broker/settings.ts'
import { newKey } from '../support/broker.ts'
import { runProgram, temporaryFolder } from '../support/program.ts'

const key = newKey()
const REQUIRED = {
  CLERK_SECRET_KEY: 'sk_test_canary',
  CADZERO_BROKER_KEY: key.toString('base64url'),
  CADZERO_BROKER_INSTANCES: 'https://clerk.example.com',
}

function errorOf(env: Record<string, string>): SettingError {
  try {
    readSettings({ ...REQUIRED, ...env })
  } catch (error) {
    if (error instanceof SettingError) return error
    throw error
  }
  return expect.unreachable('the settings are accepted')
}

describe('the broker’s settings', () => {
  it('have defaults for all but the three required variables', () => {
    expect(readSettings(REQUIRED)).toEqual({
      options: {
        secretKey: 'sk_test_canary',
        keys: [key],
        issuers: ['https://clerk.example.com'],
        authorizedParties: [],
      },
      host: '127.0.0.1',
      port: 8787,
    })
  })

  it('treat an empty optional variable as unset', () => {
    const empty = { CLERK_API_URL: '', CLERK_JWT_KEY: '', CADZERO_BROKER_TEMPLATE: '', CADZERO_BROKER_PORT: '' }
    expect(readSettings({ ...REQUIRED, ...empty })).toEqual(readSettings(REQUIRED))
  })

  it('take every variable', () => {
    const older = newKey()
    const jwtKey = '-----BEGIN PUBLIC KEY-----'
    const settings = readSettings({
      CLERK_SECRET_KEY: 'sk_live_canary',
      CLERK_API_URL: 'http://127.0.0.1:1',
      CLERK_JWT_KEY: jwtKey,
      CADZERO_BROKER_KEY: `${key.toString('base64url')}, ${older.toString('base64url')}`,
      CADZERO_BROKER_INSTANCES: 'https://clerk.example.com, https://clerk.other.example',
      CADZERO_BROKER_TEMPLATE: 'cadzero',
      CADZERO_BROKER_TOKEN_SECONDS: '900',
      CADZERO_BROKER_AUTHORIZED_PARTIES: 'https://www.example.com,https://example.com',
      CADZERO_BROKER_HOST: '::1',
      CADZERO_BROKER_PORT: '0',
    })
    expect(settings).toEqual({
      options: {
        secretKey: 'sk_live_canary',
        apiUrl: 'http://127.0.0.1:1',
        jwtKey,
        keys: [key, older],
        issuers: ['https://clerk.example.com', 'https://clerk.other.example'],
        template: 'cadzero',
        tokenSeconds: 900,
        authorizedParties: ['https://www.example.com', 'https://example.com'],
      },
      host: '::1',
      port: 0,
    })
  })

  it.each(['CLERK_SECRET_KEY', 'CADZERO_BROKER_KEY', 'CADZERO_BROKER_INSTANCES'])('require %s', (name) => {
    const { variable, message, hint } = errorOf({ [name]: '' })
    expect({ variable, message }).toEqual({ variable: name, message: `${name} is missing` })
    expect(hint).toContain(`set ${name} to `)
  })

  it.each([
    ['CLERK_SECRET_KEY', 'pk_test_canary'],
    ['CADZERO_BROKER_KEY', 'too-short-canary'],
    ['CADZERO_BROKER_KEY', `${key.toString('base64url')},too-short-canary`],
    ['CADZERO_BROKER_INSTANCES', 'http://clerk.example.com/canary'],
    ['CADZERO_BROKER_INSTANCES', 'https://clerk.example.com,canary'],
    ['CADZERO_BROKER_PORT', 'canary'],
    ['CADZERO_BROKER_PORT', '65536'],
    ['CADZERO_BROKER_TOKEN_SECONDS', '29'],
    ['CADZERO_BROKER_TOKEN_SECONDS', '315360001'],
    ['CADZERO_BROKER_TEMPLATE', '../canary'],
    ['CLERK_API_URL', 'ftp://canary'],
    ['CLERK_JWT_KEY', 'canary'],
  ])('refuse %s=%s without repeating the value', (name, value) => {
    const { variable, message, hint } = errorOf({ [name]: value })
    expect({ variable, message }).toEqual({ variable: name, message: `${name} is invalid` })
    expect(hint).toContain(`set ${name} to `.replace('set CLERK_API_URL to ', 'unset CLERK_API_URL'))
    expect(hint).not.toContain('canary')
  })

  it('end the command with exit code 2, an error and a hint if one is invalid', async () => {
    const env = { ...REQUIRED, CADZERO_BROKER_PORT: 'canary' }
    const { code, stderr } = await runProgram(['broker'], { home: await temporaryFolder(), env })
    expect(code).toBe(2)
    expect(stderr).toBe(
      'error: CADZERO_BROKER_PORT is invalid\nhint: set CADZERO_BROKER_PORT to a whole number from 0 to 65535\n',
    )
  })
})
