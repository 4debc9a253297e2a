// Which address a request comes from, behind the operator's proxies.
import { describe, expect, it } from 'vitest'
import { clientAddress, networkOf } from '../../src/broker/client-address.ts'

describe('the address of a client', () => {
  it('is that of the socket without a proxy, whatever the client claims', () => {
    expect(clientAddress('203.0.113.7', '198.51.100.1', 0)).toBe('203.0.113.7')
    expect(clientAddress('::ffff:203.0.113.7', null, 0)).toBe('203.0.113.7')
    expect(clientAddress(undefined, null, 0)).toBeUndefined()
  })

  it.each([
    [1, '203.0.113.7', '203.0.113.7'],
    [1, '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    [2, '198.51.100.1, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    [1, '2001:DB8::1', '2001:db8::1'],
    [1, '[2001:db8::1]:443', '2001:db8::1'],
    [1, '203.0.113.7:443', '203.0.113.7'],
  ])('is what the outermost of %i trusted proxies saw in «%s»', (hops, header, expected) => {
    expect(clientAddress('10.0.0.1', header, hops)).toBe(expected)
  })

  it.each([
    [1, null],
    [1, ''],
    [1, 'unknown'],
    [2, '203.0.113.7'],
    [1, '203.0.113.7, <script>'],
  ])('is unknown if %i proxies have not said it: %s', (hops, header) => {
    expect(clientAddress('10.0.0.1', header, hops)).toBeUndefined()
  })
})

describe('the network of an address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['2001:0db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})
