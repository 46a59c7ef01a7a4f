import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import { websocketKey } from '../../src/request/facts.ts'
import { codeOf, factsOf, fieldsOf, read, type SampleRequest } from './reading.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const handshake = [
  'Connection: keep-alive, Upgrade',
  'Upgrade: websocket',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
]
const strippedLines = handshake.slice(2)
const proxy: SampleRequest = { peer: '10.0.0.1', trusted: ['10.0.0.0/8'] }

describe('readFacts: method', () => {
  for (const method of ['TRACE', 'CONNECT']) {
    it(`refuses ${method} and says which methods are served`, () => {
      const refusal = read({ method })
      assert.ok(refusal instanceof Refusal)
      assert.equal(refusal.code, 'E_METHOD_DENIED')
      assert.equal(refusal.details.fields?.[0], 'Allow')
    })
  }

  it('takes any other method', () => {
    assert.equal(factsOf({ method: 'M-SEARCH' }).method, 'M-SEARCH')
  })
})

describe('readFacts: target', () => {
  it('gives target, path, other paths and query', () => {
    const facts = factsOf({ target: '/public/../%61dmin?a=%2F' })
    assert.equal(facts.target, '/public/../%61dmin?a=%2F')
    assert.equal(facts.path, '/admin')
    assert.deepEqual(facts.otherPaths, ['/public/../admin'])
    assert.equal(facts.query, 'a=%2F')
  })

  it('refuses an invalid target', () => {
    assert.equal(codeOf(read({ target: '/a#b' })), 'E_TARGET_INVALID')
  })
})

describe('readFacts: Host', () => {
  const good: [name: string, sample: SampleRequest, authority: string, host: string][] = [
    [
      'its port and case',
      { lines: ['HOST: Example.com.:8080'] },
      'Example.com.:8080',
      'example.com',
    ],
    ['an IPv6 address', { lines: ['Host: [::1]:80'] }, '[::1]:80', '[::1]'],
    ['HTTP/1.0 without one', { httpVersion: '1.0', host: false }, '', ''],
    ['an empty one, as of a client over a unix socket', { lines: ['Host:'] }, '', ''],
    ['HTTP/1.0 with one', { httpVersion: '1.0', lines: ['Host: a'] }, 'a', 'a'],
    [
      'an absolute form that names another',
      { target: 'http://B:81/', lines: ['Host: a'] },
      'B:81',
      'b',
    ],
    [
      'an absolute form of HTTP/1.0 without one',
      { target: 'http://b/', httpVersion: '1.0', host: false },
      'b',
      'b',
    ],
  ]
  for (const [name, sample, authority, host] of good) {
    it(`reads ${name}`, () => {
      const facts = factsOf(sample)
      assert.equal(facts.authority, authority)
      assert.equal(facts.host, host)
    })
  }

  const bad: [name: string, sample: SampleRequest][] = [
    ['HTTP/1.1 without one', { host: false }],
    ['an absolute form of HTTP/1.1 without one', { target: 'http://b/', host: false }],
    ['two of them', { lines: ['Host: a', 'Host: b'] }],
    ['two equal ones', { lines: ['Host: a', 'hOST: a'] }],
    ['two of them beside an absolute form', { target: 'http://a/', lines: ['Host: a', 'Host: a'] }],
    ['two of them in HTTP/1.0', { httpVersion: '1.0', lines: ['Host: a', 'Host: b'] }],
    ['an invalid one beside an absolute form', { target: 'http://a/', lines: ['Host: a b'] }],
    ['one with a path', { lines: ['Host: a/b'] }],
    ['one with userinfo', { lines: ['Host: me@a'] }],
    ['one with an invalid port', { lines: ['Host: a:x'] }],
    ['a list', { lines: ['Host: a, b'] }],
  ]
  for (const [name, sample] of bad) {
    it(`refuses ${name}`, () => {
      assert.equal(codeOf(read(sample)), 'E_HOST_INVALID')
    })
  }
})

describe('readFacts: body framing', () => {
  const good: [name: string, lines: string[]][] = [
    ['one length', ['Content-Length: 5']],
    ['an empty body', ['Content-Length: 0']],
    ['chunked', ['Transfer-Encoding: chunked']],
    ['chunked in capitals', ['transfer-encoding: CHUNKED']],
  ]
  for (const [name, lines] of good) {
    it(`takes ${name}`, () => {
      assert.equal(codeOf(read({ method: 'POST', lines })), undefined)
    })
  }

  const bad: [name: string, lines: string[], httpVersion?: '1.0'][] = [
    ['a length and chunked', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
    ['chunked and a length', ['Transfer-Encoding: chunked', 'Content-Length: 5']],
    ['two lengths', ['Content-Length: 5', 'Content-Length: 6']],
    ['two equal lengths', ['Content-Length: 5', 'Content-Length: 5']],
    ['a list of lengths', ['Content-Length: 5, 5']],
    ['a signed length', ['Content-Length: +5']],
    ['a negative length', ['Content-Length: -5']],
    ['a hexadecimal length', ['Content-Length: 0x5']],
    ['an empty length', ['Content-Length:']],
    ['a length beyond what numbers hold', ['Content-Length: 9999999999999999']],
    ['another coding', ['Transfer-Encoding: gzip']],
    ['a coding before chunked', ['Transfer-Encoding: gzip, chunked']],
    ['chunked twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    ['identity', ['Transfer-Encoding: identity']],
    ['chunked with a parameter', ['Transfer-Encoding: chunked;a=b']],
    ['an empty coding', ['Transfer-Encoding:']],
    ['chunked in HTTP/1.0', ['Transfer-Encoding: chunked'], '1.0'],
  ]
  for (const [name, lines, httpVersion = '1.1'] of bad) {
    it(`refuses ${name}`, () => {
      assert.equal(codeOf(read({ method: 'POST', lines, httpVersion })), 'E_BODY_MALFORMED')
    })
  }
})

describe('readFacts: Upgrade', () => {
  const cases: [name: string, sample: SampleRequest, tokens: string[]][] = [
    ['a WebSocket handshake', { lines: handshake }, ['websocket']],
    ['a request without any', {}, []],
    ['a POST for tcp', { method: 'POST', lines: ['Upgrade: tcp', 'Connection: Upgrade'] }, ['tcp']],
    [
      'several tokens in the order and spelling of the client',
      { lines: ['Upgrade: SPDY/3.1, tcp', 'Connection: UPGRADE', 'Upgrade: X/1'] },
      ['SPDY/3.1', 'tcp', 'X/1'],
    ],
    ['Upgrade that Connection does not name', { lines: ['Upgrade: tcp', 'Connection: close'] }, []],
    ['Upgrade without Connection', { lines: ['Upgrade: tcp'] }, []],
    ['Connection without Upgrade', { lines: ['Connection: Upgrade'] }, []],
    ['Upgrade in HTTP/1.0', { httpVersion: '1.0', lines: handshake }, []],
    [
      'tokens among invalid ones',
      { lines: ['Connection: upgrade', 'Upgrade: a b, tcp, x/, /1, a/b/c, "q"'] },
      ['tcp'],
    ],
    [
      'sixteen tokens of twenty',
      { lines: ['Connection: upgrade', `Upgrade: ${'t,'.repeat(20)}`] },
      Array.from({ length: 16 }, () => 't'),
    ],
    [
      'websocket beside another, with a key',
      { lines: ['Upgrade: tcp, WebSocket', 'Connection: upgrade', `Sec-WebSocket-Key: ${KEY}`] },
      ['tcp', 'WebSocket'],
    ],
    [
      'websocket without a key beside another',
      { lines: ['Upgrade: tcp, WebSocket', 'Connection: upgrade'] },
      ['tcp'],
    ],
    [
      'websocket by POST beside another',
      {
        method: 'POST',
        lines: ['Upgrade: websocket, tcp', 'Connection: upgrade', `Sec-WebSocket-Key: ${KEY}`],
      },
      ['tcp'],
    ],
  ]
  for (const [name, sample, tokens] of cases) {
    it(`reads ${name}`, () => {
      const facts = factsOf(sample)
      assert.deepEqual(facts.upgrade, tokens)
      assert.equal(facts.stripped, false)
    })
  }

  const upgrade = ['Connection: Upgrade', 'Upgrade: websocket']
  const refused: [name: string, sample: SampleRequest][] = [
    ['without a key', { lines: upgrade }],
    ['with an invalid key', { lines: [...upgrade, 'Sec-WebSocket-Key: abc'] }],
    ['with two keys', { lines: [...handshake, `Sec-WebSocket-Key: ${KEY}`] }],
    ['by POST', { method: 'POST', lines: handshake }],
    ['named twice without a key', { lines: [...upgrade, 'Upgrade: WebSocket'] }],
  ]
  for (const [name, sample] of refused) {
    it(`refuses a WebSocket handshake ${name}`, () => {
      assert.equal(codeOf(read(sample)), 'E_WEBSOCKET_REQUEST')
    })
  }
})

describe('readFacts: a stripped WebSocket handshake', () => {
  const counts: [name: string, sample: SampleRequest][] = [
    ['in HTTP/1.0', { httpVersion: '1.0', lines: strippedLines }],
    ['in HTTP/1.1', { lines: ['Connection: close', ...strippedLines] }],
    ['in HTTP/1.0 with its Upgrade left', { httpVersion: '1.0', lines: handshake }],
    ['whose Connection no longer names Upgrade', { lines: handshake.slice(1) }],
    [
      'that comes over a unix socket',
      { lines: strippedLines, peer: '', trusted: ['unix'], localPort: undefined },
    ],
  ]
  for (const [name, sample] of counts) {
    it(`counts from a trusted proxy ${name}`, () => {
      const facts = factsOf({ ...proxy, ...sample })
      assert.deepEqual(facts.upgrade, ['websocket'])
      assert.equal(facts.stripped, true)
    })
  }

  const plain: [name: string, sample: SampleRequest][] = [
    ['from anyone else', { lines: strippedLines }],
    ['by another method', { ...proxy, method: 'POST', lines: strippedLines }],
    ['without a version', { ...proxy, lines: [`Sec-WebSocket-Key: ${KEY}`] }],
    [
      'with an invalid key',
      { ...proxy, lines: ['Sec-WebSocket-Key: x', 'Sec-WebSocket-Version: 13'] },
    ],
    ['with two keys', { ...proxy, lines: [...strippedLines, `Sec-WebSocket-Key: ${KEY}`] }],
  ]
  for (const [name, sample] of plain) {
    it(`is a plain request ${name}`, () => {
      const facts = factsOf(sample)
      assert.deepEqual(facts.upgrade, [])
      assert.equal(facts.stripped, false)
    })
  }

  it('is told apart where trust would make it one', () => {
    const lost = (sample: SampleRequest): unknown =>
      factsOf({ lines: strippedLines, ...sample }).lostUpgrade
    assert.equal(lost({}), true)
    assert.equal(lost({ httpVersion: '1.0' }), true)
    assert.equal(lost(proxy), undefined)
    assert.equal(lost({ method: 'POST' }), undefined)
    assert.equal(lost({ http2: true }), undefined)
    assert.equal(lost({ peer: '', localPort: undefined }), true)
    assert.equal(lost({ peer: '' }), undefined)
    assert.equal(lost({ lines: strippedLines.slice(1) }), undefined)
    assert.equal(lost({ lines: handshake }), undefined)
  })

  it('is not stripped when its Upgrade arrived', () => {
    assert.equal(factsOf({ ...proxy, lines: handshake }).stripped, false)
  })
})

describe('readFacts: the client', () => {
  const lines = [
    'X-Forwarded-For: 198.51.100.7, 10.9.9.9',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: Chat.example.com',
    'X-Request-Id: from-proxy',
    'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  ]

  it('is believed about itself by nobody', () => {
    const facts = factsOf({ lines, peer: '::ffff:203.0.113.9' })
    assert.equal(facts.peerTrusted, false)
    assert.equal(facts.clientIp, '203.0.113.9')
    assert.equal(facts.proto, 'http')
    assert.equal(facts.host, 'example.com')
    assert.match(facts.requestId, /^[0-9a-f-]{36}$/)
    assert.doesNotMatch(facts.traceparent, /0af7651916cd43dd8448eb211c80319c/)
    assert.deepEqual(facts.forwarded, {
      for: '203.0.113.9',
      proto: 'http',
      host: 'example.com',
      port: '8080',
      field: undefined,
      policy: undefined,
    })
  })

  it('is what a trusted proxy says', () => {
    const facts = factsOf({ ...proxy, lines })
    assert.equal(facts.peerTrusted, true)
    assert.equal(facts.clientIp, '198.51.100.7')
    assert.equal(facts.proto, 'https')
    assert.equal(facts.host, 'chat.example.com')
    assert.equal(facts.authority, 'example.com')
    assert.equal(facts.requestId, 'from-proxy')
    assert.equal(facts.traceparent, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
  })

  const forwarded = [
    'Forwarded: for="[2001:db8::7]:80";host="Chat.example.com:1";proto=https',
    ...lines,
  ]

  it('is what a trusted proxy says in Forwarded, where that is read', () => {
    const facts = factsOf({
      ...proxy,
      lines: forwarded,
      forwarded: { read: 'forwarded', write: 'x-forwarded' },
    })
    assert.equal(facts.clientIp, '2001:db8::7')
    assert.equal(facts.proto, 'https')
    assert.equal(facts.host, 'chat.example.com')
    assert.equal(factsOf({ ...proxy, lines: forwarded }).clientIp, '198.51.100.7')
  })

  it('is believed in Forwarded by nobody, valid or not', () => {
    for (const line of [forwarded[0] as string, 'Forwarded: "']) {
      const facts = factsOf({ lines: [line], forwarded: { read: 'forwarded', write: 'both' } })
      assert.equal(facts.clientIp, '203.0.113.9')
      assert.equal(facts.host, 'example.com')
      assert.equal(facts.forwarded.field, 'for=203.0.113.9;host=example.com;proto=http')
    }
  })

  it('is refused when a trusted proxy sends a Forwarded that is not valid', () => {
    const policy = { read: 'forwarded', write: 'forwarded' } as const
    assert.equal(
      codeOf(read({ ...proxy, lines: ['Forwarded: "'], forwarded: policy })),
      'E_FORWARDED_INVALID',
    )
    assert.equal(factsOf({ ...proxy, lines: ['Forwarded: "'] }).clientIp, '10.0.0.1')
  })

  it('is https over an encrypted connection', () => {
    assert.equal(factsOf({ encrypted: true }).proto, 'https')
  })

  it('has no address on a unix socket that nobody trusts', () => {
    const facts = factsOf({ lines, peer: '', localPort: undefined, trusted: ['0.0.0.0/0'] })
    assert.equal(facts.clientIp, '')
    assert.equal(facts.peerTrusted, false)
    assert.equal(facts.forwarded.for, '')
  })

  it('is what a trusted unix peer says', () => {
    const facts = factsOf({
      lines,
      peer: '',
      localPort: undefined,
      trusted: ['unix', '10.0.0.0/8'],
    })
    assert.equal(facts.clientIp, '198.51.100.7')
    assert.equal(facts.forwarded.for, '198.51.100.7, 10.9.9.9')
  })

  it('does not pass for a unix peer when its TCP connection has lost its address', () => {
    const facts = factsOf({ lines, peer: '', trusted: ['unix'] })
    assert.equal(facts.peerTrusted, false)
    assert.equal(facts.clientIp, '')
  })

  it('gets facts that cannot be changed', () => {
    assert.ok(Object.isFrozen(factsOf()))
  })
})

describe('websocketKey', () => {
  const cases: [name: string, lines: string[], key: string | undefined][] = [
    ['a valid key', [`sec-websocket-key: ${KEY}`], KEY],
    ['nothing for two keys', [`Sec-WebSocket-Key: ${KEY}`, `Sec-WebSocket-Key: ${KEY}`], undefined],
    ['nothing for 15 bytes', ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA'], undefined],
    ['nothing for 17 bytes', ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA='], undefined],
    ['nothing for other characters', ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j_Q=='], undefined],
    ['nothing for a key with more behind it', [`Sec-WebSocket-Key: ${KEY}, x`], undefined],
    ['nothing without one', [], undefined],
  ]
  for (const [name, lines, key] of cases) {
    it(`gives ${name}`, () => {
      assert.equal(websocketKey(fieldsOf(lines)), key)
    })
  }
})
