// The discovery file while the daemon runs: how it is restored, and how its key is renewed.
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { DiscoveryPublisher } from '../../src/daemon/discovery-publisher.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemHost } from '../../src/host/host.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect } from '../../src/rpc/client.ts'
import { type Endpoint, readEndpoint, writeEndpoint } from '../../src/rpc/discovery.ts'
import { TestClock } from '../support/clock.ts'
import { startLocalDaemon } from '../support/daemon.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'
import { sendRaw } from '../support/raw.ts'
import { bytesOf, startServer, upgradeRequest } from '../support/rpc.ts'

const CHECK_SECONDS = 60

/** A clock that also tells when the next check is scheduled, since a check ends with that. */
class CheckClock extends TestClock {
  onScheduled: () => void = () => undefined

  override after(seconds: number, action: () => void): () => void {
    if (seconds === CHECK_SECONDS) this.onScheduled()
    return super.after(seconds, action)
  }
}

/** A daemon in this process, on a clock that the test moves. */
async function newDaemon() {
  const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
  const { discoveryFile } = folders
  const clock = new CheckClock()
  let reads = 0
  let onWrite: () => void = () => undefined
  const files: FileSystem = {
    ...systemFiles,
    open: (path, ...rest) => {
      if (path === discoveryFile) reads++
      return systemFiles.open(path, ...rest)
    },
    rename: async (from, to) => {
      await systemFiles.rename(from, to)
      if (to === discoveryFile) onWrite()
    },
  }
  const { daemon } = await startLocalDaemon({ folders, host: { clock, files } })
  return {
    folders,
    discoveryFile,
    daemon,
    endpoint: (await readEndpoint(systemFiles, discoveryFile)) as Endpoint,
    check: () => clock.advance(CHECK_SECONDS),
    /** Returns how often the file was read for one check. */
    readsOfCheck: async () => {
      const before = reads
      const ended = new Promise<void>((resolve) => {
        clock.onScheduled = resolve
      })
      clock.advance(CHECK_SECONDS)
      await ended
      return reads - before
    },
    written: () =>
      new Promise<void>((resolve) => {
        onWrite = resolve
      }),
  }
}

async function isServed(discoveryFile: string): Promise<boolean> {
  const client = await connect(systemFiles, discoveryFile, systemRandom)
  onTestFinished(() => client.close())
  return (await client.call('status')).state === 'signed_out'
}

/** The endpoint of a daemon that has crashed: no program listens on its port. */
async function crashedEndpoint(): Promise<Endpoint> {
  const { server, endpoint } = await startServer()
  await server.close()
  return { ...endpoint, pid: process.ppid }
}

describe('DiscoveryPublisher.watch', () => {
  it.each([
    ['was deleted', () => undefined],
    ['was overwritten', (path: string) => writeFile(path, 'not ours', { mode: 0o600 })],
    ['was replaced by a link', (path: string) => symlink('/dev/null', path)],
    [
      'names a daemon that has crashed',
      async (path: string) => writeEndpoint(systemFiles, path, await crashedEndpoint()),
    ],
  ])('writes the file again if it %s', async (_what, change) => {
    const { discoveryFile, endpoint, check, written } = await newDaemon()
    await rm(discoveryFile)
    await change(discoveryFile)
    const again = written()
    check()
    await again
    expect(await readEndpoint(systemFiles, discoveryFile)).toEqual(endpoint)
    expect(await isServed(discoveryFile)).toBe(true)
  })

  it.skipIf(isWindows)(
    `writes the file again if its folder was deleted${needs('a folder that can be deleted while a file in it is open')}`,
    async () => {
      const { folders, discoveryFile, check, written } = await newDaemon()
      await rm(folders.data, { recursive: true, maxRetries: 5 }) // the daemon may be writing there
      const again = written()
      check()
      await again
      expect(await isServed(discoveryFile)).toBe(true)
    },
  )

  it('ends the daemon if the file names another daemon that responds', async () => {
    const { discoveryFile, daemon, check } = await newDaemon()
    const other = { ...(await startServer()).endpoint, pid: process.ppid }
    await writeEndpoint(systemFiles, discoveryFile, other)
    check()
    await daemon.stopped
    expect(await readEndpoint(systemFiles, discoveryFile)).toEqual(other)
  })

  it('reads the file only if it has changed since the last check', async () => {
    const { discoveryFile, readsOfCheck } = await newDaemon()
    expect(await readsOfCheck()).toBe(1)
    expect(await readsOfCheck()).toBe(0)
    await chmod(discoveryFile, 0o400)
    expect(await readsOfCheck()).toBe(1)
    expect(await readsOfCheck()).toBe(0)
  })

  it('writes nothing if the file is correct', async () => {
    const { discoveryFile, check, written } = await newDaemon()
    let writes = 0
    void written().then(() => writes++)
    check()
    expect(await isServed(discoveryFile)).toBe(true)
    expect(writes).toBe(0)
  })

  it('does not write the file again after the daemon has stopped', async () => {
    const { discoveryFile, daemon, check } = await newDaemon()
    await rm(discoveryFile)
    check()
    await daemon.stop('test')
    await expect(readFile(discoveryFile)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('DiscoveryPublisher.publish', () => {
  it('renews the key after many handshakes, accepts the previous key until the next renewal, and no handshake twice', async () => {
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
    const send = (bytes: string) => sendRaw(server.port, bytes)
    const sent: string[] = []
    const connectWith = async (endpoint: Endpoint) => {
      const bytes = bytesOf(upgradeRequest(endpoint))
      sent.push(bytes)
      return (await send(bytes)).status
    }
    const use = async (endpoint: Endpoint) => [
      await connectWith(endpoint),
      await connectWith(endpoint),
      await connectWith(endpoint),
    ]

    const [first] = opened as [Endpoint]
    expect(await use(first)).toEqual([101, 101, 101])
    const [, second] = opened as [Endpoint, Endpoint]
    expect(opened).toHaveLength(2)
    expect(second.instance).not.toBe(first.instance)
    expect(second.key).not.toBe(first.key)
    expect(second.startedAt).toBe(first.startedAt)

    expect(await connectWith(first)).toBe(101) // a client that has just read the previous file
    expect(await use(second)).toEqual([101, 101, 101])
    expect(opened).toHaveLength(3)
    expect(await connectWith(first)).toBe(403)
    expect(await connectWith(second)).toBe(101)
    for (const bytes of sent) expect((await send(bytes)).status).toBe(403)

    await publisher.close()
    await expect(readFile(folders.discoveryFile)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
