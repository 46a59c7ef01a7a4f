import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { atOnce } from '../../src/slices.ts'

import { diffConfigs, diffLines } from '../../src/config/diff.ts'
import type { ConfigDiff } from '../../src/config/diff.ts'
import { loadText } from './load-text.ts'

function diff(running: string, next: string): ConfigDiff {
  return atOnce(diffConfigs(loadText(running), loadText(next)))
}

const nothing: ConfigDiff = {
  routes: { added: [], removed: [], changed: [], moved: [] },
  upstreams: { added: [], removed: [], changed: [] },
  auth: { added: [], removed: [], changed: [] },
  listeners: { added: [], removed: [], changed: [] },
  settings: [],
  needsRestart: [],
}

const secret = 'hunter2-hunter2-hunter2-hunter2-1'

/** A setting of the one route. */
function setting(yaml: string): string {
  return `routes: [{ name: r, upstream: u, ${yaml} }]\nupstreams: { u: { endpoints: ["http://a"] } }`
}

/** Anything beside one route. */
function beside(yaml: string): string {
  return `${yaml}\nroutes: [{ name: r, upstream: u }]\n${yaml.includes('upstreams') ? '' : 'upstreams: { u: { endpoints: ["http://a"] } }'}`
}

function upstream(yaml: string): string {
  return beside(`upstreams: { u: { ${yaml} } }`)
}

function check(yaml: string): string {
  return beside(`auth: { a: { ${yaml} } }`)
}

/** Routes of these names, in this order. */
function order(names: string): string {
  const routes = names
    .split('')
    .map((name) => `{ name: ${name}, upstream: u, match: { path: /${name} } }`)
  return `upstreams: { u: { endpoints: ["http://a"] } }\nroutes: [${routes.join(', ')}]`
}

const cases: [name: string, running: string, next: string, lines: string[]][] = [
  ['nothing', setting('http: true'), setting(''), []],
  [
    'durations and limits',
    setting('timeouts: { idle: 10m, lifetime: off }, limits: { tunnels: 5 }'),
    setting('timeouts: { idle: 1h, lifetime: 90s }'),
    [
      'route r: limits.tunnels: 5 -> off',
      'route r: timeouts.idle: 10m -> 1h',
      'route r: timeouts.lifetime: off -> 90s',
    ],
  ],
  [
    'keepalive, as a whole and key by key',
    setting('keepalive: { ping: 20s }'),
    setting('keepalive: off'),
    ['route r: keepalive: { ping: 20s, timeout: 10s, upstream: false } -> off'],
  ],
  [
    'a key of keepalive',
    setting('keepalive: { ping: 20s }'),
    setting('keepalive: { ping: 1500ms, upstream: true }'),
    ['route r: keepalive.ping: 20s -> 1500ms', 'route r: keepalive.upstream: false -> true'],
  ],
  [
    'what peers are told',
    setting('close: { timeout: 1s, drain: 1012 }, onReload: close'),
    setting('close: { drain: { code: 1013, text: later } }, onReload: keep'),
    [
      'route r: close.timeout: 1s -> 2s',
      'route r: close.drain.code: 1012 -> 1013',
      'route r: close.drain.text: going away -> later',
      'route r: onReload: close -> keep',
    ],
  ],
  [
    'the match',
    setting(
      'match: { host: a.com, path: /a, headers: { X-A: true, X-B: "true" }, query: { q: a } }',
    ),
    setting(
      'match: { host: [a.com, b.com], path: { exact: /a }, headers: { X-A: "true", X-B: false }, query: { q: { regex: a }, p: x } }',
    ),
    [
      'route r: match.host: [a.com] -> [a.com, b.com]',
      'route r: match.path: /a -> { exact: /a }',
      'route r: match.headers.x-a: present -> true',
      'route r: match.headers.x-b: true -> absent',
      'route r: match.query.q: a -> { regex: a }',
      'route r: match.query.p: unset -> x',
    ],
  ],
  [
    'tokens, addresses, origins and edits',
    setting('allow: [10.0.0.0/8], headers: { request: { set: { X-A: a }, remove: [X-B] } }'),
    setting('upgrade: any, origins: ["https://a.com"], headers: { request: { set: { X-A: b } } }'),
    [
      'route r: upgrade: [websocket] -> any',
      'route r: origins: off -> [https://a.com]',
      'route r: allow: [10.0.0.0/8] -> off',
      'route r: headers.request.set.X-A: a -> b',
      'route r: headers.request.remove: [x-b] -> []',
    ],
  ],
  [
    'the groups of checks of a route',
    `auth: { a: { type: jwt, secret: ${secret} }, b: { type: jwt, secret: ${secret} } }\n${setting('auth: [a, b]')}`,
    `auth: { a: { type: jwt, secret: ${secret} }, b: { type: jwt, secret: ${secret} } }\n${setting('auth: [a, { any: [a, b] }]')}`,
    ['route r: auth: [a, b] -> [a, { any: [a, b] }]'],
  ],
  [
    'endpoints',
    upstream('endpoints: ["http://a", { url: "http://b", weight: 2 }, "builtin:echo"]'),
    upstream('endpoints: ["http://b", "builtin:echo", "http://c"]'),
    [
      'upstream u: endpoint http://a: removed',
      'upstream u: endpoint http://c: added',
      'upstream u: endpoint http://b: weight: 2 -> 1',
    ],
  ],
  [
    'the order of endpoints',
    upstream('endpoints: ["http://a", "http://b"]'),
    upstream('endpoints: ["http://b", "http://a"]'),
    ['upstream u: endpoints: [http://a, http://b] -> [http://b, http://a]'],
  ],
  [
    'the settings of an upstream',
    upstream('endpoints: ["http://a", "http://b"], balance: hash, health: { setAside: 2s }'),
    upstream('endpoints: ["http://a", "http://b"], rebalance: { spread: 7% }'),
    [
      'upstream u: balance: { hash: client } -> least-tunnels',
      'upstream u: health.setAside: 2s -> 1s',
      'upstream u: rebalance: off -> { rate: 5, spread: 7% }',
    ],
  ],
  [
    'what a hash goes by',
    upstream('endpoints: ["http://a"], balance: { hash: cookie:a }'),
    upstream('endpoints: ["http://a"], balance: { hash: header:B }'),
    ['upstream u: balance.hash: cookie:a -> header:b'],
  ],
  [
    'an upstream in place, with its route',
    setting(''),
    'routes: [{ name: r, upstream: u }, { name: s, upstream: "http://b", match: { path: /s } }]\nupstreams: { u: { endpoints: ["http://a"] } }'.replace(
      '{ name: r, upstream: u }, ',
      '{ name: r, upstream: u, match: { path: /r } }, ',
    ),
    ['upstream s: added', 'route s: added', 'route r: match.path: unset -> /r'],
  ],
  [
    'checks, without their secrets',
    check(`type: jwt, secret: ${secret}, from: [header], claims: { role: [1], a: [b] }`),
    check(
      `type: jwt, secret: ${secret}2, from: ["cookie:s"], claims: { role: ["1"], secret: [hunter] }`,
    ),
    [
      'auth a: from: [header] -> [cookie:s]',
      'auth a: secret: *** -> ***',
      'auth a: claims.role: [1] -> ["1"]',
      'auth a: claims.a: ["b"] -> unset',
      'auth a: claims.secret: unset -> ["hunter"]',
    ],
  ],
  [
    'a check of another kind',
    check(`type: jwt, secret: ${secret}`),
    check('type: forward, url: "http://a/?key=hunter2", recheck: 5m'),
    [
      'auth a: type: jwt -> forward',
      'auth a: from: [header] -> unset',
      'auth a: secret: *** -> unset',
      'auth a: algorithms: [HS256] -> unset',
      'auth a: clockTolerance: 30s -> unset',
      'auth a: claims: {} -> unset',
      'auth a: userClaim: sub -> unset',
      'auth a: realm: upgate -> unset',
      'auth a: closeOnExpiry: true -> unset',
      'auth a: url: unset -> http://a/?***',
      'auth a: copy: unset -> []',
      'auth a: timeout: unset -> 5s',
      'auth a: recheck: unset -> 5m',
      'auth a: onRecheckError: unset -> keep',
    ],
  ],
  [
    'the key in a URL',
    check('type: jwt, jwks: "https://a/k?key=hunter2"'),
    check('type: jwt, jwks: "https://a/k?key=hunter3"'),
    ['auth a: jwks: https://a/k?*** -> https://a/k?***'],
  ],
  [
    'credentials in fields and conditions',
    setting(
      'headers: { request: { set: { Authorization: hunter2 } } }, match: { query: { token: hunter2, key: true } }',
    ),
    setting(
      'headers: { request: { set: { Authorization: hunter3 } } }, match: { query: { token: hunter3, key: { regex: hunter } } }',
    ),
    [
      'route r: match.query.token: *** -> ***',
      'route r: match.query.key: present -> ***',
      'route r: headers.request.set.Authorization: *** -> ***',
    ],
  ],
  [
    'listeners by their addresses, one of them several times',
    beside('listeners: [{ address: "a:0" }, { address: "a:0" }, { address: "unix:/a" }]'),
    beside(
      'listeners: [{ address: "a:0" }, { address: "a:0", headBytes: 5000, connections: 9 }, { address: "[::1]:1" }]',
    ),
    [
      'listener unix:/a: removed',
      'listener [::1]:1: added',
      'listener a:0 (2): headBytes: 16KiB -> 5000',
      'listener a:0 (2): connections: off -> 9',
    ],
  ],
  [
    'the files of a listener',
    beside('listeners: [{ address: "a:1" }]'),
    beside(
      'listeners: [{ address: "a:1", tls: { cert: "${FIXTURES}/tls/cert.pem", key: "${FIXTURES}/tls/key.pem" } }]',
    ),
    [
      'listener a:1: tls: unset -> { cert: TLS/cert.pem, key: TLS/key.pem, certificates: [], unknownNames: default, minVersion: TLSv1.2, handshakeTimeout: 10s, handshakes: 1000, http2: false }',
    ],
  ],
  [
    'what has no name, and what a reload cannot change of it',
    beside(
      `admin: { token: ${secret} }\nlog: { level: info }\nrelay: { engine: portable, bufferBytes: 1MiB }`,
    ),
    beside(`
admin: { token: ${secret}3, address: "localhost:1", hosts: [a.com] }
log: { level: warn, format: pretty }
trustedProxies: [::1]
forwarded: { write: both }
via: off
shutdown: { drain: 0s, spread: false }
reload: { watch: true }
relay: { threads: 2, frames: off }
`),
    [
      'admin.address: 127.0.0.1:9090 -> localhost:1',
      'admin.token: *** -> ***',
      'admin.hosts: [] -> [a.com]',
      'log.level: info -> warn',
      'log.format: json -> pretty (needs a restart)',
      'trustedProxies: [] -> [::1]',
      'forwarded: off -> { read: x-forwarded, write: both }',
      'via: on -> off',
      'shutdown.drain: 8s -> 0s',
      'shutdown.spread: true -> false',
      'reload.watch: false -> true',
      'relay.engine: portable -> auto (needs a restart)',
      'relay.bufferBytes: 1MiB -> 256KiB (needs a restart)',
      'relay.frames: on -> off',
      'relay.threads: unset -> 2 (needs a restart)',
    ],
  ],
  [
    'how listeners bind their address',
    beside('listeners: [{ address: "unix:/a", mode: "0660" }, { address: systemd }]'),
    beside(
      'listeners: [{ address: "unix:/a", backlog: 2, mode: "0600", owner: a:b }, { address: "systemd:web" }]',
    ),
    [
      'listener systemd: removed',
      'listener systemd:web: added',
      'listener unix:/a: backlog: 1024 -> 2 (needs a restart)',
      'listener unix:/a: mode: 0660 -> 0600 (needs a restart)',
      'listener unix:/a: owner: unset -> a:b (needs a restart)',
    ],
  ],
  [
    'the admin server that goes',
    beside(`admin: { token: ${secret} }`),
    beside('admin: off'),
    ['admin: { address: 127.0.0.1:9090, token: ***, hosts: [] } -> off'],
  ],
  [
    'routes that come and go, without a word of the others',
    order('abcd'),
    order('xbcyd'),
    ['route a: removed', 'route x: added', 'route y: added'],
  ],
  [
    'a route that goes to the front',
    order('abcd'),
    order('dabc'),
    ['route d: moved from place 4 to 1'],
  ],
  [
    'a route that goes to the end',
    order('abcd'),
    order('bcda'),
    ['route a: moved from place 1 to 4'],
  ],
  [
    'places among all routes of their file',
    order('abcd'),
    order('xcab'),
    ['route d: removed', 'route x: added', 'route c: moved from place 3 to 2'],
  ],
]

describe('the difference of two configurations', () => {
  for (const [name, running, next, lines] of cases) {
    it(`tells ${name}`, () => {
      const result = diff(running, next)
      const told = diffLines(result).map((line) => line.replace(/\S*\/config\/tls\//g, 'TLS/'))
      assert.deepEqual(told, lines)
      assert.doesNotMatch(JSON.stringify(result), /hunter2/)
    })

    it(`finds none of ${name} in one configuration`, () => {
      assert.deepEqual(diff(next, next), nothing)
    })
  }

  it('moves as few routes as explain the new order', () => {
    const { moved } = diff(order('abcdefgh'), order('hbadcfeg')).routes
    assert.equal(moved.length, 4)
    const stay = 'hbadcfeg'.split('').filter((name) => !moved.some((route) => route.name === name))
    assert.deepEqual(stay, stay.toSorted())
  })

  it('knows a route without a name by its match and upstream, wherever it stands', () => {
    const one = '{ match: { path: /a }, upstream: "http://a" }'
    const two = '{ match: { path: /b }, upstream: "http://b" }'
    const added = '{ match: { path: /c }, upstream: "http://c" }'
    const running = `routes: [${one}, ${two}]`
    assert.deepEqual(diffLines(diff(running, `routes: [${added}, ${one}, ${two}]`)), [
      'upstream route-1: added',
      'route route-1: added',
    ])
    assert.deepEqual(diffLines(diff(running, `routes: [${two}, ${one}]`)), [
      'route route-1: moved from place 2 to 1',
    ])
    const changed = two.replace('upstream', 'http: false, upstream')
    assert.deepEqual(diffLines(diff(running, `routes: [${added}, ${one}, ${changed}]`)), [
      'upstream route-1: added',
      'route route-1: added',
      'route route-3: http: true -> false',
    ])
  })

  it('does not depend on the order of upstreams and checks', () => {
    const routes = 'routes: [{ upstream: "http://a" }]\n'
    const one = 'u: { endpoints: ["http://a"] }'
    const two = 'v: { endpoints: ["http://b"] }'
    const running = `${routes}upstreams: { ${one}, ${two} }`
    assert.deepEqual(diff(running, `${routes}upstreams: { ${two}, ${one} }`), nothing)
  })

  it('is data that JSON keeps', () => {
    const result = diff(order('ab'), `relay: { threads: 1 }\n${order('ba')}`)
    assert.deepEqual(JSON.parse(JSON.stringify(result)), result)
    assert.deepEqual(result, {
      ...nothing,
      routes: { ...nothing.routes, moved: [{ name: 'b', from: 2, to: 1 }] },
      settings: [{ key: 'relay.threads', from: 'unset', to: '1' }],
      needsRestart: ['relay.threads'],
    })
  })
})
