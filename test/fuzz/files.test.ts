// Fuzzes the files that another program may have written: the session file, config.json and the token file of an older add-in.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { CompactEncrypt } from 'jose'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { CommandError } from '../../src/cli/failure.ts'
import { importLegacy, parseLegacyFile } from '../../src/cli/import-legacy.ts'
import { type Config, loadConfig } from '../../src/config/config.ts'
import { ConfigurationError } from '../../src/config/errors.ts'
import { locateFolders } from '../../src/config/paths.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemHost } from '../../src/host/host.ts'
import { systemRandom } from '../../src/host/random.ts'
import { methods as contract, errors, RpcError } from '../../src/rpc/contract.ts'
import { writeEndpoint } from '../../src/rpc/discovery.ts'
import { StoreError } from '../../src/store/errors.ts'
import { keyfileProvider } from '../../src/store/key.ts'
import { SessionStore } from '../../src/store/store.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { check, type Edit, edit, edited, FUZZ_TIMEOUT, latin1 } from '../support/fuzz.ts'
import { startServer } from '../support/rpc.ts'
import { newSession } from '../support/session.ts'
import { ownInstallation } from '../support/store.ts'

const CANARY = 'kanarienvogel' // in every text value of a file; in no error
const IS_NAME = new RegExp(`${CANARY}[^"]*"\\s*:`)
const TRAPS = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf']
const edits = fc.array(edit, { minLength: 1, maxLength: 3 })
const text = fc.string({ unit: 'binary', maxLength: 20 }).map((text) => `${CANARY}${text}`)
const any = fc.oneof(
  text,
  fc.constantFrom<unknown>(null, true, false, 0, -1, 1024, 70_000, 1e308, [], {}, [CANARY], ['openid', CANARY]),
  fc.dictionary(fc.constantFrom(...TRAPS, 'a'), text, { maxKeys: 3 }),
)
const entriesOf = (names: readonly string[], value: fc.Arbitrary<unknown>, maxLength: number) =>
  fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength }).map((entries) => Object.fromEntries(entries))

describe('any session file', FUZZ_TIMEOUT, () => {
  const binding = { profile: 'production', issuer: 'https://clerk.example.com', clientId: 'client_1', broker: null }
  const header = { alg: 'dir', enc: 'A256GCM', typ: 'cadzero-session+jwe', version: 1, profile: binding.profile }

  type Damage =
    | { readonly edits: Edit[] }
    | { readonly bytes: Uint8Array }
    | { readonly flipped: number }
    | { readonly header: object }
    | { readonly parts: readonly number[] }
    | { readonly sealed: string }
  const damage: fc.Arbitrary<Damage> = fc.oneof(
    fc.record({ edits }),
    fc.record({ bytes: fc.uint8Array({ maxLength: 300 }) }),
    fc.record({ flipped: fc.nat() }),
    fc.record({
      header: entriesOf(['alg', 'enc', 'typ', 'version', 'kid', 'iss', 'zip', 'crit', 'b64', 'p2c', ...TRAPS], any, 3),
    }),
    fc.record({ parts: fc.array(fc.nat(5), { maxLength: 7 }) }),
    fc.record({ sealed: fc.oneof(fc.json(), text) }),
  )

  it('loads as the session, as none, or as a StoreError, and keeps every byte', async () => {
    const home = await temporaryFolder()
    const folder = join(home, 'sessions')
    await mkdir(folder, { mode: 0o700 })
    const path = join(folder, 'production.jwe')
    const keys = new StoreKeys([keyfileProvider(systemFiles, join(home, 'store-key.jwk'), systemRandom)])
    const store = new SessionStore({
      files: systemFiles,
      clock: new TestClock(),
      folder,
      keys,
      binding,
      installation: async () => ownInstallation,
    })
    const session = newSession()
    await store.save(session)
    const good = await readFile(path)
    const { key } = await keys.current()

    const damaged = async (damage: Damage): Promise<Buffer> => {
      const parts = good.toString('latin1').split('.')
      if ('edits' in damage) return Buffer.from(damage.edits.reduce(edited, good.toString('latin1')), 'latin1')
      if ('bytes' in damage) return Buffer.from(damage.bytes)
      if ('parts' in damage) return Buffer.from(damage.parts.map((at) => parts[at] ?? '').join('.'), 'latin1')
      if ('header' in damage) {
        const changed = { ...JSON.parse(Buffer.from(String(parts[0]), 'base64url').toString()), ...damage.header }
        return Buffer.from([Buffer.from(JSON.stringify(changed)).toString('base64url'), ...parts.slice(1)].join('.'))
      }
      if ('sealed' in damage) {
        const protectedHeader = { ...header, kid: key.id, iss: binding.issuer, client_id: binding.clientId }
        const encrypt = new CompactEncrypt(Buffer.from(damage.sealed)).setProtectedHeader(protectedHeader)
        return Buffer.from(await encrypt.encrypt(key.secret))
      }
      const bytes = Buffer.from(good)
      const at = Math.floor(damage.flipped / 8) % bytes.length
      bytes[at] = Number(bytes[at]) ^ (1 << (damage.flipped % 8))
      return bytes
    }

    await check(
      60,
      fc.asyncProperty(damage, async (damage) => {
        await rm(folder, { recursive: true })
        await mkdir(folder, { mode: 0o700 })
        const bytes = await damaged(damage)
        await writeFile(path, bytes, { mode: 0o600 })
        const found = await store.load().catch((error: unknown) => error)
        const [name = '', ...others] = await readdir(folder)
        expect(others).toEqual([])
        expect(await readFile(join(folder, name))).toEqual(bytes)
        if (found === undefined) expect(name).toMatch(/^production\.jwe\.bad-\d+$/)
        else {
          expect(name).toBe('production.jwe')
          if (found instanceof Error) expect(found).toBeInstanceOf(StoreError)
          else expect(found).toEqual(session)
        }
      }),
    )
    await store.save(session)
    expect(await store.load()).toEqual(session)
  })
})

describe('any config.json', FUZZ_TIMEOUT, () => {
  const PROFILE = ['issuer', 'publishableKey', 'clientId', 'scopes', 'redirectPort', 'signInUrl', 'brokerUrl'].concat([
    'authorizedParties',
    'requireState',
    'refresh',
  ])
  const urls = fc.oneof(
    fc.constantFrom(
      'https://clerk.example.com',
      'http://localhost:1',
      'http://evil.example',
      'https://a@b',
      'file:///',
    ),
    fc.constantFrom('javascript:alert(1)', 'https://x?y', 'https:', '//x', 'HTTPS://X', 'https://x\n'),
    any,
  )
  const values = fc.oneof(urls, fc.constantFrom(true, 8765, 0, 1023, 0.5, ['openid'], 'pk_test_YS5iJA=='), any)
  const profile = fc.oneof(
    { arbitrary: entriesOf(PROFILE, values, 3), weight: 5 },
    { arbitrary: entriesOf([...PROFILE, ...TRAPS, 'unknown'], values, 4), weight: 1 },
    { arbitrary: any, weight: 1 },
  )
  const names = ['production', 'staging', 'local', 'mine', 'Mine', '', ...TRAPS]
  const settings = fc.record(
    {
      defaultProfile: fc.oneof(fc.constantFrom(...names), any),
      port: fc.oneof(fc.constantFrom(0, 1, 1024, 65_535, 65_536, 1e21), any),
      logLevel: fc.oneof(fc.constantFrom('debug', 'silent'), any),
      keyProtection: fc.oneof(fc.constantFrom('auto', 'keyfile'), any),
      profiles: fc.oneof({ arbitrary: entriesOf(names, profile, 3), weight: 5 }, { arbitrary: any, weight: 1 }),
      unknown: any,
    },
    { requiredKeys: [] },
  )
  const content = fc.oneof(
    { arbitrary: settings.map((value) => JSON.stringify(value)), weight: 6 },
    { arbitrary: fc.tuple(settings, edit).map(([value, edit]) => edited(JSON.stringify(value), edit)), weight: 2 },
    { arbitrary: fc.oneof(fc.json(), latin1(0, 40)), weight: 1 },
  )
  const VARIABLES = ['PROFILE', 'ISSUER', 'CLIENT_ID', 'SCOPES', 'REDIRECT_PORT', 'SIGN_IN_URL', 'BROKER_URL']
    .concat(['PORT', 'LOG_LEVEL', 'KEY_PROTECTION'])
    .map((name) => `CADZERO_AUTH_${name}`)
  const env = fc.oneof(
    { arbitrary: fc.constant({}), weight: 4 },
    {
      arbitrary: entriesOf(VARIABLES, fc.oneof(text, fc.constantFrom('0', '1e9', 'constructor', 'mine')), 2),
      weight: 1,
    },
  )
  const isSafe = (url: string | undefined) =>
    url === undefined || /^(https:|http:\/\/(127\.0\.0\.1|localhost|\[::1\]))/i.test(url)

  function expectUsable({ profiles, defaultProfile, port }: Config): void {
    expect(profiles.has(defaultProfile)).toBe(true)
    expect(Number.isInteger(port)).toBe(true)
    for (const [name, profile] of profiles) {
      expect(name).toMatch(/^[a-z0-9][a-z0-9_-]{0,31}$/)
      if (profile instanceof ConfigurationError) {
        expect(profile.setting).toBe(`profiles.${name}.signInUrl`)
        continue
      }
      expect(profile.name).toBe(name)
      for (const url of [profile.issuer, profile.signInUrl]) expect(isSafe(url)).toBe(true)
      if (profile.kind === 'oauth') expect(profile.scopes).toContain('openid')
      else {
        expect(isSafe(profile.brokerUrl)).toBe(true)
        expect([typeof profile.requireState, typeof profile.refresh]).toEqual(['boolean', 'boolean'])
      }
      expect(profile.redirectPort === 0 || profile.redirectPort >= 1024).toBe(true)
    }
  }

  it('loads as a valid configuration, or as an error that names the setting and not its value', async () => {
    const inherited = Object.getOwnPropertyNames(Object.prototype).join()
    await check(
      400,
      fc.asyncProperty(content, env, async (text, env) => {
        const files = { ...systemFiles, readFile: async () => text } as unknown as FileSystem
        const loaded = await loadConfig(files, '/config.json', env as NodeJS.ProcessEnv).catch(
          (error: unknown) => error,
        )
        if (loaded instanceof Error) {
          expect(loaded).toBeInstanceOf(ConfigurationError)
          const { setting, expected, message } = loaded as ConfigurationError
          expect([setting, expected]).not.toContain('')
          // The message names the setting, and an edit may have turned a value into a name.
          if (!IS_NAME.test(text)) expect(message).not.toContain(CANARY)
        } else expectUsable(loaded as Config)
        expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(inherited)
      }),
    )
  })
})

describe('any token file of an older add-in', FUZZ_TIMEOUT, () => {
  const KEYS = ['token', 'session_id', 'user_id', 'user_email', 'user_name', 'token_expiry']
  const value = fc.oneof(
    any,
    fc.constantFrom(319, 320, 321, 16 * 1024, 16 * 1024 + 1, 70_000).map((length) => CANARY.padEnd(length, 'x')),
  )
  const near = entriesOf([...KEYS, ...TRAPS], value, 7).map((value) => JSON.stringify(value))
  const content = fc.oneof(
    { arbitrary: near, weight: 4 },
    { arbitrary: value.map((token) => JSON.stringify({ token })), weight: 2 },
    { arbitrary: fc.tuple(near, edit).map(([text, edit]) => edited(text, edit)), weight: 1 },
    { arbitrary: fc.oneof(fc.json(), latin1(0, 40)), weight: 1 },
  )

  it('is read as valid params of importSession, or as none', async () => {
    const { params } = contract.importSession
    await check(
      300,
      fc.asyncProperty(content, async (text) => {
        const legacy = parseLegacyFile(text)
        if (!legacy) return
        expect(v.safeParse(params, legacy).success).toBe(true)
        expect(legacy.token).toBe(JSON.parse(text).token)
      }),
    )
  })

  it('stays unchanged unless the daemon has imported its session', async () => {
    const home = await temporaryFolder()
    const folders = locateFolders({ CADZERO_AUTH_HOME: home })
    await mkdir(folders.data, { recursive: true, mode: 0o700 })
    const handle = () => {
      throw new RpcError(errors.signInFailed.code, errors.signInFailed.message)
    }
    const { endpoint } = await startServer({
      methods: { importSession: { params: contract.importSession.params, handle } },
    })
    await writeEndpoint(systemFiles, folders.discoveryFile, endpoint)
    const context: Context = { host: systemHost(), folders }
    const path = join(home, '.auth_token.json')
    await check(
      8,
      fc.asyncProperty(content, async (text) => {
        const bytes = Buffer.from(text, 'latin1')
        await writeFile(path, bytes)
        const failure = await importLegacy(context, path, { start: false }).catch((error: unknown) => error)
        if (bytes.length <= 64 * 1024) expect(failure).toBeInstanceOf(CommandError)
        expect(failure).toBeInstanceOf(Error)
        expect(String(failure)).not.toContain(CANARY)
        expect(await readFile(path)).toEqual(bytes)
      }),
      20,
    )
  })
})
