// The broker's environment variables: what they mean, what they are normalised to, and that an error never repeats a value.
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Environment, readSecretFiles, readSettings, SECRETS, SettingsError } from '../../src/broker/settings.ts'
import { systemFiles } from '../../src/host/files.ts'
import { newKey } from '../support/broker.ts'
import { runProgram, temporaryFolder } from '../support/program.ts'

const key = newKey()
const REQUIRED = {
  CLERK_SECRET_KEY: 'sk_live_canary',
  CADZERO_BROKER_KEY: key.toString('base64url'),
  CADZERO_BROKER_INSTANCES: 'https://clerk.example.com',
  CADZERO_BROKER_PUBLIC_URL: 'https://api.example.com',
  CADZERO_BROKER_AUTHORIZED_PARTIES: 'https://www.example.com',
}
const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = String(publicKey.export({ type: 'spki', format: 'pem' }))

function errorOf(env: Environment, problems: SettingsError['problems'] = []): SettingsError {
  try {
    readSettings({ ...REQUIRED, ...env }, problems)
  } catch (error) {
    if (error instanceof SettingsError) return error
    throw error
  }
  return expect.unreachable('the settings are accepted')
}

const optionsOf = (env: Environment) => readSettings({ ...REQUIRED, ...env }).options

describe('the broker’s settings', () => {
  it('have defaults for all but the required variables', () => {
    expect(readSettings(REQUIRED)).toEqual({
      options: {
        secretKey: 'sk_live_canary',
        keys: [key],
        issuers: ['https://clerk.example.com'],
        publicUrl: 'https://api.example.com',
        authorizedParties: ['https://www.example.com'],
      },
      listener: { host: '127.0.0.1', port: 8787 },
      metricsListener: undefined,
      trustedHops: undefined,
      redisUrl: undefined,
      unknown: [],
      drainSeconds: 5,
    })
  })

  it('treat an empty optional variable as unset', () => {
    const empty = { CLERK_API_URL: '', CLERK_JWT_KEY: '', CADZERO_BROKER_TEMPLATE: ' ', CADZERO_BROKER_PORT: '' }
    expect(readSettings({ ...REQUIRED, ...empty })).toEqual(readSettings(REQUIRED))
  })

  it('take every variable', () => {
    const older = newKey()
    const settings = readSettings({
      ...REQUIRED,
      CLERK_API_URL: 'http://127.0.0.1:1',
      CLERK_JWT_KEY: pem,
      CADZERO_BROKER_KEY: `${key.toString('base64url')}, ${older.toString('base64url')}`,
      CADZERO_BROKER_INSTANCES: 'https://clerk.example.com, https://clerk.other.example',
      CADZERO_BROKER_AUDIENCE: 'cadzero-broker',
      CADZERO_BROKER_TEMPLATE: 'cadzero',
      CADZERO_BROKER_TOKEN_SECONDS: '900',
      CADZERO_BROKER_SESSION_SECONDS: '2592000',
      CADZERO_BROKER_SESSION_TOKENS: 'off',
      CADZERO_BROKER_REFRESH_TOKEN_SECONDS: '86400',
      CADZERO_BROKER_CHAIN_SECONDS: '864000',
      CADZERO_BROKER_UNBOUND_UNTIL: '2027-03-31',
      CADZERO_BROKER_AUTHORIZED_PARTIES: 'https://www.example.com,https://example.com',
      CADZERO_BROKER_HOST: '::1',
      CADZERO_BROKER_PORT: '0',
      CADZERO_BROKER_METRICS_HOST: '0.0.0.0',
      CADZERO_BROKER_METRICS_PORT: '9464',
      CADZERO_BROKER_TRUSTED_HOPS: '1',
      CADZERO_BROKER_REDIS_URL: 'rediss://user:canary@redis.example.com:6380/1',
      CADZERO_BROKER_USER_REQUESTS: '10',
      CADZERO_BROKER_ADDRESS_REQUESTS: '100',
      CADZERO_BROKER_CLERK_REQUESTS: '500',
      CADZERO_BROKER_MAX_IN_FLIGHT: '64',
      CADZERO_BROKER_DRAIN_SECONDS: '0',
    })
    expect(settings).toEqual({
      options: {
        secretKey: 'sk_live_canary',
        apiUrl: 'http://127.0.0.1:1',
        jwtKey: pem,
        keys: [key, older],
        issuers: ['https://clerk.example.com', 'https://clerk.other.example'],
        publicUrl: 'https://api.example.com',
        audience: 'cadzero-broker',
        template: 'cadzero',
        tokenSeconds: 900,
        sessionSeconds: 2_592_000,
        sessionTokens: 'off',
        refreshTokenSeconds: 86_400,
        chainSeconds: 864_000,
        requestsPerMinute: 10,
        requestsPerMinuteOfAddress: 100,
        clerkRequestsIn10Seconds: 500,
        maxInFlight: 64,
        unboundUntil: Date.parse('2027-03-31T23:59:59Z') / 1000,
        authorizedParties: ['https://www.example.com', 'https://example.com'],
      },
      listener: { host: '::1', port: 0 },
      metricsListener: { host: '0.0.0.0', port: 9464 },
      trustedHops: 1,
      redisUrl: 'rediss://user:canary@redis.example.com:6380/1',
      unknown: [],
      drainSeconds: 0,
    })
  })

  it.each([
    ['a slash at the end', 'https://clerk.example.com/'],
    ['upper case and the default port', 'HTTPS://Clerk.Example.com:443'],
    ['white space and an empty part', ' https://clerk.example.com , '],
  ])('take an instance with %s as Clerk writes it', (_, value) => {
    expect(optionsOf({ CADZERO_BROKER_INSTANCES: value }).issuers).toEqual(['https://clerk.example.com'])
    expect(optionsOf({ CADZERO_BROKER_PUBLIC_URL: value.replaceAll(/[ ,]/g, '') })).toHaveProperty(
      'publicUrl',
      'https://clerk.example.com',
    )
  })

  it('take the origin of a page with a slash at the end', () => {
    const env = { CADZERO_BROKER_AUTHORIZED_PARTIES: 'https://WWW.example.com/,http://localhost:5173' }
    expect(optionsOf(env).authorizedParties).toEqual(['https://www.example.com', 'http://localhost:5173'])
  })

  it.each([
    ['with written-out line breaks', pem.replaceAll('\n', '\\n')],
    ['in quotes', `"${pem}"`],
    ['in quotes with written-out line breaks', `'${pem.replaceAll('\n', '\\n')}'`],
    ['on one line', pem.replaceAll('\n', ' ')],
    ['with Windows line ends', pem.replaceAll('\n', '\r\n')],
  ])('take a public key %s', (_, text) => {
    expect(optionsOf({ CLERK_JWT_KEY: text }).jwtKey).toBe(pem)
  })

  it.each(Object.keys(REQUIRED))('require %s', (name) => {
    const { problems, hint } = errorOf({ [name]: '' })
    expect(problems).toMatchObject([{ variable: name, problem: 'is missing' }])
    expect(hint).toContain(`set ${name} to `)
  })

  it.each([
    ['CLERK_SECRET_KEY', 'pk_test_canary'],
    ['CADZERO_BROKER_KEY', 'too-short-canary'],
    ['CADZERO_BROKER_KEY', `${key.toString('base64url')},too-short-canary`],
    ['CADZERO_BROKER_KEY', ','],
    ['CADZERO_BROKER_INSTANCES', 'http://clerk.example.com/canary'],
    ['CADZERO_BROKER_INSTANCES', 'https://clerk.example.com,canary'],
    ['CADZERO_BROKER_PUBLIC_URL', 'http://api.example.com/canary'],
    ['CADZERO_BROKER_PUBLIC_URL', 'https://api.example.com/canary/api/auth/'],
    ['CADZERO_BROKER_AUTHORIZED_PARTIES', 'https://www.example.com/canary'],
    ['CADZERO_BROKER_AUTHORIZED_PARTIES', 'www.example.com'],
    ['CADZERO_BROKER_PORT', 'canary'],
    ['CADZERO_BROKER_PORT', '65536'],
    ['CADZERO_BROKER_METRICS_PORT', '-1'],
    ['CADZERO_BROKER_TRUSTED_HOPS', 'canary'],
    ['CADZERO_BROKER_TOKEN_SECONDS', '29'],
    ['CADZERO_BROKER_TOKEN_SECONDS', '315360001'],
    ['CADZERO_BROKER_SESSION_TOKENS', 'canary'],
    ['CADZERO_BROKER_UNBOUND_UNTIL', '31.3.2027'],
    ['CADZERO_BROKER_UNBOUND_UNTIL', '2027-02-31'],
    ['CADZERO_BROKER_TEMPLATE', '../canary'],
    ['CADZERO_BROKER_REDIS_URL', 'https://canary'],
    ['CLERK_API_URL', 'ftp://canary'],
    ['CLERK_JWT_KEY', 'canary'],
    ['CLERK_JWT_KEY', '-----BEGIN PUBLIC KEY-----\ncanary\n-----END PUBLIC KEY-----'],
  ])('refuse %s=%s without repeating the value', (name, value) => {
    const { problems, message, hint } = errorOf({ [name]: value })
    expect(problems).toMatchObject([{ variable: name, problem: 'is invalid' }])
    expect(hint).toContain(`set ${name} to `)
    expect(hint + message).not.toContain('canary')
  })

  it.each(['"', "'"])('are taken without the %s that an env file leaves around them', (quote) => {
    const quoted = Object.entries({ ...REQUIRED, CADZERO_BROKER_PORT: '8790' }).map(([name, text]) => [
      name,
      `${quote}${text}${quote}`,
    ])
    expect(readSettings(Object.fromEntries(quoted))).toEqual(readSettings({ ...REQUIRED, CADZERO_BROKER_PORT: '8790' }))
  })

  it('name variables that have no effect, and none that Kubernetes sets for a Service', () => {
    const links = { CADZERO_BROKER_SERVICE_HOST: '10.0.0.1', CADZERO_BROKER_PORT_80_TCP: 'tcp://10.0.0.1:80' }
    const misspelt = { CADZERO_BROKER_AUDIANCE: 'x', CADZERO_BROKER_INSTANCES_FILE: '/x' }
    const others = { CADZERO_BROKER_REDIS_URL_FILE: '/x', CLERK_PUBLISHABLE_KEY: 'x' }
    expect(readSettings({ ...REQUIRED, ...links, ...misspelt, ...others }).unknown).toEqual(Object.keys(misspelt))
  })

  it('refuse an end for unbound refresh tokens while new ones are made', () => {
    const env = { CADZERO_BROKER_SESSION_TOKENS: 'unbound', CADZERO_BROKER_UNBOUND_UNTIL: '2027-03-31' }
    const { message, hint } = errorOf(env)
    expect(message).toBe('CADZERO_BROKER_UNBOUND_UNTIL is set although CADZERO_BROKER_SESSION_TOKENS is unbound')
    expect(hint).toMatch(/^unset CADZERO_BROKER_UNBOUND_UNTIL/)
  })

  it('refuse an address for metrics without a port, which would have no effect', () => {
    const { message, hint } = errorOf({ CADZERO_BROKER_METRICS_HOST: '0.0.0.0', CADZERO_BROKER_PORT: 'x' })
    expect(message).toBe('CADZERO_BROKER_PORT is invalid; CADZERO_BROKER_METRICS_PORT is missing')
    expect(hint).toContain('set CADZERO_BROKER_METRICS_PORT to the port for /metrics, such as 9464')
  })

  it('of version 1.0 are refused with an example of what is new', () => {
    const { message, hint } = errorOf({ CADZERO_BROKER_PUBLIC_URL: '', CADZERO_BROKER_AUTHORIZED_PARTIES: '' })
    expect(message).toBe('CADZERO_BROKER_PUBLIC_URL is missing; CADZERO_BROKER_AUTHORIZED_PARTIES is missing')
    expect(hint).toBe(
      'set CADZERO_BROKER_PUBLIC_URL to the brokerUrl of the clients, such as https://api.example.com, without /api/auth; ' +
        'set CADZERO_BROKER_AUTHORIZED_PARTIES to the origins of the sign-in pages, such as https://www.example.com, separated by commas',
    )
  })

  it('name all that is wrong at once', () => {
    const { message, hint } = errorOf({ CLERK_SECRET_KEY: '', CADZERO_BROKER_PORT: 'x', CADZERO_BROKER_KEY: 'y' })
    expect(message).toBe('CLERK_SECRET_KEY is missing; CADZERO_BROKER_KEY is invalid; CADZERO_BROKER_PORT is invalid')
    expect(hint.match(/set /g)).toHaveLength(3)
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

describe('a secret in a file', () => {
  it.each(SECRETS)('takes the place of %s, without the newline at its end', async (name) => {
    const file = join(await temporaryFolder(), 'secret')
    await writeFile(file, 'the secret\n')
    const { env } = await readSecretFiles({ [`${name}_FILE`]: file }, SECRETS, systemFiles)
    expect(env[name]).toBe('the secret')
  })

  it('is refused if it cannot be read, is empty, a folder or too large, without repeating its path', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'empty'), '\n')
    await writeFile(join(folder, 'large'), Buffer.alloc(65_537))
    await mkdir(join(folder, 'folder'))
    for (const name of ['missing', 'empty', 'large', 'folder']) {
      const { problems } = await readSecretFiles({ CADZERO_BROKER_KEY_FILE: join(folder, name) }, SECRETS, systemFiles)
      expect(problems, name).toMatchObject([
        { variable: 'CADZERO_BROKER_KEY_FILE', problem: 'cannot be read or is empty' },
      ])
    }
  })

  it('is refused beside the variable itself', async () => {
    const env = { CADZERO_BROKER_KEY: 'a', CADZERO_BROKER_KEY_FILE: '/nowhere' }
    const { problems } = await readSecretFiles(env, SECRETS, systemFiles)
    expect(problems).toMatchObject([
      { variable: 'CADZERO_BROKER_KEY_FILE', problem: 'and CADZERO_BROKER_KEY are both set' },
    ])
  })

  it('that cannot be read is named once, with everything else that is wrong', async () => {
    const given = { CADZERO_BROKER_KEY_FILE: '/nowhere', CADZERO_BROKER_PORT: 'x' }
    const { env, problems } = await readSecretFiles(given, SECRETS, systemFiles)
    const variables = errorOf(env, problems).problems.map(({ variable }) => variable)
    expect(variables.filter((variable) => /BROKER_(KEY|PORT)/.test(variable))).toEqual([
      'CADZERO_BROKER_KEY_FILE',
      'CADZERO_BROKER_PORT',
    ])
  })
})
