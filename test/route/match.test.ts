import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { atOnce } from '../../src/slices.ts'
import type { MatchConfig, RouteConfig } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import { allowedTokens, matchRoute } from '../../src/route/match.ts'
import { compileRoutes } from '../../src/route/table.ts'
import { codeOf, factsOf, type SampleRequest } from '../request/reading.ts'
import { routeConfig } from '../support/route-config.ts'

type Match = Partial<MatchConfig>

function routeNamed(
  name: string,
  match: Match,
  upgrade: RouteConfig['upgrade'] = ['websocket'],
): RouteConfig {
  const route = routeConfig({ name, upgrade })
  return { ...route, match: { ...route.match, ...match } }
}

/** The name of the route that takes a request, or the code of the refusal. */
function taken(
  routes: readonly (readonly [name: string, match: Match])[],
  sample: SampleRequest,
): string | undefined {
  const table = atOnce(compileRoutes(routes.map(([name, match]) => routeNamed(name, match))))
  const route = matchRoute(table, factsOf(sample))
  return route instanceof Refusal ? route.code : route.config.name
}

const prefix = (path: string): Match => ({ path: { kind: 'prefix', path } })
const exact = (path: string): Match => ({ path: { kind: 'exact', path } })
const regex = (text: string): Match => ({ path: { kind: 'regex', regex: text } })

describe('matchRoute: one condition', () => {
  const cases: [name: string, match: Match, sample: SampleRequest, matches: boolean][] = [
    ['no condition', {}, { target: '/any/thing' }, true],
    ['no condition, for OPTIONS *', {}, { method: 'OPTIONS', target: '*' }, true],
    [
      'the prefix of the root, for OPTIONS *',
      prefix('/'),
      { method: 'OPTIONS', target: '*' },
      true,
    ],
    ['another prefix, for OPTIONS *', prefix('/a'), { method: 'OPTIONS', target: '*' }, false],
    ['a prefix, for itself', prefix('/ws'), { target: '/ws?x' }, true],
    ['a prefix, for a path below', prefix('/ws'), { target: '/ws/a' }, true],
    ['a prefix, for a longer segment', prefix('/ws'), { target: '/wsx' }, false],
    ['a prefix, for another case', prefix('/ws'), { target: '/WS' }, false],
    ['a prefix with a slash, for a path below', prefix('/ws/'), { target: '/ws/a' }, true],
    ['a prefix with a slash, for itself without', prefix('/ws/'), { target: '/ws' }, false],
    [
      'a prefix that is written encoded',
      prefix('/%7Eme/caf%c3%a9'),
      { target: '/~me/caf%C3%A9/x' },
      true,
    ],
    ['an exact path', exact('/ws'), { target: '/ws' }, true],
    ['an exact path, for one below', exact('/ws'), { target: '/ws/' }, false],
    ['a regex', regex('/ws/[0-9]+'), { target: '/ws/12' }, true],
    ['a regex, for more than it', regex('/ws/[0-9]+'), { target: '/ws/12/x' }, false],
    ['a regex, for more before it', regex('ws'), { target: '/ws' }, false],
    ['a host', { hosts: ['example.com'] }, {}, true],
    [
      'a host, in another spelling',
      { hosts: ['example.com'] },
      { lines: ['Host: EXAMPLE.com.:99'] },
      true,
    ],
    [
      'a host, for a name below',
      { hosts: ['example.com'] },
      { lines: ['Host: a.example.com'] },
      false,
    ],
    ['the second of two hosts', { hosts: ['a', 'example.com'] }, {}, true],
    [
      'an IPv6 host in another spelling',
      { hosts: ['[0:0::1]'] },
      { lines: ['Host: [::1]:80'] },
      true,
    ],
    [
      'a wildcard, for a name below',
      { hosts: ['*.example.com'] },
      { lines: ['Host: a.example.com'] },
      true,
    ],
    [
      'a wildcard, for a name far below',
      { hosts: ['*.example.com'] },
      { lines: ['Host: b.a.example.com'] },
      true,
    ],
    ['a wildcard, for its own name', { hosts: ['*.example.com'] }, {}, false],
    [
      'a wildcard, for a name that ends alike',
      { hosts: ['*.example.com'] },
      { lines: ['Host: badexample.com'] },
      false,
    ],
    [
      'a host, for HTTP/1.0 without one',
      { hosts: ['example.com'] },
      { httpVersion: '1.0', host: false },
      false,
    ],
    ['a method', { methods: ['GET', 'POST'] }, { method: 'POST' }, true],
    ['another method', { methods: ['GET'] }, { method: 'POST' }, false],
    [
      'a field that is there',
      { headers: new Map([['x-a', { kind: 'present' }]]) },
      { lines: ['X-A:'] },
      true,
    ],
    ['a field that is missing', { headers: new Map([['x-a', { kind: 'present' }]]) }, {}, false],
    ['the absence of a field', { headers: new Map([['x-a', { kind: 'absent' }]]) }, {}, true],
    [
      'the absence of a field that is there',
      { headers: new Map([['x-a', { kind: 'absent' }]]) },
      { lines: ['x-a: 1'] },
      false,
    ],
    [
      'the value of a field',
      { headers: new Map([['x-a', { kind: 'equals', value: '1' }]]) },
      { lines: ['X-A: 0', 'X-A: 1'] },
      true,
    ],
    [
      'another value of a field',
      { headers: new Map([['x-a', { kind: 'equals', value: '1' }]]) },
      { lines: ['X-A: 12'] },
      false,
    ],
    [
      'the regex of a field',
      { headers: new Map([['x-a', { kind: 'regex', regex: 'v[0-9]' }]]) },
      { lines: ['X-A: v2'] },
      true,
    ],
    [
      'the regex of a field, for more than it',
      { headers: new Map([['x-a', { kind: 'regex', regex: 'v[0-9]' }]]) },
      { lines: ['X-A: v22'] },
      false,
    ],
    [
      'a parameter that is there',
      { query: new Map([['v', { kind: 'present' }]]) },
      { target: '/?v' },
      true,
    ],
    [
      'the decoded value of a parameter',
      { query: new Map([['v', { kind: 'equals', value: 'a b' }]]) },
      { target: '/?%76=a+b' },
      true,
    ],
    [
      'a parameter that is missing',
      { query: new Map([['v', { kind: 'equals', value: '' }]]) },
      { target: '/?w=v' },
      false,
    ],
    [
      'all of several conditions',
      { ...prefix('/a'), methods: ['GET'], hosts: ['example.com'] },
      { target: '/a' },
      true,
    ],
    ['one of several conditions', { ...prefix('/a'), methods: ['GET'] }, { target: '/b' }, false],
  ]
  for (const [name, match, sample, matches] of cases) {
    it(`${matches ? 'takes' : 'does not take'} a request by ${name}`, () => {
      assert.equal(taken([['it', match]], sample), matches ? 'it' : 'E_ROUTE_NONE')
    })
  }
})

function fits(pattern: string, host: string): boolean {
  return pattern.startsWith('*') ? host.endsWith(pattern.slice(1)) : host === pattern
}

describe('matchRoute: order', () => {
  const cases: [name: string, routes: [string, Match][], sample: SampleRequest, route: string][] = [
    [
      'the first of two that match',
      [
        ['a', prefix('/x')],
        ['b', prefix('/x/y')],
      ],
      { target: '/x/y' },
      'a',
    ],
    [
      'the second where the first does not match',
      [
        ['a', prefix('/x/y')],
        ['b', {}],
      ],
      { target: '/x' },
      'b',
    ],
    [
      'a route for every host before one for this host',
      [
        ['a', {}],
        ['b', { hosts: ['example.com'] }],
      ],
      {},
      'a',
    ],
    [
      'a route for this host before one for every host',
      [
        ['b', { hosts: ['example.com'] }],
        ['a', {}],
      ],
      {},
      'b',
    ],
    [
      'a wildcard before an exact host',
      [
        ['w', { hosts: ['*.com'] }],
        ['e', { hosts: ['example.com'] }],
        ['a', {}],
      ],
      {},
      'w',
    ],
    [
      'a wider wildcard before a narrower one',
      [
        ['w', { hosts: ['*.com'] }],
        ['n', { hosts: ['*.b.com'] }],
      ],
      { lines: ['Host: a.b.com'] },
      'w',
    ],
    [
      'a narrower wildcard before a wider one',
      [
        ['n', { hosts: ['*.b.com'] }],
        ['w', { hosts: ['*.com'] }],
      ],
      { lines: ['Host: a.b.com'] },
      'n',
    ],
    [
      'a later route where the host is right and the path is not',
      [
        ['e', { hosts: ['example.com'], ...prefix('/x') }],
        ['a', {}],
      ],
      { target: '/y' },
      'a',
    ],
    [
      'a host that a route names twice',
      [['e', { hosts: ['example.com', 'EXAMPLE.com'] }]],
      {},
      'e',
    ],
  ]
  for (const [name, routes, sample, route] of cases) {
    it(`takes ${name}`, () => {
      assert.equal(taken(routes, sample), route)
    })
  }

  it('takes what a scan of all routes takes, for 2000 random tables and requests', () => {
    let state = 3
    const random = (below: number): number => {
      state = (state * 48_271) % 0x7fffffff
      return state % below
    }
    const hosts = [undefined, ['a.com'], ['*.com'], ['*.a.com'], ['b.com', 'a.com'], ['b.a.com']]
    const paths = [undefined, '/x', '/x/y']
    for (let round = 0; round < 2000; round += 1) {
      const matches = Array.from({ length: 1 + random(6) }, () => ({
        hosts: hosts[random(6)],
        path: paths[random(3)],
      }))
      const host = ['a.com', 'b.com', 'b.a.com', 'com', 'c.b.a.com'][random(5)] as string
      const path = ['/', '/x', '/x/y/z'][random(3)] as string
      const expected = matches.findIndex(
        (match) =>
          (match.hosts?.some((pattern) => fits(pattern, host)) ?? true) &&
          (match.path === undefined || path === match.path || path.startsWith(`${match.path}/`)),
      )
      const routes = matches.map((match, index): [string, Match] => [
        `route-${index}`,
        { hosts: match.hosts, ...(match.path === undefined ? {} : prefix(match.path)) },
      ])
      const got = taken(routes, { lines: [`Host: ${host}`], target: path })
      assert.equal(
        got,
        expected < 0 ? 'E_ROUTE_NONE' : `route-${expected}`,
        JSON.stringify({ matches, host, path }),
      )
    }
  })

  it('finds one of 1000 hosts without looking at the others', () => {
    let looks = 0
    const routes = Array.from({ length: 1000 }, (_, index) =>
      routeNamed(`r${index}`, { hosts: [`h${index}.example`] }),
    )
    const table = atOnce(compileRoutes(routes))
    for (const list of table.byHost.values()) {
      for (const route of list)
        Object.defineProperty(route, 'path', { get: () => ((looks += 1), undefined) })
    }
    const route = matchRoute(table, factsOf({ lines: ['Host: h777.example'] }))
    assert.ok(!(route instanceof Refusal))
    assert.equal(route.config.name, 'r777')
    assert.equal(looks, 1)
  })

  it('matches a regex that backtracking engines never finish', () => {
    const evil = `/${'a'.repeat(10_000)}!`
    assert.equal(
      taken(
        [
          ['evil', regex('/(a+)+')],
          ['rest', {}],
        ],
        { target: evil },
      ),
      'rest',
    )
    assert.equal(
      taken(
        [
          ['evil', regex('/(a|a)*$')],
          ['rest', {}],
        ],
        { target: evil },
      ),
      'rest',
    )
  })
})

describe('matchRoute: other readings of the path', () => {
  const guarded: [string, Match][] = [
    ['admin', prefix('/admin')],
    ['public', prefix('/public')],
  ]
  const open: [string, Match][] = [
    ['admin', prefix('/admin')],
    ['rest', {}],
  ]
  const cases: [target: string, routes: [string, Match][], outcome: string][] = [
    ['/admin', guarded, 'admin'],
    ['/public/a', guarded, 'public'],
    ['/%61dmin', guarded, 'admin'],
    ['/%61dmin', open, 'admin'],
    ['/public/../admin', guarded, 'E_TARGET_AMBIGUOUS'],
    ['/public/../admin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/%2e%2e/admin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/..%2fadmin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/..%5cadmin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/..\\admin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/..;/admin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/%252e%252e/admin', open, 'E_TARGET_AMBIGUOUS'],
    ['//admin', open, 'E_TARGET_AMBIGUOUS'],
    ['//admin', guarded, 'E_TARGET_AMBIGUOUS'],
    ['/\\admin', open, 'E_TARGET_AMBIGUOUS'],
    ['/%2fadmin', open, 'E_TARGET_AMBIGUOUS'],
    ['/%2561dmin', open, 'E_TARGET_AMBIGUOUS'],
    ['/admin;x', open, 'E_TARGET_AMBIGUOUS'],
    ['/admin%3bx', open, 'E_TARGET_AMBIGUOUS'],
    ['/admin%3fx', open, 'E_TARGET_AMBIGUOUS'],
    ['/admin%23', open, 'E_TARGET_AMBIGUOUS'],
    ['/admin%253f', open, 'E_TARGET_AMBIGUOUS'],
    ['/admin%2500.png', open, 'E_TARGET_AMBIGUOUS'],
    ['/ad%0amin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/..%c0%afadmin', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/what%3f%23', guarded, 'public'],
    ['/what%3f', open, 'rest'],
    ['/admin/../public', open, 'E_TARGET_AMBIGUOUS'],
    ['/public/../public/a', guarded, 'public'],
    ['/public//a/./b', guarded, 'public'],
    ['/public/a%2Fb;v=1', guarded, 'public'],
    ['/a/../b//c', [['rest', {}]], 'rest'],
    ['/nowhere/..%2fadmin', guarded, 'E_ROUTE_NONE'],
    ['http://example.com/public/../admin', open, 'E_TARGET_AMBIGUOUS'],
    ['http://example.com//admin', open, 'E_TARGET_AMBIGUOUS'],
  ]
  for (const [target, routes, outcome] of cases) {
    it(`${outcome.startsWith('E_') ? 'refuses' : 'takes'} ${target} where the routes are ${routes.map(([name]) => name).join(' and ')}`, () => {
      assert.equal(taken(routes, { target }), outcome)
    })
  }

  it('says in the log which route the other reading belongs to', () => {
    const table = atOnce(compileRoutes(guarded.map(([name, match]) => routeNamed(name, match))))
    const cause = (target: string): string => {
      const refusal = matchRoute(table, factsOf({ target }))
      return refusal instanceof Refusal ? (refusal.details.cause ?? '') : ''
    }
    assert.match(cause('/public/..%2fadmin'), /route public.*"\/admin" the route admin/)
    assert.match(cause('/public/..%2fx'), /route public.*"\/x" no route/)
  })
})

describe('allowedTokens', () => {
  const cases: [name: string, upgrade: RouteConfig['upgrade'], asked: string, allowed: string[]][] =
    [
      ['the tokens asked for', ['tcp', 'x'], 'x, tcp', ['x', 'tcp']],
      [
        'those of them that the route names',
        ['tcp', 'spdy/3.1'],
        'foo, SPDY/3.1, bar, TCP',
        ['SPDY/3.1', 'TCP'],
      ],
      ['none where the route names others', ['tcp'], 'foo', []],
      ['none where the route names none', [], 'tcp', []],
      ['no other version', ['spdy/3.1'], 'SPDY/3, SPDY', []],
      ['all but h2c for any', 'any', 'h2c, tcp, H2C, foo/1', ['tcp', 'foo/1']],
      [
        'none that carries HTTP for any',
        'any',
        'h2, h2c-14, h2c/2, HTTP/2.0, http/1.1, TLS/1.0, tls/1.2',
        [],
      ],
      [
        'what only begins like one of them for any',
        'any',
        'h2x, httpd, TLSish',
        ['h2x', 'httpd', 'TLSish'],
      ],
      ['h2c where the route names it', ['h2c'], 'h2c', ['h2c']],
      ['TLS where the route names it', ['tls/1.2'], 'TLS/1.0, TLS/1.2', ['TLS/1.2']],
    ]
  for (const [name, upgrade, asked, allowed] of cases) {
    it(`gives ${name}`, () => {
      const table = atOnce(compileRoutes([routeNamed('it', {}, upgrade)]))
      const facts = factsOf({ lines: ['Connection: Upgrade', `Upgrade: ${asked}`] })
      const route = matchRoute(table, facts)
      assert.equal(codeOf(route), undefined)
      assert.ok(!(route instanceof Refusal))
      assert.deepEqual(allowedTokens(route, facts), allowed)
    })
  }

  it('gives none where the client asks for none', () => {
    const table = atOnce(compileRoutes([routeNamed('it', {}, 'any')]))
    const facts = factsOf()
    const route = matchRoute(table, facts)
    assert.ok(!(route instanceof Refusal))
    assert.deepEqual(allowedTokens(route, facts), [])
  })
})
