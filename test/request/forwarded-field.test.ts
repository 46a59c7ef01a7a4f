import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  ELEMENTS_MAX,
  formatForwarded,
  parseForwarded,
  type ForwardedElement,
  type ForwardedNode,
} from '../../src/request/forwarded-field.ts'
import { randomNumbers } from '../support/random-numbers.ts'

function node(name: string, port?: string): ForwardedNode {
  return { name, port }
}

function element(parts: Partial<ForwardedElement>): ForwardedElement {
  return { for: node('unknown'), by: undefined, host: undefined, proto: undefined, ...parts }
}

const client = element({ for: node('192.0.2.1') })

describe('parseForwarded', () => {
  const cases: [name: string, line: string, elements: ForwardedElement[]][] = [
    ['an address', 'for=192.0.2.1', [client]],
    ['nothing', '', []],
    ['empty items of the list', ' , ,for=192.0.2.1,', [client]],
    ['IPv6 in one spelling', 'For="[2001:DB8:0::17]"', [element({ for: node('2001:db8::17') })]],
    ['a mapped address as IPv4', 'for="[::ffff:192.0.2.1]"', [client]],
    ['a port', 'for="192.0.2.1:4711"', [element({ for: node('192.0.2.1', '4711') })]],
    ['IPv6 with a port', 'for="[::1]:10"', [element({ for: node('::1', '10') })]],
    ['unknown in other letters', 'for=UNKNOWN', [element({})]],
    [
      'obfuscated names and ports, as they are',
      'for=_Hidden.1, for="_x:_port-2", for="unknown:80"',
      [
        element({ for: node('_Hidden.1') }),
        element({ for: node('_x', '_port-2') }),
        element({ for: node('unknown', '80') }),
      ],
    ],
    ['an element without for as unknown', 'proto=https', [element({ proto: 'https' })]],
    ['an element without parameters as unknown', ';', [element({})]],
    [
      'names in any case and order, and blanks around semicolons',
      'PROTO=HTTPS ;\tHost=a.example;by=_lb; FOR=192.0.2.1',
      [
        element({
          for: node('192.0.2.1'),
          by: node('_lb'),
          host: 'a.example',
          proto: 'https',
        }),
      ],
    ],
    ['https for wss', 'proto=wss', [element({ proto: 'https' })]],
    ['no proto for another scheme', 'proto=coap+ws', [element({})]],
    ['a host with a port', 'host="a.example:8443"', [element({ host: 'a.example:8443' })]],
    ['no host for an empty one', 'for=192.0.2.1;host=""', [client]],
    ['escapes', String.raw`for="192\.0.2\.1";x="\"\\,;"`, [client]],
    ['separators inside quotes', 'x="for=1, ; =";for=192.0.2.1', [client]],
    ['parameters of other names', 'secret=abc;for=192.0.2.1;path="/\xe4"', [client]],
    // What the manuals of proxies show, or what they were seen to send.
    [
      'what HAProxy writes',
      'proto=http;for=127.0.0.1, host="haproxy.org";for="_000000007F2F367E:60138", host="host.com";by=_haproxy;for="[::1]:10"',
      [
        element({ for: node('127.0.0.1'), proto: 'http' }),
        element({ for: node('_000000007F2F367E', '60138'), host: 'haproxy.org' }),
        element({ for: node('::1', '10'), by: node('_haproxy'), host: 'host.com' }),
      ],
    ],
    [
      'the examples of RFC 7239',
      'for="_gazonk", For="[2001:db8:cafe::17]:4711", for=192.0.2.60;proto=http;by=203.0.113.43',
      [
        element({ for: node('_gazonk') }),
        element({ for: node('2001:db8:cafe::17', '4711') }),
        element({ for: node('192.0.2.60'), by: node('203.0.113.43'), proto: 'http' }),
      ],
    ],
  ]
  for (const [name, line, elements] of cases) {
    it(`reads ${name}`, () => assert.deepEqual(parseForwarded(line), elements))
  }

  const wrong: [name: string, line: string, problem: string][] = [
    ['an open quote', 'for="192.0.2.1', 'what begins at character 1 is neither name=value nor ;'],
    [
      'an open quote that would swallow what a proxy appends',
      'for=", for=192.0.2.1',
      'what begins at character 1 is neither name=value nor ;',
    ],
    ['text behind quotes', 'for="192.0.2.1"x', 'what begins at character 16'],
    ['text behind a token', 'for=192.0.2.1 x', 'what begins at character 15'],
    ['blanks around =', 'for = 192.0.2.1', 'what begins at character 1'],
    ['no value', 'for=', 'what begins at character 1'],
    ['no name', '=192.0.2.1', 'what begins at character 1'],
    ['a control character in quotes', 'x="\x01"', 'what begins at character 1'],
    ['a parameter twice', 'for=192.0.2.1;FOR=192.0.2.2', 'a second parameter of the same name'],
    ['an unknown parameter twice', 'x=1;X=2', 'a second parameter of the same name'],
    ['a port without quotes', 'for=192.0.2.1:80', 'what begins at character 14'],
    ['IPv6 without brackets', 'for="2001:db8::17"', 'a for that is no node'],
    ['IPv4 in brackets', 'for="[192.0.2.1]"', 'a for that is no node'],
    ['IPv6 with a zone', 'for="[fe80::1%eth0]"', 'a for that is no node'],
    ['an address that is none', 'for=192.0.2.256', 'a for that is no node'],
    ['a name', 'for=example.com', 'a for that is no node'],
    ['an empty for', 'for=""', 'a for that is no node'],
    ['an underscore alone', 'for=_', 'a for that is no node'],
    ['a port that is none', 'for="192.0.2.1:70000"', 'a for that is no node'],
    ['a port of six digits', 'for="192.0.2.1:000080"', 'a for that is no node'],
    ['a by that is none', 'by=haproxy', 'a by that is no node'],
    ['a host that is none', 'host="a b"', 'a host that is none'],
    ['two hosts', 'host="a,b"', 'a host that is none'],
    ['a proto that is none', 'proto="ht tp"', 'a proto that is no scheme'],
    ['a wrong element behind a right one', 'for=192.0.2.1, for=x', 'a for that is no node'],
    ['too many characters', `x=${'a'.repeat(8191)}`, 'more than 8192 characters'],
    ['too many elements', 'for=_a,'.repeat(ELEMENTS_MAX + 1), 'more than 64 elements'],
  ]
  for (const [name, line, problem] of wrong) {
    it(`says what is wrong with ${name}`, () => {
      const parsed = parseForwarded(line)
      assert.ok(typeof parsed === 'string' && parsed.includes(problem), JSON.stringify(parsed))
    })
  }

  it('tells no value in what is wrong', () => {
    for (const line of ['secret=abc;secret=def', 'secret="abc', 'for=abc', 'host="abc def"']) {
      const parsed = parseForwarded(line)
      assert.ok(typeof parsed === 'string' && !parsed.includes('abc'), JSON.stringify(parsed))
    }
  })

  it('takes as many elements and characters as are allowed', () => {
    assert.equal(parseForwarded('for=_a,'.repeat(ELEMENTS_MAX)).length, ELEMENTS_MAX)
    assert.equal(typeof parseForwarded(`x=${'a'.repeat(8190)}`), 'object')
  })
})

describe('formatForwarded', () => {
  const cases: [name: string, elements: ForwardedElement[], line: string][] = [
    ['a token as it is', [client], 'for=192.0.2.1'],
    ['IPv6 in brackets and quotes', [element({ for: node('::1') })], 'for="[::1]"'],
    ['a port in quotes', [element({ for: node('192.0.2.1', '80') })], 'for="192.0.2.1:80"'],
    [
      'all parameters, and elements behind each other',
      [
        element({ for: node('::1', '80'), by: node('_lb'), host: 'a:1', proto: 'https' }),
        element({}),
      ],
      'for="[::1]:80";by=_lb;host="a:1";proto=https, for=unknown',
    ],
  ]
  for (const [name, elements, line] of cases) {
    it(`writes ${name}`, () => assert.equal(formatForwarded(elements), line))
  }
})

describe('random chains', () => {
  const random = randomNumbers(7239)
  const pick = <Item>(items: readonly Item[]): Item => items[random(items.length)] as Item
  const names = ['192.0.2.1', '10.0.0.255', '::', '2001:db8::17', 'unknown', '_a', '_Hid-den.9_']
  const ports = [undefined, undefined, '0', '80', '65535', '_p', '_p.1-x']
  const hosts = [undefined, 'a', 'A.example:8443', '[::1]', '[2001:db8::1]:1', 'a.', 'x_y']
  const anyNode = (): ForwardedNode => node(pick(names), pick(ports))
  const anyElement = (): ForwardedElement => ({
    for: anyNode(),
    by: random(3) === 0 ? anyNode() : undefined,
    host: pick(hosts),
    proto: pick([undefined, 'http', 'https']),
  })

  it('are the same when they are written and read back', () => {
    for (let round = 0; round < 3000; round += 1) {
      const elements = Array.from({ length: random(ELEMENTS_MAX + 1) }, anyElement)
      const line = formatForwarded(elements)
      assert.deepEqual(parseForwarded(line), elements, line)
    }
  })

  it('are read or refused, and never anything else, when their bytes are damaged', () => {
    const bytes = '",;=\\[]:_ \t\xff\0'.split('').concat('for=', 'for="', ',,', ';;')
    let refused = 0
    for (let round = 0; round < 3000; round += 1) {
      let line = formatForwarded(Array.from({ length: 1 + random(4) }, anyElement))
      for (let cut = random(3); cut >= 0; cut -= 1) {
        const at = random(line.length + 1)
        line = line.slice(0, at) + pick(bytes) + line.slice(at + random(2))
      }
      const parsed = parseForwarded(line)
      if (typeof parsed === 'string') refused += 1
      else assert.deepEqual(parseForwarded(formatForwarded(parsed)), parsed, line)
    }
    assert.ok(refused > 1000 && refused < 3000, String(refused))
  })
})
