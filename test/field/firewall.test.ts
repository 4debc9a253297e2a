// A firewall or security program that blocks the daemon's port on loopback. Other causes: test/cli/no-daemon.test.ts.
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { readEndpoint } from '../../src/rpc/discovery.ts'
import { environment, PROGRAM, temporaryFolder } from '../support/program.ts'
import { findPythons } from '../support/python.ts'
import { canMakeNamespaces, has, newNamespaces } from './namespaces.ts'

const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))
const SCRIPT = `
import cadzero_auth
try: print(cadzero_auth.Client(start=False).status())
except cadzero_auth.NoDaemonError as error: print(error.reason)
`
const python = findPythons().at(0)?.program

const absent = [...(has('iptables', '--version') ? [] : ['iptables']), ...(python ? [] : ['Python 3.9 or newer'])]
const missing = canMakeNamespaces ? absent.join(', ') : 'root, ip and network namespaces'
const skipped = missing === '' ? '' : ` (skipped: needs ${missing})`

/** A daemon in a namespace; `ask` runs a program beside it, and resolves with all that it prints. */
async function newDaemon() {
  const { inside } = await newNamespaces({})
  const home = await temporaryFolder()
  const settings = Object.entries(environment({ home })).flatMap(([name, value]) => (value ? [`${name}=${value}`] : []))
  const daemon = inside.start('env', '-i', ...settings, process.execPath, PROGRAM, 'daemon')
  await new Promise((resolve) => daemon.stdout?.once('data', resolve))
  const ask = (...command: string[]) =>
    inside.run('sh', '-c', '"$@" || true', 'sh', 'env', '-i', ...settings, `PYTHONPATH=${EMBED}`, ...command)
  const endpoint = await readEndpoint(systemFiles, `${home}/data/endpoint.json`)
  return { inside, ask, pid: endpoint?.pid, port: String(endpoint?.endpoint.split(':')[1]) }
}

const program = (...args: string[]) => [process.execPath, PROGRAM, ...args]

describe.skipIf(missing !== '')(`a daemon that runs and cannot be reached${skipped}`, { timeout: 90_000 }, () => {
  it.each(['REJECT', 'DROP'])('is named with its process, and the firewall with it (%s)', async (target) => {
    const { inside, ask, pid, port } = await newDaemon()
    const rule = ['OUTPUT', '-o', 'lo', '-p', 'tcp', '--dport', port, '-j', target]
    await inside.run('iptables', '-A', ...rule)
    const stuck = `the daemon (process ${pid}) runs, but connections to it are refused or dropped`
    const status = await ask(...program('status'))
    expect(status).toContain(stuck)
    expect(status).toContain('hint: allow connections to 127.0.0.1 in the firewall or security program')
    expect(await ask(...program('doctor'))).toContain(`daemon: ${stuck}`)
    expect(await ask(String(python), '-B', '-c', SCRIPT)).toBe('unreachable\n')
    await inside.run('iptables', '-D', ...rule)
    expect(await ask(...program('status', '--no-start'))).toContain(`process ${pid}`)
  })
})
