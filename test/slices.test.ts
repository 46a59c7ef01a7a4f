import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { atOnce, inSlices, SLICE_MS, type Work } from '../src/slices.ts'

function* steps(count: number, step: (index: number) => void): Work<string> {
  for (let index = 0; index < count; index += 1) {
    step(index)
    yield
  }
  return 'done'
}

describe('inSlices', () => {
  it('lets the event loop turn when a slice is over', async () => {
    let nowMs = 0
    let turns = 0
    const stepMs = SLICE_MS / 4
    const work = steps(20, () => (nowMs += stepMs))
    const turn = async (): Promise<void> => void (turns += 1)
    assert.equal(await inSlices(work, { now: () => nowMs, turn }), 'done')
    assert.equal(turns, 5)
  })

  it('does short work at once', async () => {
    const seen: number[] = []
    const working = inSlices(
      steps(3, (index) => seen.push(index)),
      { now: () => 0 },
    )
    assert.deepEqual(seen, [0, 1, 2])
    assert.equal(await working, 'done')
  })

  it('lets other things happen in between', async () => {
    let others = 0
    const timer = setInterval(() => (others += 1), 1)
    await inSlices(
      steps(100, () => {
        for (const end = performance.now() + SLICE_MS / 2; performance.now() < end;);
      }),
    )
    clearInterval(timer)
    assert.ok(others > 5, String(others))
  })

  it('rejects with what the work throws', () =>
    assert.rejects(
      inSlices(
        steps(2, () => {
          throw new Error('broken')
        }),
      ),
      /broken/,
    ))
})

describe('atOnce', () => {
  it('does all of it now', () => {
    let last = -1
    assert.equal(
      atOnce(
        steps(9, (index) => {
          last = index
        }),
      ),
      'done',
    )
    assert.equal(last, 8)
  })
})
