// Leaked secrets (attacks D1 to D9): runs a daemon from sign-in to sign-out, and searches everything that it leaves behind.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, copyFile, lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { readEndpoint } from '../../src/rpc/discovery.ts'
import type { Sandbox } from '../sandbox/index.ts'
import { newKey } from '../support/broker.ts'
import { brokerEnv } from '../support/broker-process.ts'
import { findSecrets, formsOf, type Secret, type Surface } from '../support/canary.ts'
import { comeBack, configure } from '../support/handoff.ts'
import { environment, PROGRAM, runProgram, startDaemonProcess, temporaryFolder } from '../support/program.ts'
import { figure } from '../support/rounds.ts'
import { newSandbox, newWorld, settingsOf } from '../support/world.ts'

const TOKEN = '/oauth/token'
const IN_THE_LINK = ['state', 'nonce'] // the sign-in link carries them; see SECURITY.md

/** The secrets that a command prints on request. */
const ASKED_FOR: Readonly<Record<string, readonly string[]>> = {
  header: ['access_token'],
  refresh: ['access_token'],
  rpc: ['access_token'],
  login: IN_THE_LINK,
  status: IN_THE_LINK,
}

/** Every file below a folder. */
async function filesOf(folder: string, label: string): Promise<Surface[]> {
  const names = await readdir(folder, { recursive: true })
  const found: Surface[] = []
  for (const name of names) {
    const path = join(folder, name)
    if ((await lstat(path)).isFile()) found.push({ name: `${label}/${name}`, content: await readFile(path) })
  }
  return found
}

/** A program in place of the browser that records its arguments and its environment. */
async function newSpy() {
  const folder = await temporaryFolder()
  const program = join(folder, 'browser')
  await writeFile(
    program,
    `#!/bin/sh\nenv > '${folder}/env'\nprintf '%s\\n' "$@" > '${folder}/argv.new'\nmv '${folder}/argv.new' '${folder}/argv'\n`,
  )
  await chmod(program, 0o755)
  return {
    program,
    url: async () => {
      await expect.poll(() => existsSync(join(folder, 'argv')), { timeout: 10_000 }).toBe(true)
      return readFileSync(join(folder, 'argv'), 'utf8').trim()
    },
    surfaces: async (): Promise<Surface[]> => [
      { name: 'environment of the browser', content: await readFile(join(folder, 'env')) },
      { name: 'arguments of the browser', content: await readFile(join(folder, 'argv')), may: IN_THE_LINK },
    ],
  }
}

function processSurfaces(pid: number | undefined, what: string): Surface[] {
  if (process.platform !== 'linux') return []
  return ['cmdline', 'environ'].map((file) => ({
    name: `${file} of ${what}`,
    content: readFileSync(`/proc/${pid}/${file}`),
  }))
}

/** Collects the tokens of the next token responses. */
function watchTokens(sandbox: Sandbox, secrets: Secret[], times: number): void {
  for (let i = 0; i < times; i++) {
    sandbox.script(TOKEN, {
      kind: 'replace',
      body: (answer) => {
        for (const name of ['access_token', 'refresh_token', 'id_token']) {
          if (typeof answer[name] === 'string') secrets.push({ name, value: answer[name] })
        }
        return answer
      },
    })
  }
}

describe('a search for secrets', () => {
  it('finds a secret in each form and at each offset', () => {
    const value = 'rt_a+b/c=d e~0123456789'
    const forms = [...formsOf(value).keys()]
    const places = [
      value,
      `x${encodeURIComponent(value)}y`,
      Buffer.from(`${value}`).toString('hex'),
      ...['', 'a', 'ab'].map((before) => Buffer.from(`${before}${value}zz`).toString('base64')),
      ...['', 'a', 'ab'].map((before) => Buffer.from(`${before}${value}zz`).toString('base64url')),
    ]
    for (const content of places) {
      expect(findSecrets([{ name: 'token', value }], [{ name: 'place', content }]), content).not.toEqual([])
      expect(findSecrets([{ name: 'token', value }], [{ name: 'place', content: Buffer.from(content) }])).not.toEqual(
        [],
      )
    }
    expect(forms.length).toBeGreaterThanOrEqual(8)
    expect(findSecrets([{ name: 'token', value }], [{ name: 'place', content: 'nothing here' }])).toEqual([])
  })
})

describe('no secret is left', { timeout: 60_000 }, () => {
  it('[D1 D2 D3 D7 7636-3 OWASP-logs] in a log, an output, a page, an argument, an environment or a file: OAuth', async () => {
    const sandbox = await newSandbox({ accessTokenTtl: 2 })
    const [home, scratch] = [await temporaryFolder(), await temporaryFolder()]
    const spy = await newSpy()
    const secrets: Secret[] = [{ name: 'passphrase', value: newKey().toString('base64url') }]
    const surfaces: Surface[] = []
    const env = {
      ...settingsOf(sandbox),
      CADZERO_AUTH_BROWSER: spy.program,
      CADZERO_AUTH_LOG_LEVEL: 'debug',
      CADZERO_AUTH_KEY_PROTECTION: 'passphrase',
      CADZERO_AUTH_PASSPHRASE: String(secrets[0]?.value),
      TMPDIR: scratch,
    }
    const command = async (...args: string[]) => {
      const { stdout, stderr, code } = await runProgram(args, { home, env })
      surfaces.push({
        name: `output of ${args.join(' ')}`,
        content: stdout + stderr,
        may: ASKED_FOR[String(args.at(0))] ?? [],
      })
      return { stdout, code }
    }
    watchTokens(sandbox, secrets, 3)
    const login = command('login', '--json')
    const link = await spy.url()
    secrets.push({ name: 'state', value: String(new URL(link).searchParams.get('state')) })
    secrets.push({ name: 'nonce', value: String(new URL(link).searchParams.get('nonce')) })
    await command('status', '--json')
    const visit = await sandbox.signIn(link)
    surfaces.push({ name: 'the last page', content: visit.body }, { name: 'the last address', content: visit.finalUrl })
    expect((await login).code).toBe(0)
    const endpoint = await readEndpoint(systemFiles, join(home, 'data', 'endpoint.json'))
    secrets.push({ name: 'discovery key', value: String(endpoint?.key) })
    surfaces.push(...processSurfaces(endpoint?.pid, 'the daemon'))

    expect((await command('header')).stdout).toMatch(/^Authorization: Bearer /)
    for (const args of [
      ['status'],
      ['refresh'],
      ['doctor'],
      ['doctor', '--json'],
      ['config', '--json'],
      ['rpc', 'status'],
    ]) {
      await command(...args)
    }
    const canary = `canary_${newKey().toString('base64url')}`
    secrets.push({ name: 'text of the provider', value: canary })
    const body = JSON.stringify({ error: canary, error_description: canary, token: canary })
    for (const status of [400, 401, 500, 200]) sandbox.script(TOKEN, { kind: 'respond', status, body })
    for (let i = 0; i < 4; i++) await command('refresh')
    await command('rpc', 'refresh', JSON.stringify({ rejected: `Bearer ${canary}` }))
    await command('rpc', canary, JSON.stringify({ [canary]: canary }))
    // While the daemon is signed in and the session file exists. A callback with a wrong state is refused, and not quoted.
    surfaces.push(...(await filesOf(home, 'home')), ...(await filesOf(scratch, 'temporary files')))
    const started = await runProgram(['rpc', 'login', '{"wait": false, "openBrowser": false}'], { home, env })
    const next = new URL(String(JSON.parse(started.stdout).authorizationUrl)).searchParams
    for (const query of [`error=${canary}&state=${next.get('state')}x`, `code=${canary}&state=${next.get('state')}`]) {
      const answer = await fetch(`${next.get('redirect_uri')}?${query}`)
      surfaces.push({ name: 'a page', content: await answer.text() })
      if (answer.redirected) surfaces.push({ name: 'its address', content: answer.url })
    }
    await command('logout', '--json')
    await command('daemon', '--stop')
    surfaces.push(...(await filesOf(home, 'home after it')), ...(await spy.surfaces()))

    for (const { form } of sandbox.requests) {
      for (const name of ['code', 'code_verifier', 'refresh_token', 'token'] as const) {
        if (form[name]) secrets.push({ name, value: form[name] })
      }
    }
    for (const name of ['access_token', 'refresh_token', 'id_token', 'code', 'code_verifier', 'state', 'nonce']) {
      expect(
        secrets.some((secret) => secret.name === name),
        `no ${name} was seen`,
      ).toBe(true)
    }
    const own = surfaces.map((surface) =>
      /home\/data\/endpoint\.json$/.test(surface.name) ? { ...surface, may: ['discovery key'] } : surface,
    )
    expect(own.some(({ name }) => name.endsWith('daemon.log'))).toBe(true)
    expect(own.some(({ name }) => name.endsWith('production.jwe'))).toBe(true)
    expect(findSecrets(secrets, own)).toEqual([])
    figure(`canary, OAuth: ${secrets.length} secrets in ${formsOf('x').size} forms, ${own.length} places, 0 hits`)
  })

  it('[D1] in a log, an output, a page or a file: the hand-off and the broker', async () => {
    const sandbox = await newSandbox()
    const { backend } = sandbox
    const [home, scratch] = [await temporaryFolder(), await temporaryFolder()]
    const brokerKey = newKey().toString('base64url')
    const secrets: Secret[] = [
      { name: 'broker key', value: brokerKey },
      { name: 'secret key', value: backend.secretKey },
    ]
    const brokerEnvironment = await brokerEnv(sandbox, { CADZERO_BROKER_KEY: brokerKey })
    const env = { ...environment({ home: scratch }), ...brokerEnvironment }
    const broker = spawn(process.execPath, [PROGRAM, 'broker'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    onTestFinished(() => void broker.kill('SIGKILL'))
    let said = ''
    for (const stream of [broker.stdout, broker.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk
      })
    }
    await once(broker.stdout, 'data')
    await configure(home, sandbox.issuer, { brokerUrl: String(/listening on (\S+)/.exec(said)?.[1]) })
    const daemon = await startDaemonProcess({ home, env: { CADZERO_AUTH_LOG_LEVEL: 'debug', TMPDIR: scratch } })
    const client = await daemon.connect()
    const heard: string[] = []
    client.onNotification((_method, params) => heard.push(JSON.stringify(params)))
    const sessionId = backend.createSession()
    const token = await backend.sessionToken(sessionId)
    secrets.push({ name: 'session token', value: token })
    const surfaces: Surface[] = []

    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const callback = new URL(String(new URL(String(authorizationUrl)).searchParams.get('redirect_url')))
    secrets.push({ name: 'state', value: String(callback.searchParams.get('state')) })
    const forged = await comeBack(callback, { token: `${token}x`, session_id: sessionId, user_id: sandbox.user.id })
    const good = await comeBack(callback, { token, session_id: sessionId, user_id: sandbox.user.id })
    for (const { body, finalUrl } of [forged, good]) {
      surfaces.push({ name: 'a page', content: body }, { name: 'its address', content: finalUrl.href })
    }
    for (let i = 0; i < 2; i++) {
      const { headers } = await client.call('refresh')
      secrets.push({ name: 'access token', value: headers.Authorization.slice('Bearer '.length) })
    }
    const errors = [{ token: 'x.y.z' }, { token, sessionId: 'other' }, { token, user: { id: 'other' } }]
    for (const params of errors) {
      const failure = await client.callAny('importSession', params).catch((error: unknown) => error)
      surfaces.push({ name: 'an error', content: JSON.stringify(failure) + String(failure) })
    }
    const refused = await fetch(`${/listening on (\S+)/.exec(said)?.[1]}/api/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}x` },
      body: JSON.stringify({ session_id: sessionId }),
    })
    surfaces.push({ name: 'an error of the broker', content: await refused.text() })
    const key = JSON.parse(await readFile(join(home, 'data', 'store-key.jwk'), 'utf8')) as { k: string }
    secrets.push({ name: 'store key', value: key.k })
    surfaces.push(...processSurfaces(daemon.child.pid, 'the daemon'), ...(await filesOf(home, 'home')))
    await client.call('logout')
    await daemon.stop()
    broker.kill('SIGTERM')
    await once(broker, 'close')
    surfaces.push(...(await filesOf(home, 'home after it')), ...(await filesOf(scratch, 'temporary files')))
    surfaces.push(
      { name: 'standard error of the daemon', content: daemon.stderr() },
      { name: 'the broker’s log', content: said },
    )
    surfaces.push({ name: 'notifications', content: heard.join(), may: ['state'] })
    const own = surfaces.map((surface) =>
      surface.name.endsWith('store-key.jwk') ? { ...surface, may: ['store key'] } : surface,
    )
    expect(said).toContain('"event":"refreshed"')
    expect(heard.join()).toContain('signed_in')
    expect(findSecrets(secrets, own)).toEqual([])
    figure(`canary, hand-off: ${secrets.length} secrets, ${own.length} places, 0 hits`)
  })
})

const pattern = process.platform === 'linux' ? readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim() : ''
const hasCore = /^core(\.%p)?$/.test(pattern)

describe('a crashing daemon', () => {
  it.skipIf(!hasCore)(
    `[D4] leaves no secret in its core dump${hasCore ? '' : ' (needs core files in the current folder)'}`,
    async () => {
      const { home, secrets, kill, folder } = await crashingDaemon([])
      await kill('SIGABRT')
      const dumps = (await readdir(folder)).filter((name) => name.startsWith('core'))
      const surfaces: Surface[] = []
      for (const name of dumps) surfaces.push({ name, content: await readFile(join(folder, name)) })
      expect(findSecrets(secrets, surfaces)).toEqual([])
      figure(
        `core dump: ${dumps.length} file of ${surfaces[0]?.content.length ?? 0} bytes, 0 of ${secrets.length} secrets`,
      )
      expect(existsSync(join(home, 'config', 'sessions', 'production.jwe'))).toBe(true)
    },
  )

  it('[D6] leaves no secret in a diagnostic report', async () => {
    const reports = await temporaryFolder()
    const flags = ['--report-on-signal', '--report-signal=SIGUSR2', `--report-directory=${reports}`]
    const { secrets, child, kill } = await crashingDaemon(flags)
    child.kill('SIGUSR2')
    const size = async () => (await filesOf(reports, 'reports'))[0]?.content.length ?? 0
    await expect.poll(size, { timeout: 10_000 }).toBeGreaterThan(1000)
    await kill('SIGKILL')
    const surfaces = await filesOf(reports, 'reports')
    expect(findSecrets(secrets, surfaces)).toEqual([])
  })

  /** Starts a signed-in daemon in a folder of its own, which receives its core dump. */
  async function crashingDaemon(flags: readonly string[]) {
    const { sandbox, home, daemon, client, signIn, env } = await newWorld()
    await signIn()
    await client.call('refresh')
    await daemon.stop()
    const folder = await temporaryFolder()
    const command = `ulimit -c unlimited; exec "$@"`
    const args = ['-c', command, 'sh', process.execPath, ...flags, PROGRAM, 'daemon']
    const child = spawn('sh', args, { cwd: folder, env: environment({ home, env }), stdio: ['ignore', 'pipe', 'pipe'] })
    const ended = once(child, 'exit')
    onTestFinished(async () => {
      child.kill('SIGKILL')
      await ended
    })
    await once(child.stdout, 'data')
    const again = await daemon.connect()
    const { headers } = await again.call('refresh')
    const refreshToken = sandbox.requests.findLast(({ form }) => form.refresh_token)?.form.refresh_token
    const key = JSON.parse(await readFile(join(home, 'data', 'store-key.jwk'), 'utf8')) as { k: string }
    const secrets: Secret[] = [
      { name: 'access token', value: headers.Authorization.slice('Bearer '.length) },
      { name: 'refresh token', value: String(refreshToken) },
      { name: 'store key', value: key.k },
      { name: 'discovery key', value: again.endpoint.key },
    ]
    const kill = async (signal: NodeJS.Signals) => {
      child.kill(signal)
      await ended
    }
    return { home, folder, child, secrets, kill }
  }
})

describe('a file that a crash or a backup leaves on the disk', () => {
  it('[D5] is deleted at the next start if it is an interrupted write, and no other file is', async () => {
    const { home, daemon, signIn, env } = await newWorld()
    await signIn()
    await daemon.stop('SIGKILL')
    const sessions = join(home, 'config', 'sessions')
    await writeFile(join(sessions, '.production.jwe.0123456789abcdef.tmp'), 'half', { mode: 0o600 })
    await writeFile(join(home, 'data', '.endpoint.json.0123456789abcdef.tmp'), 'half', { mode: 0o600 })
    await writeFile(join(sessions, 'notes.txt'), 'mine')
    const again = await startDaemonProcess({ home, env })
    expect(await (await again.connect()).call('status')).toMatchObject({ state: 'signed_in' })
    expect((await readdir(sessions)).sort()).toEqual(['notes.txt', 'production.jwe'])
    expect((await readdir(join(home, 'data'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('[D9] causes at most one token request if it is a restored session, then the user has to sign in', async () => {
    const { home, daemon, client, signIn, env, sandbox } = await newWorld()
    await signIn()
    const file = join(home, 'config', 'sessions', 'production.jwe')
    await mkdir(join(home, 'backup'), { mode: 0o700 })
    await copyFile(file, join(home, 'backup', 'file'))
    for (let i = 0; i < 2; i++) await client.call('refresh')
    await daemon.stop()
    await copyFile(join(home, 'backup', 'file'), file)
    const again = await startDaemonProcess({ home, env })
    const other = await again.connect()
    const before = sandbox.count(TOKEN, 'refresh_token')
    for (let i = 0; i < 3; i++) {
      await expect(other.call('refresh')).rejects.toMatchObject({ code: 1001 })
      await expect(other.call('getAuthHeader', { interactive: false })).rejects.toMatchObject({ code: 1001 })
    }
    expect(sandbox.count(TOKEN, 'refresh_token') - before).toBe(1)
  })
})
