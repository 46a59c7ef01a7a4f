import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { Pool } from '../../src/balance/pool.ts'
import type { BalanceConfig, RebalanceConfig, UpstreamConfig } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import type { RequestFacts } from '../../src/request/facts.ts'
import { NoRebalance, Rebalancer } from '../../src/tunnels/rebalance.ts'
import { DEFAULT_TLS } from '../support/endpoint-tls.ts'
import { FakeTunnels } from './fake-tunnels.ts'

interface UpstreamOptions {
  readonly name?: string
  readonly urls?: readonly string[]
  readonly weights?: readonly number[]
  readonly balance?: BalanceConfig
  readonly rebalance?: RebalanceConfig | undefined
}

function upstreamConfig({
  name = 'chat',
  urls = ['a', 'b'],
  weights = [],
  balance = { policy: 'least-tunnels' },
  rebalance = { rate: 5, spread: 0.1 },
}: UpstreamOptions = {}): UpstreamConfig {
  return {
    name,
    identity: name,
    endpoints: urls.map((url, index) => ({
      url,
      address: { kind: 'tcp', host: url, port: 80 },
      tls: false,
      weight: weights[index] ?? 1,
      http2: false,
    })),
    balance,
    health: { setAsideMs: 3_600_000, setAsideMaxMs: 3_600_000, whenAllDown: 'try' },
    tls: DEFAULT_TLS,
    rebalance,
    proxyProtocol: 'off',
    localAddress: undefined,
    http2Streams: 100,
  }
}

const still = (options: UpstreamOptions = {}): UpstreamConfig => ({
  ...upstreamConfig(options),
  rebalance: undefined,
})

const someone = { clientIp: '192.0.2.1' } as RequestFacts

/** When and where clients of closed tunnels come back to. */
interface Comeback {
  readonly afterMs: number
  to: 'pool' | 'same'
}

/** A rebalancer under a clock that is moved by hand, and clients that come back. */
function scene(t: TestContext, configs: readonly UpstreamConfig[], comeback?: Comeback) {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: 1_000_000 })
  const tunnels = new FakeTunnels()
  const stuck: string[] = []
  const rebalancer = new Rebalancer(tunnels.registry, {
    onStuck: (upstream) => stuck.push(upstream),
  })
  let pools = new Map<string, Pool>()
  const configure = (next: readonly UpstreamConfig[]): void => {
    const built = next.map((config) => {
      const options = {
        builtinAddress: () => ({ kind: 'unix', path: '/' }) as const,
        onChange: () => {},
        now: Date.now,
      }
      return [config.name, new Pool(config, options, pools.get(config.name))] as const
    })
    pools = new Map(built)
    rebalancer.reconfigure(new Map(next.map((config) => [config.name, config])), pools)
  }
  configure(configs)
  const pool = (name = 'chat'): Pool => pools.get(name) as Pool
  const endpoint = (url: string, name?: string) => {
    const found = pool(name).endpoints.find((one) => one.url === url)
    assert.ok(found)
    return found
  }
  const leases = new Map<object, Disposable>()
  const open = (url: string, count: number, name = 'chat'): void => {
    const others = new Set(pool(name).endpoints.filter((one) => one.url !== url))
    for (let index = 0; index < count; index += 1) {
      const lease = pool(name).acquire(someone, others)
      assert.ok(!(lease instanceof Refusal))
      const tunnel = tunnels.open(name, lease.endpoint, () => {
        leases.get(tunnel)?.[Symbol.dispose]()
        tunnels.gone(tunnel)
        if (comeback === undefined) return
        setTimeout(() => comeBack(name, lease.endpoint.url), comeback.afterMs)
      })
      leases.set(tunnel, lease)
    }
  }
  const comeBack = (name: string, url: string): void => {
    if (!pools.has(name)) return
    if (comeback?.to === 'same') return open(url, 1, name)
    const lease = pool(name).acquire(someone, new Set())
    assert.ok(!(lease instanceof Refusal))
    const { url: to } = lease.endpoint
    lease[Symbol.dispose]()
    open(to, 1, name)
  }
  /** Tunnels that are open, by the endpoint. */
  const openOf = (...urls: readonly string[]): number[] =>
    urls.map((url) => [...tunnels.registry].filter((one) => one.endpoint.url === url).length)
  /** How many were told to end in each second. */
  const advance = (seconds: number): number[] =>
    Array.from({ length: seconds }, () => {
      const before = tunnels.told.length
      t.mock.timers.tick(1000)
      return tunnels.told.length - before
    })
  return { tunnels, rebalancer, stuck, configure, pool, endpoint, open, openOf, advance }
}

const soon: Comeback = { afterMs: 300, to: 'pool' }

describe('Rebalancer', () => {
  it('closes a few a second of the endpoints that have more than their share, until all have it', (t) => {
    const { tunnels, open, openOf, advance } = scene(t, [upstreamConfig()], soon)
    open('a', 60)
    const closes = advance(60)
    assert.ok(Math.max(...closes) <= 5)
    assert.deepEqual(closes.slice(0, 5), [5, 5, 5, 5, 5])
    const [a = 0, b = 0] = openOf('a', 'b')
    assert.equal(a + b, 60)
    assert.ok(a >= 30 && a <= 33, String(a))
    assert.equal(tunnels.told.length, 60 - a)
    for (const { told, endpoint } of tunnels.told) {
      assert.deepEqual([told?.by, told?.reason], ['gateway', 'rebalance'])
      assert.equal(endpoint.url, 'a')
    }
  })

  it('goes by weight', (t) => {
    const config = upstreamConfig({ weights: [1, 3], rebalance: { rate: 10, spread: 0.05 } })
    const { open, openOf, advance } = scene(t, [config], soon)
    open('a', 40)
    open('b', 40)
    advance(60)
    const [a = 0] = openOf('a')
    assert.ok(a === 20 || a === 21, String(a))
  })

  it('leaves endpoints alone that are within the spread', (t) => {
    const { open, advance, tunnels } = scene(t, [upstreamConfig()], soon)
    open('a', 55)
    open('b', 45)
    advance(30)
    assert.equal(tunnels.told.length, 0)
  })

  it('draws tunnels at random', (t) => {
    const { open, advance, tunnels } = scene(t, [upstreamConfig()])
    open('a', 1000)
    advance(4)
    const indexes = tunnels.all.flatMap(({ told }, index) => (told === undefined ? [] : [index]))
    assert.equal(indexes.length, 20)
    // The chance of 20 in the same half is one in half a million.
    assert.ok(Math.min(...indexes) < 500 && Math.max(...indexes) >= 500, String(indexes))
  })

  it('takes endpoints that are down or draining for no place to go to, nor to leave', (t) => {
    const { open, advance, pool, endpoint, tunnels } = scene(
      t,
      [upstreamConfig({ urls: ['a', 'b', 'c'] })],
      soon,
    )
    open('a', 30)
    open('c', 60)
    pool().drain(endpoint('b').id)
    const lease = pool().acquire(someone, new Set([endpoint('a'), endpoint('b')]))
    assert.ok(!(lease instanceof Refusal))
    lease.failed('E_UPSTREAM_RESET')
    assert.deepEqual([endpoint('c').up, endpoint('b').draining], [false, true])
    advance(20)
    assert.equal(tunnels.told.length, 0)
    pool().enable(endpoint('b').id)
    advance(60)
    assert.deepEqual(
      tunnels.told.map((one) => one.endpoint.url).filter((url) => url !== 'a'),
      [],
    )
    assert.ok(tunnels.told.length >= 13 && tunnels.told.length <= 15)
  })

  it('takes tunnels that are ending for gone', (t) => {
    const { open, advance, tunnels } = scene(t, [upstreamConfig()], soon)
    open('a', 50)
    open('b', 30)
    for (const tunnel of tunnels.all.slice(0, 20)) tunnel.isEnding = true
    advance(10)
    assert.equal(tunnels.told.length, 0)
  })

  it('waits for clients that take their time, and closes no more for it', (t) => {
    const slow: Comeback = { afterMs: 9000, to: 'pool' }
    const { open, openOf, advance, tunnels, stuck } = scene(t, [upstreamConfig()], slow)
    open('a', 100)
    const closes = advance(120)
    // As many as may be away, then none until the first are back.
    assert.deepEqual(closes.slice(0, 9), [5, 5, 5, 5, 5, 0, 0, 0, 0])
    const [a = 0, b = 0] = openOf('a', 'b')
    assert.equal(a + b, 100)
    assert.ok(a >= 50 && a <= 55, String(a))
    assert.equal(tunnels.told.length, 100 - a)
    assert.deepEqual(stuck, [])
  })

  it('pauses, and says so once, when clients come back to where they were', (t) => {
    const same: Comeback = { afterMs: 300, to: 'same' }
    const { open, advance, stuck, tunnels } = scene(t, [upstreamConfig()], same)
    open('a', 100)
    advance(15)
    assert.deepEqual(stuck, ['chat'])
    const closed = tunnels.told.length
    assert.ok(closed >= 50 && closed <= 60, String(closed))
    advance(55)
    assert.equal(tunnels.told.length, closed)
    advance(60)
    assert.ok(tunnels.told.length > closed, 'it tries again after a minute')
    assert.deepEqual(stuck, ['chat'])
  })

  it('pauses when clients do not come back at all', (t) => {
    const { open, advance, stuck, tunnels } = scene(t, [upstreamConfig()])
    open('a', 1000)
    advance(60)
    assert.deepEqual(stuck, ['chat'])
    assert.ok(tunnels.told.length <= 60, String(tunnels.told.length))
  })

  it('says so again when it has become of use in between', (t) => {
    const comeback: Comeback = { afterMs: 300, to: 'same' }
    const { open, openOf, advance, stuck } = scene(t, [upstreamConfig()], comeback)
    open('a', 500)
    advance(15)
    assert.deepEqual(stuck, ['chat'])
    comeback.to = 'pool'
    advance(75)
    const [, b = 0] = openOf('a', 'b')
    assert.ok(b > 50, String(b))
    comeback.to = 'same'
    advance(15)
    assert.deepEqual(stuck, ['chat', 'chat'])
  })

  it('says so again when all had their share in between', (t) => {
    const { open, advance, stuck, tunnels } = scene(t, [upstreamConfig()], {
      afterMs: 300,
      to: 'same',
    })
    open('a', 100)
    advance(60)
    open('b', tunnels.registry.size)
    advance(60)
    open('a', 100)
    advance(60)
    assert.deepEqual(stuck, ['chat', 'chat'])
  })

  it('has one timer for all upstreams, and none when there is nothing to do', (t) => {
    let timers = 0
    const { setInterval: set, clearInterval: clear } = globalThis
    t.mock.method(globalThis, 'setInterval', () => {
      timers += 1
      return timers
    })
    t.mock.method(globalThis, 'clearInterval', (timer: unknown) => {
      if (timer !== undefined) timers -= 1
    })
    assert.ok(set !== globalThis.setInterval && clear !== globalThis.clearInterval)
    const rebalancer = new Rebalancer([], { onStuck: () => {} })
    const configure = (...configs: readonly UpstreamConfig[]): void =>
      rebalancer.reconfigure(new Map(configs.map((config) => [config.name, config])), new Map())
    configure(still())
    assert.equal(timers, 0)
    configure(upstreamConfig(), upstreamConfig({ name: 'push' }))
    assert.equal(timers, 1)
    configure(still(), still({ name: 'push' }))
    assert.equal(timers, 0)
    rebalancer.start('chat', { rate: 1, spread: 0.1 })
    assert.equal(timers, 1)
    rebalancer.start('push', { rate: 1, spread: 0.1 })
    assert.equal(timers, 1)
    rebalancer.close()
    assert.equal(timers, 0)
  })

  it('does nothing any more when it is closed', (t) => {
    const { rebalancer, open, advance, configure, tunnels } = scene(t, [upstreamConfig()])
    open('a', 50)
    const own = rebalancer.get('chat')
    rebalancer.close()
    assert.equal(own?.state, 'stopped')
    configure([upstreamConfig({ urls: ['a', 'b', 'c'] })])
    assert.throws(() => rebalancer.start('chat', { rate: 1, spread: 0.1 }), NoRebalance)
    advance(5)
    assert.equal(tunnels.told.length, 0)
  })

  it('sees to several upstreams, each at its own rate', (t) => {
    const configs = [
      upstreamConfig(),
      upstreamConfig({ name: 'push', rebalance: { rate: 2, spread: 0.1 } }),
      still({ name: 'quiet' }),
    ]
    const { open, advance, tunnels } = scene(t, configs, soon)
    for (const { name } of configs) open('a', 50, name)
    advance(3)
    const closedOf = (name: string): number =>
      tunnels.told.filter(({ parts }) => parts.pool.name === name).length
    assert.deepEqual(
      configs.map(({ name }) => closedOf(name)),
      [15, 6, 0],
    )
  })

  describe('jobs of an operator', () => {
    it('close tunnels as admin, and are done when every endpoint has its share', (t) => {
      const { rebalancer, open, openOf, advance, tunnels } = scene(t, [still()], soon)
      open('a', 40)
      assert.equal(rebalancer.get('chat'), undefined)
      const job = rebalancer.start('chat', { rate: 8, spread: 0.1 })
      assert.deepEqual([job.upstream, job.state, job.closed], ['chat', 'running', 0])
      assert.equal(rebalancer.get('chat'), job)
      advance(1)
      assert.equal(job.closed, 8)
      advance(9)
      assert.equal(job.state, 'done')
      assert.equal(job.closed, tunnels.told.length)
      assert.deepEqual(
        new Set(tunnels.told.map(({ told }) => `${told?.by} ${told?.reason}`)),
        new Set(['admin rebalance']),
      )
      const [a = 0] = openOf('a')
      assert.ok(a >= 20 && a <= 22)
      assert.equal(rebalancer.get('chat'), job)
    })

    it('are done at once where there is nothing to do', (t) => {
      const { rebalancer, advance } = scene(t, [still()])
      const job = rebalancer.start('chat', { rate: 8, spread: 0.1 })
      advance(1)
      assert.deepEqual([job.state, job.closed], ['done', 0])
    })

    it('stop when they are told to', (t) => {
      const { rebalancer, open, advance, tunnels } = scene(t, [still()], soon)
      open('a', 40)
      const job = rebalancer.start('chat', { rate: 1, spread: 0.1 })
      advance(2)
      job.stop()
      advance(5)
      assert.deepEqual([job.state, job.closed, tunnels.told.length], ['stopped', 2, 2])
      const other = rebalancer.start('chat', { rate: 1, spread: 0.1 })
      assert.equal(rebalancer.stop('chat'), true)
      assert.equal(rebalancer.stop('chat'), false)
      assert.equal(other.state, 'stopped')
      advance(5)
      assert.equal(tunnels.told.length, 2)
    })

    it('stop when they bring nothing', (t) => {
      const same: Comeback = { afterMs: 300, to: 'same' }
      const { rebalancer, open, advance, stuck } = scene(t, [still()], same)
      open('a', 40)
      const job = rebalancer.start('chat', { rate: 1, spread: 0.1 })
      advance(30)
      assert.deepEqual([job.state, stuck], ['stopped', ['chat']])
    })

    it('take the place of the one before, and of the own one of the config for as long as they run', (t) => {
      const config = upstreamConfig({ rebalance: { rate: 1, spread: 0.5 } })
      const { rebalancer, open, advance, tunnels } = scene(t, [config], soon)
      open('a', 60)
      const own = rebalancer.get('chat')
      advance(2)
      assert.equal(own?.closed, 2)
      const first = rebalancer.start('chat', { rate: 3, spread: 0.1 })
      advance(1)
      const second = rebalancer.start('chat', { rate: 4, spread: 0.1 })
      assert.deepEqual([first.state, first.closed], ['stopped', 3])
      assert.equal(rebalancer.get('chat'), second)
      assert.deepEqual(advance(2), [4, 4])
      assert.equal(own.closed, 2)
      advance(30)
      assert.equal(second.state, 'done')
      assert.equal(rebalancer.get('chat'), own)
      assert.equal(own.state, 'running')
      assert.equal(own.closed + first.closed + second.closed, tunnels.told.length)
    })

    it('are refused for an upstream that balances by hash, and for none', (t) => {
      const hash: BalanceConfig = { policy: 'hash', key: { by: 'client' } }
      const { rebalancer, open, advance, tunnels } = scene(t, [
        upstreamConfig({ balance: hash, urls: ['a'] }),
      ])
      open('a', 3)
      const start = (name: string) => () => rebalancer.start(name, { rate: 1, spread: 0.1 })
      assert.throws(
        start('chat'),
        (error) => error instanceof NoRebalance && /hash/.test(error.message),
      )
      assert.throws(
        start('other'),
        (error) => error instanceof NoRebalance && /no upstream other/.test(error.message),
      )
      assert.equal(rebalancer.get('chat'), undefined)
      advance(3)
      assert.equal(tunnels.told.length, 0)
    })
  })

  describe('after a reload', () => {
    it('goes on with the endpoints that there are now', (t) => {
      const { open, openOf, advance, configure, rebalancer } = scene(t, [upstreamConfig()], soon)
      open('a', 30)
      open('b', 30)
      advance(2)
      const own = rebalancer.get('chat')
      configure([upstreamConfig({ urls: ['a', 'b', 'c'] })])
      assert.equal(rebalancer.get('chat'), own)
      advance(60)
      const [a = 0, b = 0, c = 0] = openOf('a', 'b', 'c')
      assert.equal(a + b + c, 60)
      assert.ok(c >= 16 && a <= 22 && b <= 22, String([a, b, c]))
    })

    it('runs a job of an operator on, and stops it where the upstream is gone or has hash now', (t) => {
      const configs = [still(), still({ name: 'push' }), still({ name: 'gone' })]
      const { rebalancer, open, advance, configure } = scene(t, configs, soon)
      const jobs = configs.map(({ name }) => {
        open('a', 40, name)
        return rebalancer.start(name, { rate: 1, spread: 0.1 })
      })
      advance(2)
      const hash: BalanceConfig = { policy: 'hash', key: { by: 'client' } }
      configure([still({ urls: ['a', 'b', 'c'] }), { ...still({ name: 'push' }), balance: hash }])
      advance(2)
      assert.deepEqual(
        jobs.map(({ state, closed }) => [state, closed]),
        [
          ['running', 4],
          ['stopped', 2],
          ['stopped', 2],
        ],
      )
      assert.equal(rebalancer.get('gone'), undefined)
    })

    it('begins anew with another rate, and after it was stopped, and ends where it is not asked for any more', (t) => {
      const { rebalancer, open, advance, configure } = scene(t, [upstreamConfig()], soon)
      open('a', 200)
      assert.deepEqual(advance(1), [5])
      const first = rebalancer.get('chat')
      configure([upstreamConfig({ rebalance: { rate: 2, spread: 0.1 } })])
      assert.equal(first?.state, 'stopped')
      assert.deepEqual(advance(1), [2])
      assert.equal(rebalancer.stop('chat'), true)
      assert.deepEqual(advance(1), [0])
      configure([upstreamConfig({ rebalance: { rate: 2, spread: 0.1 } })])
      assert.deepEqual(advance(1), [2])
      configure([still()])
      assert.deepEqual(advance(1), [0])
      assert.equal(rebalancer.get('chat'), undefined)
    })
  })
})
