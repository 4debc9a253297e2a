// The command line as a person and a script use it: what it prints where, and how it exits.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { reachDaemon } from '../../src/cli/daemon-connection.ts'
import { failureOf, StartError } from '../../src/cli/failure.ts'
import { locateFolders } from '../../src/config/paths.ts'
import { systemHost } from '../../src/host/host.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { environment, PROGRAM, runProgram, startDaemonProcess } from '../support/program.ts'
import { newSandbox, newWorld, settingsOf } from '../support/world.ts'

/** Ends the daemon that a command has started by itself. */
function stopAfterwards(home: string): void {
  onTestFinished(async () => {
    await runProgram(['daemon', '--stop'], { home })
  })
}

describe('a command', () => {
  it.each([
    [['nonsense'], /unknown command/],
    [['status', '--nonsense'], /unknown option/],
    [['rpc'], /missing required argument/],
    [['rpc', 'status', 'no json'], /PARAMS is not JSON/],
    [['rpc', 'status', '[1]'], /PARAMS is not an object/],
    [['login', '--timeout', 'soon'], /should be seconds/],
    [['doctor', '--template', 'cadzero'], /--template changes nothing/],
  ])('%j is wrong usage: exit 2, a word on standard error', async (args, text) => {
    const { code, stdout, stderr } = await runProgram(args, { home: await temporaryFolder() })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(text)
    expect(stderr).toMatch(/^error: /)
    expect(stderr).toMatch(/^hint: /m)
  })

  it.each([['--help'], ['--version'], ['login', '--help'], ['status', '--help']])(
    '%s %s is help: exit 0',
    async (...args) => {
      const { code, stdout, stderr } = await runProgram(args.filter(Boolean), { home: await temporaryFolder() })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout.length).toBeGreaterThan(4)
    },
  )

  it('that may not start the daemon says how to: exit 3', async () => {
    const { code, stderr } = await runProgram(['status', '--no-start'], { home: await temporaryFolder() })
    expect(code).toBe(3)
    expect(stderr).toBe('error: no daemon is running\nhint: start one with: cadzero-auth daemon\n')
  })

  it('leaves no daemon behind that hangs at its start', async () => {
    const home = await temporaryFolder()
    const [program, pidFile] = [join(home, 'hangs.mjs'), join(home, 'pid')]
    const deaf = `import { writeFileSync } from 'node:fs'
      process.on('SIGTERM', () => undefined)
      setInterval(() => undefined, 1000)
      writeFileSync(${JSON.stringify(pidFile)}, String(process.pid))`
    await writeFile(program, deaf)
    const [, own = ''] = process.argv
    process.argv[1] = program
    onTestFinished(() => {
      process.argv[1] = own
    })
    const clock = new TestClock()
    const folders = locateFolders({ CADZERO_AUTH_HOME: home })
    const reached = reachDaemon({ ...systemHost(), clock }, folders, true).catch((error: unknown) => error)
    await expect.poll(() => readFile(pidFile, 'utf8').catch(() => ''), { timeout: 10_000 }).not.toBe('')
    const pid = Number(await readFile(pidFile, 'utf8'))
    clock.advance(60)
    expect(await reached).toMatchObject({ name: 'StartError', said: 'it said nothing' })
    const isThere = () => {
      try {
        return process.kill(pid, 0)
      } catch {
        return false
      }
    }
    await expect.poll(isThere).toBe(false)
  })

  it('says what makes a mended setting count, and then it does', async () => {
    const home = await temporaryFolder()
    stopAfterwards(home)
    const file = join(home, 'config', 'config.json')
    await mkdir(join(home, 'config'), { mode: 0o700 })
    await writeFile(file, '{"prot":1}', { mode: 0o600 })
    const { code, stderr } = await runProgram(['status'], { home })
    expect(code).toBe(1)
    expect(stderr).toBe(
      `error: ${file}: prot is missing or wrong\nhint: it should be left out: no such setting is known; ` +
        'after the change: cadzero-auth daemon --stop, and try again\n',
    )
    await writeFile(file, '{}')
    expect(await runProgram(['daemon', '--stop'], { home })).toMatchObject({ code: 0 })
    expect(await runProgram(['status'], { home })).toMatchObject({ code: 0, stderr: '' })
  })

  it('whose folder cannot be made says what to do, once and without sending the person in a circle', async () => {
    const home = join(await temporaryFolder(), 'file', 'home')
    await writeFile(join(home, '..'), '')
    const { code, stdout } = await runProgram(['doctor'], { home })
    expect(code).toBe(1)
    expect(stdout).toMatch(/FAILED {3}folder .*ENOTDIR.*\n\s+hint: give yourself the rights to it/)
    expect(stdout.slice(0, stdout.indexOf('configuration'))).not.toContain('doctor')
  })

  it('that cannot start the daemon hands on its words with one hint, its own', () => {
    const error = new StartError('configuration: port is missing or wrong\nhint: it should be another')
    expect(failureOf(error)).toEqual({
      exitCode: 3,
      error: 'the daemon could not be started: configuration: port is missing or wrong',
      hint: 'it should be another',
    })
  })

  it('starts the daemon in the background, which the next command finds', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    const options = { home, env: settingsOf(sandbox) }
    stopAfterwards(home)
    const first = await runProgram(['status', '--json'], options)
    expect(first).toMatchObject({ code: 0, stderr: '' })
    const { pid } = JSON.parse(first.stdout).daemon
    const second = await runProgram(['status', '--json', '--no-start'], options)
    expect(JSON.parse(second.stdout)).toMatchObject({ state: 'signed_out', daemon: { pid } })
    const { stdout } = await runProgram(['daemon', '--stop'], options)
    expect(stdout).toBe(`stopped the daemon (process ${pid})\n`)
  })

  it('hands the passphrase to the daemon that it starts, but not through its environment', async () => {
    const sandbox = await newSandbox()
    const home = await temporaryFolder()
    const secret = { CADZERO_AUTH_KEY_PROTECTION: 'passphrase', CADZERO_AUTH_PASSPHRASE: 'canary-passphrase' }
    stopAfterwards(home)
    const { stdout } = await runProgram(['status', '--json'], { home, env: { ...settingsOf(sandbox), ...secret } })
    const { store, daemon } = JSON.parse(stdout)
    expect(store.keyProtection).toBe('passphrase')
    if (process.platform !== 'linux') return
    for (const file of ['environ', 'cmdline']) {
      expect(await readFile(`/proc/${daemon.pid}/${file}`, 'utf8')).not.toContain('canary')
    }
  })

  it('says why a daemon cannot be started', async () => {
    const home = await temporaryFolder()
    await writeFile(join(home, 'log'), 'not a folder')
    const { code, stderr } = await runProgram(['status'], { home })
    expect(code).toBe(3)
    expect(stderr).toMatch(/^error: the daemon could not be started: .*EEXIST/)
  })
})

describe('login', () => {
  it('shows the link and that it waits, and says who has signed in', async () => {
    const { sandbox, home, env } = await newWorld()
    const child = spawn(process.execPath, [PROGRAM, 'login', '--no-browser'], { env: environment({ home, env }) })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    const link = new Promise<string>((resolve) => {
      child.stderr.on('data', (chunk) => {
        stderr += chunk
        const [, url] = /^\s+(http:\S+)\n/m.exec(stderr) ?? []
        if (url !== undefined) resolve(url)
      })
    })
    const closed = once(child, 'close') // it may end before the last page is read
    await sandbox.signIn(await link)
    const [code] = await closed
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'signed in as Ada Lovelace <ada@example.com>\n' })
    expect(stderr).toContain('Waiting for you to sign in')
  })

  it('takes the address at which the browser ended, where that could not come back, and no other', async () => {
    const { sandbox, home, env } = await newWorld()
    const child = spawn(process.execPath, [PROGRAM, 'login', '--no-browser', '--paste'], {
      env: environment({ home, env }),
    })
    const closed = once(child, 'close')
    let stderr = ''
    const said = (pattern: RegExp) =>
      new Promise<string>((resolve) => {
        const look = () => {
          const [, found] = pattern.exec(stderr) ?? []
          if (found !== undefined) resolve(found)
        }
        child.stderr.on('data', look)
        look()
      })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const link = await said(/^\s+(http:\S+)\n/m)
    const { callbackUrl } = await sandbox.signIn(link, { deliver: false })
    child.stdin.write(`https://evil.example/callback?code=x\n`)
    await said(/(That is not where the sign-in ends)/)
    child.stdin.write(`${callbackUrl.replace(/state=[^&]+/, 'state=wrong')}\n`)
    await said(/(was not accepted)/)
    expect(sandbox.count('/oauth/token')).toBe(0)
    child.stdin.write(`${callbackUrl.replace('127.0.0.1', 'localhost')}\n`)
    expect(await closed).toEqual([0, null])
  })

  it('goes on with the link alone where no browser opens', async () => {
    const { sandbox, home, env, daemon } = await newWorld({ env: { CADZERO_AUTH_BROWSER: '/nowhere/browser' } })
    const login = runProgram(['login'], { home, env })
    const client = await daemon.connect()
    const url = await new Promise<string>((resolve) => {
      let failed = 0
      client.onNotification((_method, params) => {
        const { authorizationUrl, state } = params as { authorizationUrl: string | null; state: string }
        if (state === 'signed_out') failed++
        if (failed > 0 && authorizationUrl !== null) resolve(authorizationUrl)
      })
    })
    await sandbox.signIn(url)
    const { code, stderr } = await login
    expect(code).toBe(0)
    expect(stderr).toContain('No browser could be opened')
  })

  it('opens the program that CADZERO_AUTH_BROWSER names, with the link', async () => {
    const folder = await temporaryFolder()
    const browser = join(folder, 'browser')
    await writeFile(browser, `#!/bin/sh\nexec '${process.execPath}' -e 'fetch(process.argv[1])' "$1"\n`)
    await chmod(browser, 0o755)
    const { sandbox, home, env } = await newWorld({ env: { CADZERO_AUTH_BROWSER: browser } })
    const arrived = sandbox.arrived('/oauth/authorize')
    const login = runProgram(['login', '--timeout', '2'], { home, env })
    await arrived
    const { code, stderr } = await login
    expect(code).toBe(1)
    expect(stderr).toContain('error: sign-in failed: timeout\nhint: ')
  })

  it('that is declined says so: exit 1', async () => {
    const { sandbox, home, env, client } = await newWorld()
    const login = runProgram(['login', '--no-browser'], { home, env })
    const url = await new Promise<string>((resolve) => {
      client.onNotification((_method, params) => {
        const { authorizationUrl } = params as { authorizationUrl: string | null }
        if (authorizationUrl !== null) resolve(authorizationUrl)
      })
    })
    await sandbox.signIn(url, { deny: true })
    const { code, stderr } = await login
    expect(code).toBe(1)
    expect(stderr).toContain('error: sign-in failed: access_denied')
  })
})

describe('the commands of a session', () => {
  it('print what a person or a script asks for', async () => {
    const { home, env, signIn, sandbox, client } = await newWorld()
    const run = (...args: string[]) => runProgram(args, { home, env })

    const needed = await run('header')
    expect(needed).toMatchObject({ code: 4, stdout: '' })
    expect(needed.stderr).toBe('error: interaction required: signed_out\nhint: cadzero-auth login\n')

    await signIn()
    const { headers } = await client.call('getAuthHeader')
    const header = await run('header')
    expect(header).toEqual({ code: 0, stdout: `Authorization: ${headers.Authorization}\n`, stderr: '' })
    expect(JSON.parse((await run('header', '--json')).stdout)).toMatchObject({ headers })
    const refreshed = JSON.parse((await run('refresh', '--json')).stdout)
    expect(refreshed.headers.Authorization).not.toBe(headers.Authorization)

    const status = await run('status')
    expect(status.code).toBe(0)
    for (const text of [
      'signed in',
      'Ada Lovelace <ada@example.com>',
      sandbox.user.id,
      'on disk, encrypted',
      'keyfile',
    ]) {
      expect(status.stdout).toContain(text)
    }
    expect(status.stdout).not.toContain(headers.Authorization.slice(7, 40))

    expect(JSON.parse((await run('rpc', 'status')).stdout)).toMatchObject({ state: 'signed_in' })
    const unknown = await run('rpc', 'nothing')
    expect(unknown).toMatchObject({
      code: 1,
      stderr: 'error: Method not found\nhint: cadzero-auth rpc rpc.discover lists the methods\n',
    })
    const wrong = await run('rpc', 'getAuthHeader', '{"minValiditySeconds":"long"}')
    expect(wrong).toMatchObject({
      code: 2,
      stderr: 'error: invalid params\nhint: minValiditySeconds should be number\n',
    })

    const { code, stdout, stderr } = await run('logout')
    expect(code).toBe(0)
    expect(stdout).toContain('signed out')
    expect(stderr).toContain('stays valid until')
    expect((await run('header')).code).toBe(4)
  })

  it('status --watch shows each change, until the daemon stops', async () => {
    const { home, env, signIn, daemon } = await newWorld()
    const watching = spawn(process.execPath, [PROGRAM, 'status', '--watch', '--json'], {
      env: environment({ home, env }),
    })
    let stdout = ''
    const ended = once(watching, 'close')
    const first = once(watching.stdout, 'data')
    watching.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    await first
    await signIn()
    await daemon.stop()
    await ended
    const states = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).state)
    expect(states[0]).toBe('signed_out')
    expect(states).toContain('signing_in')
    expect(states.at(-1)).toBe('signed_in')
  })

  it('know the profile that is not there', async () => {
    const { home, env } = await newWorld()
    const { code, stderr } = await runProgram(['status', '--profile', 'nowhere'], { home, env })
    expect(code).toBe(1)
    expect(stderr).toContain('hint: it should be one of local, staging, production')
  })
})

describe('doctor', () => {
  it('finds nothing wrong where nothing is: exit 0', async () => {
    const { home, env, signIn } = await newWorld()
    await signIn()
    const { code, stdout } = await runProgram(['doctor', '--json'], { home, env })
    const findings = JSON.parse(stdout) as { check: string; verdict: string }[]
    expect(findings.filter(({ verdict }) => verdict !== 'ok')).toEqual([])
    expect(code).toBe(0)
    for (const check of [
      'configuration',
      'keyring',
      'browser',
      'redirect port',
      'clock',
      'daemon',
      'session',
      'store',
      'token',
    ]) {
      expect(findings.map((finding) => finding.check)).toContain(check)
    }
  })

  it('names each thing that is wrong, and says what to do', async () => {
    const sandbox = await newSandbox({ metadata: { scopes_supported: ['openid'] } })
    sandbox.script('/.well-known/openid-configuration', {
      kind: 'replace',
      body: (answer) => answer,
    })
    const home = await temporaryFolder()
    await mkdir(join(home, 'data'), { mode: 0o700 })
    await writeFile(join(home, 'data', 'store-key.jwk'), '{}')
    await chmod(join(home, 'data', 'store-key.jwk'), 0o644)
    const { code, stdout } = await runProgram(['doctor'], { home, env: settingsOf(sandbox) })
    expect(code).toBe(1)
    expect(stdout).toMatch(/FAILED {3}file .*store-key\.jwk: .*other users may read or write it/)
    expect(stdout).toMatch(/FAILED {3}scopes: not supported: profile, email, offline_access\n\s+hint: /)
    expect(stdout).toMatch(/warning {2}daemon: no daemon is running\n\s+hint: /)
  })

  it('sees a clock that is wrong by the provider’s', async () => {
    const sandbox = await newSandbox()
    const date = new Date(Date.now() - 3_600_000).toUTCString()
    const metadata = await (await fetch(`${sandbox.issuer}/.well-known/openid-configuration`)).text()
    const headers = { 'content-type': 'application/json', date }
    sandbox.script('/.well-known/openid-configuration', { kind: 'answer', status: 200, headers, body: metadata })
    const { stdout } = await runProgram(['doctor'], { home: await temporaryFolder(), env: settingsOf(sandbox) })
    expect(stdout).toMatch(/FAILED {3}clock: it is 3\d\d\d s ahead of the provider’s/)
  })

  it('says that a provider is down, and which setting is wrong', async () => {
    const sandbox = await newSandbox()
    const env = settingsOf(sandbox)
    await sandbox.close()
    const down = await runProgram(['doctor'], { home: await temporaryFolder(), env })
    expect(down.stdout).toMatch(/FAILED {3}provider http:\S+: it does not answer as it should \(network\)/)
    const wrong = await runProgram(['doctor'], { home: await temporaryFolder(), env: { CADZERO_AUTH_PORT: 'x' } })
    expect(wrong.stdout).toMatch(
      /FAILED {3}configuration: .*CADZERO_AUTH_PORT is missing or wrong\n\s+hint: it should be a port/,
    )
  })
})

describe('config', () => {
  it('shows what file, environment and defaults come to', async () => {
    const home = await temporaryFolder()
    const env = { CADZERO_AUTH_CLIENT_ID: 'client_1', CADZERO_AUTH_PASSPHRASE: 'canary' }
    const { code, stdout } = await runProgram(['config', '--json'], { home, env })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      file: join(home, 'config', 'config.json'),
      defaultProfile: 'production',
      profiles: { production: { clientId: 'client_1' } },
    })
    expect(stdout).not.toContain('canary')
  })
})

describe('any WebSocket client', () => {
  const WSCAT = fileURLToPath(new URL('../../node_modules/wscat/bin/wscat', import.meta.url))

  it('connects with the header that `authorization` prints, once', async () => {
    const { home, env } = await newWorld()
    const url = (await runProgram(['authorization', '--url'], { home, env })).stdout.trim()
    const header = (await runProgram(['authorization'], { home, env })).stdout.trim()
    const wscat = async () => {
      const call = '{"jsonrpc":"2.0","method":"status","id":1}'
      const args = [WSCAT, '-c', url, '-s', 'cadzero-auth.v1', '-H', header, '-x', call, '-w', '1']
      const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] })
      let out = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += chunk))
      await once(child, 'close')
      return out
    }
    expect(await wscat()).toContain('"state":"signed_out"')
    expect(await wscat()).toContain('403')
  })

  it('learns every method, its params and its errors from rpc.discover', async () => {
    const { client } = await newWorld()
    const document = (await client.callAny('rpc.discover')) as {
      openrpc: string
      methods: {
        name: string
        params: { name: string; required: boolean; schema: object }[]
        errors: { code: number }[]
      }[]
    }
    expect(document.openrpc).toMatch(/^1\./)
    expect(document.methods.map(({ name }) => name)).toEqual([
      'getAuthHeader',
      'refresh',
      'login',
      'cancelLogin',
      'logout',
      'importSession',
      'status',
      'shutdown',
      'rpc.discover',
    ])
    const [getAuthHeader] = document.methods
    expect(getAuthHeader?.params).toEqual([
      { name: 'profile', required: false, schema: expect.objectContaining({ type: 'string' }) },
      { name: 'minValiditySeconds', required: false, schema: expect.objectContaining({ type: 'number', minimum: 0 }) },
      { name: 'interactive', required: false, schema: { type: 'boolean' } },
    ])
    expect(getAuthHeader?.errors.map(({ code }) => code)).toEqual([1001, 1002, 1003, 1004, 1005, 1006, 1007])
  })

  it('gets a word about each wrong param', async () => {
    const { client } = await newWorld()
    const wrong: [string, unknown][] = [
      ['getAuthHeader', { minValiditySeconds: -1 }],
      ['getAuthHeader', { minValiditySeconds: 'x' }],
      ['getAuthHeader', { interactive: 1 }],
      ['getAuthHeader', ['production']],
      ['getAuthHeader', { profil: 'x' }],
      ['refresh', { rejected: 1 }],
      ['login', { timeoutSeconds: 0 }],
      ['login', { wait: 'yes' }],
      ['logout', { profile: 1 }],
      ['status', { profile: '' }],
    ]
    for (const [method, params] of wrong) {
      await expect(client.callAny(method, params), `${method} ${JSON.stringify(params)}`).rejects.toMatchObject({
        code: -32602,
        data: { issues: [{ path: expect.any(String), expected: expect.any(String) }] },
      })
    }
  })
})

it('the daemon that a person starts in a terminal says only that it is ready', async () => {
  const home = await temporaryFolder()
  const daemon = await startDaemonProcess({ home })
  expect(daemon.said()).toBe('')
})
