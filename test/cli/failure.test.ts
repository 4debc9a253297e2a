// The exit code, the error and the hint for each kind of failure.
import { expect, test } from 'vitest'
import { failureOf, StartError } from '../../src/cli/failure.ts'
import { EnvironmentError } from '../../src/host/home.ts'

test('a daemon that cannot start reports its own error, with its own hint as the only hint', () => {
  const error = new StartError('configuration: port is missing or wrong\nhint: it should be another')
  expect(failureOf(error)).toEqual({
    exitCode: 3,
    error: 'the daemon could not be started: configuration: port is missing or wrong',
    hint: 'it should be another',
  })
})

test('a daemon that cannot start and prints no hint gets a hint to run the doctor', () => {
  expect(failureOf(new StartError('it printed no error'))).toEqual({
    exitCode: 3,
    error: 'the daemon could not be started: it printed no error',
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

test('a variable that names no usable folder is wrong usage', () => {
  expect(failureOf(new EnvironmentError('HOME', 'HOME is not set', 'set HOME'))).toEqual({
    exitCode: 2,
    error: 'HOME is not set',
    hint: 'set HOME',
  })
})
