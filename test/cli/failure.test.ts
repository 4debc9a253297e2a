// The exit code, the error and the hint for each kind of failure.
import { expect, test } from 'vitest'
import { failureOf, repeatedWith, StartError } from '../../src/cli/failure.ts'
import { networkHint } from '../../src/cli/network-hint.ts'
import { ConfigurationError } from '../../src/config/errors.ts'
import { EnvironmentError } from '../../src/host/home.ts'
import { RpcError } from '../../src/rpc/contract.ts'

test('a daemon that cannot start reports its own error, with its own hint as the only hint', () => {
  const error = new StartError(
    'ended with code 1',
    'configuration: port is missing or wrong\nhint: it should be another',
  )
  expect(failureOf(error)).toEqual({
    exitCode: 3,
    error: 'the daemon was started, but ended with code 1: configuration: port is missing or wrong',
    hint: 'it should be another',
  })
})

test('a daemon that cannot start and prints no hint gets a hint to run the doctor', () => {
  expect(failureOf(new StartError('was ended by SIGKILL', ''))).toEqual({
    exitCode: 3,
    error: 'the daemon was started, but was ended by SIGKILL and printed no error',
    hint: 'run cadzero-auth doctor',
  })
})

test('the message of an unknown error is not shown, since it may hold a secret', () => {
  expect(failureOf(new Error('canary'))).toEqual({
    exitCode: 1,
    error: 'an unexpected error occurred',
    hint: 'run cadzero-auth doctor to find the cause',
  })
})

test.each([
  ['ENOSPC', 'free some space on the disk'],
  ['EDQUOT', 'free some space'],
  ['EROFS', 'set CADZERO_AUTH_HOME'],
])('the system error %s gets a hint that helps', (code, hint) => {
  const error = Object.assign(new Error(`${code}: x, write`), { code, syscall: 'write' })
  expect(failureOf(error)).toEqual({ exitCode: 1, error: `${code}: x, write`, hint: expect.stringContaining(hint) })
})

test('a variable that names no usable folder is wrong usage', () => {
  expect(failureOf(new EnvironmentError('HOME', 'HOME is not set', 'set HOME'))).toEqual({
    exitCode: 2,
    error: 'HOME is not set',
    hint: 'set HOME',
  })
})

test.each([
  [{ cause: 'dns' }, 'dns', 'check the network'],
  [{ cause: 'refused' }, 'refused', 'firewall'],
  [{ cause: 'timeout' }, 'timeout', 'no response in time'],
  [{ cause: 'certificate', certificateIssuer: 'Example Corp CA' }, 'certificate', 'issuer: Example Corp CA'],
  [{ cause: 'certificate' }, 'certificate', 'caFile'],
  [{ cause: 'certificate', certificateProblem: 'expired' }, 'certificate', 'set the date'],
  [{ cause: 'certificate', certificateProblem: 'not_yet_valid' }, 'certificate', 'set the date'],
  [{ cause: 'certificate', certificateProblem: 'other_host' }, 'certificate', 'sign in to the network'],
  [{ cause: 'refused', proxyHost: 'proxy.example' }, 'refused', 'went through the proxy proxy.example'],
  [
    { cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'unreachable' },
    'proxy',
    'check the proxy proxy.example',
  ],
  [{ cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'password_needed' }, 'proxy', 'set HTTPS_PROXY'],
  [{ cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'integrated_authentication' }, 'proxy', 'NTLM'],
  [{ cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'refused' }, 'proxy', 'refused the connection'],
  [{ cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'no_tunnel' }, 'proxy', 'the proxy proxy.example'],
  [{ cause: 'proxy', proxyProblem: 'pac' }, 'proxy', 'PAC'],
  [{ cause: 'proxy', proxyProblem: 'socks' }, 'proxy', 'SOCKS'],
  [{ cause: 'proxy', proxyProblem: 'invalid' }, 'proxy', 'correct HTTPS_PROXY'],
  [{ cause: 'captive_portal' }, 'captive_portal', 'sign in to the network'],
  [{ cause: 'protocol' }, 'protocol', 'doctor'],
])(
  'a provider that is unavailable because of %j gets the hint that helps, and the session is kept',
  (data, cause, hint) => {
    const error = new RpcError(1003, 'temporarily unavailable', { reason: 'network', retryAfterSeconds: 2, ...data })
    expect(failureOf(error)).toEqual({
      exitCode: 1,
      error: `temporarily unavailable: network (${cause})`,
      hint: expect.stringMatching(new RegExp(`${hint}.*; your session is kept$`)),
    })
  },
)

test('a provider that is unavailable for an unknown cause gets the hint to try again', () => {
  const error = new RpcError(1003, 'temporarily unavailable', { reason: 'server', retryAfterSeconds: 2, cause: 'new' })
  expect(failureOf(error)).toEqual({
    exitCode: 1,
    error: 'temporarily unavailable: server',
    hint: 'try again in 2 s; your session is kept',
  })
})

test.each([
  [{ reason: 'signed_out' }, 'you are not signed in'],
  [{ reason: 'session_expired' }, 'your session has expired'],
  [{ reason: 'session_revoked' }, 'the provider has ended your session'],
  [{ reason: 'new' }, 'interaction required: new'],
  [{}, 'interaction required'],
])('a needed sign-in because of %j is said in a plain sentence', (data, error) => {
  const failure = failureOf(new RpcError(1001, 'interaction required', { ...data, profile: 'staging' }))
  expect(failure).toEqual({ exitCode: 4, error, hint: 'cadzero-auth login --profile staging' })
})

test('the hint for a sign-in that failed repeats the options of the command', () => {
  const failed = new RpcError(1002, 'sign-in failed', { reason: 'timeout', profile: 'staging' })
  expect(failureOf(repeatedWith(['--device', '--take-over'], failed)).hint).toContain(
    'run cadzero-auth login --profile staging --device --take-over to try again',
  )
  const busy = new RpcError(1003, 'temporarily unavailable')
  expect(repeatedWith(['--device'], busy)).toBe(busy)
})

test('two profiles that want the same port at once name each other', () => {
  const data = { setting: 'profiles.staging.redirectPort', profile: 'staging', otherProfile: 'production' }
  expect(failureOf(new RpcError(1007, 'configuration', data))).toEqual({
    exitCode: 1,
    error: 'the profiles staging and production have the same redirectPort, and production is signing in',
    hint: 'finish the sign-in of production first, or set another redirectPort for one of them',
  })
})

test.each([
  ['a sign-in that is needed', 1001, {}],
  ['a sign-in that failed', 1002, { reason: 'access_denied' }],
])('the hint for %s names the profile of the command', (_what, code, data) => {
  const hintOf = (profile?: string) => failureOf(new RpcError(code, 'failed', { ...data, profile })).hint
  expect(hintOf()).toContain('cadzero-auth login')
  expect(hintOf()).not.toContain('--profile')
  expect(hintOf('staging')).toContain('cadzero-auth login --profile staging')
})

test('a wrong setting of the environment is wrong usage, and its hint names the variable', () => {
  expect(failureOf(new ConfigurationError('CADZERO_AUTH_PORT', 'a port'))).toEqual({
    exitCode: 2,
    error: 'configuration: CADZERO_AUTH_PORT is missing or wrong',
    hint: 'set CADZERO_AUTH_PORT to a port, or unset it',
  })
  expect(failureOf(new RpcError(1007, 'configuration', { setting: 'CADZERO_AUTH_PORT', expected: 'a port' }))).toEqual({
    exitCode: 2,
    error: 'configuration: CADZERO_AUTH_PORT is missing or wrong',
    hint: 'set CADZERO_AUTH_PORT to a port, or unset it; then run cadzero-auth daemon --stop and try again',
  })
  expect(failureOf(new ConfigurationError('port', 'a port', '/c.json'))).toEqual({
    exitCode: 1,
    error: '/c.json: port is missing or wrong',
    hint: 'correct it: it should be a port',
  })
})

test.each([[{ cause: 'protocol' }], [{ cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'no_tunnel' }]])(
  'the hint of %o names the server that did not respond',
  (details) => {
    expect(networkHint(details)).toContain('the provider')
    const hint = networkHint({ ...details, server: 'the server of updates' })
    expect(hint).toContain('the server of updates')
    expect(hint).not.toContain('the provider')
  },
)
