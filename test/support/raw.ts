// Raw HTTP requests by a plain socket, so that a test decides about every byte.
import { connect } from 'node:net'

export interface RawAnswer {
  /** Everything that came until the peer closed, or until the upgrade was done. */
  readonly text: string
  readonly status: number | undefined
}

/** Sends bytes and collects the answer until the peer closes; an accepted upgrade is closed by us. */
export function sendRaw(
  port: number,
  bytes: string | Buffer,
  host = '127.0.0.1',
  localAddress?: string,
): Promise<RawAnswer> {
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
