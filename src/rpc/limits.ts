// The limits that keep one client from taking the daemon's memory or time. A client that exceeds one sees a documented error.

export const LIMITS = {
  /** One message, in bytes. A longer one closes the connection with 1009. */
  frameBytes: 64 * 1024,
  /** More fragments in one message close the connection with 1008. */
  fragments: 64,
  batchCalls: 32,
  jsonDepth: 64,
  /** Calls of one connection that have no response yet. One more closes the connection with 1013. */
  runningCalls: 4096,
  /** Responses that a client has not read, in bytes. More close the connection with 1013. */
  bufferedBytes: 1024 * 1024,
  /** From here on the daemon reads no further calls of a client that does not read its responses. */
  pauseBytes: 256 * 1024,
  /** Authenticated connections. One more is closed with 1013. */
  connections: 256,
  /** Sockets that have not proven themselves. The oldest makes room for a new one. */
  unauthenticatedSockets: 256,
  unauthenticatedSeconds: 2,
  /** Handshakes until a key is renewed: each keeps 65 bytes in memory. A client a second takes a day for this many. */
  handshakesPerKey: 100_000,
} as const
