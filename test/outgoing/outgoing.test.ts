import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Identity } from '../../src/auth/identity.ts'
import type { FieldEdits, ForwardedConfig } from '../../src/config/config.ts'
import {
  incomingFields,
  outgoingFields,
  outgoingTarget,
  switchingFields,
  type OutgoingOptions,
} from '../../src/outgoing/outgoing.ts'
import { codeOf, factsOf, fieldsOf, linesOf, type SampleRequest } from '../request/reading.ts'

const nobody: Identity = {
  user: undefined,
  fields: [],
  hiddenQuery: [],
  hiddenSubprotocols: [],
  markerSubprotocol: undefined,
  grants: [],
}
const noEdits: FieldEdits = { set: [], remove: [] }
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const made = /^(?:x-forwarded-(?:for|proto|host|port)|x-real-ip|x-request-id|traceparent): /i

/** All lines for the upstream. */
function sent(
  sample: SampleRequest,
  identity: Partial<Identity> = {},
  options: Partial<OutgoingOptions> = {},
): string[] {
  const all = { edits: noEdits, ownFields: ['x-auth-user'], ...options }
  return linesOf(outgoingFields(factsOf(sample), { ...nobody, ...identity }, all))
}

/** The lines for the upstream without Host and those that are always made. */
function kept(...args: Parameters<typeof sent>): string[] {
  return sent(...args).filter((line) => !made.test(line) && !/^host: /i.test(line))
}

const proxy: SampleRequest = { peer: '10.0.0.1', trusted: ['10.0.0.0/8'] }

describe('outgoingFields', () => {
  it('keeps order, case and number of fields, and adds its own behind them', () => {
    const lines = ['hOST: a', 'X-One: 1', 'accept: */*', 'X-one: 2', 'Empty:']
    const all = sent({ lines })
    assert.deepEqual(all.slice(0, 5), ['hOST: a', 'X-One: 1', 'accept: */*', 'X-one: 2', 'Empty: '])
    assert.deepEqual(all.slice(5, 10), [
      'X-Forwarded-For: 203.0.113.9',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Host: a',
      'X-Forwarded-Port: 8080',
      'X-Real-IP: 203.0.113.9',
    ])
    assert.match(all[10] ?? '', /^X-Request-Id: [0-9a-f-]{36}$/)
    assert.match(all[11] ?? '', /^traceparent: 00-/)
    assert.equal(all.length, 12)
  })

  const cases: [name: string, lines: string[], kept: string[], trusted?: true][] = [
    [
      'removes hop-by-hop fields',
      [
        'Connection: Upgrade, keep-alive',
        'Upgrade: tcp',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic eDp5',
        'Proxy-Authenticate: Basic',
        'TE: trailers',
        'HTTP2-Settings: AAMAAABk',
        'Accept: */*',
      ],
      ['Accept: */*'],
    ],
    [
      'keeps the framing of the body',
      ['Transfer-Encoding: chunked', 'Trailer: X'],
      ['Transfer-Encoding: chunked', 'Trailer: X'],
    ],
    ['keeps the length of the body', ['Content-Length: 3'], ['Content-Length: 3']],
    [
      'removes the fields that Connection names, in any case',
      [
        'Connection: X-Hop, close',
        'x-hop: 1',
        'X-HOP: 2',
        'X-Hop2: 3',
        'connection: foo',
        'Foo: 4',
      ],
      ['X-Hop2: 3'],
    ],
    [
      'keeps what upstreams rely on though Connection names it',
      [
        'Connection: Host, Authorization, Cookie, Content-Length, Origin, Sec-WebSocket-Key, sec-websocket-version, X-Forwarded-For, X-Request-Id, traceparent, Forwarded',
        'Authorization: Bearer x',
        'Cookie: a=b',
        'Content-Length: 3',
        'Origin: https://a',
        'Sec-WebSocket-Key: k',
        'Sec-WebSocket-Version: 13',
      ],
      [
        'Authorization: Bearer x',
        'Cookie: a=b',
        'Content-Length: 3',
        'Origin: https://a',
        'Sec-WebSocket-Key: k',
        'Sec-WebSocket-Version: 13',
      ],
    ],
    [
      'keeps Transfer-Encoding though Connection names it',
      ['Connection: Transfer-Encoding', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked'],
    ],
    [
      'removes what a client says of proxies',
      [
        'Forwarded: for=1.2.3.4',
        'X-Real-IP: 1.2.3.4',
        'X-Forwarded-Prefix: /x',
        'X-Forwarded-Ssl: on',
        'X-Original-URL: /admin',
        'X-Rewrite-URL: /admin',
        'tracestate: a=b',
      ],
      [],
    ],
    [
      'keeps what a trusted proxy says of others, but in the family that it is not read by',
      [
        'Forwarded: for=1.2.3.4',
        'X-Real-IP: 1.2.3.4',
        'X-Forwarded-Prefix: /x',
        'X-Original-URL: /x',
      ],
      ['X-Forwarded-Prefix: /x', 'X-Original-URL: /x'],
      true,
    ],
    [
      'keeps tracestate beside its traceparent',
      [`traceparent: ${TRACE}`, 'tracestate: a=b'],
      ['tracestate: a=b'],
      true,
    ],
    ['removes tracestate without a traceparent', ['tracestate: a=b'], [], true],
    [
      'removes tracestate beside an invalid traceparent',
      ['traceparent: x', 'tracestate: a=b'],
      [],
      true,
    ],
    ['removes Proxy', ['Proxy: http://evil'], []],
    ["removes a client's X-Auth-User", ['X-Auth-User: root', 'x-auth-user: root'], []],
    ["removes a trusted proxy's X-Auth-User", ['X-Auth-User: root'], [], true],
    [
      'removes what CGI-like upstreams read as a protected field',
      [
        'X_Auth_User: root',
        'x-auth_user: root',
        'X.Auth.User: root',
        'X_Forwarded_For: 1.2.3.4',
        'X_Forwarded_Prefix: /',
        'X_Request_Id: x',
        'Content_Length: 5',
        'Transfer_Encoding: chunked',
        'Sec_WebSocket_Key: x',
        'Session_Id: 1',
      ],
      ['Session_Id: 1'],
    ],
    [
      'removes aliases of what others take the path, the proxy or an identity from, of trusted proxies as well',
      [
        'X_Original_URL: /admin',
        'x.rewrite.url: /admin',
        'X~Original-URL: /admin',
        'X_Real_IP: 1.2.3.4',
        'X!Real^IP: 1.2.3.4',
        'X_Auth_Token: x',
        'X_Forwarded_Client_Cert: By=x',
        'Proxy_Authorization: Basic eDp5',
      ],
      [],
      true,
    ],
    [
      'keeps protected fields though Connection names an alias of theirs, and lets no alias through',
      [
        'Connection: X_Forwarded_Prefix, Content_Length, x.auth.token',
        'X_Forwarded_Prefix: /evil',
        'X-Forwarded-Prefix: /x',
        'Content-Length: 3',
        'X-Auth-Token: mine',
        'X-Auth_Token: evil',
      ],
      ['X-Forwarded-Prefix: /x', 'Content-Length: 3', 'X-Auth-Token: mine'],
      true,
    ],
    [
      'removes every spelling of a field that Connection names in one',
      ['Connection: X_Hop', 'X-Hop: 1', 'x.hop: 2', 'X_HOP: 3', 'X-Hops: 4'],
      ['X-Hops: 4'],
    ],
  ]
  for (const [name, lines, expected, trusted] of cases) {
    it(name, () => {
      const method = lines.some((line) => /^(?:transfer-encoding|content-length)/i.test(line))
        ? 'POST'
        : 'GET'
      assert.deepEqual(kept({ ...(trusted ? proxy : {}), method, lines }), expected)
    })
  }

  it('sets forwarded fields in place of what a client claims', () => {
    const lines = [
      'X-Forwarded-For: 1.2.3.4',
      'x-forwarded-proto: https',
      'X-FORWARDED-HOST: evil',
      'X-Forwarded-Port: 1',
      'X-Request-Id: mine',
      `traceparent: ${TRACE}`,
    ]
    const all = sent({ lines })
    const names = all.map((line) => line.slice(0, line.indexOf(':')).toLowerCase())
    assert.equal(new Set(names).size, names.length, 'no field is there twice')
    assert.ok(all.includes('X-Forwarded-For: 203.0.113.9'))
    assert.ok(!all.some((line) => /1\.2\.3\.4|evil|mine|0af7651916/.test(line)))
  })

  it('continues the forwarded fields of a trusted proxy', () => {
    const lines = [
      'X-Forwarded-For: 1.2.3.4',
      'X-Forwarded-Proto: https',
      'X-Request-Id: mine',
      `traceparent: ${TRACE}`,
    ]
    const all = sent({ ...proxy, lines })
    for (const line of [
      'X-Forwarded-For: 1.2.3.4, 10.0.0.1',
      'X-Forwarded-Proto: https',
      'X-Request-Id: mine',
      `traceparent: ${TRACE}`,
    ]) {
      assert.equal(all.filter((other) => other === line).length, 1, line)
    }
  })

  describe('Forwarded and X-Forwarded-*', () => {
    const lines = [
      'X-Forwarded-For: 198.51.100.7',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Ssl: on',
      'X-Real-IP: 198.51.100.7',
      'Forwarded: for=192.0.2.9;proto=http',
    ]
    const x = [
      'X-Forwarded-For: 198.51.100.7, 10.0.0.1',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: example.com',
      'X-Forwarded-Port: 443',
      'X-Real-IP: 198.51.100.7',
    ]
    const field = 'Forwarded: for=198.51.100.7;host=example.com;proto=https, for=10.0.0.1'
    const others = ['X-Forwarded-Ssl: on']
    const ofForwarded = [
      'X-Forwarded-For: 192.0.2.9, 10.0.0.1',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Host: example.com',
      'X-Forwarded-Port: 80',
      'X-Real-IP: 192.0.2.9',
    ]
    const told = 'Forwarded: for=192.0.2.9;host=example.com;proto=http, for=10.0.0.1'
    const policies: [ForwardedConfig | undefined, string[]][] = [
      [undefined, [...others, ...x]],
      [{ read: 'x-forwarded', write: 'x-forwarded' }, [...others, ...x]],
      [{ read: 'x-forwarded', write: 'forwarded' }, [field]],
      [{ read: 'x-forwarded', write: 'both' }, [...others, field, ...x]],
      [{ read: 'forwarded', write: 'x-forwarded' }, ofForwarded],
      [{ read: 'forwarded', write: 'forwarded' }, [told]],
      [{ read: 'forwarded', write: 'both' }, [told, ...ofForwarded]],
    ]
    const about = /^(?:x-forwarded-|x-real-ip|forwarded)/i
    for (const [policy, expected] of policies) {
      const name = policy === undefined ? 'off' : `read ${policy.read}, write ${policy.write}`
      it(`of a trusted proxy go on as one story (${name})`, () => {
        const all = sent({ ...proxy, lines, ...(policy && { forwarded: policy }) })
        assert.deepEqual(
          all.filter((line) => about.test(line)),
          expected,
        )
      })

      it(`of a client go nowhere (${name})`, () => {
        const claims = lines.map((line) => line.replace(/(?:198|192)[.\d]+|https?|on$/g, 'evil'))
        const all = sent({ lines: claims, ...(policy && { forwarded: policy }) })
        const seen = all.filter((line) => about.test(line)).join('\n')
        assert.doesNotMatch(seen, /evil/)
        assert.match(seen, policy?.write === 'forwarded' ? /for=203\.0\.113\.9/ : /-For: 203\.0/)
      })
    }

    it('give way to edits', () => {
      const edits = { set: [['Forwarded', 'for=_me']], remove: ['x-forwarded-for'] } as const
      const all = sent({ forwarded: { read: 'forwarded', write: 'both' } }, {}, { edits })
      const seen = all.filter((line) => /^(?:forwarded|x-forwarded-for):/i.test(line))
      assert.deepEqual(seen, ['Forwarded: for=_me'])
    })
  })

  it('sends no X-Forwarded-For for a unix peer that tells nothing', () => {
    const all = sent({ peer: '', localPort: undefined })
    assert.ok(!all.some((line) => line.startsWith('X-Forwarded-For')))
  })

  describe('Host', () => {
    const hosts: [
      name: string,
      sample: SampleRequest,
      options: Partial<OutgoingOptions>,
      lines: string[],
    ][] = [
      ['as sent', { lines: ['X: 1', 'Host: A:1'] }, {}, ['X: 1', 'Host: A:1']],
      [
        'of an absolute form, in its place',
        { target: 'http://b:2/', lines: ['X: 1', 'Host: a'] },
        {},
        ['X: 1', 'Host: b:2'],
      ],
      [
        'first, where HTTP/1.0 has none',
        { httpVersion: '1.0', host: false, lines: ['X: 1'] },
        { defaultHost: 'up:3' },
        ['Host: up:3', 'X: 1'],
      ],
      [
        'of an absolute form of HTTP/1.0',
        { httpVersion: '1.0', host: false, target: 'http://b/', lines: ['X: 1'] },
        { defaultHost: 'up:3' },
        ['Host: b', 'X: 1'],
      ],
      [
        'nowhere, where nobody names one',
        { httpVersion: '1.0', host: false, lines: ['X: 1'] },
        {},
        ['X: 1'],
      ],
      [
        'as the route sets it, in its place',
        { lines: ['Host: a', 'X: 1'] },
        { edits: { set: [['HOST', 'set']], remove: [] } },
        ['Host: set', 'X: 1'],
      ],
      [
        'as the route sets it, where there was none',
        { httpVersion: '1.0', host: false, lines: ['X: 1'] },
        { edits: { set: [['Host', 'set']], remove: [] } },
        ['Host: set', 'X: 1'],
      ],
      [
        'of the endpoint, where the route removes it',
        { lines: ['Host: a', 'X: 1'] },
        { defaultHost: 'up:3', edits: { set: [], remove: ['host'] } },
        ['Host: up:3', 'X: 1'],
      ],
      [
        'nowhere, where the route removes it and nobody names another',
        { lines: ['Host: a', 'X: 1'] },
        { edits: { set: [], remove: ['host'] } },
        ['X: 1'],
      ],
    ]
    for (const [name, sample, options, lines] of hosts) {
      it(`goes on ${name}`, () => {
        assert.deepEqual(
          sent(sample, {}, options).filter((line) => !made.test(line)),
          lines,
        )
      })
    }
  })

  describe('identity', () => {
    const users: [user: string | undefined, line: string | undefined][] = [
      ['alice', 'X-Auth-User: alice'],
      ['a@b.example', 'X-Auth-User: a@b.example'],
      ['Ann Lee', 'X-Auth-User: Ann%20Lee'],
      ['50%', 'X-Auth-User: 50%25'],
      ['J\u00fcrgen', 'X-Auth-User: J%C3%BCrgen'],
      ['\u{1f600}', 'X-Auth-User: %F0%9F%98%80'],
      ['\ud800', 'X-Auth-User: %EF%BF%BD'],
      ['a\r\nX-Role: admin\0', 'X-Auth-User: a%0D%0AX-Role:%20admin%00'],
      [undefined, undefined],
    ]
    for (const [user, line] of users) {
      it(`sends ${JSON.stringify(user)} as ${line ?? 'nothing'}`, () => {
        const lines = kept({ lines: ['X-Auth-User: root'] }, { user })
        assert.deepEqual(lines, line === undefined ? [] : [line])
      })
    }

    it("puts a check's fields in place of the client's, under any name that is read alike", () => {
      const lines = [
        'X-Role: admin',
        'X_Role: admin',
        'x-role: root',
        'X-Roles: 1',
        'Authorization: Basic eDp5',
      ]
      const identity = { fields: ['X-Role', 'user', 'Authorization', 'Bearer t'] }
      const options = { ownFields: ['x-auth-user', 'x-role', 'authorization'] }
      assert.deepEqual(kept({ lines }, identity, options), [
        'X-Roles: 1',
        'X-Role: user',
        'Authorization: Bearer t',
      ])
    })

    it("removes a client's field that is read like a check's field with underscores", () => {
      assert.deepEqual(kept({ lines: ['X-Role: admin'] }, {}, { ownFields: ['x_role'] }), [])
    })

    it('sends one X-Auth-User where a check copies one as well', () => {
      const identity = { user: 'alice', fields: ['x-auth-user', 'bob', 'X-Role', 'user'] }
      assert.deepEqual(kept({}, identity), ['X-Auth-User: alice', 'X-Role: user'])
      assert.deepEqual(kept({}, { fields: ['X-Auth-User', 'bob'] }), ['X-Auth-User: bob'])
    })

    const subprotocols: [name: string, lines: string[], kept: string[]][] = [
      [
        'one of several items',
        ['Sec-WebSocket-Protocol: chat, tok.abc,v2'],
        ['Sec-WebSocket-Protocol: chat, v2'],
      ],
      [
        'a line that holds nothing else',
        ['Sec-WebSocket-Protocol: tok.abc', 'sec-websocket-protocol: chat'],
        ['sec-websocket-protocol: chat'],
      ],
      [
        'nothing from other lines',
        ['Sec-WebSocket-Protocol: chat,v2 ,x', 'X: tok.abc'],
        ['Sec-WebSocket-Protocol: chat,v2 ,x', 'X: tok.abc'],
      ],
    ]
    for (const [name, lines, expected] of subprotocols) {
      it(`removes ${name} that carried a token`, () => {
        assert.deepEqual(kept({ lines }, { hiddenSubprotocols: ['bearer', 'tok.abc'] }), expected)
      })
    }

    it('leaves subprotocols alone that carried none', () => {
      const lines = ['Sec-WebSocket-Protocol: chat,v2']
      assert.deepEqual(kept({ lines }), lines)
    })
  })

  describe('edits', () => {
    it('set fields in place of what was there, and remove others', () => {
      const edits = {
        set: [
          ['X-Env', 'prod'],
          ['X-New', '1'],
        ],
        remove: ['x-debug'],
      } as const
      const lines = ['x-env: dev', 'X-Debug: 1', 'X_Debug: 1', 'X_Env: dev', 'A: 1']
      assert.deepEqual(kept({ lines }, {}, { edits }), ['A: 1', 'X-Env: prod', 'X-New: 1'])
    })

    it('win over what the gateway sets', () => {
      const edits = {
        set: [['X-Forwarded-Proto', 'https']],
        remove: ['x-request-id', 'x-role'],
      } as const
      const all = sent({}, { fields: ['X-Role', 'user'] }, { edits })
      assert.equal(
        all.filter((line) => /^x-forwarded-proto/i.test(line)).join(),
        'X-Forwarded-Proto: https',
      )
      assert.ok(!all.some((line) => /^x-(?:request-id|role)/i.test(line)))
    })

    it('remove a field with dashes where they set one with underscores', () => {
      const edits = { set: [['X_Env', 'prod']], remove: [] } as const
      const lines = ['X-Env: dev', 'X.Env: dev', 'x_env: dev']
      assert.deepEqual(kept({ lines }, {}, { edits }), ['X_Env: prod'])
    })

    it('leave a field with dashes alone where they remove one with underscores', () => {
      const edits = { set: [], remove: ['x_debug'] }
      assert.deepEqual(kept({ lines: ['X-Debug: 1', 'X_Debug: 2'] }, {}, { edits }), ['X-Debug: 1'])
    })
  })

  it('keeps HTTP2-Settings for an upgrade to h2c alone', () => {
    const lines = [
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABk',
    ]
    assert.deepEqual(kept({ lines }, {}, { tokens: ['H2C'] }), ['HTTP2-Settings: AAMAAABk'])
    assert.deepEqual(kept({ lines }, {}, { tokens: ['tcp'] }), [])
  })
})

describe('incomingFields', () => {
  const answer = fieldsOf([
    'Server: x',
    'Connection: close, X-Hop',
    'x-hop: 1',
    'Keep-Alive: 1',
    'Set-Cookie: a',
    'set-cookie: b',
    'Transfer-Encoding: chunked',
    'Proxy-Authenticate: Basic',
    'Upgrade: h2c',
    'X_Env: kept',
  ])

  it('keeps what is end-to-end, and the framing, in order', () => {
    assert.deepEqual(linesOf(incomingFields(answer, noEdits, 200)), [
      'Server: x',
      'Set-Cookie: a',
      'set-cookie: b',
      'Transfer-Encoding: chunked',
      'X_Env: kept',
    ])
  })

  it('keeps the Upgrade of a 426, which says what would do, and has Connection name it', () => {
    const fields = fieldsOf(['Connection: close, Upgrade', 'Upgrade: websocket', 'Keep-Alive: 1'])
    assert.deepEqual(linesOf(incomingFields(fields, noEdits, 426)), [
      'Upgrade: websocket',
      'Connection: Upgrade',
    ])
    assert.deepEqual(incomingFields(fieldsOf(['Connection: close']), noEdits, 426), [])
  })

  it('keeps a length that Connection names', () => {
    const fields = fieldsOf(['Connection: Content-Length', 'Content-Length: 3'])
    assert.deepEqual(linesOf(incomingFields(fields, noEdits, 200)), ['Content-Length: 3'])
  })

  it('applies edits', () => {
    const edits = {
      set: [
        ['Set-Cookie', 'c'],
        ['X-Env', 'y'],
      ],
      remove: ['server'],
    } as const
    assert.deepEqual(linesOf(incomingFields(answer, edits, 200)), [
      'Transfer-Encoding: chunked',
      'X_Env: kept',
      'Set-Cookie: c',
      'X-Env: y',
    ])
  })
})

describe('switchingFields', () => {
  it('keeps the fields of a 101 as they came, without any framing', () => {
    const lines = [
      'upgrade: WebSocket',
      'connection: keep-alive, Upgrade',
      'Sec-WebSocket-Accept: x',
      'Server: y',
    ]
    const fields = fieldsOf([
      ...lines,
      'Content-Length: 0',
      'Transfer-Encoding: chunked',
      'Keep-Alive: 1',
    ])
    assert.deepEqual(linesOf(switchingFields(fields, noEdits)), lines)
    const edits = { set: [['X', '1']], remove: ['server'] } as const
    assert.deepEqual(linesOf(switchingFields(fields, edits)), [...lines.slice(0, 3), 'X: 1'])
  })
})

describe('outgoingTarget', () => {
  type Rewrite = { strip?: string; add?: string; hidden?: string[] }
  const target = (text: string, { strip, add, hidden = [] }: Rewrite, method = 'GET') =>
    outgoingTarget(
      factsOf({ target: text, method }),
      { stripPrefix: strip, addPrefix: add },
      hidden,
    )

  const cases: [name: string, text: string, rewrite: Rewrite, result: string][] = [
    ['as sent', '/a/../%62//c;x?d=%2F', {}, '/a/../%62//c;x?d=%2F'],
    ['with an empty query', '/a?', {}, '/a?'],
    ['with two slashes as sent', '//a', {}, '//a'],
    [
      'without a token of the query',
      '/a?x=1&token=abc&y=%7e',
      { hidden: ['token'] },
      '/a?x=1&y=%7e',
    ],
    ['without a query that was a token alone', '/a?token=abc', { hidden: ['token'] }, '/a'],
    ['without a query to take a token from', '/a', { hidden: ['token'] }, '/a'],
    ['without its prefix', '/ws/room?x', { strip: '/ws' }, '/room?x'],
    ['without a prefix that ends in a slash', '/ws/room', { strip: '/ws/' }, '/room'],
    ['as the root where it is the prefix', '/ws?x', { strip: '/ws' }, '/?x'],
    ['with the slash behind the prefix', '/ws/', { strip: '/ws' }, '/'],
    ['with a prefix that ends within a segment', '/wsx/a', { strip: '/ws' }, '/wsx/a'],
    ['with another prefix', '/other', { strip: '/ws' }, '/other'],
    ['with a prefix of the root', '/a', { strip: '/', add: '/' }, '/a'],
    ['with a prefix in front', '/a?b', { add: '/api' }, '/api/a?b'],
    ['with the root below a prefix', '/', { add: '/api/' }, '/api/'],
    ['with another prefix in place of its own', '/ws/a', { strip: '/ws', add: '/api' }, '/api/a'],
    ['as the other prefix where it is its own', '/ws', { strip: '/ws', add: '/api' }, '/api'],
    [
      'with an encoded slash behind the prefix',
      '/ws/a%2fb',
      { strip: '/ws', add: '/api' },
      '/api/a%2fb',
    ],
    [
      'with dot segments that stay below the prefix',
      '/ws/a/../b',
      { strip: '/ws', add: '/api' },
      '/api/a/../b',
    ],
    ['with two slashes further on', '/ws/a//b', { strip: '/ws' }, '/a//b'],
    ['without a prefix that is written encoded', '/%7Eme/a', { strip: '/%7Eme' }, '/a'],
    ['of a path that leaves the prefix', '/ws/../b', { strip: '/ws' }, '/ws/../b'],
  ]
  for (const [name, text, rewrite, result] of cases) {
    it(`goes on ${name}`, () => {
      assert.equal(target(text, rewrite), result)
    })
  }

  it('goes on as * for OPTIONS', () => {
    assert.equal(target('*', { strip: '/ws', add: '/api' }, 'OPTIONS'), '*')
  })

  it('goes on without the scheme and host of an absolute form', () => {
    assert.equal(target('http://h/ws/a?b', { strip: '/ws' }), '/a?b')
  })

  const ambiguous: [name: string, text: string, rewrite: Rewrite][] = [
    ['a prefix that is encoded', '/%77s/a', { strip: '/ws' }],
    ['a prefix behind two slashes', '//ws/a', { strip: '/ws' }],
    ['a prefix behind a dot segment', '/a/../ws/b', { strip: '/ws' }],
    ['a rest that begins with two slashes', '/ws//evil.example/a', { strip: '/ws' }],
    ['a rest that climbs out of the prefix and back', '/ws/../ws/a', { strip: '/ws' }],
    ['a rest that climbs out by an encoded slash', '/ws/..%2fadmin', { strip: '/ws' }],
    ['a rest that climbs out by a path parameter', '/ws/..;/admin', { strip: '/ws' }],
    ['a path that climbs out of the prefix in front', '/../a', { add: '/api' }],
    ['a path that climbs out by an encoded slash', '/..%2fa', { add: '/api' }],
    ['a path that climbs out by an encoded backslash', '/..%5ca', { add: '/api' }],
    [
      'a path with too many readings below the prefix in front',
      '/a//%252e',
      { add: '/%2525252f;a//\\' },
    ],
  ]
  for (const [name, text, rewrite] of ambiguous) {
    it(`is refused for ${name}`, () => {
      assert.equal(codeOf(target(text, rewrite)), 'E_TARGET_AMBIGUOUS')
    })
  }
})
