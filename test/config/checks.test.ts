import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { loadText, problemsIn, withRoute } from './load-text.ts'

type Case = [name: string, yaml: string, problems: string[]]

const route = 'upstream: "http://a"'

function table(title: string, cases: Case[]): void {
  describe(title, () => {
    for (const [name, yaml, problems] of cases) {
      it(name, () => assert.deepEqual(problemsIn(yaml), problems))
    }
  })
}

table('addresses', [
  [
    'refuses two listeners on one address',
    withRoute('listeners: [{ address: "a:1" }, { address: "a:1" }]'),
    ['1:44: listeners[1].address: is taken already by a:1 of listeners[0]'],
  ],
  [
    'refuses an address that a wildcard takes',
    withRoute('listeners: [{ address: "127.0.0.1:1" }, { address: "0.0.0.0:1" }]'),
    ['1:52: listeners[1].address: is taken already by 127.0.0.1:1 of listeners[0]'],
  ],
  [
    'refuses a wildcard over another address',
    withRoute('listeners: [{ address: "[::]:1" }, { address: "127.0.0.1:1" }]'),
    ['1:47: listeners[1].address: is taken already by [::]:1 of listeners[0]'],
  ],
  [
    'refuses the address of the admin server for a listener, though it is a default',
    withRoute('listeners: [{ address: "127.0.0.1:9090" }]'),
    ['1:1: admin.address: is taken already by 127.0.0.1:9090 of listeners[0]'],
  ],
  [
    'refuses one unix socket twice',
    withRoute('listeners: [{ address: "unix:/a" }]\nadmin: { address: "unix:/a" }'),
    ['2:19: admin.address: is taken already by unix:/a of listeners[0]'],
  ],
  [
    'accepts different ports, families, kinds, and port 0 twice',
    withRoute(
      'listeners: [{ address: "a:0" }, { address: "a:0" }, { address: "0.0.0.0:1" }, { address: "[::1]:1" }, { address: "unix:/a" }]\nadmin: off',
    ),
    [],
  ],
  [
    'does not compare the default of an address that is wrong',
    withRoute('listeners: [{}, { address: 1 }]'),
    [
      '1:28: listeners[1].address: expected an address such as 0.0.0.0:8080, localhost:8080, [::1]:8080, :8080, unix:/run/upgate.sock or systemd; write :1; got a number',
    ],
  ],
])

table('PROXY headers', [
  [
    'are of no use where nobody is trusted to send them',
    withRoute('listeners: [{ address: "a:1", proxyProtocol: optional }]'),
    [
      '1:46: listeners[0].proxyProtocol: no proxy is trusted to say whose connection it is; expected trustedProxies with its addresses',
    ],
  ],
  [
    'may be taken from a trusted proxy, and need nobody where they are off',
    withRoute('listeners: [{ address: "a:1", proxyProtocol: required }]\ntrustedProxies: [unix]'),
    [],
  ],
  ['need nobody where they are off', withRoute('listeners: [{ proxyProtocol: off }]'), []],
  [
    'are read by no endpoint of the gateway itself',
    `upstreams: { a: { endpoints: ["builtin:echo"], proxyProtocol: v1 } }\nroutes: [{ upstream: a }]`,
    ['1:63: upstreams.a.proxyProtocol: builtin:echo reads no PROXY header'],
  ],
  [
    'are not asked about when the proxies are wrong',
    withRoute('listeners: [{ proxyProtocol: required }]\ntrustedProxies: [a]'),
    [
      '2:18: trustedProxies[0]: expected an IP address, a block of them or unix, such as 10.0.0.0/8, 192.0.2.7, ::1 or unix',
    ],
  ],
])

table('upstreams', [
  [
    'refuses one endpoint twice',
    withRoute('upstreams: { a: { endpoints: ["http://a", { url: "http://a" }] } }'),
    ['1:43: upstreams.a.endpoints[1]: this endpoint is there twice; give it a weight instead'],
  ],
  [
    'refuses one endpoint twice in place',
    'routes: [{ upstream: ["http://a", "http://a"] }]',
    ['1:35: routes[0].upstream[1]: this endpoint is there twice; give it a weight instead'],
  ],
  [
    'refuses a first pause that is longer than the longest',
    withRoute('upstreams: { a: { endpoints: ["http://a"], health: { setAside: 2m } } }'),
    ['1:64: upstreams.a.health.setAside: must not be longer than setAsideMax'],
  ],
  ...[
    ['cert', 'key'],
    ['key', 'cert'],
  ].map(([there = '', missing = '']): Case => [
    `refuses a TLS ${there} without its ${missing}`,
    withRoute(
      `upstreams: { a: { endpoints: ["https://a"], tls: { ${there}: "\${FIXTURES}/tls/${there}.pem" } } }`,
    ),
    [`1:${54 + there.length}: upstreams.a.tls.${there}: needs ${missing} beside it`],
  ]),
  [
    'refuses versions of TLS that are none, or too old',
    withRoute('upstreams: { a: { endpoints: ["https://a"], tls: { minVersion: TLSv1.1 } } }'),
    ['1:64: upstreams.a.tls.minVersion: expected TLSv1.2 or TLSv1.3'],
  ],
  ...['hash', '{ hash: path }'].map((balance): Case => [
    `refuses to rebalance what is balanced by ${balance}`,
    `upstreams: { a: { rebalance: {}, endpoints: ["http://a", "http://b"], balance: ${balance} } }
routes: [{ upstream: a }]`,
    [
      '1:30: upstreams.a.rebalance: with hash a client comes back to the same endpoint; expected off, or another balance',
    ],
  ]),
  [
    'refuses a rate and a spread out of their bounds',
    withRoute('upstreams: { a: { endpoints: ["http://a"], rebalance: { rate: 0, spread: 10 } } }'),
    [
      '1:63: upstreams.a.rebalance.rate: expected a whole number from 1 to 10000',
      '1:74: upstreams.a.rebalance.spread: expected a percentage from 1% to 100%, such as 10%; got a number',
    ],
  ],
  [
    'refuses a rebalance that is neither off nor a map',
    withRoute('upstreams: { a: { endpoints: ["http://a"], rebalance: on } }'),
    ['1:55: upstreams.a.rebalance: expected off, or a map with keys of rate, spread'],
  ],
  [
    'refuses options that the address of a listener cannot have',
    `listeners:
  - { address: "unix:/a", reusePort: true }
  - { address: "0.0.0.0:80", ipv6Only: true }
  - { address: "[::]:81", mode: "0660" }
  - { address: systemd, owner: root }
routes: [{ upstream: "http://a" }]`,
    [
      '2:38: listeners[0].reusePort: is for addresses with a port',
      '3:40: listeners[1].ipv6Only: is for IPv6 addresses, such as [::]:8080',
      '4:33: listeners[2].mode: is for unix sockets',
      '5:32: listeners[3].owner: is for the .socket unit to say',
    ],
  ],
  [
    'refuses modes and owners that are none',
    `listeners: [{ address: "unix:/a", mode: 660, owner: "a:b:c" }]
routes: [{ upstream: "http://a" }]`,
    [
      '1:41: listeners[0].mode: expected a mode in quotes, such as "0660"; got a number',
      '1:53: listeners[0].owner: expected user:group, user or :group',
    ],
  ],
  [
    'refuses two listeners for the sockets of systemd that one of them takes all',
    `listeners: [{ address: systemd }, { address: "systemd:web" }]
routes: [{ upstream: "http://a" }]`,
    ['1:46: listeners[1].address: is taken already by systemd of listeners[0]'],
  ],
  [
    'takes one port for IPv4 and for IPv6 alone',
    `listeners: [{ address: "0.0.0.0:80" }, { address: "[::]:80", ipv6Only: true }]
routes: [{ upstream: "http://a" }]`,
    [],
  ],
  ...['0.0.0.0', '"::"', 'fe80::1%25', '::ffff:10.0.0.5', 'eth0'].map((own): Case => [
    `refuses to connect from ${own}`,
    withRoute(`upstreams: { a: { endpoints: ["http://a"], localAddress: ${own} } }`),
    [
      '1:58: upstreams.a.localAddress: expected an IP address of this machine, such as 10.0.0.5 or 2001:db8::5',
    ],
  ]),
  [
    'refuses addresses to connect from of the other family only',
    withRoute(
      'upstreams: { a: { localAddress: 10.0.0.5, endpoints: ["http://a", "http://[::1]", "http://10.0.0.1"] } }',
    ),
    [
      '1:33: upstreams.a.localAddress: has no IPv6 address, which http://[::1] can be connected to from',
    ],
  ],
  [
    'refuses addresses to connect from where all endpoints are on this machine',
    withRoute(
      'upstreams: { a: { localAddress: 10.0.0.5, endpoints: ["unix:/a", "builtin:echo"] } }',
    ),
    ['1:33: upstreams.a.localAddress: is for endpoints over TCP, and there is none'],
  ],
])

table('HTTP/2 to endpoints', [
  [
    'is for any that is elsewhere, beside others',
    withRoute(
      'upstreams: { a: { http2Streams: 1000, endpoints: [{ url: "https://a", http2: true }, { url: "unix:/b", http2: true }, "builtin:echo"] } }',
    ),
    [],
  ],
  [
    "is not for the gateway's own",
    withRoute(
      'upstreams: { a: { endpoints: ["http://a", { url: "builtin:echo", http2: true }] } }',
    ),
    ['1:73: upstreams.a.endpoints[1].http2: builtin:echo speaks HTTP/1.1 alone'],
  ],
  [
    'shares connections, which a PROXY header would give to one client',
    withRoute(
      'upstreams: { a: { proxyProtocol: v2, endpoints: ["http://a", { url: "http://b", http2: true }] } }',
    ),
    [
      '1:34: upstreams.a.proxyProtocol: names one client for each connection, and http://b has http2: its connections are shared',
    ],
  ],
  [
    'has nothing against a PROXY header where it is off',
    withRoute(
      'upstreams: { a: { proxyProtocol: v2, endpoints: [{ url: "http://b", http2: false }] } }',
    ),
    [],
  ],
  ...['0', '1001'].map((streams): Case => [
    `refuses ${streams} streams over one connection`,
    withRoute(`upstreams: { a: { endpoints: ["http://a"], http2Streams: ${streams} } }`),
    ['1:58: upstreams.a.http2Streams: expected a whole number from 1 to 1000'],
  ]),
])

const tokenMessage = 'expected a token of at least 16 letters, digits and -._~+/'

table('the admin server', [
  ...['0123456789abcde', 'a token with blanks', 'not-quite-ascii-ä', '================'].map(
    (token): Case => [
      `refuses the token ${token}`,
      withRoute(`admin: { token: "${token}" }`),
      [`1:17: admin.token: ${tokenMessage}`],
    ],
  ),
  [
    'refuses hosts that are none, and takes no list for one',
    withRoute('admin: { hosts: ["a:9090"] }'),
    ['1:18: admin.hosts[0]: expected a host name such as chat.example.com'],
  ],
  [
    'has mode and owner for a unix socket alone',
    withRoute('admin: { address: "127.0.0.1:1", mode: "0660", owner: root }'),
    ['1:40: admin.mode: is for unix sockets', '1:55: admin.owner: is for unix sockets'],
  ],
  [
    'is a map or off',
    withRoute('admin: on'),
    ['1:8: admin: expected off, or a map with keys of address, mode, owner, token, tls, hosts'],
  ],
])

table('reloads and frames', [
  [
    'are switched by words',
    withRoute('reload: { watch: on }\nrelay: { frames: true }\ndefaults: { onReload: stay }'),
    [
      '1:18: reload.watch: expected true or false',
      '2:18: relay.frames: expected on or off',
      '3:23: defaults.onReload: expected close or keep',
    ],
  ],
])

table('references', [
  [
    'tells the upstreams there are',
    'upstreams: { api: { endpoints: ["http://a"] }, push: { endpoints: ["http://b"] } }\nroutes: [{ upstream: chat }]',
    ['2:22: routes[0].upstream: no upstream is named "chat"; known: api, push'],
  ],
  [
    'tells the upstream that is probably meant',
    'upstreams: { chat: { endpoints: ["http://a"] } }\nroutes: [{ upstream: Chats }]',
    ['2:22: routes[0].upstream: no upstream is named "Chats", did you mean "chat"?'],
  ],
  [
    'knows an upstream that is wrong itself',
    'upstreams: { chat: {} }\nroutes: [{ upstream: chat }]',
    [
      '1:14: upstreams.chat.endpoints: missing; expected a list of URLs, such as [http://chat-1:3000]',
    ],
  ],
  [
    'tells unknown checks in a list, in a group, alone, and in the defaults',
    `defaults: { auth: [p] }
routes:
  - { match: { path: /a }, upstream: "http://a", auth: [p, { any: [q, r] }] }
  - { upstream: "http://a", auth: { any: [s] } }`,
    [
      '1:20: defaults.auth[0]: no check in auth is named "p"; there are none',
      '3:57: routes[0].auth[0]: no check in auth is named "p"; there are none',
      '3:68: routes[0].auth[1].any[0]: no check in auth is named "q"; there are none',
      '3:71: routes[0].auth[1].any[1]: no check in auth is named "r"; there are none',
      '4:43: routes[1].auth.any[0]: no check in auth is named "s"; there are none',
    ],
  ],
  [
    'refuses two routes of one name, also when one has it by default',
    `routes:
  - { name: route-2, match: { path: /a }, ${route} }
  - { match: { path: /b }, ${route} }
  - { name: route-2, match: { path: /c }, ${route} }`,
    [
      '3:5: routes[1]: the name "route-2" is taken already by routes[0]',
      '4:13: routes[2].name: the name "route-2" is taken already by routes[0]',
    ],
  ],
  [
    'refuses an upstream in place that would take the name of another',
    `upstreams: { chat: { endpoints: ["http://a"] } }\nroutes: [{ name: chat, upstream: "http://b" }]`,
    [
      '2:18: routes[0].name: an upstream is named "chat" too, and URLs in place take the name of their route; rename one, or write upstream: chat',
    ],
  ],
  [
    'accepts a route with the name of its upstream',
    `upstreams: { chat: { endpoints: ["http://a"] } }\nroutes: [{ name: chat, upstream: chat }]`,
    [],
  ],
])

const publicKey = '"${FIXTURES}/tls/public.pem"'
const longSecret = '0123456789abcdef0123456789abcdef'

function jwt(keys: string): string {
  return withRoute(`auth: { a: { type: jwt, ${keys} } }`)
}

table('auth', [
  ['wants a key', jwt('issuer: a'), ['1:12: auth.a: expected one of jwks, secret and publicKey']],
  [
    'does not want a key besides one that is wrong',
    jwt('jwks: a'),
    ['1:31: auth.a.jwks: expected a URL that starts with http:// or https://'],
  ],
  [
    'wants no second key',
    jwt(`jwks: "https://a", secret: ${longSecret}`),
    ['1:44: auth.a.secret: expected only one of jwks, secret and publicKey; there is jwks too'],
  ],
  [
    'refuses a short secret',
    jwt('secret: 0123456789abcde'),
    ['1:33: auth.a.secret: too short to be safe: at least 16 bytes, better 32'],
  ],
  [
    'refuses algorithms of secrets for a public key',
    jwt(`publicKey: ${publicKey}, algorithms: [ES256, HS256]`),
    [
      '1:86: auth.a.algorithms[1]: HS256 would take the public key for a secret, which everyone knows; use RS256, PS256, ES256 or EdDSA',
    ],
  ],
  [
    'refuses algorithms of secrets for a key set',
    jwt('jwks: "https://a", algorithms: [HS512]'),
    [
      '1:57: auth.a.algorithms[0]: HS512 would take the public key for a secret, which everyone knows; use RS256, PS256, ES256 or EdDSA',
    ],
  ],
  [
    'refuses algorithms of public keys for a secret',
    jwt(`secret: ${longSecret}, algorithms: [RS256]`),
    [
      '1:80: auth.a.algorithms[0]: RS256 needs a public key, and this check has a secret; use HS256, HS384 or HS512',
    ],
  ],
  [
    'refuses none as an algorithm',
    jwt(`secret: ${longSecret}, algorithms: [None]`),
    [
      '1:80: auth.a.algorithms[0]: none is no signature: everyone could make a token; expected an algorithm such as RS256',
    ],
  ],
  [
    'refuses an unknown algorithm',
    jwt(`secret: ${longSecret}, algorithms: [HS257]`),
    [
      '1:80: auth.a.algorithms[0]: expected one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519',
    ],
  ],
  [
    'refuses to copy fields that the gateway makes',
    withRoute('auth: { a: { type: forward, url: "http://a", copy: [X-User, Connection] } }'),
    ['1:61: auth.a.copy[1]: the gateway makes this field itself; it cannot be copied'],
  ],
  [
    'refuses to ask again more often than once a second',
    withRoute(
      'auth: { a: { type: forward, url: "http://a", recheck: 999ms, onRecheckError: drop } }',
    ),
    [
      '1:55: auth.a.recheck: must be at least 1s, or off',
      '1:78: auth.a.onRecheckError: expected keep or close',
    ],
  ],
  [
    'wants the kind of a check',
    withRoute('auth: { a: { users: a } }'),
    ['1:9: auth.a.type: missing; expected basic, apiKey, jwt, forward or clientCert'],
  ],
])

table('edits of fields', [
  [
    'refuses to set what the gateway makes, in both directions and in the defaults',
    `defaults: { headers: { request: { set: { Upgrade: a } } } }
routes: [{ ${route}, headers: { response: { set: { sec-websocket-accept: a } } } }]`,
    [
      '1:42: defaults.headers.request.set.Upgrade: the gateway makes this field itself; it cannot be set',
      '2:64: routes[0].headers.response.set.sec-websocket-accept: the gateway makes this field itself; it cannot be set',
    ],
  ],
  [
    'refuses to remove what a message needs',
    `routes: [{ ${route}, headers: { request: { remove: [Host, Content-Length] }, response: { remove: [Sec-WebSocket-Extensions] } } }]`,
    [
      '1:65: routes[0].headers.request.remove[0]: a request or an answer needs this field; it cannot be removed',
      '1:71: routes[0].headers.request.remove[1]: a request or an answer needs this field; it cannot be removed',
      '1:111: routes[0].headers.response.remove[0]: a request or an answer needs this field; it cannot be removed',
    ],
  ],
  [
    'accepts to remove the offer of extensions, and to set Host',
    `routes: [{ ${route}, headers: { request: { set: { Host: a }, remove: [Sec-WebSocket-Extensions, X-Debug] } } }]`,
    [],
  ],
  [
    'refuses one field in two spellings',
    `routes: [{ ${route}, headers: { request: { set: { X-A: a, x-a: b } } }, match: { headers: { X-B: a, x-b: true } } }]`,
    [
      '1:71: routes[0].headers.request.set.x-a: this field is there twice',
      '1:113: routes[0].match.headers.x-b: this field is there twice',
    ],
  ],
  [
    'refuses values that would break out of their line',
    `routes: [{ ${route}, headers: { request: { set: { X-A: "a\\r\\nX-B: b" } } } }]`,
    [
      '1:68: routes[0].headers.request.set.X-A: expected text for a header field, without line breaks and control characters (put numbers and true in quotes)',
    ],
  ],
])

table('paths', [
  [
    'refuses paths that no request has',
    `routes: [{ ${route}, match: { path: /a/../b } }]`,
    [
      '1:49: routes[0].match.path: can never match: paths are matched without "//", "/./" and "/../"',
    ],
  ],
  [
    'refuses a query in a path',
    `routes: [{ ${route}, match: { path: { exact: "/a?b" } } }]`,
    ['1:58: routes[0].match.path.exact: a path has no ? and no #'],
  ],
  [
    'refuses letters that are not percent-encoded',
    `routes: [{ ${route}, match: { path: /ä } }]`,
    ['1:49: routes[0].match.path: write other than printable ASCII characters as %XX'],
  ],
  [
    'wants one of exact and regex',
    `routes: [{ ${route}, match: { path: { exact: /a, regex: a } } }]`,
    ['1:49: routes[0].match.path: expected either exact or regex'],
  ],
  [
    'wants at least one of exact and regex',
    `routes: [{ ${route}, match: { path: {} } }]`,
    ['1:49: routes[0].match.path: expected either exact or regex'],
  ],
  [
    'wants rewritten prefixes to start with a slash',
    `routes: [{ ${route}, rewrite: { stripPrefix: ws } }]`,
    ['1:58: routes[0].rewrite.stripPrefix: expected a path that starts with /'],
  ],
])

describe('warnings', () => {
  it('are given for a secret that is shorter than its hash', () => {
    const { warnings } = loadText(jwt('secret: 0123456789abcdef'))
    assert.equal(warnings.length, 1)
    assert.match(
      String(warnings[0]),
      /upgate\.yaml:1:33: auth\.a\.secret: shorter than the 32 bytes that RFC 7518 asks for\n {2}1 \| auth: \{ a: \{ type: jwt, secret: \*+\n/,
    )
  })

  it('are not given for a long one', () => {
    assert.deepEqual(loadText(jwt(`secret: ${longSecret}`)).warnings, [])
  })

  const noToken = 'without admin.token the API answers this machine alone'
  for (const address of ['0.0.0.0:9090', ':9090', '[::]:9090', '10.0.0.1:1', 'ops.internal:1']) {
    it(`are given for an admin server on ${address} without a token`, () => {
      const [warning = '', ...more] = loadText(
        withRoute(`admin: { address: "${address}" }`),
      ).warnings
      assert.ok(warning.includes(`yaml:1:19: admin.address: ${noToken}\n`), warning)
      assert.deepEqual(more, [])
    })

    it(`are not given for an admin server on ${address} with a token`, () => {
      const yaml = withRoute(`admin: { address: "${address}", token: "${longSecret}" }`)
      assert.deepEqual(loadText(yaml).warnings, [])
    })
  }

  for (const address of ['127.0.0.1:1', '127.9.9.9:1', 'LocalHost:1', '[::1]:1', 'unix:/a']) {
    it(`are not given for an admin server on ${address}`, () => {
      assert.deepEqual(loadText(withRoute(`admin: { address: "${address}" }`)).warnings, [])
    })
  }

  it('are given for certificates that nobody checks', () => {
    const yaml = 'upstreams: { a: { endpoints: ["https://a"], tls: { insecure: true } } }'
    const [warning = '', ...more] = loadText(withRoute(yaml)).warnings
    assert.match(warning, /: upstreams\.a\.tls\.insecure: nobody checks who answers for a: better /)
    assert.deepEqual(more, [])
    assert.deepEqual(loadText(withRoute(yaml.replace('true', 'false'))).warnings, [])
  })

  it('are given for a rebalance with one endpoint', () => {
    const yaml = 'upstreams: { a: { endpoints: ["http://a"], rebalance: {} } }'
    const [warning = '', ...more] = loadText(withRoute(yaml)).warnings
    assert.match(
      warning,
      /:1:55: upstreams\.a\.rebalance: has no effect: there is only one endpoint\n/,
    )
    assert.deepEqual(more, [])
  })

  it('are not given for a rebalance with two endpoints', () => {
    const yaml = 'upstreams: { a: { endpoints: ["http://a", "http://b"], rebalance: {} } }'
    assert.deepEqual(loadText(withRoute(yaml)).warnings, [])
  })

  it('are given for what becomes of tunnels when nobody is asked again', () => {
    const check = 'type: forward, url: "http://a", onRecheckError: close'
    const { warnings } = loadText(withRoute(`auth: { a: { ${check} } }`))
    assert.match(
      String(warnings[0]),
      /:1:62: auth\.a\.onRecheckError: has no effect: recheck is off\n/,
    )
    assert.deepEqual(loadText(withRoute(`auth: { a: { ${check}, recheck: 1m } }`)).warnings, [])
  })

  it('come in the order of the file', () => {
    const { warnings } = loadText(`
upstreams: { a: { endpoints: ["http://a"], rebalance: {} } }
defaults: { keepalive: { ping: 1h } }
admin: { address: :9090 }
routes: [{ upstream: a }]`)
    assert.deepEqual(
      warnings.map((warning) => /yaml:(\d+):/.exec(warning)?.[1]),
      ['2', '3', '4'],
    )
  })
})
