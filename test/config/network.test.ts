import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { z } from 'zod'

import {
  address,
  addressBlock,
  endpointUrl,
  formatAddress,
  hostPattern,
  origin,
  serverName,
  serviceUrl,
} from '../../src/config/network.ts'

function read(schema: z.ZodType, input: unknown): unknown {
  const result = schema.safeParse(input)
  return result.success ? result.data : result.error.issues[0]?.message
}

/** What would be right stands behind a message; `hints.test.ts` is about that. */
function withoutHint(given: unknown, expected: unknown): unknown {
  const isHinted =
    typeof given === 'string' && typeof expected === 'string' && given.startsWith(`${expected}; `)
  return isHinted ? expected : given
}

function tcp(host: string, port: number) {
  return { kind: 'tcp', host, port }
}

const anAddress =
  'expected an address such as 0.0.0.0:8080, localhost:8080, [::1]:8080, :8080 or unix:/run/upgate.sock'
const forms = 'http://host:port, https://host:port, unix:/path or builtin:echo'
const aSocket = 'a unix socket has an absolute path of at most 107 bytes: unix:/run/app.sock'
const aBlock = 'expected an IP address or a block of them, such as 10.0.0.0/8, 192.0.2.7 or ::1'
const anOrigin =
  'expected an origin such as https://app.example.com or https://localhost:3000 (scheme, host and port; no path), or "null" in quotes'
const aHost =
  'expected a host such as chat.example.com or *.example.com, without a port; leave it out for every host'
const noPath =
  'an endpoint has no path and no query; put a path in front of requests with rewrite.addPrefix'

type Case = [input: unknown, result: unknown]

const tables: [what: string, schema: z.ZodType, cases: Case[]][] = [
  [
    'an address',
    address(),
    [
      ['0.0.0.0:8080', tcp('0.0.0.0', 8080)],
      ['127.0.0.1:0', tcp('127.0.0.1', 0)],
      ['localhost:80', tcp('localhost', 80)],
      ['[::1]:8080', tcp('::1', 8080)],
      ['[::]:65535', tcp('::', 65_535)],
      [':8080', tcp('0.0.0.0', 8080)],
      ['unix:/run/upgate.sock', { kind: 'unix', path: '/run/upgate.sock' }],
      ['unix:run/upgate.sock', aSocket],
      [`unix:/${'a'.repeat(107)}`, aSocket],
      ['unix:/run/', aSocket],
      ['127.0.0.1', anAddress],
      [8080, anAddress],
      ['http://a:80', anAddress],
      ['a:65536', 'expected a port from 0 to 65535'],
      ['::1:8080', '"::1" is neither a host name nor an IP address; write [::1]:8080'],
      ['10.0.0.256:80', '"10.0.0.256" is neither a host name nor an IP address'],
      ['[::g]:80', '"[::g]" is neither a host name nor an IP address'],
      ['a_-:80', '"a_-" is neither a host name nor an IP address'],
    ],
  ],
  [
    'an endpoint',
    endpointUrl(),
    [
      [
        'http://chat-1:3000',
        { url: 'http://chat-1:3000', address: tcp('chat-1', 3000), tls: false },
      ],
      ['http://a', { url: 'http://a', address: tcp('a', 80), tls: false }],
      ['https://a/', { url: 'https://a/', address: tcp('a', 443), tls: true }],
      ['HTTPS://a:1', { url: 'HTTPS://a:1', address: tcp('a', 1), tls: true }],
      ['http://[::1]:9', { url: 'http://[::1]:9', address: tcp('::1', 9), tls: false }],
      [
        'unix:/run/a.sock',
        { url: 'unix:/run/a.sock', address: { kind: 'unix', path: '/run/a.sock' }, tls: false },
      ],
      [
        'builtin:echo',
        { url: 'builtin:echo', address: { kind: 'builtin', name: 'echo' }, tls: false },
      ],
      ['builtin:eco', 'unknown builtin; there is builtin:echo'],
      ['unix:a.sock', aSocket],
      ['http://a/path', noPath],
      ['http://a?query', noPath],
      ['http://a#part', noPath],
      ['http://a//', noPath],
      [
        'http://user:password@a',
        'credentials do not belong in a URL; send them with headers.request.set',
      ],
      ['ws://a', 'write http:// in place of ws://: the upgrade starts as HTTP'],
      ['wss://a', 'write https:// in place of wss://: the upgrade starts as HTTP'],
      ['ftp://a', `expected a URL: ${forms}`],
      ['a:3000', `expected a URL: ${forms}; write http://a:3000`],
      ['a', `expected a URL: ${forms}`],
      ['http://', `the URL has no valid host; expected ${forms}`],
      ['http://a b', `the URL has no valid host; expected ${forms}`],
      ['http://a:b', `the URL has no valid host; expected ${forms}`],
      ['http://a:0', 'expected a port from 1 to 65535'],
      ['http://a:65536', 'expected a port from 1 to 65535'],
    ],
  ],
  [
    'a block of addresses',
    addressBlock(),
    [
      ['10.0.0.0/8', '10.0.0.0/8'],
      ['0.0.0.0/0', '0.0.0.0/0'],
      ['192.0.2.7', '192.0.2.7'],
      ['::1', '::1'],
      ['2001:db8::/128', '2001:db8::/128'],
      ['10.0.0.0/33', 'the block of an IPv4 address ends in /0 to /32'],
      ['::/129', 'the block of an IPv6 address ends in /0 to /128'],
      ['10.0.0/8', aBlock],
      ['10.0.0.0/', aBlock],
      ['localhost', aBlock],
      [10, aBlock],
    ],
  ],
  [
    'an origin',
    origin(),
    [
      ['https://app.example.com', 'https://app.example.com'],
      ['https://App.Example.com:443', 'https://app.example.com'],
      ['http://localhost:3000', 'http://localhost:3000'],
      ['chrome-extension://ABC', 'chrome-extension://abc'],
      ['null', 'null'],
      ['https://a/', anOrigin],
      ['https://a/b', anOrigin],
      ['https://*.a', anOrigin],
      ['https://u@a', anOrigin],
      ['https://a:99999', anOrigin],
      ['a.example.com', anOrigin],
      ['*', anOrigin],
      [null, anOrigin],
    ],
  ],
  [
    'a host',
    hostPattern(),
    [
      ['Chat.Example.com', 'chat.example.com'],
      ['chat.example.com.', 'chat.example.com'],
      ['*.example.com', '*.example.com'],
      ['127.0.0.1', '127.0.0.1'],
      ['[::1]', '[::1]'],
      ['a.example.com:80', aHost],
      ['*', aHost],
      ['a.*.com', aHost],
      ['[::g]', aHost],
      ['bücher.example', `${aHost} (in ASCII: xn--bcher-kva.example)`],
    ],
  ],
  [
    'the URL of a service',
    serviceUrl(),
    [
      ['https://idp.example.com/keys?v=1', 'https://idp.example.com/keys?v=1'],
      ['http://auth:4181/verify', 'http://auth:4181/verify'],
      ['file:///etc/passwd', 'expected a URL that starts with http:// or https://'],
      ['http://a:99999', 'expected a URL that starts with http:// or https://'],
      ['http://u:p@a', 'credentials do not belong in a URL'],
    ],
  ],
  [
    'a server name',
    serverName(),
    [
      ['chat.example.com', 'chat.example.com'],
      ['https://a', 'expected a host name such as chat.example.com'],
    ],
  ],
]

for (const [what, schema, cases] of tables) {
  describe(what, () => {
    for (const [input, result] of cases) {
      it(`reads ${JSON.stringify(input).slice(0, 50)}`, () => {
        assert.deepEqual(withoutHint(read(schema, input), result), result)
      })
    }
  })
}

describe('formatAddress', () => {
  for (const text of ['0.0.0.0:8080', '[::1]:80', 'unix:/run/a.sock', 'localhost:1']) {
    it(`gives ${text} back as it was`, () => {
      assert.equal(formatAddress(address().parse(text)), text)
    })
  }
})
