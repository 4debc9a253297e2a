// A child process that starts and stops the daemon's code on command, without the cost of starting a process.
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { locateFolders } from '../../src/config/paths.ts'
import { type Daemon, startDaemon } from '../../src/daemon/daemon.ts'
import { systemHost } from '../../src/host/host.ts'

const say = (text: string) => void writeSync(1, `${text}\n`)

let daemon: Daemon | undefined

/** Runs `start HOME` or `stop`; returns one line as the result. */
async function runCommand(line: string): Promise<string> {
  const [command, home = ''] = line.split(' ')
  if (command === 'stop') {
    await daemon?.stop('stop')
    daemon = undefined
    return 'stopped'
  }
  const env = { ...process.env, CADZERO_AUTH_HOME: home }
  const options = {
    host: systemHost(),
    folders: locateFolders(env),
    env,
    version: '0.0.0',
    commit: null,
    replace: false,
  }
  const started = await startDaemon({ ...options, passphrase: undefined })
  if (started.kind === 'running') daemon = started.daemon
  return started.kind
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    runCommand(line).then(say, (error: unknown) => say(`failed ${error instanceof Error ? error.name : 'unknown'}`))
  })
  .on('close', () => process.exit(0))
say('ready')
