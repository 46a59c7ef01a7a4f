import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ForwardedConfig } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import { addressSet } from '../../src/request/address-set.ts'
import { parseAuthority, type Authority } from '../../src/request/authority.ts'
import { parseForwarded } from '../../src/request/forwarded-field.ts'
import {
  findClient,
  hopAddress,
  ownForwarded,
  trustedForwarded,
  type Forwarded,
  type OwnForwarded,
  type TrustedForwarded,
} from '../../src/request/forwarded.ts'
import { randomNumbers } from '../support/random-numbers.ts'
import { fieldsOf } from './reading.ts'

const trusted = addressSet(['10.0.0.0/8', 'fd00::/8'])

function authorityOf(text: string): Authority {
  return parseAuthority(text) ?? { text: '', host: '', port: undefined }
}

const own: OwnForwarded = {
  peer: '10.0.0.1',
  proto: 'http',
  authority: authorityOf('app:8080'),
  localPort: 8080,
}

/** What goes on of these lines from a trusted peer. */
function told(
  lines: readonly string[],
  policy?: ForwardedConfig,
  connection: Partial<OwnForwarded> = {},
): TrustedForwarded {
  const trust = { trusted, forwarded: policy }
  const result = trustedForwarded(fieldsOf(lines), { ...own, ...connection }, trust)
  assert.ok(!(result instanceof Refusal), result instanceof Refusal ? result.details.cause : '')
  return result
}

describe('findClient', () => {
  const clientOf = (hops: string[]): string =>
    findClient(hops, hopAddress, '10.0.0.1', trusted).clientIp
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
      assert.equal(clientOf(hops), client)
    })
  }

  it('looks at 64 hops', () => {
    const proxies = Array.from({ length: 64 }, (_, index) => `10.1.1.${index}`)
    assert.equal(clientOf(['198.51.100.7', ...proxies]), '10.1.1.0')
    assert.equal(clientOf(['198.51.100.7', ...proxies.slice(1)]), '198.51.100.7')
  })

  const places: [name: string, hops: string[], at: number][] = [
    ['the first hop that is not trusted', ['192.0.2.1', '198.51.100.7', '10.2.2.2'], 1],
    ['what is no address', ['198.51.100.7', 'unknown', '10.2.2.2'], 1],
    ['the leftmost hop when all are trusted', ['10.3.3.3', '10.2.2.2'], 0],
    ['the peer without any hop', [], 0],
  ]
  for (const [name, hops, at] of places) {
    it(`tells the place of ${name}`, () => {
      assert.equal(findClient(hops, hopAddress, '10.0.0.1', trusted).at, at)
    })
  }
})

describe('ownForwarded', () => {
  const direct = { peer: '192.0.2.1', proto: 'https', authority: authorityOf('a:1') } as const

  it('tells of the connection alone', () => {
    assert.deepEqual(ownForwarded({ ...direct, localPort: 8443 }, undefined), {
      for: '192.0.2.1',
      proto: 'https',
      host: 'a:1',
      port: '8443',
      field: undefined,
      policy: undefined,
    })
  })

  it('has the usual port where a unix socket has none', () => {
    const unix = { peer: '', authority: authorityOf(''), localPort: undefined } as const
    assert.equal(ownForwarded({ ...unix, proto: 'http' }, undefined).port, '80')
    assert.equal(ownForwarded({ ...unix, proto: 'https' }, undefined).port, '443')
  })

  const written: [name: string, own: Partial<OwnForwarded>, field: string, port: string][] = [
    ['its host and port', {}, 'for=192.0.2.1;host="a:1";proto=https', '1'],
    [
      'no port of the listener, which nobody asked for',
      { authority: authorityOf('a') },
      'for=192.0.2.1;host=a;proto=https',
      '443',
    ],
    ['IPv6 in quotes', { peer: '2001:db8::1' }, 'for="[2001:db8::1]";host="a:1";proto=https', '1'],
    [
      'no host where none is known',
      { authority: authorityOf('') },
      'for=192.0.2.1;proto=https',
      '443',
    ],
    ['unknown for a unix socket', { peer: '' }, 'for=unknown;host="a:1";proto=https', '1'],
  ]
  for (const [name, parts, field, port] of written) {
    it(`has in Forwarded ${name}`, () => {
      const forwarded = ownForwarded(
        { ...direct, localPort: 8443, ...parts },
        { read: 'x-forwarded', write: 'both' },
      )
      assert.equal(forwarded.field, field)
      assert.equal(forwarded.port, port)
    })
  }
})

describe('trustedForwarded', () => {
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
      const result = told(lines).forwarded
      assert.deepEqual({ ...result, ...forwarded }, result)
    })
  }

  it('gives the host that the client of the proxy asked for', () => {
    assert.equal(told(['X-Forwarded-Host: A.example:81']).authority?.host, 'a.example')
    assert.equal(told([]).authority, undefined)
  })
})

describe('trustedForwarded, by Forwarded', () => {
  const readForwarded: ForwardedConfig = { read: 'forwarded', write: 'x-forwarded' }
  const clients: [name: string, lines: string[], client: string, host?: string, proto?: string][] =
    [
      ['nothing', [], '10.0.0.1'],
      ['the client', ['Forwarded: for=198.51.100.7'], '198.51.100.7'],
      [
        'the last one that is not trusted, over lines and ports',
        ['Forwarded: for=192.0.2.1, for="198.51.100.7:4711"', 'forwarded: for="10.2.2.2:80"'],
        '198.51.100.7',
      ],
      [
        'the proxy before an obfuscated one',
        ['Forwarded: for=198.51.100.7, for=_hidden;host=a;proto=https, for=10.2.2.2'],
        '10.2.2.2',
        'a',
        'https',
      ],
      ['the peer before unknown', ['Forwarded: for=198.51.100.7, for=unknown'], '10.0.0.1'],
      [
        'the peer before an element that names nobody',
        ['Forwarded: for=198.51.100.7', 'Forwarded: proto=https;host=a'],
        '10.0.0.1',
        'a',
        'https',
      ],
      [
        'host and proto of the element that tells of the client',
        [
          'Forwarded: for=192.0.2.1;host=evil;proto=http, for=198.51.100.7;host=a;proto=https, for=10.2.2.2;host=app;proto=http',
        ],
        '198.51.100.7',
        'a',
        'https',
      ],
      [
        'host and proto of the nearest element behind it, and of no other',
        [
          'Forwarded: for=192.0.2.1;host=evil;proto=http, for=198.51.100.7, for=10.2.2.2;host=a, for=10.3.3.3;host=b;proto=https',
        ],
        '198.51.100.7',
        'a',
        'https',
      ],
      [
        'not what a client says in a line that is not valid',
        ['Forwarded: for=", for=10.9.9.9', 'Forwarded: for=198.51.100.7;host=a'],
        '198.51.100.7',
        'a',
      ],
      [
        'not what the other family says',
        [
          'X-Forwarded-For: 203.0.113.1',
          'X-Forwarded-Proto: https',
          'X-Forwarded-Host: evil',
          'X-Forwarded-Port: 1',
        ],
        '10.0.0.1',
      ],
    ]
  for (const [name, lines, client, host, proto] of clients) {
    it(`believes ${name}`, () => {
      const { clientIp, authority, forwarded } = told(lines, readForwarded)
      assert.equal(clientIp, client)
      assert.equal(authority?.text, host)
      assert.equal(forwarded.host, host ?? 'app:8080')
      assert.equal(forwarded.proto, proto ?? 'http')
      assert.doesNotMatch(JSON.stringify(forwarded), /evil/)
    })
  }

  it('looks at 64 elements, over all lines', () => {
    const line = (count: number): string =>
      `Forwarded: ${Array.from({ length: count }, () => 'for=10.2.2.2').join()}`
    const lines = (count: number): string[] => [
      'Forwarded: for=198.51.100.7',
      line(40),
      line(count),
    ]
    assert.equal(told(lines(23), readForwarded).clientIp, '198.51.100.7')
    assert.equal(told(lines(24), readForwarded).clientIp, '10.2.2.2')
    assert.equal(told(lines(24), readForwarded).forwarded.for.split(',').length, 65)
    assert.equal(told(lines(40), readForwarded).forwarded.for.split(',').length, 65)
  })

  it('continues nothing that stands to the left of a line that is not valid', () => {
    const { forwarded } = told(
      ['Forwarded: for=10.9.9.9', 'Forwarded: for="', 'Forwarded: for=198.51.100.7'],
      readForwarded,
    )
    assert.equal(forwarded.for, 'unknown, 198.51.100.7, 10.0.0.1')
  })

  const refused: [name: string, lines: string[]][] = [
    ['the only line', ['Forwarded: for=192.0.2.1:80']],
    ['the last line', ['Forwarded: for=198.51.100.7', 'Forwarded: for="']],
    [
      'a line that only trusted proxies stand behind',
      ['Forwarded: for=198.51.100.7', 'Forwarded: for=x', 'Forwarded: for=10.2.2.2'],
    ],
    ['more elements than are looked at in one line', [`Forwarded: ${'for=10.2.2.2,'.repeat(65)}`]],
  ]
  for (const [name, lines] of refused) {
    it(`refuses what is not valid in ${name}`, () => {
      const trust = { trusted, forwarded: readForwarded }
      const result = trustedForwarded(fieldsOf(lines), own, trust)
      assert.ok(result instanceof Refusal)
      assert.equal(result.code, 'E_FORWARDED_INVALID')
      assert.match(result.details.cause ?? '', /^Forwarded: /)
    })
  }
})

describe('trustedForwarded, from one family to the other', () => {
  const x = [
    'X-Forwarded-For: 203.0.113.1, 198.51.100.7:4711, 2001:db8::1, 10.2.2.2',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: a.example',
  ]

  it('writes Forwarded of X-Forwarded-*, with host and proto where the client is', () => {
    const { forwarded } = told(x, { read: 'x-forwarded', write: 'forwarded' })
    assert.equal(
      forwarded.field,
      'for=203.0.113.1, for=198.51.100.7, for="[2001:db8::1]";host=a.example;proto=https, for=10.2.2.2, for=10.0.0.1',
    )
  })

  it('writes X-Forwarded-* of Forwarded, with the one word for who is not told', () => {
    const line = 'Forwarded: for=_a, for="[2001:db8::1]:80";host="a:1";proto=https, for=10.2.2.2'
    const { forwarded } = told([line], { read: 'forwarded', write: 'x-forwarded' })
    assert.deepEqual(forwarded, {
      for: 'unknown, 2001:db8::1, 10.2.2.2, 10.0.0.1',
      proto: 'https',
      host: 'a:1',
      port: '1',
      field: undefined,
      policy: { read: 'forwarded', write: 'x-forwarded' },
    })
  })

  it('keeps ports, names and by of Forwarded, and who is nowhere told stays so', () => {
    const line =
      'Forwarded: for=_a;by=_b;host=evil;x=1, proto=http, for="198.51.100.7:80";proto=https;host=a, for=10.2.2.2;by="[fd00::1]:443";proto=http'
    const { forwarded } = told([line], { read: 'forwarded', write: 'both' })
    assert.equal(
      forwarded.field,
      'for=_a;by=_b, for=unknown, for="198.51.100.7:80";host=a;proto=https, for=10.2.2.2;by="[fd00::1]:443", for=10.0.0.1',
    )
    assert.equal(forwarded.for, 'unknown, unknown, 198.51.100.7, 10.2.2.2, 10.0.0.1')
  })

  const ports: [name: string, lines: string[], host: string, port: string][] = [
    ['that of the host', ['X-Forwarded-Host: a:444'], 'a:444', '444'],
    [
      'that of X-Forwarded-Port, in the host',
      ['X-Forwarded-Host: a', 'X-Forwarded-Port: 8443'],
      'a:8443',
      '8443',
    ],
    [
      'that of X-Forwarded-Port before that of the host',
      ['X-Forwarded-Host: a:1', 'X-Forwarded-Port: 8443'],
      'a:8443',
      '8443',
    ],
    [
      'the usual one, which no host needs',
      ['X-Forwarded-Host: a:1', 'X-Forwarded-Port: 443'],
      'a',
      '443',
    ],
    ['the usual one of the proto', ['X-Forwarded-Host: [::1]'], '[::1]', '443'],
    ['a host with a colon alone', ['X-Forwarded-Host: a:', 'X-Forwarded-Port: 1'], 'a:1', '1'],
  ]
  for (const [name, lines, host, port] of ports) {
    it(`has one port in both: ${name}`, () => {
      const { forwarded } = told(['X-Forwarded-Proto: https', ...lines], {
        read: 'x-forwarded',
        write: 'both',
      })
      assert.equal(forwarded.host, host)
      assert.equal(forwarded.port, port)
      const [element] = parseForwarded(forwarded.field ?? '')
      assert.deepEqual(element, {
        for: { name: '10.0.0.1', port: undefined },
        by: undefined,
        host,
        proto: 'https',
      })
    })
  }

  it('makes no more elements of X-Forwarded-For than are looked at', () => {
    const hops = Array.from({ length: 5000 }, () => '1').join()
    const { forwarded } = told([`X-Forwarded-For: ${hops}`, 'X-Forwarded-Host: a'], {
      read: 'x-forwarded',
      write: 'both',
    })
    const unknown = Array.from({ length: 63 }, () => 'for=unknown, ').join('')
    assert.equal(forwarded.field, `${unknown}for=unknown;host=a;proto=http, for=10.0.0.1`)
    assert.equal(forwarded.for.split(', ').length, 65)
  })

  it('names a unix peer in neither', () => {
    const { forwarded } = told(x, { read: 'x-forwarded', write: 'both' }, { peer: '' })
    assert.doesNotMatch(forwarded.field ?? '', /unknown/)
    assert.equal(forwarded.for, '203.0.113.1, 198.51.100.7, 2001:db8::1, 10.2.2.2')
  })
})

describe('random chains', () => {
  const random = randomNumbers(7239)
  const pick = <Item>(items: readonly Item[]): Item => items[random(items.length)] as Item
  const names = ['192.0.2.1', '10.2.2.2', 'fd00::1', '2001:db8::1', 'unknown', '_hidden', 'x y']

  /** What the next gateway, which trusts this one, makes of what this one writes. */
  function next(forwarded: Forwarded, read: 'x-forwarded' | 'forwarded'): TrustedForwarded {
    const lines =
      read === 'forwarded'
        ? [`Forwarded: ${forwarded.field}`]
        : [
            `X-Forwarded-For: ${forwarded.for}`,
            `X-Forwarded-Proto: ${forwarded.proto}`,
            `X-Forwarded-Host: ${forwarded.host}`,
            `X-Forwarded-Port: ${forwarded.port}`,
          ]
    return told(lines, { read, write: 'both' }, { peer: '10.0.0.9', authority: authorityOf('b') })
  }

  for (const read of ['x-forwarded', 'forwarded'] as const) {
    it(`tell one story, written in both families and read back from each (${read} first)`, () => {
      for (let round = 0; round < 2000; round += 1) {
        const hops = Array.from({ length: random(5) }, () => pick(names))
        const quoted = hops.map((hop) =>
          hop === 'x y' ? '_x' : hop.includes(':') ? `"[${hop}]"` : hop,
        )
        const lines =
          read === 'forwarded'
            ? quoted.map((hop) => `Forwarded: for=${hop};host="a:${random(9)}";proto=https`)
            : [
                `X-Forwarded-For: ${hops.join()}`,
                `X-Forwarded-Host: a:${random(9)}`,
                `X-Forwarded-Proto: ${pick(['http', 'https', ''])}`,
                `X-Forwarded-Port: ${pick(['', '443', '8443'])}`,
              ]
        const first = told(lines, { read, write: 'both' })
        const byX = next(first.forwarded, 'x-forwarded')
        const byForwarded = next(first.forwarded, 'forwarded')
        const { forwarded } = first
        assert.equal(byX.clientIp, first.clientIp, lines.join('\n'))
        assert.equal(byForwarded.clientIp, first.clientIp, lines.join('\n'))
        for (const { forwarded: second } of [byX, byForwarded]) {
          const { for: hopsSeen, host, port, proto } = second
          assert.deepEqual(
            { for: hopsSeen, host, port, proto },
            {
              for: `${forwarded.for}, 10.0.0.9`,
              host: forwarded.host,
              port: forwarded.port,
              proto: forwarded.proto,
            },
            lines.join('\n'),
          )
        }
      }
    })
  }
})
