import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { drain, drainEndpoint, type DrainOptions } from '../../src/tunnels/drain.ts'
import type { PaceProgress } from '../../src/tunnels/pace.ts'
import { FakeTunnels, type FakeTunnel } from './fake-tunnels.ts'

const ENDPOINT = { id: '1', url: 'http://chat-1' }

function clock(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 })
  t.mock.method(performance, 'now', () => Date.now())
  return async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1) {
      t.mock.timers.tick(1)
      // Tunnels that were told to end have ended before the next tick.
      await Promise.resolve()
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A drain of tunnels that close when they are told to, under a clock that is moved by hand. */
function draining(t: TestContext, count: number, options: Partial<DrainOptions> = {}) {
  const advance = clock(t)
  const tunnels = new FakeTunnels()
  const open = (): FakeTunnel =>
    tunnels.open('chat', ENDPOINT, (tunnel) => queueMicrotask(() => tunnels.gone(tunnel)))
  for (let index = 0; index < count; index += 1) open()
  const progress: PaceProgress[] = []
  const state = { isOver: false }
  const done = drain(tunnels.registry, {
    drainMs: 10_000,
    spread: true,
    settled: Promise.resolve(),
    onProgress: (told) => progress.push(told),
    ...options,
  }).then(() => {
    state.isOver = true
  })
  return { advance, tunnels, open, progress, state, done }
}

const timesOf = (tunnels: readonly FakeTunnel[]): number[] =>
  tunnels.map(({ told }) => told?.atMs ?? NaN).toSorted((a, b) => a - b)

describe('drain', () => {
  it('tells tunnels to end evenly over its time, and is over with the last of them', async (t) => {
    const { advance, tunnels, progress, state } = draining(t, 5)
    await advance(7999)
    assert.equal(state.isOver, false)
    await advance(1)
    assert.equal(state.isOver, true)
    assert.deepEqual(timesOf(tunnels.all), [0, 2000, 4000, 6000, 8000])
    assert.deepEqual(
      new Set(tunnels.told.map(({ told }) => `${told?.by} ${told?.reason}`)),
      new Set(['gateway drain']),
    )
    assert.deepEqual(progress, [
      { left: 5, of: 5 },
      { left: 2, of: 5 },
    ])
  })

  it('takes what handshakes in progress become as well', async (t) => {
    const settled = Promise.withResolvers<void>()
    const { advance, tunnels, open, state } = draining(t, 1, { settled: settled.promise })
    await advance(4000)
    assert.equal(tunnels.registry.size, 0)
    assert.equal(state.isOver, false)
    open()
    open()
    settled.resolve()
    await advance(1)
    assert.equal(tunnels.registry.size, 1)
    await advance(3100)
    assert.equal(state.isOver, true)
    const [, second = 0, third = 0] = timesOf(tunnels.all)
    assert.ok(second <= 4001 && third >= 6900 && third <= 7020, String([second, third]))
  })

  it('takes them in while the others are being ended', async (t) => {
    const { advance, tunnels, open, done } = draining(t, 100)
    await advance(1000)
    for (let index = 0; index < 8; index += 1) open()
    await advance(9000)
    await done
    assert.equal(tunnels.told.length, 108)
    const late = timesOf(tunnels.all).filter((time) => time > 9900).length
    assert.ok(late <= 2, String(late))
  })

  it('tells all that are left to end when its time is over', async (t) => {
    const settled = Promise.withResolvers<void>()
    const { advance, tunnels, open, state } = draining(t, 0, { settled: settled.promise })
    await advance(9999)
    for (let index = 0; index < 3; index += 1) open()
    assert.equal(tunnels.told.length, 0)
    await advance(1)
    assert.equal(tunnels.told.length, 3)
    assert.equal(state.isOver, true, 'a handshake that does not end is not waited for')
  })

  it('waits for tunnels that take their time to end', async (t) => {
    const advance = clock(t)
    const tunnels = new FakeTunnels()
    const tunnel = tunnels.open('chat', ENDPOINT)
    let isOver = false
    const options = { drainMs: 1000, spread: true, settled: Promise.resolve(), onProgress() {} }
    void drain(tunnels.registry, options).then(() => {
      isOver = true
    })
    await advance(3000)
    assert.equal(isOver, false)
    tunnels.gone(tunnel)
    await advance(1)
    assert.equal(isOver, true)
  })

  it('lets them end by themselves for its time when they are not to be spread', async (t) => {
    const { advance, tunnels, progress, state } = draining(t, 4, { spread: false })
    const [first] = tunnels.all
    assert.ok(first)
    await advance(9999)
    tunnels.gone(first)
    assert.deepEqual([tunnels.told.length, progress.length], [0, 0])
    await advance(1)
    assert.deepEqual(timesOf(tunnels.told), [10_000, 10_000, 10_000])
    assert.deepEqual(progress, [{ left: 3, of: 3 }])
    assert.equal(state.isOver, true)
  })

  for (const spread of [true, false]) {
    it(`tells all at once over no time, ${spread ? '' : 'not '}spread`, async (t) => {
      const { advance, tunnels, progress, state } = draining(t, 9, { drainMs: 0, spread })
      await advance(1)
      assert.equal(tunnels.told.length, 9)
      assert.deepEqual(progress, [{ left: 9, of: 9 }])
      assert.equal(state.isOver, true)
    })

    it(`is over sooner when they all end by themselves, ${spread ? '' : 'not '}spread`, async (t) => {
      const { advance, tunnels, state } = draining(t, 3, { spread })
      await advance(10)
      for (const tunnel of tunnels.all.filter(({ told }) => told === undefined)) {
        tunnels.gone(tunnel)
      }
      await advance(1)
      assert.equal(state.isOver, true)
    })
  }

  it('tells nobody where there is no end of its time', async (t) => {
    const { advance, tunnels, state } = draining(t, 2, { drainMs: Infinity })
    await advance(20_000)
    assert.equal(tunnels.told.length, 0)
    for (const tunnel of tunnels.all) tunnels.gone(tunnel)
    await advance(1)
    assert.equal(state.isOver, true)
  })

  it('leaves no timer behind', async (t) => {
    const { advance, tunnels, done } = draining(t, 3)
    for (const tunnel of tunnels.all) {
      if (tunnel.told === undefined) tunnels.gone(tunnel)
    }
    await done
    const [late] = tunnels.openMany(1, 'chat', ENDPOINT)
    await advance(30_000)
    assert.equal(late?.told, undefined)
  })

  it('fails as what it waits for does', async (t) => {
    clock(t)
    const settled = Promise.reject(new Error('no listener'))
    const tunnels = new FakeTunnels()
    const options = { drainMs: 10, spread: true, settled, onProgress() {} }
    await assert.rejects(drain(tunnels.registry, options), /no listener/)
  })
})

describe('drainEndpoint', () => {
  const other = { id: '2', url: 'http://chat-2' }
  const place = { upstream: 'chat', endpoint: ENDPOINT.url }

  function scene(t: TestContext) {
    const advance = clock(t)
    const tunnels = new FakeTunnels()
    tunnels.openMany(4, 'chat', ENDPOINT)
    tunnels.openMany(3, 'chat', other)
    tunnels.openMany(2, 'push', ENDPOINT)
    return { advance, tunnels }
  }

  it('ends the tunnels of one endpoint of one upstream evenly, for an operator', async (t) => {
    const { advance, tunnels } = scene(t)
    const { upstream, endpoint, of, done } = drainEndpoint(tunnels.registry, {
      ...place,
      overMs: 4000,
    })
    assert.deepEqual([upstream, endpoint, of], ['chat', ENDPOINT.url, 4])
    await advance(3000)
    await done
    assert.deepEqual(timesOf(tunnels.told), [0, 1000, 2000, 3000])
    for (const tunnel of tunnels.told) {
      assert.deepEqual([tunnel.told?.by, tunnel.told?.reason], ['admin', 'drain'])
      assert.deepEqual([tunnel.parts.pool.name, tunnel.endpoint.url], ['chat', ENDPOINT.url])
    }
  })

  it('ends all at once over no time, and counts none that is ending already', async (t) => {
    const { tunnels } = scene(t)
    const [first] = tunnels.all
    assert.ok(first)
    first.isEnding = true
    const progress: PaceProgress[] = []
    const onProgress = (told: PaceProgress): void => void progress.push(told)
    const { of, done } = drainEndpoint(tunnels.registry, { ...place, overMs: 0, onProgress })
    await done
    assert.deepEqual([of, tunnels.told.length], [3, 3])
    assert.deepEqual(progress, [{ left: 3, of: 3 }])
  })

  it('leaves the others alone when it is stopped', async (t) => {
    const { advance, tunnels } = scene(t)
    const running = drainEndpoint(tunnels.registry, { ...place, overMs: 4000 })
    await advance(1500)
    running.stop()
    await running.done
    await advance(4000)
    assert.equal(tunnels.told.length, 2)
  })
})
