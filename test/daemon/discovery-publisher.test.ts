// The discovery file while the daemon runs: what becomes of it, and of those who have read it.
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { startDaemon } from '../../src/daemon/daemon.ts'
import { DiscoveryPublisher } from '../../src/daemon/discovery-publisher.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemHost } from '../../src/host/host.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { type Endpoint, readEndpoint, writeEndpoint } from '../../src/rpc/discovery.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { sendRaw } from '../support/raw.ts'
import { bytesOf, startServer, upgradeRequest } from '../support/rpc.ts'

const LOOK_SECONDS = 30

/** A daemon in this process, whose time the test moves. */
async function newDaemon() {
  const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
  const { discoveryFile } = folders
  const clock = new TestClock()
  let tell: () => void = () => undefined
  const files: FileSystem = {
    ...systemFiles,
    rename: async (from, to) => {
      await systemFiles.rename(from, to)
      if (to === discoveryFile) tell()
    },
  }
  const env = { CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }
  const host = { ...systemHost(), clock, files }
  const started = await startDaemon({ host, folders, env, version: '1.0.0', replace: false, passphrase: undefined })
  if (started.kind !== 'running') throw new Error(started.kind)
  onTestFinished(() => started.daemon.stop('test'))
  return {
    folders,
    discoveryFile,
    daemon: started.daemon,
    endpoint: (await readEndpoint(systemFiles, discoveryFile)) as Endpoint,
    look: () => clock.advance(LOOK_SECONDS),
    written: () =>
      new Promise<void>((resolve) => {
        tell = resolve
      }),
  }
}

async function isServed(discoveryFile: string): Promise<boolean> {
  const client = await connect(systemFiles, discoveryFile, systemRandom)
  onTestFinished(() => client.close())
  return (await client.call('status')).state === 'signed_out'
}

/** Of a daemon whose port nobody has now. */
async function crashed(): Promise<Endpoint> {
  const { server, endpoint } = await startServer()
  await server.close()
  return { ...endpoint, pid: process.ppid }
}

describe('a daemon whose discovery file', () => {
  it.each([
    ['was deleted', () => undefined],
    ['was overwritten', (path: string) => writeFile(path, 'not ours', { mode: 0o600 })],
    ['is a link by now', (path: string) => symlink('/dev/null', path)],
    ['is a crashed one’s by now', async (path: string) => writeEndpoint(systemFiles, path, await crashed())],
  ])('%s is found again', async (_what, change) => {
    const { discoveryFile, endpoint, look, written } = await newDaemon()
    await rm(discoveryFile)
    await change(discoveryFile)
    const again = written()
    look()
    await again
    expect(await readEndpoint(systemFiles, discoveryFile)).toEqual(endpoint)
    expect(await isServed(discoveryFile)).toBe(true)
  })

  it('went with its folder is found again', async () => {
    const { folders, discoveryFile, look, written } = await newDaemon()
    await rm(folders.data, { recursive: true })
    const again = written()
    look()
    await again
    expect(await isServed(discoveryFile)).toBe(true)
  })

  it('names another daemon ends: nobody would find it', async () => {
    const { discoveryFile, daemon, look } = await newDaemon()
    const other = { ...(await startServer()).endpoint, pid: process.ppid }
    await writeEndpoint(systemFiles, discoveryFile, other)
    look()
    await daemon.stopped
    expect(await readEndpoint(systemFiles, discoveryFile)).toEqual(other)
  })

  it('is its own writes nothing', async () => {
    const { discoveryFile, look, written } = await newDaemon()
    let writes = 0
    void written().then(() => writes++)
    look()
    expect(await isServed(discoveryFile)).toBe(true)
    expect(writes).toBe(0)
  })

  it('is gone at its stop stays gone', async () => {
    const { discoveryFile, daemon, look } = await newDaemon()
    await rm(discoveryFile)
    look()
    await daemon.stop('test')
    await expect(readFile(discoveryFile)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('a key that has served many handshakes', () => {
  it('is followed by a new one, and opens nothing after the next; no handshake counts twice', async () => {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    await mkdir(folders.data, { recursive: true, mode: 0o700 })
    const { server } = await startServer({ handshakesPerKey: 3 })
    const publisher = new DiscoveryPublisher(systemHost(), folders, server, '1.0.0')
    const opened: Endpoint[] = []
    const setEndpoint = server.setEndpoint.bind(server)
    server.setEndpoint = (endpoint) => {
      opened.push(endpoint)
      setEndpoint(endpoint)
    }
    await publisher.publish()
    const knock = (bytes: string) => sendRaw(server.port, bytes)
    const sent: string[] = []
    const enter = async (endpoint: Endpoint) => {
      const bytes = bytesOf(upgradeRequest(endpoint))
      sent.push(bytes)
      return (await knock(bytes)).status
    }
    const use = async (endpoint: Endpoint) => [await enter(endpoint), await enter(endpoint), await enter(endpoint)]

    const [first] = opened as [Endpoint]
    expect(await use(first)).toEqual([101, 101, 101])
    const [, second] = opened as [Endpoint, Endpoint]
    expect(opened).toHaveLength(2)
    expect(second.instance).not.toBe(first.instance)
    expect(second.key).not.toBe(first.key)
    expect(second.startedAt).toBe(first.startedAt)

    expect(await enter(first)).toBe(101) // read just before
    expect(await use(second)).toEqual([101, 101, 101])
    expect(opened).toHaveLength(3)
    expect(await enter(first)).toBe(403)
    expect(await enter(second)).toBe(101)
    for (const bytes of sent) expect((await knock(bytes)).status).toBe(403)

    await publisher.close()
    await expect(readFile(folders.discoveryFile)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
