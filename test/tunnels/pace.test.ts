import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { pace, type PaceOptions, type PaceProgress } from '../../src/tunnels/pace.ts'

interface Item {
  readonly index: number
  isEnding: boolean
  endedAtMs: number | undefined
}

/** Numbers in [0, 1), the same in every run (mulberry32). */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A pace under a clock that is moved by hand, with what it does. */
function paced(t: TestContext, count: number, options: Partial<PaceOptions<Item>>) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 })
  const items: Item[] = []
  const add = (): Item => {
    const item: Item = { index: items.length, isEnding: false, endedAtMs: undefined }
    items.push(item)
    return item
  }
  for (let index = 0; index < count; index += 1) add()
  const order: Item[] = []
  const progress: (PaceProgress & { readonly atMs: number })[] = []
  const state = { isOver: false }
  const done = pace(items, {
    overMs: 10_000,
    now: Date.now,
    random: dice(1),
    end(item) {
      assert.equal(item.isEnding, false, 'it is told once, and not when it has ended')
      item.isEnding = true
      item.endedAtMs = Date.now()
      order.push(item)
    },
    onProgress: (told) => progress.push({ ...told, atMs: Date.now() }),
    ...options,
  }).then(() => {
    state.isOver = true
  })
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1) t.mock.timers.tick(1)
    await Promise.resolve()
  }
  return { items, add, order, progress, done, state, advance }
}

const timesOf = (order: readonly Item[]): number[] => order.map(({ endedAtMs }) => endedAtMs ?? NaN)

/** The most that were ended in any one second, the first millisecond of which counts and the one behind it does not. */
function mostInASecond(times: readonly number[]): number {
  let most = 0
  let first = 0
  for (const [last, time] of times.entries()) {
    while (time - (times[first] as number) >= 1000) first += 1
    most = Math.max(most, last - first + 1)
  }
  return most
}

describe('pace', () => {
  it('ends one after the other at equal intervals, the first one at once', async (t) => {
    const { order, advance, done } = paced(t, 5, { overMs: 10_000 })
    await advance(10_000)
    await done
    assert.deepEqual(timesOf(order), [0, 2000, 4000, 6000, 8000])
  })

  it('is over when the last one was told', async (t) => {
    const { state, advance } = paced(t, 4, { overMs: 4000 })
    await advance(2999)
    assert.equal(state.isOver, false)
    await advance(1)
    assert.equal(state.isOver, true)
  })

  it('ends all at once over no time', async (t) => {
    const { order, progress, done } = paced(t, 1000, { overMs: 0 })
    await done
    assert.equal(order.length, 1000)
    assert.deepEqual(progress, [{ left: 1000, of: 1000, atMs: 0 }])
  })

  it('is over at once, and silent, without a tunnel', async (t) => {
    const { progress, done } = paced(t, 0, {})
    await done
    assert.deepEqual(progress, [])
  })

  for (const [count, overMs] of [
    [300, 30_000],
    [301, 2000],
    [7, 500],
    [20_000, 6000],
  ] as const) {
    it(`spreads ${count} over ${overMs} ms, and never more in a second than is due`, async (t) => {
      const { order, advance, done } = paced(t, count, { overMs })
      await advance(overMs)
      await done
      const times = timesOf(order)
      assert.equal(times.length, count)
      assert.ok(mostInASecond(times) <= Math.ceil((count / overMs) * 1000) + 1)
      // Of each tenth of the time: its tenth, give or take what is due in two ticks.
      const slack = 1 + (20 * count) / overMs
      for (let tenth = 1; tenth <= 10; tenth += 1) {
        const sofar = times.filter((time) => time < (tenth * overMs) / 10).length
        assert.ok(Math.abs(sofar - (tenth * count) / 10) <= slack, `${sofar} after ${tenth} tenths`)
      }
    })
  }

  it('draws them so that each is as likely as any other at each place', async (t) => {
    const places = Array.from({ length: 10 }, () => Array.from({ length: 10 }, () => 0))
    const random = dice(7)
    const { done, items } = paced(t, 0, {})
    await done
    for (let run = 0; run < 5000; run += 1) {
      items.length = 0
      for (let index = 0; index < 10; index += 1) {
        items.push({ index, isEnding: false, endedAtMs: undefined })
      }
      let place = 0
      await pace(items, {
        overMs: 0,
        random,
        end(item) {
          item.isEnding = true
          const counts = places[place] as number[]
          counts[item.index] = (counts[item.index] as number) + 1
          place += 1
        },
      })
    }
    // 500 each are expected, with a deviation of 21.
    const counts = places.flat()
    assert.ok(Math.min(...counts) > 400 && Math.max(...counts) < 600, String(counts))
    const chiSquare = counts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0)
    // 81 degrees of freedom: 0.1 % of fair dice come above it.
    assert.ok(chiSquare < 126, String(chiSquare))
  })

  it('does not make up for those that end by themselves', async (t) => {
    const { items, order, advance, done } = paced(t, 100, { overMs: 100_000 })
    await advance(10_000)
    const before = order.length
    assert.ok(before === 10 || before === 11)
    for (const item of items.filter(({ isEnding }) => !isEnding).slice(0, 60)) item.isEnding = true
    await advance(90_000)
    await done
    const times = timesOf(order)
    assert.equal(times.length, 40)
    assert.ok(mostInASecond(times) <= 2)
    // 29 or 30 in 90 s, evenly.
    const half = times.filter((time) => time >= 10_000 && time < 55_000).length
    assert.ok(Math.abs(half - 15) <= 2, String(half))
  })

  it('takes in those that come while it lasts', async (t) => {
    const { items, add, order, advance, done, progress } = paced(t, 10, { overMs: 10_000 })
    await advance(5500)
    for (let index = 0; index < 6; index += 1) add()
    await advance(4500)
    await done
    assert.equal(order.length, items.length)
    assert.ok(mostInASecond(timesOf(order)) <= 3)
    assert.deepEqual(
      progress.map(({ left, of }) => [left, of]),
      [
        [10, 10],
        [5, 10],
      ],
    )
  })

  it('tells every five seconds how far it is, with those gone that ended by themselves', async (t) => {
    const { items, progress, advance, done } = paced(t, 120, { overMs: 12_000 })
    await advance(2500)
    for (const item of items.filter(({ isEnding }) => !isEnding).slice(0, 20)) item.isEnding = true
    await advance(9500)
    await done
    assert.deepEqual(
      progress.map(({ atMs, of }) => [Math.round(atMs / 100), of]),
      [
        [0, 120],
        [50, 120],
        [100, 120],
      ],
    )
    const [, half = 0, late = 0] = progress.map(({ left }) => left)
    assert.ok(half > 50 && half < 62, String(half))
    assert.ok(late > 12 && late < 20, String(late))
  })

  it('loses the time in which the process stood still, and does not make up for it in a burst', async (t) => {
    const { order, advance, done } = paced(t, 1000, { overMs: 10_000 })
    await advance(2000)
    const before = order.length
    // Nothing runs in these three seconds: the clock jumps.
    t.mock.timers.setTime(5000)
    await advance(1)
    assert.ok(order.length - before <= 12, String(order.length - before))
    await advance(20_000)
    await done
    assert.equal(order.length, 1000)
    assert.ok(mostInASecond(timesOf(order)) <= 101)
  })

  it('leaves the rest alone when it is aborted, and is over', async (t) => {
    const abort = new AbortController()
    const { order, advance, done } = paced(t, 100, { overMs: 10_000, signal: abort.signal })
    await advance(1000)
    const before = order.length
    abort.abort()
    await done
    await advance(9000)
    assert.equal(order.length, before)
    assert.ok(before >= 10 && before <= 11)
  })

  it('ends nothing when it was aborted before', async (t) => {
    const { order, done } = paced(t, 3, { overMs: 0, signal: AbortSignal.abort() })
    await done
    assert.equal(order.length, 0)
  })

  it('needs one timer at a time', async (t) => {
    let timers = 0
    const { done, advance, state } = paced(t, 0, {})
    await done
    const { setTimeout: original } = globalThis
    t.mock.method(globalThis, 'setTimeout', ((callback: () => void, ms: number) => {
      timers += 1
      return original(() => {
        timers -= 1
        callback()
      }, ms)
    }) as typeof setTimeout)
    assert.equal(state.isOver, true)
    const items = Array.from({ length: 50 }, () => ({ isEnding: false }))
    const end = (item: { isEnding: boolean }): void => {
      item.isEnding = true
      assert.ok(timers <= 1)
    }
    const over = pace(items, { overMs: 1000, end, now: Date.now })
    assert.equal(timers, 1)
    await advance(1000)
    await over
    assert.equal(timers, 0)
  })

  it('works with the clock and the dice of its own', async () => {
    const items = Array.from({ length: 5 }, () => ({ isEnding: false }))
    await pace(items, {
      overMs: 20,
      end: (item) => {
        item.isEnding = true
      },
    })
    assert.ok(items.every(({ isEnding }) => isEnding))
  })
})
