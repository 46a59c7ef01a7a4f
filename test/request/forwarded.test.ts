import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addressSet } from '../../src/request/address-set.ts'
import {
  clientAddress,
  ownForwarded,
  trustedForwarded,
  type Forwarded,
} from '../../src/request/forwarded.ts'
import { fieldsOf } from './reading.ts'

const trusted = addressSet(['10.0.0.0/8', 'fd00::/8'])

describe('clientAddress', () => {
  const cases: [name: string, hops: string[], client: string][] = [
    ['the peer without any hop', [], '10.0.0.1'],
    ['the only hop', ['198.51.100.7'], '198.51.100.7'],
    ['the last hop that is not trusted', ['192.0.2.1', '198.51.100.7', '10.2.2.2'], '198.51.100.7'],
    ['the first hop when all are trusted', ['10.3.3.3', '10.2.2.2'], '10.3.3.3'],
    ['IPv6 in one spelling', ['2001:DB8:0::7'], '2001:db8::7'],
    ['a mapped address as IPv4', ['::ffff:198.51.100.7'], '198.51.100.7'],
    ['an address without its port', ['198.51.100.7:4711'], '198.51.100.7'],
    ['IPv6 without brackets and port', ['[2001:db8::7]:4711'], '2001:db8::7'],
    ['IPv6 without brackets', ['[2001:db8::7]'], '2001:db8::7'],
    ['a trusted hop with a port as trusted', ['198.51.100.7', '10.2.2.2:80'], '198.51.100.7'],
    ['the hop before what is no address', ['198.51.100.7', 'unknown', '10.2.2.2'], '10.2.2.2'],
    ['the peer before what is no address', ['198.51.100.7', '_hidden'], '10.0.0.1'],
    ['the peer before a port without an address', [':80'], '10.0.0.1'],
    ['the peer before a name with a port', ['example.com:80'], '10.0.0.1'],
    ['the peer before a port of six digits', ['198.51.100.7:123456'], '10.0.0.1'],
  ]
  for (const [name, hops, client] of cases) {
    it(`is ${name}`, () => {
      assert.equal(clientAddress(hops, '10.0.0.1', trusted), client)
    })
  }

  it('looks at 64 hops', () => {
    const proxies = Array.from({ length: 64 }, (_, index) => `10.1.1.${index}`)
    assert.equal(clientAddress(['198.51.100.7', ...proxies], '10.0.0.1', trusted), '10.1.1.0')
    assert.equal(
      clientAddress(['198.51.100.7', ...proxies.slice(1)], '10.0.0.1', trusted),
      '198.51.100.7',
    )
  })
})

describe('ownForwarded', () => {
  it('tells of the connection alone', () => {
    const own = { peer: '192.0.2.1', proto: 'https', authority: 'a:1', localPort: 8443 } as const
    assert.deepEqual(ownForwarded(own), {
      for: '192.0.2.1',
      proto: 'https',
      host: 'a:1',
      port: '8443',
    })
  })

  it('has the usual port where a unix socket has none', () => {
    const own = { peer: '', authority: '', localPort: undefined } as const
    assert.equal(ownForwarded({ ...own, proto: 'http' }).port, '80')
    assert.equal(ownForwarded({ ...own, proto: 'https' }).port, '443')
  })
})

describe('trustedForwarded', () => {
  const own = { peer: '10.0.0.1', proto: 'http', authority: 'app:8080', localPort: 8080 } as const
  const cases: [name: string, lines: string[], forwarded: Partial<Forwarded>][] = [
    [
      'its own where the proxy says nothing',
      [],
      { for: '10.0.0.1', proto: 'http', host: 'app:8080', port: '8080' },
    ],
    [
      'all hops of all lines and the peer',
      ['X-Forwarded-For: 198.51.100.7', 'x-forwarded-for: 10.2.2.2,10.3.3.3'],
      { for: '198.51.100.7, 10.2.2.2, 10.3.3.3, 10.0.0.1' },
    ],
    ['the proto, with its port', ['X-Forwarded-Proto: HTTPS'], { proto: 'https', port: '443' }],
    ['https for wss', ['X-Forwarded-Proto: wss'], { proto: 'https' }],
    ['http for ws', ['X-Forwarded-Proto: ws'], { proto: 'http', port: '80' }],
    ['the first valid proto', ['X-Forwarded-Proto: gopher, https, http'], { proto: 'https' }],
    [
      'its own proto where none is valid',
      ['X-Forwarded-Proto: gopher'],
      { proto: 'http', port: '8080' },
    ],
    [
      'the host, with its port',
      ['X-Forwarded-Host: a.example:8443'],
      { host: 'a.example:8443', port: '8443' },
    ],
    [
      'the first valid host',
      ['X-Forwarded-Host: a b, b.example'],
      { host: 'b.example', port: '8080' },
    ],
    ['the port', ['X-Forwarded-Port: 444', 'X-Forwarded-Host: a:1'], { port: '444' }],
    ['its own port where none is valid', ['X-Forwarded-Port: 0, 70000, x'], { port: '8080' }],
  ]
  for (const [name, lines, forwarded] of cases) {
    it(`continues ${name}`, () => {
      const told = trustedForwarded(fieldsOf(lines), own, trusted)
      assert.deepEqual({ ...told.forwarded, ...forwarded }, told.forwarded)
    })
  }

  it('gives the host that the client of the proxy asked for', () => {
    const fields = fieldsOf(['X-Forwarded-Host: A.example:81'])
    assert.equal(trustedForwarded(fields, own, trusted).authority?.host, 'a.example')
    assert.equal(trustedForwarded([], own, trusted).authority, undefined)
  })
})
