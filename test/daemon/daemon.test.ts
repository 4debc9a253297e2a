// The daemon as a process: it runs once, ends cleanly, can be replaced, and starts in spite of leftovers of a crash.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, connectTo } from '../../src/rpc/client.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'
import { environment, PROGRAM, runProgram, startDaemonProcess } from '../support/program.ts'
import { newWorld } from '../support/world.ts'

const endpointOf = async (home: string) => JSON.parse(await readFile(join(home, 'data', 'endpoint.json'), 'utf8'))

describe('the daemon', () => {
  it('publishes its endpoint, with a new key at each start, and removes the file at its end', async () => {
    const home = await temporaryFolder()
    const first = await startDaemonProcess({ home })
    const one = await endpointOf(home)
    expect(one).toEqual({
      version: 1,
      pid: first.child.pid,
      endpoint: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      path: '/rpc',
      instance: expect.stringMatching(/^[\w-]{22}$/),
      key: expect.stringMatching(/^[\w-]{43}$/),
      startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      daemonVersion: expect.stringMatching(/^\d+\.\d+\.\d+/),
      host: hostname(),
      bootId: process.platform === 'linux' ? expect.stringMatching(/^[0-9a-f-]{36}$/) : null,
      program: PROGRAM,
    })
    expect(await first.stop()).toBe(0)
    expect(await readdir(join(home, 'data'))).not.toContain('endpoint.json')
    await startDaemonProcess({ home })
    const two = await endpointOf(home)
    expect([two.instance, two.key]).not.toEqual([one.instance, one.key])
  })

  it.skipIf(isWindows)(`makes its endpoint and its folders private${needs('file modes')}`, async () => {
    const home = await temporaryFolder()
    await startDaemonProcess({ home })
    expect((await stat(join(home, 'data', 'endpoint.json'))).mode & 0o777).toBe(0o600)
    for (const folder of ['data', 'config', 'log', 'config/sessions']) {
      expect((await stat(join(home, folder))).mode & 0o777, folder).toBe(0o700)
    }
  })

  it.skipIf(isWindows).each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    `ends cleanly on %s${needs('signals')}`,
    async (signal) => {
      const home = await temporaryFolder()
      const daemon = await startDaemonProcess({ home })
      const client = await daemon.connect()
      expect(await daemon.stop(signal)).toBe(0)
      expect(await client.closed).toBe(1012)
      expect(await readdir(join(home, 'data'))).not.toContain('endpoint.json')
    },
  )

  it.runIf(process.platform === 'linux')(
    'lives on at SIGHUP if nohup has put its output into a file (Linux)',
    async () => {
      const home = await temporaryFolder()
      const output = join(home, 'output')
      const script = `exec nohup "$0" "$1" daemon >"$2" 2>&1 </dev/null`
      const child = spawn('sh', ['-c', script, process.execPath, PROGRAM, output], { env: environment({ home }) })
      onTestFinished(() => void child.kill('SIGKILL'))
      const file = join(home, 'data', 'endpoint.json')
      const client = await vi.waitFor(() => connect(systemFiles, file, systemRandom), { timeout: 10_000, interval: 50 })
      child.kill('SIGHUP')
      expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
      child.kill('SIGTERM')
      expect((await once(child, 'exit'))[0]).toBe(0)
      client.close()
    },
  )

  it('runs once: a second daemon says so and exits with 0', async () => {
    const home = await temporaryFolder()
    const { child } = await startDaemonProcess({ home })
    const before = await endpointOf(home)
    const { code, stderr, stdout } = await runProgram(['daemon'], { home })
    expect({ code, stdout }).toEqual({ code: 0, stdout: `ready ${join(home, 'data', 'endpoint.json')}\n` })
    expect(stderr).toContain(`already running (process ${child.pid})`)
    expect(await endpointOf(home)).toEqual(before)
  })

  it('reports why it cannot write its discovery file, and releases the lock', async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'data', 'endpoint.json'), { recursive: true })
    const { code, stderr } = await runProgram(['daemon'], { home })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .*endpoint\.json/)
    await rm(join(home, 'data', 'endpoint.json'), { recursive: true })
    await startDaemonProcess({ home }) // the lock is free
  })

  it('runs once even if twenty are started at the same time', async () => {
    const home = await temporaryFolder()
    const daemons = await Promise.all(Array.from({ length: 20 }, () => startDaemonProcess({ home })))
    const { pid } = await endpointOf(home)
    const others = daemons.filter(({ child }) => child.pid !== pid)
    expect(others).toHaveLength(19)
    for (const { child } of others) {
      if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve))
      expect(child.exitCode).toBe(0)
    }
  })

  it('starts after a daemon was killed, even if another program has its port', async () => {
    const home = await temporaryFolder()
    const killed = await startDaemonProcess({ home })
    const stale = await endpointOf(home)
    await killed.stop('SIGKILL')
    const squatter = createServer((socket) => socket.on('error', () => undefined))
    await new Promise<void>((resolve) => squatter.listen(Number(stale.endpoint.split(':')[1]), '127.0.0.1', resolve))
    onTestFinished(() => void squatter.close())
    await writeFile(join(home, 'data', '.endpoint.json.0123456789abcdef.tmp'), 'half')
    const next = await startDaemonProcess({ home })
    expect(await (await next.connect()).callAny('rpc.discover')).toMatchObject({ openrpc: expect.any(String) })
    // A temporary file of its own may be there: the key is being written.
    expect(await readdir(join(home, 'data'))).not.toContain('.endpoint.json.0123456789abcdef.tmp')
  })

  it('is replaced while clients call: each call is answered, or fails with 1006 or 1012', async () => {
    const { client, home, env, signIn, daemon } = await newWorld()
    await signIn()
    const outcomes = new Map<string, number>()
    let replaced = false
    const calling = (async () => {
      let last = ''
      while (!replaced && last !== '1012') {
        const outcome = await client.call('getAuthHeader').then(
          () => 'answered',
          (error: { code?: number }) => String(error.code),
        )
        last = outcome
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
    })()
    const next = await startDaemonProcess({ home, env }, '--replace')
    replaced = true
    await calling
    expect([...outcomes.keys()].filter((outcome) => !['answered', '1006', '1012'].includes(outcome))).toEqual([])
    // The lock is released a moment before the process ends.
    if (daemon.child.exitCode === null) await once(daemon.child, 'exit')
    expect(daemon.child.exitCode).toBe(0)
    expect(await (await next.connect()).call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('reports the port that is taken, and leaves no discovery file', async () => {
    const home = await temporaryFolder()
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const { port } = other.address() as { port: number }
    const { code, stderr } = await runProgram(['daemon'], { home, env: { CADZERO_AUTH_PORT: String(port) } })
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^error: .*port is missing or wrong\nhint: correct it: it should be a port that no other program uses \(\d+ is taken\)/,
    )
    expect(await readdir(join(home, 'data'))).not.toContain('endpoint.json')
  })

  it.skipIf(isWindows)(`removes the permissions of others from its folders${needs('file modes')}`, async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'data'))
    await chmod(join(home, 'data'), 0o777)
    await startDaemonProcess({ home })
    expect((await stat(join(home, 'data'))).mode & 0o777).toBe(0o700)
  })

  it('runs in spite of a typo in its configuration, and tells each client what to correct', async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'config'))
    await writeFile(join(home, 'config', 'config.json'), '{ "profiles": { "production": { "clientID": "x" } } }')
    const daemon = await startDaemonProcess({ home })
    expect(daemon.stderr()).toContain('profiles.production.clientID is missing or wrong')
    const client = await daemon.connect()
    await expect(client.call('getAuthHeader')).rejects.toMatchObject({
      code: 1007,
      data: { setting: 'profiles.production.clientID', file: expect.stringMatching(/config\.json$/) },
    })
  })

  it.skipIf(isWindows)(`[B10] opens no debugger on SIGUSR1${needs('signals')}`, async () => {
    const home = await temporaryFolder()
    const daemon = await startDaemonProcess({ home })
    daemon.child.kill('SIGUSR1')
    await (await daemon.connect()).callAny('rpc.discover')
    expect(daemon.stderr()).not.toContain('Debugger listening')
  })

  it('refuses a client with the key of an earlier start', async () => {
    const home = await temporaryFolder()
    const daemon = await startDaemonProcess({ home })
    const old = await endpointOf(home)
    await daemon.stop()
    await startDaemonProcess({ home, env: { CADZERO_AUTH_PORT: old.endpoint.split(':')[1] } })
    await expect(connectTo(old, systemRandom)).rejects.toMatchObject({ name: 'NoDaemonError', reason: 'refused' })
  })
})
