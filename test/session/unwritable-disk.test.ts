// A disk that cannot be written: the session serves from memory, and is saved as soon as that is possible.
import { describe, expect, it, vi } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { newSession } from '../support/session.ts'

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })

describe('a disk that cannot be written', () => {
  const failing = () => {
    const disk = { full: false }
    const files: FileSystem = {
      ...systemFiles,
      rename: async (...args) => {
        if (disk.full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        return await systemFiles.rename(...args)
      },
    }
    return { disk, files }
  }

  it('is not written to again for each caller whose token ages', async () => {
    let writes = 0
    const { disk, files } = failing()
    const counting: FileSystem = {
      ...files,
      rename: (...args) => {
        writes++
        return files.rename(...args)
      },
    }
    const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_000_000, lifetime: 60 } })
    const { authenticator, clock } = await newAuthenticator({ saved, files: counting })
    await authenticator.load()
    disk.full = true
    clock.advance(49)
    await authenticator.settled() // it has been tried again by itself meanwhile
    writes = 0
    for (let n = 0; n < 100; n++) {
      await authenticator.authHeader()
      await authenticator.settled()
    }
    expect(writes).toBe(1)
  })

  it('gets the session as soon as it can be written, without a call', async () => {
    const { disk, files } = failing()
    const { authenticator, clock, openStore } = await newAuthenticator({ saved: newSession(), files })
    await authenticator.load()
    clock.advance(61) // only a token that is dead is renewed while nothing can be saved
    disk.full = true
    await authenticator.refresh()
    for (let i = 0; i < 3; i++) {
      clock.advance(60)
      await authenticator.settled()
    }
    expect(authenticator.status().store.persisted).toBe(false)
    disk.full = false
    await vi.waitFor(() => {
      clock.advance(60)
      expect(authenticator.status().store.persisted).toBe(true)
    })
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1' })
  })

  it('gets the session at a stop, if it can be written by then', async () => {
    const { disk, files } = failing()
    const { authenticator, clock, openStore } = await newAuthenticator({ saved: newSession(), files })
    await authenticator.load()
    clock.advance(61) // only a token that is dead is renewed while nothing can be saved
    disk.full = true
    await authenticator.refresh()
    disk.full = false
    authenticator.stop()
    await authenticator.settled()
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1' })
  })

  it('does not stop a session that serves from memory, and no token is sent whose successor could not be saved', async () => {
    const { disk, files } = failing()
    const saved = newSession({ accessToken: { value: 'saved', receivedAt: 1_800_000_000, lifetime: 60 } })
    const { authenticator, provider, clock, openStore } = await newAuthenticator({ saved, files })
    await authenticator.load()
    disk.full = true
    await expect(authenticator.refresh()).rejects.toMatchObject({ name: 'StoreError', code: 'disk_full' })
    clock.advance(55)
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    const onDisk = { store: { persisted: true }, refresh: { lastError: 'disk_full' } }
    expect(authenticator.status()).toMatchObject(onDisk)
    expect(provider.refreshed).toHaveLength(0)
    clock.advance(6) // no client can use an expired token: only now is the token on disk sent
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    const inMemory = { store: { persisted: false }, refresh: { lastError: 'disk_full' } }
    expect(authenticator.status()).toMatchObject(inMemory)
    expect(await openStore().load()).toMatchObject({ refreshToken: saved.refreshToken })
    clock.advance(55)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed).toHaveLength(1)
    disk.full = false
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-2'))
    expect(authenticator.status().store.persisted).toBe(true)
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-2' })
  })
})

describe('a save that is retried', () => {
  it('does not bring back a session that expired meanwhile', async () => {
    const disk = { full: false, gate: undefined as Promise<void> | undefined }
    let reached: () => void = () => undefined
    const files: FileSystem = {
      ...systemFiles,
      rename: async (...args) => {
        if (disk.full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        reached()
        await disk.gate
        return await systemFiles.rename(...args)
      },
    }
    const { authenticator, provider, clock, changes, comeBack } = await newAuthenticator({ files })
    await authenticator.load()
    provider.canRefresh = () => false
    disk.full = true
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await comeBack()
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', store: { persisted: false } })
    disk.full = false
    let open: () => void = () => undefined
    disk.gate = new Promise((resolve) => {
      open = resolve
    })
    const saving = new Promise<void>((resolve) => {
      reached = resolve
    })
    clock.advance(2)
    await saving
    clock.advance(60)
    expect(authenticator.status().state).toBe('signed_out')
    const before = changes.length
    open()
    await authenticator.settled()
    expect(changes.slice(before)).toEqual([])
    expect(authenticator.status().state).toBe('signed_out')
  })
})
