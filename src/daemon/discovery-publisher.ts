// Keeps the discovery file true while the daemon runs: it is there, it is ours, and its key is renewed before it is worn.

import type { Folders } from '../config/paths.ts'
import { ensurePrivateFolder } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { randomText } from '../host/random.ts'
import { connectTo } from '../rpc/client.ts'
import { type Endpoint, readEndpoint, removeEndpoint, writeEndpoint } from '../rpc/discovery.ts'
import type { RpcServer } from '../rpc/server.ts'
import { Mutex } from '../session/mutex.ts'

const PATH = '/rpc'
const LOOK_SECONDS = 30

export class Publication {
  readonly #host: Host
  readonly #folders: Folders
  readonly #server: RpcServer
  readonly #version: string
  readonly #startedAt: string
  #endpoint: Endpoint
  #cancelLook: () => void = () => undefined
  readonly #mutex = new Mutex() // the file is written and removed one after the other
  #closed = false

  /** @param server nobody is let in before `renew` */
  constructor(host: Host, folders: Folders, server: RpcServer, version: string) {
    this.#host = host
    this.#folders = folders
    this.#server = server
    this.#version = version
    this.#startedAt = new Date(host.clock.now() * 1000).toISOString()
    this.#endpoint = this.#newEndpoint()
    server.onKeyRenewalDue = () => void this.renew().catch(() => undefined) // the next look at the file tries again
  }

  /** Publishes a new instance and key. Who has read the ones before still gets in, until the next time. @throws a system error */
  async renew(): Promise<void> {
    this.#endpoint = this.#newEndpoint()
    this.#server.setEndpoint(this.#endpoint)
    await this.#mutex.run(() => this.#write())
  }

  /**
   * Looks after the file now and then: a daemon that nobody can find holds the lock, and so nobody could start another.
   * @param onSuperseded is called where the file names another daemon that is genuine: the lock's file was deleted as well
   */
  watch(onSuperseded: () => void): void {
    this.#cancelLook = this.#host.clock.after(LOOK_SECONDS, () => {
      void this.#mutex
        .run(() => this.#look(onSuperseded))
        .finally(() => {
          if (!this.#closed) this.watch(onSuperseded)
        })
    })
  }

  /** Removes the file, if it is ours. @throws a system error */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelLook()
    const { files } = this.#host
    await this.#mutex.run(() => removeEndpoint(files, this.#folders.discoveryFile, this.#endpoint.instance))
  }

  async #look(onSuperseded: () => void): Promise<void> {
    if (this.#closed) return
    const found = await readEndpoint(this.#host.files, this.#folders.discoveryFile).catch(() => undefined)
    if (found?.instance === this.#endpoint.instance) return
    if (found && found.pid !== process.pid && (await isGenuine(found, this.#host))) return onSuperseded()
    try {
      await ensurePrivateFolder(this.#host.files, this.#folders.data)
      await this.#write()
    } catch {} // the next look tries again
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
