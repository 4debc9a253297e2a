// A sign-out: the file goes first, then the session at the provider, and what cannot be deleted is said.
import { access, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { signOut } from '../../src/session/sign-out.ts'
import { newSession } from '../support/session.ts'
import { newSessionParts } from '../support/session-parts.ts'

async function newSignOut(options: Parameters<typeof newSessionParts>[0] = {}) {
  const world = await newSessionParts(options)
  const order: string[] = []
  const { provider } = world.parts
  const parts = {
    ...world.parts,
    provider: {
      revoke: async (session: Parameters<typeof provider.revoke>[0]) => {
        order.push('revoked')
        return await provider.revoke(session)
      },
    },
    onSignedOut: () => void order.push('signed_out'),
  }
  return { ...world, provider, order, signOut: (sessionId?: string) => signOut(sessionId, parts) }
}

describe('signOut', () => {
  it('deletes the file, publishes the end, and only then revokes the session', async () => {
    const saved = newSession()
    const { load, signOut, parts, provider, order, path, logged } = await newSignOut({ saved })
    await load()
    logged.length = 0
    expect(await signOut()).toEqual({ revoked: true, accessTokenValidUntil: 42 })
    await expect(access(path)).rejects.toThrow('ENOENT')
    expect(parts.current.state).toEqual({ kind: 'signed_out', reason: 'signed_out' })
    expect(provider.revoked).toEqual([saved])
    expect(order).toEqual(['signed_out', 'revoked'])
    expect(logged).toEqual([['signed_out', { revoked: true }]])
  })

  it('says that nothing is left to revoke if the user was signed out', async () => {
    const { load, signOut, provider } = await newSignOut({ saved: null })
    await load()
    expect(await signOut()).toEqual({ revoked: true, accessTokenValidUntil: null })
    expect(provider.revoked).toEqual([])
  })

  it('deletes a file that was never read, and does not claim that its session is revoked', async () => {
    const { signOut, path, parts, provider } = await newSignOut()
    expect(await signOut()).toEqual({ revoked: false, accessTokenValidUntil: null })
    await expect(access(path)).rejects.toThrow('ENOENT')
    expect(parts.current.state).toEqual({ kind: 'signed_out', reason: 'signed_out' })
    expect(provider.revoked).toEqual([])
  })

  it('revokes a session whose file cannot be deleted, signs out, and throws the reason', async () => {
    const { load, signOut, parts, provider, disk, logged } = await newSignOut()
    await load()
    disk.isReadOnly = true
    await expect(signOut()).rejects.toMatchObject({ name: 'StoreError' })
    expect(provider.revoked).toHaveLength(1)
    expect(parts.current.state.kind).toBe('signed_out')
    expect(logged.at(-1)).toEqual(['signed_out', { revoked: true }])
  })

  it('does not count as a sign-out if the file was never read and cannot be deleted', async () => {
    const { signOut, parts, disk } = await newSignOut()
    disk.isReadOnly = true
    await expect(signOut()).rejects.toMatchObject({ name: 'StoreError' })
    expect(parts.current.state.kind).toBe('unloaded')
  })

  it('of one session changes nothing if that is no longer the session', async () => {
    const saved = newSession({ sessionId: 'sess_new' })
    const { load, signOut, parts, provider, order, openStore } = await newSignOut({ saved })
    await load()
    expect(await signOut('sess_old')).toBeUndefined()
    expect(parts.current.state).toMatchObject({ kind: 'signed_in', session: saved })
    expect(await openStore().load()).toEqual(saved)
    expect([provider.revoked, order]).toEqual([[], []])
    expect(await signOut('sess_new')).toMatchObject({ revoked: true })
  })

  it('of one session changes nothing if the user is signed out, and leaves a file alone that was not read', async () => {
    const { signOut, path, order } = await newSignOut({ saved: null })
    await writeFile(path, 'unread')
    expect(await signOut('sess_old')).toBeUndefined()
    await access(path)
    expect(order).toEqual([])
  })

  it('makes the next sign-in ask for the account', async () => {
    const { load, signOut, parts } = await newSignOut()
    await load()
    await signOut()
    expect(await parts.loginHint.read()).toMatchObject({ prompt: 'login' })
  })
})
