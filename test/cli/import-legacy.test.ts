// Coming over from the plain token file of an older add-in: what is good is taken, and no token stays behind in plain text.
import { open, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemFiles, wipeFile } from '../../src/host/files.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type HandoffWorld, newHandoff } from '../support/handoff.ts'
import { runProgram } from '../support/program.ts'

/** The file as the add-in of today writes it. */
async function legacyFile(
  { sandbox, sessionId, home }: HandoffWorld,
  token: string,
  over: object = {},
): Promise<string> {
  const path = join(home, '.auth_token.json')
  const { id, email, name } = sandbox.user
  const content = { token, user_id: id, user_email: email, user_name: name, session_id: sessionId }
  await writeFile(path, JSON.stringify({ ...content, token_expiry: 1764547200.5, ...over }, null, 2), { mode: 0o644 })
  return path
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

describe('cadzero-auth import-legacy', () => {
  it('takes the session over while its token lives, and removes the file', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, client, home } = world
    const token = await sandbox.backend.sessionToken(sessionId)
    const path = await legacyFile(world, token)
    const { code, stdout, stderr } = await runProgram(['import-legacy', path], { home })
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'the session was taken over; nobody has to sign in\n' })
    expect(stderr).not.toContain(token)
    expect(await isThere(path)).toBe(false)
    expect(await client.call('status')).toMatchObject({
      state: 'signed_in',
      user: { id: sandbox.user.id, email: 'ada@example.com', name: 'Ada Lovelace' },
      sessionId,
    })
    expect((await client.call('getAuthHeader')).headers.Authorization).toBe(`Bearer ${token}`)
  })

  it('remembers who it was where the token has expired, and fills in their sign-in page', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, client, home, start } = world
    const path = await legacyFile(world, await sandbox.backend.sessionToken(sessionId, { issuedSecondsAgo: 3600 }))
    const { code, stdout } = await runProgram(['import-legacy', path, '--json'], { home })
    expect({ code, result: JSON.parse(stdout) }).toEqual({ code: 0, result: { imported: 'user', removed: true } })
    expect(await isThere(path)).toBe(false)
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', user: null })
    await start()
    const { authorizationUrl } = await client.call('status')
    expect(new URL(String(authorizationUrl)).searchParams.get('login_hint')).toBe('ada@example.com')
    await client.call('cancelLogin')
    await client.call('logout')
    expect(await readdir(join(home, 'data'))).not.toContain('known-user-production.json')
  })

  it('does not touch a session that is there, but the file goes', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, client, home } = world
    const first = await sandbox.backend.sessionToken(sessionId)
    await client.call('importSession', { token: first, user: { id: sandbox.user.id } })
    const path = await legacyFile(world, await sandbox.backend.sessionToken(sessionId, { lifetimeSeconds: 90 }))
    const { code, stdout } = await runProgram(['import-legacy', path, '--json'], { home })
    expect({ code, result: JSON.parse(stdout) }).toEqual({ code: 0, result: { imported: 'nothing', removed: true } })
    expect((await client.call('getAuthHeader')).headers.Authorization).toBe(`Bearer ${first}`)
    expect(await isThere(path)).toBe(false)
  })

  const foreign: [string, string][] = [
    ['nothing', ''],
    ['half of one', '{"token": "ey'],
    ['a list', '[]'],
    ['no token', '{"user_id": "user_2"}'],
    ['a token of another shape', '{"token": 5}'],
    ['something that is no token', '{"token": "not-a-token-at-all"}'],
    ['a megabyte', JSON.stringify({ token: 'x'.repeat(1024 * 1024) })],
  ]
  it.each(foreign)('leaves a file with %s in it alone, and says so', async (_what, content) => {
    const { home } = await newHandoff()
    const path = join(home, '.auth_token.json')
    await writeFile(path, content)
    const { code, stdout, stderr } = await runProgram(['import-legacy', path], { home })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: .+\nhint: .+\n$|^error: .+move it away\n$/)
    expect(await readFile(path, 'utf8')).toBe(content)
  })

  it('leaves a file alone whose token is another person’s or another instance’s', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, home } = world
    for (const [token, over] of [
      [await sandbox.backend.sessionToken(sessionId), { user_id: 'user_2other' }],
      [await sandbox.backend.sessionToken(sessionId, { claims: { iss: 'https://clerk.other.example' } }), {}],
    ] as const) {
      const path = await legacyFile(world, token, over)
      const { code, stderr } = await runProgram(['import-legacy', path], { home })
      expect(code).toBe(1)
      expect(stderr).toContain('left alone')
      expect(stderr).not.toContain(token)
      expect(await isThere(path)).toBe(true)
    }
  })

  it('leaves the file alone where Clerk cannot be asked', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, home } = world
    const path = await legacyFile(world, await sandbox.backend.sessionToken(sessionId))
    sandbox.script('/.well-known/jwks.json', { kind: 'drop' })
    const { code, stderr } = await runProgram(['import-legacy', path], { home })
    expect({ code, said: stderr.split('\n')[0] }).toEqual({ code: 1, said: 'error: temporarily unavailable: network' })
    expect(await isThere(path)).toBe(true)
  })

  it('says what to name where there is no such file', async () => {
    const { home } = await newHandoff()
    const { code, stderr } = await runProgram(['import-legacy', join(home, 'no such file')], { home })
    expect(code).toBe(1)
    expect(stderr).toContain('hint: name the .auth_token.json of the add-in')
  })
})

describe('wiping a file', () => {
  it('overwrites what was in it before it goes', async () => {
    const path = join(await temporaryFolder(), 'secret')
    await writeFile(path, 'a secret')
    const kept = await open(path) // its bytes stay readable through this after it has gone
    expect(await wipeFile(systemFiles, path, Buffer.from('a secret'))).toBe(true)
    expect(await isThere(path)).toBe(false)
    expect(await kept.readFile()).toEqual(Buffer.alloc(8))
    await kept.close()
  })

  it('leaves alone what has changed since it was read, and what is a link', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'secret')
    await writeFile(path, 'another!')
    expect(await wipeFile(systemFiles, path, Buffer.from('a secret'))).toBe(false)
    expect(await readFile(path, 'utf8')).toBe('another!')
    await symlink(path, join(folder, 'link'))
    await expect(wipeFile(systemFiles, join(folder, 'link'), Buffer.from('another!'))).rejects.toThrow()
    expect(await readFile(path, 'utf8')).toBe('another!')
  })
})
