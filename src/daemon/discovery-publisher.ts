// Publishes the discovery file and keeps it correct while the daemon runs; renews the key before it has served too often.
import type { Folders } from '../config/paths.ts'
import { ensurePrivateFolder } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { randomText } from '../host/random.ts'
import { connectTo } from '../rpc/client.ts'
import { type Endpoint, readEndpoint, removeEndpoint, writeEndpoint } from '../rpc/discovery.ts'
import type { RpcServer } from '../rpc/server.ts'
import { Mutex } from '../session/mutex.ts'

const PATH = '/rpc'
const CHECK_SECONDS = 60 // two wake-ups of an idle laptop a minute: the timer, and the answer of the disk

export class DiscoveryPublisher {
  readonly #host: Host
  readonly #folders: Folders
  readonly #server: RpcServer
  readonly #version: string
  readonly #startedAt: string
  #endpoint: Endpoint
  #cancelCheck: () => void = () => undefined
  readonly #mutex = new Mutex() // checks, writes and the removal of the file never overlap
  #closed = false
  /** The file as it was when it last named this daemon. */
  #checkedFile: string | undefined

  /** @param server accepts no client before `publish` */
  constructor(host: Host, folders: Folders, server: RpcServer, version: string) {
    this.#host = host
    this.#folders = folders
    this.#server = server
    this.#version = version
    this.#startedAt = new Date(host.clock.now() * 1000).toISOString()
    this.#endpoint = this.#newEndpoint()
    server.onKeyRenewalDue = () => void this.publish().catch(() => undefined) // the next check writes the file again
  }

  /**
   * Publishes an endpoint with a new instance id and key. A client that has just read the previous endpoint is still
   * accepted, until the next call of this.
   * @throws a system error
   */
  async publish(): Promise<void> {
    this.#endpoint = this.#newEndpoint()
    this.#server.setEndpoint(this.#endpoint)
    await this.#mutex.run(() => this.#write())
  }

  /**
   * Checks the file every minute and writes it again if needed. Without the file no client can find the daemon, while its lock
   * keeps another one from starting.
   * @param onSuperseded called if the file names another daemon that responds: then the lock file was deleted as well
   * @param onCheck called before each check
   */
  watch(onSuperseded: () => void, onCheck: () => void = () => undefined): void {
    this.#cancelCheck = this.#host.clock.after(CHECK_SECONDS, () => {
      onCheck()
      void this.#mutex
        .run(() => this.#check(onSuperseded))
        .finally(() => {
          if (!this.#closed) this.watch(onSuperseded, onCheck)
        })
    })
  }

  /** Removes the file, unless it names another daemon. @throws a system error */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelCheck()
    const { files } = this.#host
    await this.#mutex.run(() => removeEndpoint(files, this.#folders.discoveryFile, this.#endpoint.instance))
  }

  async #check(onSuperseded: () => void): Promise<void> {
    if (this.#closed) return
    const file = await this.#describeFile()
    if (file !== undefined && file === this.#checkedFile) return
    const found = await readEndpoint(this.#host.files, this.#folders.discoveryFile).catch(() => undefined)
    if (found?.instance === this.#endpoint.instance) {
      this.#checkedFile = file
      return
    }
    if (found && found.pid !== process.pid && (await isGenuine(found, this.#host))) return onSuperseded()
    try {
      await ensurePrivateFolder(this.#host.files, this.#folders.data)
      await this.#write()
    } catch {} // the next check tries again
  }

  /** Differs after each change, that of the access rights included; undefined if there is no file. */
  async #describeFile(): Promise<string | undefined> {
    const found = await this.#host.files.stat(this.#folders.discoveryFile).catch(() => undefined)
    return found && `${found.ino} ${found.size} ${found.ctimeMs}`
  }

  #write(): Promise<void> {
    return writeEndpoint(this.#host.files, this.#folders.discoveryFile, this.#endpoint)
  }

  #newEndpoint(): Endpoint {
    return {
      version: 1,
      pid: process.pid,
      endpoint: `127.0.0.1:${this.#server.port}`,
      path: PATH,
      instance: randomText(this.#host.random, 16),
      key: randomText(this.#host.random, 32),
      startedAt: this.#startedAt,
      daemonVersion: this.#version,
      host: this.#host.name,
      bootId: this.#host.bootId,
      program: this.#host.program,
    }
  }
}

async function isGenuine(endpoint: Endpoint, { random }: Host): Promise<boolean> {
  try {
    const client = await connectTo(endpoint, random)
    client.close()
    return true
  } catch {
    return false
  }
}
