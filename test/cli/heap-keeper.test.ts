import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'

import { keepHeapSmall, type Heap } from '../../src/cli/heap-keeper.ts'

/** A process that is what the test says. */
class ScriptedHeap implements Heap {
  busy = 0
  collections = 0

  busyShare(): number {
    return this.busy
  }

  collect(): void {
    this.collections += 1
  }
}

interface Kept {
  open: number
  readonly heap: ScriptedHeap
  /** The next look. */
  look(): void
}

function keep(context: TestContext): Kept {
  const kept: Kept = {
    open: 0,
    heap: new ScriptedHeap(),
    look: () => context.mock.timers.tick(2000),
  }
  context.mock.timers.enable({ apis: ['setInterval'] })
  const timer = keepHeapSmall(() => kept.open, kept.heap)
  context.after(() => clearInterval(timer))
  return kept
}

describe('keepHeapSmall', () => {
  it('collects when many more tunnels are held, and not again while they are', (context) => {
    const kept = keep(context)
    kept.open = 999
    kept.look()
    assert.equal(kept.heap.collections, 0)
    kept.open = 1000
    kept.look()
    kept.look()
    assert.equal(kept.heap.collections, 1)
    kept.open = 1999
    kept.look()
    assert.equal(kept.heap.collections, 1)
    kept.open = 2000
    kept.look()
    assert.equal(kept.heap.collections, 2)
  })

  it('wants a quarter more where there are many', (context) => {
    const kept = keep(context)
    kept.open = 8000
    kept.look()
    kept.open = 9999
    kept.look()
    assert.equal(kept.heap.collections, 1)
    kept.open = 10_000
    kept.look()
    assert.equal(kept.heap.collections, 2)
  })

  it('counts from what was left when tunnels have ended', (context) => {
    const kept = keep(context)
    kept.open = 5000
    kept.look()
    kept.open = 0
    kept.look()
    assert.equal(kept.heap.collections, 1)
    kept.open = 5000
    kept.look()
    assert.equal(kept.heap.collections, 2)
  })

  it('waits until the process is quiet', (context) => {
    const kept = keep(context)
    kept.open = 5000
    kept.heap.busy = 0.06
    kept.look()
    assert.equal(kept.heap.collections, 0)
    kept.heap.busy = 0.05
    kept.look()
    assert.equal(kept.heap.collections, 1)
  })

  it('frees what nothing holds any more', async (context) => {
    let rubbish: object[] | undefined = Array.from({ length: 400_000 }, (_, index) => ({ index }))
    const remains = new WeakRef(rubbish)
    let open = 0
    context.mock.timers.enable({ apis: ['setInterval'] })
    const timer = keepHeapSmall(() => open)
    context.after(() => clearInterval(timer))
    rubbish = undefined
    // It looks at how busy the event loop was, and this is the time in which it is not.
    while (remains.deref() !== undefined) {
      open += 10_000
      assert.ok(open < 1_000_000, 'it is still there')
      await setTimeout(10)
      context.mock.timers.tick(2000)
    }
    assert.equal(rubbish, undefined)
  })
})
