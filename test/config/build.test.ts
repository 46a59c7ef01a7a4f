import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { fixtures, loadText, withRoute } from './load-text.ts'
import { DEFAULT_TLS } from '../support/endpoint-tls.ts'

const longSecret = '0123456789abcdef0123456789abcdef'

function plainMap<Value>(map: ReadonlyMap<string, Value>): Record<string, Value> {
  return Object.fromEntries(map)
}

describe('the configuration of the smallest file', () => {
  const config = loadText('routes: [{ upstream: "http://localhost:3000" }]')

  it('has the defaults of the gateway', () => {
    assert.deepEqual(config.listeners, [
      {
        address: { kind: 'tcp', host: '0.0.0.0', port: 8080 },
        backlog: 1024,
        reusePort: false,
        ipv6Only: false,
        mode: undefined,
        owner: undefined,
        tls: undefined,
        redirect: undefined,
        proxyProtocol: 'off',
        h2c: false,
        headTimeoutMs: 10_000,
        headBytesMax: 16_384,
        keepAliveTimeoutMs: 75_000,
        halfClose: false,
        connectionsMax: Infinity,
      },
    ])
    assert.deepEqual(config.admin, {
      address: { kind: 'tcp', host: '127.0.0.1', port: 9090 },
      mode: undefined,
      owner: undefined,
      token: undefined,
      tls: undefined,
      hosts: [],
    })
    assert.deepEqual(config.log, { level: 'info', format: 'json' })
    assert.deepEqual(config.trustedProxies, [])
    assert.equal(config.forwarded, undefined)
    assert.equal(config.via, true)
    assert.deepEqual(config.shutdown, { drainMs: 8000, spread: true })
    assert.deepEqual(config.reload, { watch: false })
    assert.deepEqual(config.relay, { engine: 'auto', bufferBytes: 262_144, frames: true })
    assert.equal(config.auth.size, 0)
    assert.deepEqual(config.warnings, [])
  })

  it('has an upstream with the name of the route', () => {
    assert.deepEqual(plainMap(config.upstreams), {
      'route-1': {
        name: 'route-1',
        identity: config.routes[0]?.identity,
        endpoints: [
          {
            url: 'http://localhost:3000',
            address: { kind: 'tcp', host: 'localhost', port: 3000 },
            tls: false,
            weight: 1,
            http2: false,
          },
        ],
        balance: { policy: 'least-tunnels' },
        health: { setAsideMs: 1000, setAsideMaxMs: 10_000, whenAllDown: 'try' },
        tls: DEFAULT_TLS,
        rebalance: undefined,
        proxyProtocol: 'off',
        localAddress: undefined,
        http2Streams: 100,
      },
    })
  })

  it('has the defaults of a route', () => {
    const [route] = config.routes
    assert.deepEqual(route && { ...route, match: undefined }, {
      name: 'route-1',
      identity: config.upstreams.get('route-1')?.identity,
      match: undefined,
      upgrade: ['websocket'],
      http: true,
      auth: [],
      origins: undefined,
      allow: undefined,
      limits: {
        tunnels: Infinity,
        tunnelsPerClient: Infinity,
        handshakesPerSecond: Infinity,
        requestsPerSecond: Infinity,
      },
      timeouts: {
        connectMs: 5000,
        handshakeMs: 30_000,
        responseMs: 120_000,
        bodyMs: 60_000,
        idleMs: 600_000,
        lifetimeMs: Infinity,
      },
      keepalive: undefined,
      close: {
        timeoutMs: 2000,
        frames: {
          idle: { code: 1001, text: 'idle for too long' },
          lifetime: { code: 1001, text: 'open for too long' },
          dead: { code: 1001, text: 'no answer to pings' },
          expired: { code: 1008, text: 'credentials expired' },
          drain: { code: 1001, text: 'going away' },
          reload: { code: 1012, text: 'service restart' },
          kill: { code: 1008, text: 'closed by the operator' },
          rebalance: { code: 1012, text: 'rebalance' },
        },
      },
      onReload: 'close',
      rewrite: { stripPrefix: undefined, addPrefix: undefined },
      headers: { request: { set: [], remove: [] }, response: { set: [], remove: [] } },
      upstream: 'route-1',
    })
    assert.equal(route?.match.hosts, undefined)
    assert.equal(route?.match.path, undefined)
    assert.equal(route?.match.methods, undefined)
    assert.equal(route?.match.headers.size, 0)
    assert.equal(route?.match.query.size, 0)
  })
})

describe('defaults', () => {
  const config = loadText(`
defaults:
  upgrade: [tcp]
  http: false
  origins: [https://a.com]
  allow: [10.0.0.0/8]
  limits: { tunnels: 5, tunnelsPerClient: 2 }
  timeouts: { idle: 1m, connect: 1s }
  keepalive: { ping: 20s, upstream: true }
  close: { timeout: 1s, idle: 4000, drain: { code: 4001, text: later, retryAfter: 1500ms } }
  onReload: keep
  rewrite: { stripPrefix: /a, addPrefix: /b }
  headers: { request: { set: { X-A: a } }, response: { remove: [Server] } }
routes:
  - { match: { path: /one }, upstream: "http://a" }
  - match: { path: /two }
    upstream: http://a
    upgrade: [websocket]
    http: true
    origins: off
    allow: off
    limits: { tunnels: off, handshakesPerSecond: 9 }
    timeouts: { idle: off }
    keepalive: { timeout: 3s }
    close: { drain: { text: now }, kill: "3000" }
    onReload: close
    rewrite: { addPrefix: /c }
    headers: { request: { remove: [X-B] } }
`)
  const [one, two] = config.routes

  it('hold for a route that says nothing', () => {
    assert.deepEqual(one?.upgrade, ['tcp'])
    assert.equal(one?.http, false)
    assert.deepEqual(one?.origins, ['https://a.com'])
    assert.deepEqual(one?.allow, ['10.0.0.0/8'])
    assert.equal(one?.limits.tunnels, 5)
    assert.equal(one?.timeouts.idleMs, 60_000)
    assert.deepEqual(one?.keepalive, { pingMs: 20_000, timeoutMs: 10_000, upstream: true })
    assert.equal(one?.close.timeoutMs, 1000)
    assert.deepEqual(one?.close.frames.idle, { code: 4000, text: 'idle for too long' })
    assert.deepEqual(one?.close.frames.drain, { code: 4001, text: 'later; retry after 2s' })
    assert.equal(one?.onReload, 'keep')
    assert.deepEqual(one?.rewrite, { stripPrefix: '/a', addPrefix: '/b' })
    assert.deepEqual(one?.headers.request.set, [['X-A', 'a']])
    assert.deepEqual(one?.headers.response.remove, ['server'])
  })

  it('are merged key by key for timeouts, limits and close', () => {
    assert.deepEqual(two?.limits, {
      tunnels: Infinity,
      tunnelsPerClient: 2,
      handshakesPerSecond: 9,
      requestsPerSecond: Infinity,
    })
    assert.deepEqual(two?.timeouts, {
      connectMs: 1000,
      handshakeMs: 30_000,
      responseMs: 120_000,
      bodyMs: 60_000,
      idleMs: Infinity,
      lifetimeMs: Infinity,
    })
    assert.equal(two?.close.timeoutMs, 1000)
    const { idle, drain, kill, dead } = two?.close.frames ?? {}
    assert.deepEqual(idle, { code: 4000, text: 'idle for too long' })
    assert.deepEqual(drain, { code: 1001, text: 'now' })
    assert.deepEqual(kill, { code: 3000, text: 'closed by the operator' })
    assert.deepEqual(dead, { code: 1001, text: 'no answer to pings' })
  })

  it('are replaced as a whole for everything else', () => {
    assert.deepEqual(two?.upgrade, ['websocket'])
    assert.equal(two?.http, true)
    assert.equal(two?.origins, undefined)
    assert.equal(two?.allow, undefined)
    assert.deepEqual(two?.keepalive, { pingMs: 30_000, timeoutMs: 3000, upstream: false })
    assert.equal(two?.onReload, 'close')
    assert.deepEqual(two?.rewrite, { stripPrefix: undefined, addPrefix: '/c' })
    assert.deepEqual(two?.headers, {
      request: { set: [], remove: ['x-b'] },
      response: { set: [], remove: [] },
    })
  })
})

describe('a route', () => {
  it('has the conditions of its match', () => {
    const config = loadText(`
routes:
  - upstream: http://a
    match:
      host: [A.com, "*.b.com"]
      path: /ws
      methods: [GET, POST]
      headers: { X-A: one, X-B: true, X-C: false, X-D: { regex: "[0-9]+" } }
      query: { Room: lobby }
  - { upstream: "http://a", match: { path: { exact: /x }, host: c.com } }
  - { upstream: "http://a", match: { path: { regex: "/y.*" } } }
`)
    const [one, two, three] = config.routes.map((route) => route.match)
    assert.deepEqual(one?.hosts, ['a.com', '*.b.com'])
    assert.deepEqual(one?.path, { kind: 'prefix', path: '/ws' })
    assert.deepEqual(one?.methods, ['GET', 'POST'])
    assert.deepEqual(plainMap(one?.headers ?? new Map()), {
      'x-a': { kind: 'equals', value: 'one' },
      'x-b': { kind: 'present' },
      'x-c': { kind: 'absent' },
      'x-d': { kind: 'regex', regex: '[0-9]+' },
    })
    assert.deepEqual(plainMap(one?.query ?? new Map()), {
      Room: { kind: 'equals', value: 'lobby' },
    })
    assert.deepEqual(two?.path, { kind: 'exact', path: '/x' })
    assert.deepEqual(two?.hosts, ['c.com'])
    assert.deepEqual(three?.path, { kind: 'regex', regex: '/y.*' })
  })

  it('has its tokens in lower case and once each, or any', () => {
    const config = loadText(`
routes:
  - { upstream: "http://a", match: { path: /a }, upgrade: [SPDY/3.1, spdy/3.1, websocket] }
  - { upstream: "http://a", match: { path: /b }, upgrade: any }
  - { upstream: "http://a", match: { path: /c }, upgrade: [] }
`)
    assert.deepEqual(
      config.routes.map((route) => route.upgrade),
      [['spdy/3.1', 'websocket'], 'any', []],
    )
  })

  it('has groups of checks', () => {
    const config = loadText(`
auth:
  a: { type: basic, users: "\${FIXTURES}/users.htpasswd" }
  b: { type: apiKey, keys: "\${FIXTURES}/keys.txt" }
defaults: { auth: [a] }
routes:
  - { upstream: "http://a", match: { path: /a } }
  - { upstream: "http://a", match: { path: /b }, auth: [a, { any: [a, b] }] }
  - { upstream: "http://a", match: { path: /c }, auth: { any: [b, a] } }
  - { upstream: "http://a", match: { path: /d }, auth: [] }
`)
    assert.deepEqual(
      config.routes.map((route) => route.auth),
      [[['a']], [['a'], ['a', 'b']], [['b', 'a']], []],
    )
  })

  it('names its upstream, or has one of its own', () => {
    const config = loadText(`
upstreams: { chat: { endpoints: ["http://a"] } }
routes:
  - { match: { path: /a }, upstream: chat }
  - { name: own, match: { path: /b }, upstream: ["http://b", { url: "unix:/c", weight: 2 }] }
  - { match: { path: /c }, upstream: "builtin:echo" }
`)
    assert.deepEqual(
      config.routes.map(({ name, upstream }) => [name, upstream]),
      [
        ['route-1', 'chat'],
        ['own', 'own'],
        ['route-3', 'route-3'],
      ],
    )
    assert.deepEqual([...config.upstreams.keys()], ['chat', 'own', 'route-3'])
    assert.deepEqual(
      config.upstreams.get('own')?.endpoints.map(({ url, weight }) => [url, weight]),
      [
        ['http://b', 1],
        ['unix:/c', 2],
      ],
    )
    assert.deepEqual(config.upstreams.get('route-3')?.endpoints[0]?.address, {
      kind: 'builtin',
      name: 'echo',
    })
  })

  it('says which endpoints are spoken to by HTTP/2, and how many streams their connections have', () => {
    const config = loadText(`
upstreams: { chat: { http2Streams: 7, endpoints: [{ url: "https://a", http2: true }, "http://b"] } }
routes:
  - { match: { path: /a }, upstream: chat }
  - { name: own, upstream: [{ url: "http://c", http2: true }] }
`)
    const { upstreams } = config
    assert.deepEqual(
      [...upstreams.values()].map(({ endpoints, http2Streams }) => [
        http2Streams,
        ...endpoints.map(({ http2 }) => http2),
      ]),
      [
        [7, true, false],
        [100, true],
      ],
    )
  })
})

describe('an upstream', () => {
  const balances: [written: string, balance: unknown][] = [
    ['least-tunnels', { policy: 'least-tunnels' }],
    ['round-robin', { policy: 'round-robin' }],
    ['random-two', { policy: 'random-two' }],
    ['hash', { policy: 'hash', key: { by: 'client' } }],
    ['{ hash: client }', { policy: 'hash', key: { by: 'client' } }],
    ['{ hash: path }', { policy: 'hash', key: { by: 'path' } }],
    ['{ hash: header:X-Room }', { policy: 'hash', key: { by: 'header', name: 'x-room' } }],
    ['{ hash: cookie:Session }', { policy: 'hash', key: { by: 'cookie', name: 'Session' } }],
  ]
  for (const [written, balance] of balances) {
    it(`balances by ${written}`, () => {
      const yaml = withRoute(`upstreams: { a: { endpoints: ["http://a"], balance: ${written} } }`)
      assert.deepEqual(loadText(yaml).upstreams.get('a')?.balance, balance)
    })
  }

  it('has its TLS files as absolute paths', () => {
    const config = loadText(
      withRoute(
        'upstreams: { a: { endpoints: ["https://a"], tls: { ca: "${FIXTURES}/../config/tls/cert.pem", serverName: b, cert: "${FIXTURES}/tls/cert.pem", key: "${FIXTURES}/tls/key.pem", minVersion: TLSv1.3, insecure: true } } }',
      ),
    )
    assert.deepEqual(config.upstreams.get('a')?.tls, {
      ca: join(fixtures, 'tls/cert.pem'),
      serverName: 'b',
      cert: join(fixtures, 'tls/cert.pem'),
      key: join(fixtures, 'tls/key.pem'),
      minVersion: 'TLSv1.3',
      insecure: true,
    })
  })
})

describe('rebalance', () => {
  const rebalances: [written: string, rebalance: unknown][] = [
    ['off', undefined],
    ['{}', { rate: 5, spread: 0.1 }],
    ['{ rate: "20", spread: 100% }', { rate: 20, spread: 1 }],
  ]
  for (const [written, rebalance] of rebalances) {
    it(`is read from ${written}`, () => {
      const yaml = withRoute(
        `upstreams: { a: { endpoints: ["http://a", "http://b"], rebalance: ${written} } }`,
      )
      assert.deepEqual(loadText(yaml).upstreams.get('a')?.rebalance, rebalance)
    })
  }
})

describe('the gateway', () => {
  it('has what its parts say', () => {
    const config = loadText(
      withRoute(`
relay: { frames: off, threads: 2 }
reload: { watch: true }
shutdown: { drain: 0s, spread: false }
admin:
  address: unix:/run/upgate/admin.sock
  mode: "0660"
  owner: root:ops
  token: abcdefghijklmno=
  tls: { cert: "\${FIXTURES}/../config/tls/cert.pem", key: "\${FIXTURES}/tls/key.pem" }
  hosts: [Ops.Example.com]
`),
    )
    assert.deepEqual(config.relay, {
      engine: 'auto',
      threads: 2,
      bufferBytes: 262_144,
      frames: false,
    })
    assert.deepEqual(config.reload, { watch: true })
    assert.deepEqual(config.shutdown, { drainMs: 0, spread: false })
    assert.deepEqual(config.admin, {
      address: { kind: 'unix', path: '/run/upgate/admin.sock' },
      mode: 0o660,
      owner: 'root:ops',
      token: 'abcdefghijklmno=',
      tls: { cert: join(fixtures, 'tls/cert.pem'), key: join(fixtures, 'tls/key.pem') },
      hosts: ['ops.example.com'],
    })
  })
})

describe('a listener', () => {
  it('has its TLS files as absolute paths', () => {
    const config = loadText(
      withRoute(
        'listeners: [{ tls: { cert: "${FIXTURES}/tls/cert.pem", key: "${FIXTURES}/tls/key.pem" } }]',
      ),
    )
    assert.deepEqual(config.listeners[0]?.tls, {
      cert: join(fixtures, 'tls/cert.pem'),
      key: join(fixtures, 'tls/key.pem'),
      certificates: [],
      unknownNames: 'default',
      minVersion: 'TLSv1.2',
      ciphers: undefined,
      handshakeTimeoutMs: 10_000,
      handshakesMax: 1000,
      http2: false,
      clientCa: undefined,
      clientCert: undefined,
      crl: undefined,
    })
  })

  it('has several certificates, with names in lower case', () => {
    const pair = 'cert: "${FIXTURES}/tls/cert.pem", key: "${FIXTURES}/tls/key.pem"'
    const config = loadText(
      withRoute(
        `listeners: [{ tls: { certificates: [{ ${pair}, names: [A.test., "*.B.test"] }], unknownNames: refuse, minVersion: TLSv1.3, ciphers: ECDHE+AESGCM, handshakeTimeout: 3s, handshakes: 50, http2: true } }]`,
      ),
    )
    assert.deepEqual(config.listeners[0]?.tls, {
      cert: undefined,
      key: undefined,
      certificates: [
        {
          cert: join(fixtures, 'tls/cert.pem'),
          key: join(fixtures, 'tls/key.pem'),
          names: ['a.test', '*.b.test'],
        },
      ],
      unknownNames: 'refuse',
      minVersion: 'TLSv1.3',
      ciphers: 'ECDHE+AESGCM',
      handshakeTimeoutMs: 3000,
      handshakesMax: 50,
      http2: true,
      clientCa: undefined,
      clientCert: undefined,
      crl: undefined,
    })
  })
})

describe('a check', () => {
  it('of users has its realm', () => {
    const config = loadText(
      withRoute('auth: { a: { type: basic, users: "${FIXTURES}/users.htpasswd" } }'),
    )
    assert.deepEqual(config.auth.get('a'), {
      name: 'a',
      type: 'basic',
      users: join(fixtures, 'users.htpasswd'),
      realm: 'upgate',
      closeOnExpiry: true,
    })
  })

  it('of keys has its field', () => {
    const config = loadText(
      withRoute('auth: { a: { type: apiKey, keys: "${FIXTURES}/keys.txt" } }'),
    )
    assert.deepEqual(config.auth.get('a'), {
      name: 'a',
      type: 'apiKey',
      header: 'X-Api-Key',
      keys: join(fixtures, 'keys.txt'),
      closeOnExpiry: true,
    })
  })

  it('of another server has its timeout', () => {
    const config = loadText(withRoute('auth: { a: { type: forward, url: "http://a/b?c" } }'))
    assert.deepEqual(config.auth.get('a'), {
      name: 'a',
      type: 'forward',
      url: 'http://a/b?c',
      copy: [],
      timeoutMs: 5000,
      userHeader: undefined,
      recheckMs: Infinity,
      onRecheckError: 'keep',
    })
  })

  it('of another server has the times at which it is asked again', () => {
    const config = loadText(
      withRoute(
        'auth: { a: { type: forward, url: "http://a", recheck: 1s, onRecheckError: close } }',
      ),
    )
    const check = config.auth.get('a')
    assert.ok(check?.type === 'forward')
    assert.equal(check.recheckMs, 1000)
    assert.equal(check.onRecheckError, 'close')
  })

  it('of certificates has its patterns', () => {
    const files = 'cert: "${FIXTURES}/tls/cert.pem", key: "${FIXTURES}/tls/key.pem"'
    const config = loadText(
      withRoute(`listeners: [{ tls: { ${files}, clientCa: "\${FIXTURES}/tls/cert.pem" } }]
auth: { a: { type: clientCert, subject: ["CN=*"], san: ["DNS:a", { regex: "URI:.*" }] } }`),
    )
    const { clientCa, clientCert, crl } = config.listeners[0]?.tls ?? {}
    assert.deepEqual(
      [clientCa, clientCert, crl],
      [join(fixtures, 'tls/cert.pem'), 'require', undefined],
    )
    assert.deepEqual(config.auth.get('a'), {
      name: 'a',
      type: 'clientCert',
      subject: [{ kind: 'glob', glob: 'CN=*' }],
      san: [
        { kind: 'glob', glob: 'DNS:a' },
        { kind: 'regex', regex: 'URI:.*' },
      ],
      user: 'cn',
    })
  })

  it('lets tunnels outlive credentials', () => {
    const config = loadText(
      withRoute(`auth:
  a: { type: basic, users: "\${FIXTURES}/users.htpasswd", closeOnExpiry: false }
  b: { type: apiKey, keys: "\${FIXTURES}/keys.txt", closeOnExpiry: false }
  c: { type: jwt, secret: ${longSecret}, closeOnExpiry: false }`),
    )
    assert.deepEqual(
      [...config.auth.values()].map((check) => 'closeOnExpiry' in check && check.closeOnExpiry),
      [false, false, false],
    )
  })

  it('of tokens has defaults by its kind of key', () => {
    const config = loadText(
      withRoute(`auth:
  secret: { type: jwt, secret: ${longSecret} }
  remote: { type: jwt, jwks: "https://a" }
  public: { type: jwt, publicKey: "\${FIXTURES}/tls/public.pem" }`),
    )
    const { claims, ...secret } = config.auth.get('secret') as { claims?: unknown }
    assert.ok(claims instanceof Map && claims.size === 0)
    assert.deepEqual(secret, {
      name: 'secret',
      type: 'jwt',
      from: [{ in: 'header', name: 'Authorization' }],
      jwks: undefined,
      secret: longSecret,
      publicKey: undefined,
      algorithms: ['HS256'],
      issuer: undefined,
      audience: undefined,
      clockToleranceMs: 30_000,
      userClaim: 'sub',
      realm: 'upgate',
      closeOnExpiry: true,
    })
    for (const name of ['remote', 'public']) {
      const check = config.auth.get(name)
      assert.deepEqual(check?.type === 'jwt' && check.algorithms, [
        'RS256',
        'PS256',
        'ES256',
        'EdDSA',
      ])
    }
  })

  it('of tokens has what it asks for', () => {
    const config = loadText(
      withRoute(`auth:
  a:
    type: jwt
    secret: ${longSecret}
    from: [header:X-Token, "cookie:s", "query:access_token", subprotocol:bearer.v1]
    algorithms: [HS512]
    issuer: one
    audience: [two, three]
    claims: { role: [admin, 1], active: true }`),
    )
    const check = config.auth.get('a')
    assert.ok(check?.type === 'jwt')
    assert.deepEqual(check.from, [
      { in: 'header', name: 'X-Token' },
      { in: 'cookie', name: 's' },
      { in: 'query', name: 'access_token' },
      { in: 'subprotocol', name: 'bearer.v1' },
    ])
    assert.deepEqual(check.algorithms, ['HS512'])
    assert.deepEqual(check.issuer, ['one'])
    assert.deepEqual(check.audience, ['two', 'three'])
    assert.deepEqual(plainMap(check.claims), { role: ['admin', 1], active: [true] })
  })
})
