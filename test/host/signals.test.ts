// SIGHUP: which outputs tell that a program was started under nohup.
import { expect, test } from 'vitest'
import { endsAtHangUp } from '../../src/host/signals.ts'

test.each([
  ['a terminal', ['terminal', 'terminal'], true],
  ['a terminal for errors alone', ['other', 'terminal'], true],
  ['a pipe, as of a supervisor', ['pipe', 'pipe'], true],
  ['a file or /dev/null, as nohup leaves it', ['other', 'other'], false],
] as const)('a program with %s as output: SIGHUP ends it = %j', (_name, outputs, ends) => {
  expect(endsAtHangUp({}, outputs, 'linux')).toBe(ends)
  expect(endsAtHangUp({}, outputs, 'darwin')).toBe(ends)
  expect(endsAtHangUp({ _: '/usr/bin/node' }, outputs, 'linux')).toBe(ends)
  expect(endsAtHangUp({}, outputs, 'win32')).toBe(true)
})

test('a program that a shell has started by nohup is not ended, even with a pipe as output', () => {
  expect(endsAtHangUp({ _: '/usr/bin/nohup' }, ['pipe', 'pipe'], 'linux')).toBe(false)
  expect(endsAtHangUp({ _: 'nohup' }, ['pipe', 'other'], 'darwin')).toBe(false)
})
