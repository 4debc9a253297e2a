// `cadzero-auth update` of the script, which never updates itself, and what the user is told of a refused release.
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { options, UPDATE_KEY_FILE, updateKey } from '../../scripts/bundle.ts'
import { refusalError } from '../../src/cli/update/refusal.ts'
import { ROOT } from '../docs/markdown.ts'
import { temporaryFolder } from '../support/folder.ts'
import { runProgram } from '../support/program.ts'
import { testPublicKey } from '../update/releases.ts'

describe('the built script', () => {
  it.each([[], ['--check']])('says who updates it, and contacts no server: update %s', async (...args) => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'config'), { mode: 0o700 })
    await writeFile(join(home, 'config/config.json'), '{"updateUrl":"http://127.0.0.1:1/update.json"}')
    const { code, stdout, stderr } = await runProgram(['update', ...args], { home })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('error: npm run build updates this program')
    expect(await readdir(home)).toEqual(['config'])
  })

  it('has an error as JSON', async () => {
    const { stderr } = await runProgram(['update', '--json'], { home: await temporaryFolder() })
    expect(JSON.parse(stderr)).toMatchObject({ error: { exitCode: 1, hint: expect.stringContaining('npm run build') } })
  })
})

describe('the key for updates', () => {
  it('[I7] is that of the committed file, or there is none', () => {
    const file = join(ROOT, UPDATE_KEY_FILE)
    expect(updateKey()).toBe(existsSync(file) ? readFileSync(file, 'utf8') : '')
    expect(options.define.UPDATE_KEY).toBe(JSON.stringify(updateKey()))
  })

  it('[I7] is never a private key, nor one of another kind', async () => {
    const file = join(await temporaryFolder(), 'update-key.pem')
    const { privateKey } = generateKeyPairSync('ed25519')
    await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    expect(() => updateKey(file)).toThrow('is no public key')
    await writeFile(file, `${testPublicKey}${privateKey.export({ type: 'pkcs8', format: 'pem' })}`)
    expect(() => updateKey(file)).toThrow('is no public key')
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await writeFile(file, publicKey.export({ type: 'spki', format: 'pem' }))
    expect(() => updateKey(file)).toThrow('is no Ed25519 key')
    await writeFile(file, testPublicKey.replaceAll('\n', '\r\n'))
    expect(updateKey(file)).toBe(testPublicKey)
  })

  it('[I7] is named by no option, variable or setting, and no built file has that of the tests', async () => {
    const { publicKey } = generateKeyPairSync('ed25519')
    const body = (pem: string) => pem.split('\n')[1] ?? expect.fail('no key')
    const keys = [testPublicKey, publicKey.export({ type: 'spki', format: 'pem' }).toString()].map(body)
    const home = await temporaryFolder()
    const env = { UPDATE_KEY: testPublicKey, CADZERO_AUTH_UPDATE_KEY: testPublicKey }
    expect((await runProgram(['update'], { home, env })).code).toBe(1)
    expect((await runProgram(['update', '--key', 'file.pem'], { home })).code).toBe(2)
    await mkdir(join(home, 'config'), { mode: 0o700 })
    await writeFile(join(home, 'config/config.json'), JSON.stringify({ updateKey: testPublicKey }))
    expect((await runProgram(['config'], { home })).stderr).toContain('updateKey')
    for (const name of (await readdir(join(ROOT, 'dist'))).filter((one) => one.endsWith('.cjs'))) {
      const text = await readFile(join(ROOT, 'dist', name), 'utf8')
      for (const key of keys) expect(text, name).not.toContain(key)
      expect(text, name).not.toContain('process.env.UPDATE_KEY')
    }
  })
})

describe('the error of a refused release', () => {
  it('of a page in the place of update.json says where to look', () => {
    expect(refusalError({ reason: 'signature' }).hint).toContain('check that updateUrl leads to it')
  })

  const now = Date.UTC(2026, 10, 26) / 1000
  it.each<[Parameters<typeof refusalError>[0], string]>([
    [{ reason: 'signature' }, 'no valid signature'],
    [{ reason: 'format' }, 'does not understand it'],
    [{ reason: 'clock_behind', now: 0, madeAt: now }, 'the clock is wrong: it shows 1970-01-01, before 2026-11-26'],
    [{ reason: 'expired', now, expiresAt: now - 86_400 }, 'expired: on 2026-11-25, and the clock shows 2026-11-26'],
    [{ reason: 'replayed' }, 'older than this program, or than one that was seen before'],
    [{ reason: 'downgrade', version: '1.0.0' }, '1.0.0, which is older than this program'],
    [{ reason: 'too_old', version: '2.0.0', updatesFrom: '1.5.0' }, '2.0.0 updates 1.5.0 or newer'],
    [{ reason: 'system', version: '2.0.0', part: 'glibc', needed: '2.35', found: '2.28' }, 'needs glibc 2.35'],
    [{ reason: 'no_program', version: '2.0.0', target: 'linux-riscv64' }, 'no program for linux-riscv64'],
  ])('names the cause of %j', (refusal, text) => {
    const { message, hint } = refusalError(refusal)
    expect(message).toContain(text)
    expect(hint).toMatch(/^\S.*\S$/)
  })
})
