// Sockets that have not proven themselves yet: each has two seconds, and the oldest makes room for a new one.
import type { Duplex } from 'node:stream'
import type { CancelTimer, Clock } from '../host/clock.ts'
import { LIMITS } from './limits.ts'

export class UnauthenticatedSockets {
  readonly #clock: Clock
  readonly #timers = new Map<Duplex, CancelTimer>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Destroys the socket unless it is removed in time. */
  add(socket: Duplex): void {
    if (this.#timers.size >= LIMITS.unauthenticatedSockets) {
      const [oldest] = this.#timers.keys()
      oldest?.destroy()
    }
    this.#timers.set(
      socket,
      this.#clock.after(LIMITS.unauthenticatedSeconds, () => socket.destroy()),
    )
    socket.once('close', () => this.remove(socket))
  }

  /** The socket has proven itself, or is closed. */
  remove(socket: Duplex): void {
    this.#timers.get(socket)?.()
    this.#timers.delete(socket)
  }

  destroyAll(): void {
    for (const [socket, cancel] of this.#timers) {
      cancel()
      socket.destroy()
    }
  }
}
