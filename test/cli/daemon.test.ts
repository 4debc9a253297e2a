// `cadzero-auth daemon` in a terminal.
import { expect, test } from 'vitest'
import { startDaemonProcess, temporaryFolder } from '../support/program.ts'

test('the daemon prints nothing to standard error when it starts', async () => {
  const daemon = await startDaemonProcess({ home: await temporaryFolder() })
  expect(daemon.stderr()).toBe('')
})
