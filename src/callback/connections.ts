// The connections of the callback listener, and who has opened them. The listener has a fixed number of places.
// Invariant: no program keeps the user's browser out by holding connections. A new one always gets a place: the oldest that sends
// nothing gives way, those of other users first, which get time for one request and a few places at most. A connection that has
// just come keeps its place until its request can have been read, even while others come by the hundred.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../host/clock.ts'
import type { FindSocketOwner, SocketOwner } from '../host/socket-owner.ts'

export interface ConnectionsOptions {
  readonly clock: Clock
  readonly socketOwner: FindSocketOwner
  /** Called when a connection was closed because there were too many. */
  readonly onEvicted: () => void
}

const PLACES = 64 // a browser opens a few; more would only keep sockets and memory busy
const GRACE = 0.2 // s; a browser on this machine sends its request at once
const MOST = 640 // more than the 511 that the system queues and Node accepts in one go, before it reads from any of them
const PLACES_OF_OTHERS = 8
const SECONDS_OF_OTHERS = 1 // a browser of another user sends its request at once, and gets a page that says what is wrong

export class Connections {
  readonly #options: ConnectionsOptions
  /** Those without a request in progress, the oldest first, and since when in monotonic seconds. */
  readonly #idle = new Map<Socket, number>()
  readonly #ofOthers = new Set<Socket>()
  readonly #owners = new WeakMap<Socket, Promise<SocketOwner>>()
  #count = 0

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) => this.#accept(socket))
    server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      this.#idle.delete(socket)
      response.on('close', () => {
        if (!socket.destroyed) this.#idle.set(socket, this.#options.clock.monotonic())
      })
    })
  }

  /** Found once per connection, since a search takes some milliseconds. */
  ownerOf(socket: Socket): Promise<SocketOwner> {
    let owner = this.#owners.get(socket)
    if (owner === undefined) {
      owner = this.#options.socketOwner(socket)
      this.#owners.set(socket, owner)
    }
    return owner
  }

  #accept(socket: Socket): void {
    this.#count += 1
    this.#idle.set(socket, this.#options.clock.monotonic())
    socket.on('close', () => {
      this.#count -= 1
      this.#idle.delete(socket)
      this.#ofOthers.delete(socket)
    })
    if (this.#count > PLACES) this.#makePlace(socket)
    void this.ownerOf(socket).then((owner) => owner === 'other' && this.#limitOther(socket))
  }

  #makePlace(latest: Socket): void {
    const other = firstOpen(this.#ofOthers, (socket) => this.#idle.has(socket))
    const oldest = firstOpen(this.#idle.keys())
    const isReady = oldest !== undefined && this.#options.clock.monotonic() - (this.#idle.get(oldest) ?? 0) >= GRACE
    if (other !== undefined) this.#evict(other)
    else if (isReady) this.#evict(oldest)
    else if (this.#count > MOST) this.#evict(oldest ?? latest)
  }

  #limitOther(socket: Socket): void {
    if (socket.destroyed) return
    this.#ofOthers.add(socket)
    this.#options.clock.after(SECONDS_OF_OTHERS, () => socket.destroy())
    if (this.#ofOthers.size <= PLACES_OF_OTHERS) return
    this.#evict(firstOpen(this.#ofOthers) ?? socket)
  }

  #evict(socket: Socket): void {
    this.#options.onEvicted()
    socket.destroy()
  }
}

/** The oldest that is not about to close, and fits. */
function firstOpen(sockets: Iterable<Socket>, fits = (_socket: Socket) => true): Socket | undefined {
  for (const socket of sockets) {
    if (!socket.destroyed && fits(socket)) return socket
  }
  return undefined
}
