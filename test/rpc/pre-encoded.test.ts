// A result that is encoded once: its responses are those that JSON.stringify would make.
import { describe, expect, it } from 'vitest'
import { PreEncoded, preEncoded } from '../../src/rpc/pre-encoded.ts'

describe('a pre-encoded result', () => {
  it.each([1, -1.5, 0, '', 'an id', 'é"\\\u0000', null])('gives the response to the id %j', (id) => {
    const result = { headers: { Authorization: 'Bearer é"\\' }, expiresAt: 1 }
    expect(new PreEncoded(result).responseTo(id).toString()).toBe(JSON.stringify({ jsonrpc: '2.0', id, result }))
  })

  it('is made once for an object, and again for an equal one', () => {
    const result = { expiresAt: 1 }
    expect(preEncoded(result)).toBe(preEncoded(result))
    expect(preEncoded({ expiresAt: 1 })).not.toBe(preEncoded(result))
  })
})
