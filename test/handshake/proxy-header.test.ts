import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import { prefaceFor } from '../../src/handshake/proxy-header.ts'
import { readProxyHeader } from '../../src/listen/proxy-protocol.ts'

interface Ends {
  readonly remoteAddress?: string
  readonly remotePort?: number
  readonly localAddress?: string
  readonly localPort?: number
}

const ENDS: Ends = {
  remoteAddress: '192.0.2.7',
  remotePort: 4660,
  localAddress: '198.51.100.9',
  localPort: 443,
}

function headerOf(proxyProtocol: 'v1' | 'v2', clientIp: string, ends: Ends): Buffer {
  const socket = Object.assign(new Duplex(), ends)
  const header = prefaceFor({ proxyProtocol } as Endpoint, { clientIp }, () => socket)
  assert.ok(header !== undefined)
  return header
}

type Case = [name: string, clientIp: string, ends: Ends, line: string]

const cases: Case[] = [
  ['a peer', '192.0.2.7', ENDS, 'TCP4 192.0.2.7 198.51.100.9 4660 443'],
  [
    'a peer of a listener for both families',
    '192.0.2.7',
    { ...ENDS, remoteAddress: '::ffff:192.0.2.7', localAddress: '::ffff:198.51.100.9' },
    'TCP4 192.0.2.7 198.51.100.9 4660 443',
  ],
  [
    'a peer over IPv6',
    '2001:db8::7',
    { ...ENDS, remoteAddress: '2001:db8::7', localAddress: '2001:db8:1:2:3:4:5:6' },
    'TCP6 2001:db8::7 2001:db8:1:2:3:4:5:6 4660 443',
  ],
  [
    'addresses with IPv4 at their end, and with nothing else',
    '64:ff9b::c000:207',
    { ...ENDS, localAddress: '::1.2.3.4' },
    'TCP6 64:ff9b::c000:207 ::1.2.3.4 0 443',
  ],
  [
    'somebody whom a proxy has told of: his port is not known',
    '203.0.113.5',
    ENDS,
    'TCP4 203.0.113.5 198.51.100.9 0 443',
  ],
  [
    'somebody of another family than the connection: he counts',
    '2001:db8::7',
    ENDS,
    'TCP6 2001:db8::7 :: 0 443',
  ],
  [
    'somebody of another family, the other way',
    '203.0.113.5',
    { ...ENDS, localAddress: '::1' },
    'TCP4 203.0.113.5 0.0.0.0 0 443',
  ],
  ['somebody behind a unix socket', '203.0.113.5', {}, 'TCP4 203.0.113.5 0.0.0.0 0 0'],
  ['a peer that is gone', '192.0.2.7', {}, 'TCP4 192.0.2.7 0.0.0.0 0 0'],
  ['nobody with an address', '', {}, 'UNKNOWN'],
]

describe('prefaceFor', () => {
  for (const [name, clientIp, ends, line] of cases) {
    it(`tells of ${name}, by both versions alike`, () => {
      const v1 = headerOf('v1', clientIp, ends)
      assert.equal(v1.toString(), `PROXY ${line}\r\n`)
      const v2 = headerOf('v2', clientIp, ends)
      const [one, other] = [readProxyHeader(v1), readProxyHeader(v2)]
      assert.ok(typeof one === 'object' && 'client' in one)
      assert.deepEqual(other, { ...one, bytes: v2.length })
    })
  }

  it('has the bytes of the text of the protocol', () => {
    assert.equal(
      headerOf('v2', '192.0.2.7', ENDS).toString('hex'),
      '0d0a0d0a000d0a515549540a2111000cc0000207c6336409123401bb',
    )
    assert.equal(headerOf('v2', '', {}).toString('hex'), '0d0a0d0a000d0a515549540a21000000')
  })

  it('asks for no socket where the endpoint wants nothing', () => {
    const socket = (): never => assert.fail('nobody needs it')
    assert.equal(prefaceFor({} as Endpoint, { clientIp: '192.0.2.7' }, socket), undefined)
  })
})
