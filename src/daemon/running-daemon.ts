// The daemon while it runs: notifies its clients, and takes its parts down in order when it stops.
import type { Clock } from '../host/clock.ts'
import type { Lock } from '../host/lock.ts'
import type { RpcServer } from '../rpc/server.ts'
import type { DiscoveryPublisher } from './discovery-publisher.ts'
import type { Services } from './services.ts'

const LOG_OPEN_SECONDS = 0.5 // loading the log's packages would delay the first calls, which come right after a start

export class RunningDaemon {
  readonly #services: Services
  readonly #server: RpcServer
  readonly #publisher: DiscoveryPublisher
  readonly #lock: Lock
  #stopping: Promise<void> | undefined
  #onStopped: () => void = () => undefined
  readonly stopped: Promise<void>

  constructor(clock: Clock, services: Services, server: RpcServer, publisher: DiscoveryPublisher, lock: Lock) {
    this.#services = services
    this.#server = server
    this.#publisher = publisher
    this.#lock = lock
    this.stopped = new Promise((resolve) => {
      this.#onStopped = resolve
    })
    clock.after(LOG_OPEN_SECONDS, () => services.log.open())
    publisher.watch(
      () => void this.stop('superseded'),
      () => services.profiles.followClock(),
    )
  }

  notify(method: string, params: unknown): void {
    this.#server.notify(method, params)
  }

  stop(reason: string): Promise<void> {
    // An error must not keep the process alive: everything that was acknowledged to a client is on disk.
    this.#stopping ??= this.#takeDown(reason)
      .catch(() => undefined)
      .finally(this.#onStopped)
    return this.#stopping
  }

  async #takeDown(reason: string): Promise<void> {
    const { log, profiles } = this.#services
    log.info('stopping', { reason })
    profiles.stop()
    await this.#server.close()
    await profiles.settled()
    await this.#publisher.close().catch(() => undefined)
    log.info('stopped')
    await log.close()
    await this.#lock.release() // last, so that the next daemon finds everything saved
  }
}
