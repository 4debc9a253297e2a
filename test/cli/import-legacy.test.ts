// `import-legacy`: imports a valid session from the token file of an older add-in, and leaves no token in plain text.
import { open, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemFiles, wipeFile } from '../../src/host/files.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type HandoffWorld, newHandoff } from '../support/handoff.ts'
import { runProgram } from '../support/program.ts'

/** The token file as the add-in writes it. */
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

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

describe('cadzero-auth import-legacy', () => {
  it('imports the session while its token is valid, and removes the file', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, client, home } = world
    const token = await sandbox.backend.sessionToken(sessionId)
    const path = await legacyFile(world, token)
    const { code, stdout, stderr } = await runProgram(['import-legacy', path], { home })
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'the session is imported; you are signed in\n' })
    expect(stderr).not.toContain(token)
    expect(await exists(path)).toBe(false)
    expect(await client.call('status')).toMatchObject({
      state: 'signed_in',
      user: { id: sandbox.user.id, email: 'ada@example.com', name: 'Ada Lovelace' },
      sessionId,
    })
    expect((await client.call('getAuthHeader')).headers.Authorization).toBe(`Bearer ${token}`)
  })

  it('remembers the user if the token has expired, and fills in the sign-in page for this user', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, client, home, start } = world
    const path = await legacyFile(world, await sandbox.backend.sessionToken(sessionId, { issuedSecondsAgo: 3600 }))
    const { code, stdout } = await runProgram(['import-legacy', path, '--json'], { home })
    expect({ code, result: JSON.parse(stdout) }).toEqual({ code: 0, result: { imported: 'user', removed: true } })
    expect(await exists(path)).toBe(false)
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', user: null })
    await start()
    const { authorizationUrl } = await client.call('status')
    expect(new URL(String(authorizationUrl)).searchParams.get('login_hint')).toBe('ada@example.com')
    await client.call('cancelLogin')
    await client.call('logout')
    // The user is forgotten: the next sign-in asks who it is.
    const kept = await readFile(join(home, 'data', 'known-user-production.json'), 'utf8')
    expect(JSON.parse(kept)).toEqual({ prompt: 'login' })
  })

  it('keeps an existing session, and removes the file', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, client, home } = world
    const first = await sandbox.backend.sessionToken(sessionId)
    await client.call('importSession', { token: first, user: { id: sandbox.user.id } })
    const path = await legacyFile(world, await sandbox.backend.sessionToken(sessionId, { lifetimeSeconds: 90 }))
    const { code, stdout } = await runProgram(['import-legacy', path, '--json'], { home })
    expect({ code, result: JSON.parse(stdout) }).toEqual({ code: 0, result: { imported: 'nothing', removed: true } })
    expect((await client.call('getAuthHeader')).headers.Authorization).toBe(`Bearer ${first}`)
    expect(await exists(path)).toBe(false)
  })

  const foreign: [string, string][] = [
    ['no content', ''],
    ['an incomplete object', '{"token": "ey'],
    ['a list', '[]'],
    ['no token', '{"user_id": "user_2"}'],
    ['a token of another type', '{"token": 5}'],
    ['a value that is not a JWT', '{"token": "not-a-token-at-all"}'],
    ['a megabyte', JSON.stringify({ token: 'x'.repeat(1024 * 1024) })],
  ]
  it.each(foreign)('leaves a file with %s unchanged, and reports it', async (_what, content) => {
    const { home } = await newHandoff()
    const path = join(home, '.auth_token.json')
    await writeFile(path, content)
    const { code, stdout, stderr } = await runProgram(['import-legacy', path], { home })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: .+\nhint: .+\n$|^error: .+move it away\n$/)
    expect(await readFile(path, 'utf8')).toBe(content)
  })

  it('leaves a file with a token of another user or of another instance unchanged', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, home } = world
    for (const [token, over] of [
      [await sandbox.backend.sessionToken(sessionId), { user_id: 'user_2other' }],
      [await sandbox.backend.sessionToken(sessionId, { claims: { iss: 'https://clerk.other.example' } }), {}],
    ] as const) {
      const path = await legacyFile(world, token, over)
      const { code, stderr } = await runProgram(['import-legacy', path], { home })
      expect(code).toBe(1)
      expect(stderr).toContain('the file is unchanged')
      expect(stderr).not.toContain(token)
      expect(await exists(path)).toBe(true)
    }
  })

  it('leaves the file unchanged if Clerk cannot be reached', async () => {
    const world = await newHandoff()
    const { sandbox, sessionId, home } = world
    const path = await legacyFile(world, await sandbox.backend.sessionToken(sessionId))
    sandbox.script('/.well-known/jwks.json', { kind: 'drop' })
    const { code, stderr } = await runProgram(['import-legacy', path], { home })
    expect({ code, said: stderr.split('\n')[0] }).toEqual({
      code: 1,
      said: 'error: temporarily unavailable: network (protocol)',
    })
    expect(await exists(path)).toBe(true)
  })

  it('asks for the path of the file if it does not exist', async () => {
    const { home } = await newHandoff()
    const { code, stderr } = await runProgram(['import-legacy', join(home, 'no such file')], { home })
    expect(code).toBe(1)
    expect(stderr).toContain('hint: pass the path of the add-in’s .auth_token.json')
  })
})

describe('wipeFile', () => {
  it('overwrites the content before it deletes the file', async () => {
    const path = join(await temporaryFolder(), 'secret')
    await writeFile(path, 'a secret')
    const kept = await open(path) // this handle still reads the content after the file is deleted
    expect(await wipeFile(systemFiles, path, Buffer.from('a secret'))).toBe(true)
    expect(await exists(path)).toBe(false)
    expect(await kept.readFile()).toEqual(Buffer.alloc(8))
    await kept.close()
  })

  it('does not delete a file that has changed since it was read, or a link', async () => {
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
