// What cannot be parsed gets a page, unless it is the start of a TLS handshake.
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { pages } from '../../src/callback/pages.ts'
import { respondToParseError } from '../../src/callback/parse-error.ts'

/** What is written to a socket that has read `bytesRead` bytes, `packet` last; and the refusal. */
function responseTo(packet: string, bytesRead: number) {
  const socket = Object.assign(new PassThrough(), { bytesRead })
  const rawPacket = Buffer.from(packet, 'latin1')
  const error = Object.assign(new Error('Parse Error'), { code: 'HPE_INVALID_CONSTANT', rawPacket })
  const refusal = respondToParseError(error, socket)
  return { refusal, written: String(socket.read() ?? '') }
}

it('closes a connection that starts with a TLS handshake', () => {
  expect(responseTo('\x16\x03\x01', 3)).toEqual({ refusal: 'https', written: '' })
})

it('sends the page if only a later part of the request looks like a TLS handshake', () => {
  const { refusal, written } = responseTo('\x16\x03\x01', 23)
  expect(refusal).toBe('malformed')
  expect(written).toContain(pages.malformed.body.toString())
})
