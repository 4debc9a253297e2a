// Sends raw bytes over a plain socket, so that a test decides about every byte of a request.
import { connect } from 'node:net'

export interface RawResponse {
  /** All bytes until the server closed the socket, or until the upgrade was complete, as Latin-1. */
  readonly text: string
  readonly status: number | undefined
}

/** Sends bytes and collects the response until the server closes the socket. Closes it itself after an accepted upgrade. */
export function sendRaw(
  port: number,
  bytes: string | Buffer,
  host = '127.0.0.1',
  localAddress?: string,
): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, ...(localAddress ? { localAddress } : {}) }, () => socket.write(bytes))
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
      if (/^HTTP\/1\.1 101 /.test(text) && text.includes('\r\n\r\n')) socket.destroy()
    })
    socket.on('error', (error) => (text === '' ? reject(error) : undefined))
    socket.on('close', () => resolve({ text, status: statusOf(text) }))
  })
}

function statusOf(text: string): number | undefined {
  const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(text) ?? []
  return status === undefined ? undefined : Number(status)
}
