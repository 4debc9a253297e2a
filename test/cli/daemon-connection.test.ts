// How a command finds the daemon, starts it in the background, and reports that it cannot.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { backgroundEnvironment, connectToDaemon } from '../../src/cli/daemon-connection.ts'
import { locateFolders } from '../../src/config/paths.ts'
import { systemHost } from '../../src/host/host.ts'
import { TestClock } from '../support/clock.ts'
import { runProgram, stopDaemonAfterTest, temporaryFolder } from '../support/program.ts'
import { newSandbox, settingsOf } from '../support/world.ts'

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

it('a daemon in the background sees the proxies and authorities of its starter, and nothing that changes what it runs', () => {
  const kept = { HTTPS_PROXY: 'http://proxy:1', no_proxy: 'a', NODE_EXTRA_CA_CERTS: '/ca.pem', SSL_CERT_FILE: '/b.pem' }
  const removed = {
    NODE_OPTIONS: '--inspect',
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    NODE_DEBUG: 'http',
    NODE_PATH: '/x',
    NODE_EXTRA_CA_CERTS_X: '/x',
    CADZERO_AUTH_PASSPHRASE: 'canary',
  }
  expect(backgroundEnvironment({ ...kept, ...removed })).toEqual(kept)
})

describe('a command that needs the daemon', () => {
  it('exits with 3 and says how to start the daemon if it may not start one', async () => {
    const { code, stderr } = await runProgram(['status', '--no-start'], { home: await temporaryFolder() })
    expect(code).toBe(3)
    expect(stderr).toBe('error: no daemon is running\nhint: run cadzero-auth status to start it in the background\n')
  })

  it('starts the daemon in the background, and the next command uses the same daemon', async () => {
    const sandbox = await newSandbox()
    const options = { home: await temporaryFolder(), env: settingsOf(sandbox) }
    stopDaemonAfterTest(options)
    const first = await runProgram(['status', '--json'], options)
    expect(first).toMatchObject({ code: 0, stderr: '' })
    const { pid } = JSON.parse(first.stdout).daemon
    const second = await runProgram(['status', '--json', '--no-start'], options)
    expect(JSON.parse(second.stdout)).toMatchObject({ state: 'signed_out', daemon: { pid } })
    const { stdout } = await runProgram(['daemon', '--stop'], options)
    expect(stdout).toBe(`stopped the daemon (process ${pid})\n`)
  })

  it('passes the passphrase to the daemon it starts, but not through the environment', async () => {
    const sandbox = await newSandbox()
    const secret = { CADZERO_AUTH_KEY_PROTECTION: 'passphrase', CADZERO_AUTH_PASSPHRASE: 'canary-passphrase' }
    const options = { home: await temporaryFolder(), env: { ...settingsOf(sandbox), ...secret } }
    stopDaemonAfterTest(options)
    const { stdout } = await runProgram(['status', '--json'], options)
    const { store, daemon } = JSON.parse(stdout)
    expect(store.keyProtection).toBe('passphrase')
    if (process.platform !== 'linux') return
    for (const file of ['environ', 'cmdline']) {
      expect(await readFile(`/proc/${daemon.pid}/${file}`, 'utf8')).not.toContain('canary')
    }
  })

  it('prints the error of a daemon that cannot start', async () => {
    const home = await temporaryFolder()
    await writeFile(join(home, 'log'), 'not a folder')
    const { code, stderr } = await runProgram(['status'], { home })
    expect(code).toBe(3)
    expect(stderr).toMatch(/^error: the daemon was started, but ended with code 1: .*log: it is not a folder/)
  })

  it('ends a daemon that hangs during its start', async () => {
    const home = await temporaryFolder()
    const [program, pidFile] = [join(home, 'hangs.mjs'), join(home, 'pid')]
    const ignoresSigterm = `import { writeFileSync } from 'node:fs'
      process.on('SIGTERM', () => undefined)
      setInterval(() => undefined, 1000)
      writeFileSync(${JSON.stringify(pidFile)}, String(process.pid))`
    await writeFile(program, ignoresSigterm)
    const [, ownProgram = ''] = process.argv
    process.argv[1] = program
    onTestFinished(() => {
      process.argv[1] = ownProgram
    })
    const clock = new TestClock()
    const folders = locateFolders({ CADZERO_AUTH_HOME: home })
    const connection = connectToDaemon({ host: { ...systemHost(), clock }, folders }, true).catch((error) => error)
    await expect.poll(() => readFile(pidFile, 'utf8').catch(() => '')).not.toBe('')
    const pid = Number(await readFile(pidFile, 'utf8'))
    clock.advance(60)
    expect(await connection).toMatchObject({
      name: 'StartError',
      message: 'the daemon was started, but is not ready yet',
    })
    await expect.poll(() => isAlive(pid)).toBe(false)
  })

  it('says how to apply a corrected setting, and that hint works', async () => {
    const home = await temporaryFolder()
    stopDaemonAfterTest({ home })
    const file = join(home, 'config', 'config.json')
    await mkdir(join(home, 'config'), { mode: 0o700 })
    await writeFile(file, '{"prot":1}', { mode: 0o600 })
    const { code, stderr } = await runProgram(['status'], { home })
    expect(code).toBe(1)
    expect(stderr).toBe(
      `error: ${file}: prot is missing or wrong\nhint: correct it: it should be left out: no such setting is known; ` +
        'then run cadzero-auth daemon --stop and try again\n',
    )
    await writeFile(file, '{}')
    expect(await runProgram(['daemon', '--stop'], { home })).toMatchObject({ code: 0 })
    expect(await runProgram(['status'], { home })).toMatchObject({ code: 0, stderr: '' })
  })
})
