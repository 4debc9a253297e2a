// Answers what is no HTTP request that the listener can read: with a page instead of Node's empty response.
import type { Duplex } from 'node:stream'
import { errorCode } from '../host/files.ts'
import type { Page } from './page.ts'
import { pages } from './pages.ts'
import type { CallbackRefusal } from './refusal.ts'

const TLS_HANDSHAKE = 0x16
const REASON_PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  431: 'Request Header Fields Too Large',
}

/**
 * Writes the page for a request that could not be parsed, and ends the connection.
 * @returns why it is refused; undefined if there was no request, as for a connection that a browser opens in advance
 */
export function respondToParseError(error: Error, socket: Duplex): CallbackRefusal | undefined {
  const refusal = refusalOf(error, socket)
  if (refusal === undefined || refusal === 'https' || !socket.writable) {
    socket.destroy()
    return refusal
  }
  const page = refusal === 'too_large' ? pages.tooLarge : pages.malformed
  socket.end(responseOf(page))
  socket.resume() // unread data would make the system reset the connection before the browser has read the page
  return refusal
}

function refusalOf(error: Error, socket: Duplex): CallbackRefusal | undefined {
  const code = errorCode(error) ?? ''
  if (code === 'HPE_HEADER_OVERFLOW') return 'too_large'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return 'bytesRead' in socket && socket.bytesRead === 0 ? undefined : 'incomplete_request'
  }
  if (!code.startsWith('HPE_')) return undefined // the connection was lost
  const { rawPacket } = error as { rawPacket?: Buffer }
  const isFirst = 'bytesRead' in socket && socket.bytesRead === rawPacket?.length
  return isFirst && rawPacket?.[0] === TLS_HANDSHAKE ? 'https' : 'malformed'
}

function responseOf({ status, headers, body }: Page): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${REASON_PHRASES[status]}\r\n${lines.join('')}\r\n`), body])
}
