// The discovery file: what a client reads from it, and who may remove it.
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { type Endpoint, readEndpoint, removeEndpoint, writeEndpoint } from '../../src/rpc/discovery.ts'
import { isWindows, needs } from '../support/posix.ts'
import { temporaryFolder } from '../support/program.ts'

const endpoint: Endpoint = {
  version: 1,
  pid: 4711,
  endpoint: '127.0.0.1:49152',
  path: '/rpc',
  instance: 'A'.repeat(22),
  key: 'B'.repeat(43),
  startedAt: '2026-01-01T00:00:00Z',
  daemonVersion: '1.0.0',
}

async function newFile(content?: unknown): Promise<string> {
  const file = join(await temporaryFolder(), 'endpoint.json')
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  if (content !== undefined) await writeFile(file, text, { mode: 0o600 })
  return file
}

describe('the discovery file', () => {
  it('holds what the daemon wrote', async () => {
    const file = await newFile()
    await writeEndpoint(systemFiles, file, endpoint)
    expect(await readEndpoint(systemFiles, file)).toEqual(endpoint)
  })

  it.skipIf(isWindows)(`is refused if other users can read it${needs('file modes')}`, async () => {
    const file = await newFile()
    await writeEndpoint(systemFiles, file, endpoint)
    await chmod(file, 0o644)
    await expect(readEndpoint(systemFiles, file)).rejects.toMatchObject({ code: 'too_open' })
  })

  it('may hold members that the client does not know', async () => {
    expect(await readEndpoint(systemFiles, await newFile({ ...endpoint, unknown: 'x' }))).toEqual(endpoint)
  })

  it.each([
    ['no file', undefined],
    ['no JSON', '{"version":1,'],
    ['another version', { ...endpoint, version: 2 }],
    ['an endpoint on another address', { ...endpoint, endpoint: '192.0.2.1:49152' }],
    ['an endpoint by name', { ...endpoint, endpoint: 'localhost:49152' }],
    ['port 0', { ...endpoint, endpoint: '127.0.0.1:0' }],
    ['a path with a query', { ...endpoint, path: '/rpc?a=b' }],
    ['a short key', { ...endpoint, key: 'B'.repeat(42) }],
    ['a short instance', { ...endpoint, instance: 'A'.repeat(21) }],
    ['pid 0', { ...endpoint, pid: 0 }],
  ])('names no daemon if there is %s', async (_name, content) => {
    expect(await readEndpoint(systemFiles, await newFile(content))).toBeUndefined()
  })

  it('is removed by its own daemon, and by no other', async () => {
    const file = await newFile(endpoint)
    await removeEndpoint(systemFiles, file, 'C'.repeat(22))
    expect(await readEndpoint(systemFiles, file)).toEqual(endpoint)
    await removeEndpoint(systemFiles, file, endpoint.instance)
    await expect(readFile(file)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
