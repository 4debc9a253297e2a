// The paths of the daemon's files.
import { expect, test } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'

test('every path is below CADZERO_AUTH_HOME if it is set', () => {
  expect(locateFolders({ CADZERO_AUTH_HOME: '/home/ada/cz' })).toEqual({
    config: '/home/ada/cz/config',
    addon: '/home/ada/cz/data/addon',
    data: '/home/ada/cz/data',
    log: '/home/ada/cz/log',
    sessions: '/home/ada/cz/config/sessions',
    discoveryFile: '/home/ada/cz/data/endpoint.json',
    configFile: '/home/ada/cz/config/config.json',
    logFile: '/home/ada/cz/log/daemon.log',
    lockFile: '/home/ada/cz/data/daemon.lock',
    keyFile: '/home/ada/cz/data/store-key.jwk',
    wrappedKeyFile: '/home/ada/cz/data/store-key.jwe',
  })
})

test('a relative CADZERO_AUTH_HOME is refused, so that no path depends on the working directory', () => {
  expect(() => locateFolders({ CADZERO_AUTH_HOME: 'cz' })).toThrow('an absolute path')
})

test('the platform’s folders have no suffix, so that other programs find the same paths', () => {
  const { data } = locateFolders({})
  expect(data).toContain('cadzero-auth')
  expect(data).not.toContain('-nodejs')
})
