// The environment with which the daemon refuses to run, and the hardening of its process.
import { readFile } from 'node:fs/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hardenProcess, unwantedVariable } from '../../src/daemon/process-hardening.ts'
import { isWindows, needs } from '../support/posix.ts'

describe('unwantedVariable', () => {
  it.each([
    '--inspect',
    '--inspect-brk=0.0.0.0:9229',
    '--max-old-space-size=64 --inspect-port=1',
    '-r /tmp/first.js',
    '--require=/tmp/first.js',
    '--import data:text/javascript,',
    '--loader /tmp/loader.mjs',
    '--experimental-loader=/tmp/loader.mjs',
    '--heapsnapshot-signal=SIGUSR2',
    '--heap-prof',
    '--cpu-prof',
    '--report-on-signal',
    '--tls-keylog=/tmp/keys',
    '--trace-events-enabled',
    '--diagnostic-dir=/tmp',
    '--openssl-config=/tmp/openssl.cnf',
    '"--require=/tmp/a b.js"',
    "'--inspect'",
  ])('[B10] names NODE_OPTIONS with %s', (options) => {
    expect(unwantedVariable({ NODE_OPTIONS: options }, true)).toBe('NODE_OPTIONS')
  })

  it.each(['', '--max-old-space-size=64', '--no-warnings', '--dns-result-order=ipv4first', '--enable-source-maps'])(
    'accepts NODE_OPTIONS with %j',
    (options) => {
      expect(unwantedVariable({ NODE_OPTIONS: options }, true)).toBeUndefined()
    },
  )

  it('accepts every NODE_OPTIONS if this Node does not apply them', () => {
    expect(unwantedVariable({ NODE_OPTIONS: '--inspect' }, false)).toBeUndefined()
  })

  it.each(['NODE_DEBUG', 'NODE_DEBUG_NATIVE'])('names %s, unless it is empty', (name) => {
    expect(unwantedVariable({ [name]: 'tls' }, true)).toBe(name)
    expect(unwantedVariable({ [name]: 'tls' }, false)).toBe(name)
    expect(unwantedVariable({ [name]: '' }, true)).toBeUndefined()
  })
})

describe.skipIf(isWindows)(`hardenProcess${needs('umask and resource limits of POSIX')}`, () => {
  it('[B10] closes the process to debuggers, core dumps, reports, false certificates and other users', async () => {
    const umask = process.umask(0o022)
    const { reportOnFatalError } = process.report
    const listeners = process.listeners('SIGUSR1')
    onTestFinished(() => {
      process.umask(umask)
      process.report.reportOnFatalError = reportOnFatalError
      for (const listener of process.listeners('SIGUSR1'))
        if (!listeners.includes(listener)) process.removeListener('SIGUSR1', listener)
    })
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    process.report.reportOnFatalError = true
    hardenProcess()
    expect(process.umask()).toBe(0o077)
    expect(process.env.NODE_TLS_REJECT_UNAUTHORIZED).toBeUndefined()
    expect(process.report.reportOnFatalError).toBe(false)
    expect(process.listeners('SIGUSR1').length).toBe(listeners.length + 1)
    if (process.platform === 'linux') {
      expect(Number.parseInt(await readFile('/proc/self/coredump_filter', 'utf8'), 16)).toBe(0)
    }
  })
})
