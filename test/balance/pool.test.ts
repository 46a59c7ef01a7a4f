import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Endpoint, EndpointLease, EndpointTls } from '../../src/balance/endpoint.ts'
import { Pool } from '../../src/balance/pool.ts'
import type { PoolOptions } from '../../src/balance/pool.ts'
import type {
  BalanceConfig,
  EndpointConfig,
  UpstreamConfig,
  UpstreamTlsConfig,
} from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import type { RequestFacts } from '../../src/request/facts.ts'
import { DEFAULT_TLS } from '../support/endpoint-tls.ts'

const fixtures = join(import.meta.dirname, '../fixtures/tls')
const REFUSE = { setAsideMs: 1000, setAsideMaxMs: 60_000, whenAllDown: 'refuse' } as const
const nothingTried: ReadonlySet<Endpoint> = new Set()

function endpoint(url: string, more: Partial<EndpointConfig> = {}): EndpointConfig {
  const address = { kind: 'tcp', host: 'chat', port: 80 } as const
  return { url, address, tls: false, weight: 1, http2: false, ...more }
}

function upstream(urls: readonly string[], more: Partial<UpstreamConfig> = {}): UpstreamConfig {
  return {
    name: 'chat',
    identity: more.name ?? 'chat',
    endpoints: urls.map((url) => endpoint(url)),
    balance: { policy: 'least-tunnels' },
    health: { setAsideMs: 1000, setAsideMaxMs: 60_000, whenAllDown: 'try' },
    tls: DEFAULT_TLS,
    rebalance: undefined,
    proxyProtocol: 'off',
    localAddress: undefined,
    http2Streams: 100,
    ...more,
  }
}

function factsOf(facts: Partial<RequestFacts> = {}): RequestFacts {
  return {
    requestId: 'r',
    traceparent: '',
    method: 'GET',
    target: '/',
    path: '/',
    otherPaths: [],
    query: '',
    authority: 'a',
    host: 'a',
    httpVersion: '1.1',
    fields: [],
    clientIp: '192.0.2.1',
    peerTrusted: false,
    proto: 'http',
    forwarded: {
      for: '',
      proto: 'http',
      host: '',
      port: '',
      field: undefined,
      policy: undefined,
    },
    upgrade: [],
    stripped: false,
    ...facts,
  }
}

/** A pool with a clock that is set by hand, and what it reports of its endpoints. */
function poolOf(config: UpstreamConfig, previous?: Pool) {
  const clock = { nowMs: 0 }
  const changes: string[] = []
  const options: PoolOptions = {
    builtinAddress: (name) => ({ kind: 'unix', path: `/run/${name}.sock` }),
    onChange: ({ url }, up) => changes.push(`${url} ${up ? 'up' : 'down'}`),
    now: () => clock.nowMs,
  }
  return { pool: new Pool(config, options, previous), clock, changes }
}

function acquired(pool: Pool, tried = nothingTried, facts = factsOf()): EndpointLease {
  const lease = pool.acquire(facts, tried)
  assert.ok(!(lease instanceof Refusal), 'has an endpoint')
  return lease
}

function refusedBy(pool: Pool, tried = nothingTried): Refusal {
  const refusal = pool.acquire(factsOf(), tried)
  assert.ok(refusal instanceof Refusal, 'has no endpoint')
  assert.equal(refusal.code, 'E_ENDPOINT_NONE')
  assert.equal(refusal.status, 503)
  return refusal
}

function urlOf(pool: Pool, facts?: RequestFacts): string {
  using lease = acquired(pool, nothingTried, facts)
  return lease.endpoint.url
}

function usesOf(pool: Pool): number[] {
  return pool.endpoints.map(({ inUse }) => inUse)
}

function serverNames(config: UpstreamConfig): (string | undefined)[] {
  return poolOf(config).pool.endpoints.map(({ tls }) => tls?.serverName)
}

/** Of one https endpoint. */
function secureUpstream(tls: Partial<UpstreamTlsConfig>): UpstreamConfig {
  const endpoints = [endpoint('https://chat', { tls: true })]
  return upstream([], { endpoints, tls: { ...DEFAULT_TLS, ...tls } })
}

function fixture(name: string): string {
  return join(fixtures, name)
}

function tlsIn(pool: Pool): EndpointTls {
  const tls = pool.endpoints[0]?.tls
  assert.ok(tls)
  return tls
}

describe('Pool', () => {
  it('works with the clock and the dice of its own', () => {
    const pool = new Pool(upstream(['a', 'b'], { balance: { policy: 'random-two' } }), {
      builtinAddress: () => ({ kind: 'unix', path: '/' }),
      onChange: () => {},
    })
    acquired(pool).failed('E_UPSTREAM_RESET')
    assert.notEqual(urlOf(pool), pool.endpoints.find(({ up }) => !up)?.url)
  })

  describe('leases', () => {
    it('count what is in use until they are disposed of', () => {
      const { pool } = poolOf(upstream(['a', 'b']))
      {
        using first = acquired(pool)
        using second = acquired(pool)
        assert.notEqual(first.endpoint, second.endpoint)
        assert.deepEqual(usesOf(pool), [1, 1])
      }
      assert.deepEqual(usesOf(pool), [0, 0])
    })

    it('set an endpoint aside that lets three deadlines in a row pass without an answer in between', () => {
      const { pool } = poolOf(upstream(['a']))
      const [one] = pool.endpoints
      assert.ok(one)
      const late = (): void => {
        using lease = acquired(pool)
        lease.timedOut('E_HANDSHAKE_TIMEOUT')
      }
      late()
      late()
      acquired(pool).succeeded()
      late()
      late()
      assert.equal(one.up, true)
      late()
      assert.equal(one.up, false)
      // A trial that is late as well keeps it there.
      late()
      assert.equal(one.up, false)
    })

    it('goes to the endpoint whose turn comes next when all are set aside', () => {
      const { pool, clock } = poolOf(upstream(['a', 'b', 'c']))
      const [a, b, c] = pool.endpoints
      assert.ok(a && b && c)
      for (const [lost, others] of [
        [b, [a, c]],
        [a, [b, c]],
        [c, [a, b]],
      ] as const) {
        clock.nowMs += 100
        acquired(pool, new Set(others)).failed('E_UPSTREAM_REFUSED')
        assert.equal(lost.up, false)
      }
      const turns = Array.from({ length: 3 }, () => {
        using lease = acquired(pool)
        lease.failed('E_UPSTREAM_REFUSED')
        return lease.endpoint.url
      })
      assert.deepEqual(turns, ['b', 'a', 'c'])
      refusedBy(pool, new Set([a, b, c]))
      pool.drain(b.id)
      assert.notEqual(acquired(pool).endpoint, b)
    })

    it('are refused when all endpoints are set aside, where the config says so', () => {
      const health = { setAsideMs: 1000, setAsideMaxMs: 5000, whenAllDown: 'refuse' } as const
      const { pool, clock } = poolOf(upstream(['a'], { health }))
      acquired(pool).failed('E_UPSTREAM_RESET')
      refusedBy(pool)
      clock.nowMs = 1000
      acquired(pool)
    })

    it('bring an unreachable endpoint back by a connect, and one that broke off not', () => {
      const { pool, changes } = poolOf(upstream(['a']))
      const [a] = pool.endpoints
      assert.ok(a)
      acquired(pool).failed('E_UPSTREAM_RESET')
      assert.deepEqual(pool.unreachable(), [])
      acquired(pool).failed('E_UPSTREAM_REFUSED')
      assert.deepEqual(pool.unreachable(), [a])
      const late = pool.probe(a)
      acquired(pool).failed('E_UPSTREAM_REFUSED')
      late()
      assert.equal(a.up, false)
      pool.probe(a)()
      assert.deepEqual([a.up, pool.unreachable()], [true, []])
      assert.deepEqual(changes, ['a down', 'a up'])
    })

    it('leave an endpoint in place that let one deadline pass while it answered others', () => {
      const { pool } = poolOf(upstream(['a']))
      using slow = acquired(pool)
      using quick = acquired(pool)
      quick.succeeded()
      slow.timedOut('E_HANDSHAKE_TIMEOUT')
      assert.equal(slow.endpoint.up, true)
    })

    it('give their place back once', () => {
      const { pool } = poolOf(upstream(['a']))
      const lease = acquired(pool)
      acquired(pool)
      lease[Symbol.dispose]()
      lease[Symbol.dispose]()
      assert.deepEqual(usesOf(pool), [1])
    })

    it('tell nothing of the endpoint after they are disposed of', () => {
      const { pool, changes } = poolOf(upstream(['a', 'b']))
      const lease = acquired(pool)
      lease[Symbol.dispose]()
      lease.failed('E_UPSTREAM_RESET')
      assert.equal(lease.endpoint.up, true)
      const failing = acquired(pool)
      const late = acquired(pool, new Set(pool.endpoints.filter((one) => one !== failing.endpoint)))
      failing.failed('E_UPSTREAM_RESET')
      late[Symbol.dispose]()
      late.succeeded()
      assert.equal(failing.endpoint.up, false)
      assert.equal(changes.length, 1)
    })
  })

  describe('endpoints that fail', () => {
    it('get nothing while they are set aside', () => {
      const { pool, clock, changes } = poolOf(upstream(['a', 'b']))
      const failing = acquired(pool)
      failing.failed('E_UPSTREAM_RESET')
      failing[Symbol.dispose]()
      assert.equal(failing.endpoint.up, false)
      clock.nowMs = 999
      assert.deepEqual([urlOf(pool), urlOf(pool), urlOf(pool)], ['b', 'b', 'b'])
      assert.deepEqual(changes, ['a down'])
    })

    it('get one trial at a time, and everything again after it succeeded', () => {
      const { pool, clock, changes } = poolOf(upstream(['a', 'b']))
      const [a, b] = pool.endpoints
      assert.ok(a && b)
      acquired(pool, new Set([b])).failed('E_UPSTREAM_RESET')
      clock.nowMs = 1000
      const trial = acquired(pool, new Set([b]))
      assert.equal(trial.endpoint, a)
      assert.deepEqual([urlOf(pool), urlOf(pool)], ['b', 'b'])
      trial.succeeded()
      assert.equal(a.up, true)
      assert.equal(acquired(pool, new Set([b])).endpoint, a)
      assert.deepEqual(changes, ['a down', 'a up'])
    })

    it('get the next trial when one ends without telling anything', () => {
      const { pool, clock } = poolOf(upstream(['a', 'b']))
      const [a, b] = pool.endpoints
      assert.ok(a && b)
      acquired(pool, new Set([b])).failed('E_UPSTREAM_RESET')
      clock.nowMs = 1000
      acquired(pool, new Set([b]))[Symbol.dispose]()
      assert.equal(acquired(pool, new Set([b])).endpoint, a)
    })

    it('wait twice as long after a trial that failed', () => {
      const { pool, clock, changes } = poolOf(upstream(['a', 'b']))
      const [, b] = pool.endpoints
      assert.ok(b)
      acquired(pool, new Set([b])).failed('E_UPSTREAM_RESET')
      clock.nowMs = 1000
      acquired(pool, new Set([b])).failed('E_UPSTREAM_RESET')
      clock.nowMs = 2999
      refusedBy(pool, new Set([b]))
      clock.nowMs = 3000
      acquired(pool, new Set([b]))
      assert.deepEqual(changes, ['a down'])
    })

    it('are set aside once by a burst of failures', () => {
      const { pool, clock, changes } = poolOf(upstream(['a', 'b']))
      const leases = Array.from({ length: 8 }, () => acquired(pool))
      for (const lease of leases) lease.failed('E_UPSTREAM_RESET')
      clock.nowMs = 1000
      acquired(pool)
      acquired(pool)
      assert.deepEqual(changes, ['a down', 'b down'])
    })

    it('are up at once when another request of theirs is accepted', () => {
      const { pool, changes } = poolOf(upstream(['a']))
      const [one, other] = [acquired(pool), acquired(pool)]
      one.failed('E_UPSTREAM_RESET')
      other.succeeded()
      assert.equal(pool.endpoints[0]?.up, true)
      assert.deepEqual(changes, ['a down', 'a up'])
    })

    it('are picked all the same when there is no other, and tell the truth', () => {
      const { pool, changes } = poolOf(upstream(['a']))
      acquired(pool).failed('E_UPSTREAM_RESET')
      assert.equal(pool.endpoints[0]?.up, false)
      assert.equal(urlOf(pool), 'a')
      assert.equal(urlOf(pool), 'a')
      acquired(pool).succeeded()
      assert.deepEqual(changes, ['a down', 'a up'])
    })
  })

  describe('endpoints that are draining', () => {
    const idsOf = (pool: Pool): string[] => pool.endpoints.map(({ id }) => id)

    it('get nothing new, keep what they have, and get their share again when they are enabled', () => {
      const { pool, changes } = poolOf(upstream(['a', 'b']))
      const [a = ''] = idsOf(pool)
      const held = acquired(pool)
      assert.equal(held.endpoint.url, 'a')
      assert.equal(pool.drain(a), true)
      assert.deepEqual(
        pool.endpoints.map(({ draining, up }) => [draining, up]),
        [
          [true, true],
          [false, true],
        ],
      )
      assert.deepEqual([urlOf(pool), urlOf(pool), urlOf(pool)], ['b', 'b', 'b'])
      assert.deepEqual(usesOf(pool), [1, 0])
      held[Symbol.dispose]()
      assert.equal(pool.enable(a), true)
      acquired(pool)
      acquired(pool)
      assert.deepEqual(usesOf(pool), [1, 1])
      assert.deepEqual(changes, [])
    })

    it('are changed once, and only when they are there', () => {
      const { pool } = poolOf(upstream(['a', 'b']))
      const [a = ''] = idsOf(pool)
      assert.equal(pool.enable(a), false)
      assert.equal(pool.drain(a), true)
      assert.equal(pool.drain(a), false)
      assert.equal(pool.enable(a), true)
      assert.deepEqual([pool.drain('a'), pool.enable('')], [false, false])
    })

    it('are not picked when the others were tried or are set aside', () => {
      const { pool } = poolOf(upstream(['a', 'b'], { health: REFUSE }))
      const [a, b] = pool.endpoints
      assert.ok(a && b)
      pool.drain(a.id)
      refusedBy(pool, new Set([b]))
      acquired(pool).failed('E_UPSTREAM_RESET')
      assert.equal(b.up, false)
      assert.match(
        refusedBy(pool).details.cause ?? '',
        /^of 2 endpoints 0 were tried and 1 are draining/,
      )
    })

    it('refuse also where there is no other, with some seconds to wait', () => {
      for (const urls of [['a'], ['a', 'b']]) {
        const { pool } = poolOf(upstream(urls))
        for (const id of idsOf(pool)) pool.drain(id)
        assert.equal(refusedBy(pool).details.retryAfterSeconds, 5)
      }
    })

    it('do not count for when the others come back', () => {
      const { pool } = poolOf(
        upstream(['a', 'b'], {
          health: { setAsideMs: 4000, setAsideMaxMs: 60_000, whenAllDown: 'refuse' },
        }),
      )
      const [a = ''] = idsOf(pool)
      pool.drain(a)
      acquired(pool).failed('E_UPSTREAM_RESET')
      assert.equal(refusedBy(pool).details.retryAfterSeconds, 4)
    })
  })

  describe('ids', () => {
    const ids = (config: UpstreamConfig): string[] =>
      poolOf(config).pool.endpoints.map(({ id }) => id)

    it('are those of the upstream and the URL, in every process', () => {
      assert.deepEqual(ids(upstream(['http://chat-1:3000'])), ['6c93fd1b93'])
      const other = upstream(['http://chat-1:3000'], { name: 'other' })
      assert.notDeepEqual(ids(other), ids(upstream(['http://chat-1:3000'])))
      assert.deepEqual(ids(upstream(['b', 'a'])), ids(upstream(['a', 'b'])).toReversed())
    })

    it('are numbered where a URL is listed again', () => {
      const [first = '', ...more] = ids(upstream(['a', 'a', 'b', 'a']))
      const [, b] = ids(upstream(['a', 'b']))
      assert.deepEqual(more, [`${first}-2`, b, `${first}-3`])
    })
  })

  describe('refusals', () => {
    it('say in whole seconds when the first endpoint comes back', () => {
      const { pool, clock } = poolOf(
        upstream(['a', 'b'], {
          health: { setAsideMs: 4000, setAsideMaxMs: 60_000, whenAllDown: 'refuse' },
        }),
      )
      acquired(pool).failed('E_UPSTREAM_RESET')
      clock.nowMs = 2500
      acquired(pool).failed('E_UPSTREAM_RESET')
      assert.equal(refusedBy(pool).details.retryAfterSeconds, 2)
      clock.nowMs = 3999
      assert.equal(refusedBy(pool).details.retryAfterSeconds, 1)
    })

    it('say one second when all trials are under way', () => {
      const { pool, clock } = poolOf(upstream(['a', 'b'], { health: REFUSE }))
      acquired(pool).failed('E_UPSTREAM_RESET')
      acquired(pool).failed('E_UPSTREAM_RESET')
      clock.nowMs = 1000
      acquired(pool)
      acquired(pool)
      assert.equal(refusedBy(pool).details.retryAfterSeconds, 1)
    })

    it('come when all endpoints were tried, also for the only one', () => {
      const two = poolOf(upstream(['a', 'b'])).pool
      const first = acquired(two).endpoint
      const second = acquired(two, new Set([first])).endpoint
      assert.notEqual(first, second)
      refusedBy(two, new Set([first, second]))
      const one = poolOf(upstream(['a'])).pool
      assert.equal(refusedBy(one, new Set(one.endpoints)).details.retryAfterSeconds, 1)
    })
  })

  describe('hash keys', () => {
    const urls = Array.from({ length: 16 }, (_, i) => `http://chat-${i}`)
    const byKey = (key: Extract<BalanceConfig, { policy: 'hash' }>['key']) =>
      poolOf(upstream(urls, { balance: { policy: 'hash', key } })).pool
    const client = factsOf({ clientIp: '203.0.113.77' })
    const homeOfClient = urlOf(byKey({ by: 'client' }), client)

    const cases: {
      name: string
      key: Parameters<typeof byKey>[0]
      like: RequestFacts
      unlike: RequestFacts
    }[] = [
      {
        name: 'the client address',
        key: { by: 'client' },
        like: { ...client, path: '/other' },
        unlike: factsOf({ clientIp: '203.0.113.78' }),
      },
      {
        name: 'the path',
        key: { by: 'path' },
        like: factsOf({ path: '203.0.113.77' }),
        unlike: client,
      },
      {
        name: 'a header',
        key: { by: 'header', name: 'x-room' },
        like: factsOf({ fields: ['X-Room', '203.0.113.77'] }),
        unlike: factsOf({ fields: ['X-Room', '7'] }),
      },
      {
        name: 'a cookie',
        key: { by: 'cookie', name: 'sid' },
        like: factsOf({ fields: ['Cookie', 'a=b; sid=203.0.113.77'] }),
        unlike: factsOf({ fields: ['Cookie', 'a=b; sid=7'] }),
      },
      {
        name: 'the client address when the header is missing',
        key: { by: 'header', name: 'x-room' },
        like: client,
        unlike: factsOf(),
      },
      {
        name: 'the client address when the header is empty',
        key: { by: 'header', name: 'x-room' },
        like: { ...client, fields: ['X-Room', ''] },
        unlike: factsOf({ fields: ['X-Room', ''] }),
      },
      {
        name: 'the client address when the cookie is missing',
        key: { by: 'cookie', name: 'sid' },
        like: { ...client, fields: ['Cookie', 'a=b'] },
        unlike: factsOf({ fields: ['Cookie', 'a=b'] }),
      },
    ]
    for (const { name, key, like, unlike } of cases) {
      it(`go by ${name}`, () => {
        const pool = byKey(key)
        assert.equal(urlOf(pool, like), homeOfClient)
        assert.notEqual(urlOf(pool, unlike), homeOfClient)
      })
    }
  })

  describe('addresses and TLS', () => {
    it('resolves a builtin endpoint', () => {
      const config = upstream([], {
        endpoints: [endpoint('builtin:echo', { address: { kind: 'builtin', name: 'echo' } })],
      })
      assert.deepEqual(poolOf(config).pool.endpoints[0]?.address, {
        kind: 'unix',
        path: '/run/echo.sock',
      })
    })

    it('expects the host of the URL in the certificate, or the configured name', () => {
      const endpoints = [
        endpoint('https://chat', { tls: true }),
        endpoint('unix', { tls: true, address: { kind: 'unix', path: '/run/chat.sock' } }),
        endpoint('http://chat'),
      ]
      assert.deepEqual(serverNames(upstream([], { endpoints })), ['chat', 'localhost', undefined])
      assert.deepEqual(
        serverNames(upstream([], { endpoints, tls: { ...DEFAULT_TLS, serverName: 'inner' } })),
        ['inner', 'inner', undefined],
      )
    })

    it('reads no files for endpoints without TLS', () => {
      const tls = { ...DEFAULT_TLS, ca: fixture('none.pem') }
      assert.equal(poolOf(upstream(['a'], { tls })).pool.endpoints[0]?.tls, undefined)
    })

    it('throws for files that are missing or hold something else', () => {
      const wrong: [tls: Partial<UpstreamTlsConfig>, message: RegExp][] = [
        [{ ca: fixture('none.pem') }, /ENOENT/],
        [{ ca: fixture('key.pem') }, /key\.pem holds no certificate/],
        [{ cert: fixture('none.pem'), key: fixture('key.pem') }, /ENOENT/],
        [{ cert: fixture('key.pem'), key: fixture('key.pem') }, /key\.pem holds no certificate/],
        [{ cert: fixture('cert.pem'), key: fixture('none.pem') }, /ENOENT/],
        [{ cert: fixture('cert.pem'), key: fixture('cert.pem') }, /cert\.pem, .* cannot be used: /],
        [
          { cert: fixture('ca.pem'), key: fixture('key.pem') },
          /ca\.pem, .*key\.pem cannot be used: /,
        ],
      ]
      for (const [tls, message] of wrong) {
        assert.throws(() => poolOf(secureUpstream(tls)), message)
      }
    })
  })

  describe('after a reload', () => {
    it('keeps the count and the health of endpoints with the same URL', () => {
      const before = poolOf(upstream(['a', 'b', 'c']))
      const held = acquired(before.pool)
      const [, b, c] = before.pool.endpoints
      assert.ok(b && c)
      acquired(before.pool, new Set([c])).failed('E_UPSTREAM_RESET')
      assert.equal(b.up, false)
      const after = poolOf(upstream(['d', 'b', 'a']), before.pool)
      assert.deepEqual(usesOf(after.pool), [0, 1, 1])
      assert.deepEqual(
        after.pool.endpoints.map(({ up }) => up),
        [true, false, true],
      )
      held[Symbol.dispose]()
      assert.deepEqual(usesOf(after.pool), [0, 1, 0])
    })

    it('keeps endpoints draining, each of its own', () => {
      const before = poolOf(upstream(['a', 'b', 'b'])).pool
      const [, , secondB] = before.endpoints
      assert.ok(secondB)
      before.drain(secondB.id)
      const after = poolOf(upstream(['b', 'b', 'a']), before).pool
      assert.deepEqual(
        after.endpoints.map(({ draining }) => draining),
        [false, true, false],
      )
      after.enable(secondB.id)
      assert.equal(secondB.draining, false)
    })

    it('keeps the TLS sessions of endpoints whose TLS says the same', async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'pool-'))
      t.after(() => rm(folder, { recursive: true }))
      const copy = join(folder, 'ca.pem')
      await copyFile(fixture('ca.pem'), copy)
      const before = poolOf(secureUpstream({ ca: fixture('ca.pem') })).pool
      const elsewhere = poolOf(secureUpstream({ ca: copy }), before).pool
      assert.equal(tlsIn(elsewhere), tlsIn(before))
      await copyFile(fixture('other-ca.pem'), copy)
      const after = poolOf(secureUpstream({ ca: copy }), elsewhere).pool
      assert.notEqual(tlsIn(after).sessions, tlsIn(before).sessions)
      assert.notEqual(tlsIn(after).context, tlsIn(before).context)
    })

    it('has none of them under other TLS settings, and counts on', () => {
      const pair = { cert: fixture('cert.pem'), key: fixture('key.pem') }
      const changes: Partial<UpstreamTlsConfig>[] = [
        { ca: fixture('ca.pem') },
        { serverName: 'inner' },
        pair,
        { minVersion: 'TLSv1.3' },
        { insecure: true },
      ]
      for (const change of changes) {
        const before = poolOf(secureUpstream({})).pool
        tlsIn(before).handshakes.full += 1
        tlsIn(before).sessions.keep(Buffer.of(1), false)
        const changed = tlsIn(poolOf(secureUpstream(change), before).pool)
        assert.equal(changed.sessions.take(), undefined)
        assert.deepEqual(changed.handshakes, { full: 1, resumed: 0 })
        assert.ok(tlsIn(before).sessions.take())
      }
    })

    it('shares the connections of HTTP/2 further where nothing of it changes', () => {
      const both = [endpoint('a', { http2: true }), endpoint('b')]
      const before = poolOf(upstream([], { endpoints: both })).pool
      const [a, b] = before.endpoints
      assert.deepEqual(a?.http2, { streamsMax: 100, connections: 0 })
      assert.equal(b?.http2, undefined)
      const same = poolOf(upstream([], { endpoints: both }), before).pool
      assert.equal(same.endpoints[0]?.http2, a.http2)
      const others = poolOf(upstream([], { endpoints: both, http2Streams: 7 }), same).pool
      assert.deepEqual(others.endpoints[0]?.http2, { streamsMax: 7, connections: 0 })
      const none = poolOf(upstream(['a', 'b']), same).pool
      assert.equal(none.endpoints[0]?.http2, undefined)
    })

    it('shares no TLS sessions between endpoints', () => {
      const endpoints = ['https://a', 'https://b'].map((url) => endpoint(url, { tls: true }))
      const { pool } = poolOf(upstream([], { endpoints }))
      assert.notEqual(pool.endpoints[0]?.tls?.sessions, pool.endpoints[1]?.tls?.sessions)
    })

    it('leaves the weights and the addresses of the old pool alone', () => {
      const before = poolOf(upstream(['a'])).pool
      const config = upstream([], { endpoints: [endpoint('a', { weight: 7 })] })
      const after = poolOf(config, before).pool
      assert.equal(before.endpoints[0]?.weight, 1)
      assert.equal(after.endpoints[0]?.weight, 7)
    })

    it('takes a URL that is listed twice for two endpoints', () => {
      const before = poolOf(upstream(['a'])).pool
      acquired(before)
      assert.deepEqual(usesOf(poolOf(upstream(['a', 'a']), before).pool), [1, 0])
    })
  })
})
