import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Sweep, type Swept } from '../../src/relay/sweep.ts'

/** Ends its watch at the look number `looks`. */
function watchFor(sweep: Sweep, shortestMs: number, looks: number): Promise<number[]> {
  const { promise, resolve } = Promise.withResolvers<number[]>()
  const times: number[] = []
  const swept: Swept = {
    shortestMs,
    look(nowMs) {
      if (times.push(nowMs) < looks) return
      sweep.unwatch(swept)
      resolve(times)
    },
  }
  sweep.watch(swept)
  return promise
}

describe('Sweep', () => {
  it('looks at all tunnels in a sixteenth of the shortest time of any', async () => {
    const sweep = new Sweep()
    const startMs = performance.now()
    const [slow, fast] = await Promise.all([watchFor(sweep, Infinity, 4), watchFor(sweep, 320, 5)])
    assert.deepEqual(slow, fast.slice(0, 4))
    for (const [index, atMs] of fast.entries()) {
      const sinceMs = atMs - (fast[index - 1] ?? startMs)
      assert.ok(index === 0 ? sinceMs >= 19 : sinceMs > 5, `${sinceMs} ms`)
    }
    assert.ok((fast[4] as number) - startMs >= 99)
  })

  it('looks each half second where there is nothing to keep', async () => {
    const startMs = performance.now()
    const [atMs = NaN] = await watchFor(new Sweep(), Infinity, 1)
    assert.ok(atMs - startMs >= 499 && atMs - startMs < 900, `${atMs - startMs} ms`)
  })

  it('stands still when nobody is watched', async () => {
    const sweep = new Sweep()
    await watchFor(sweep, 1, 1)
    assert.ok(!process.getActiveResourcesInfo().includes('Timeout'))
    const [atMs] = await watchFor(sweep, 1, 1)
    assert.ok(atMs !== undefined, 'it begins anew')
  })
})
