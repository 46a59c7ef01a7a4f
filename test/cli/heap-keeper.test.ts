import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'

import { keepHeapSmall, type Heap } from '../../src/cli/heap-keeper.ts'

const MIB = 1024 ** 2

/** A heap that is what the test says. */
class ScriptedHeap implements Heap {
  bytes = 0
  busy = 0
  left = 0
  collections = 0

  usedBytes(): number {
    return this.bytes
  }

  busyShare(): number {
    return this.busy
  }

  collect(): void {
    this.collections += 1
    this.bytes = this.left
  }
}

function keep(context: TestContext, heap?: Heap): void {
  context.mock.timers.enable({ apis: ['setInterval'] })
  const timer = keepHeapSmall(heap)
  context.after(() => clearInterval(timer))
}

describe('keepHeapSmall', () => {
  it('collects a quiet heap that has grown, and not again while it has not', (context) => {
    const heap = new ScriptedHeap()
    keep(context, heap)
    heap.bytes = 30 * MIB
    heap.left = 20 * MIB
    context.mock.timers.tick(2000)
    assert.equal(heap.collections, 1)
    heap.bytes = 24 * MIB
    context.mock.timers.tick(20_000)
    assert.equal(heap.collections, 1)
    heap.bytes = 25 * MIB
    context.mock.timers.tick(2000)
    assert.equal(heap.collections, 2)
  })

  it('leaves a small growth alone', (context) => {
    const heap = new ScriptedHeap()
    keep(context, heap)
    heap.bytes = 4 * MIB - 1
    context.mock.timers.tick(60_000)
    assert.equal(heap.collections, 0)
  })

  it('waits until the process is quiet', (context) => {
    const heap = new ScriptedHeap()
    keep(context, heap)
    heap.bytes = 100 * MIB
    heap.busy = 0.06
    context.mock.timers.tick(60_000)
    assert.equal(heap.collections, 0)
    heap.busy = 0.05
    context.mock.timers.tick(2000)
    assert.equal(heap.collections, 1)
  })

  it('frees what nothing holds any more', async (context) => {
    let rubbish: object[] | undefined = Array.from({ length: 400_000 }, (_, index) => ({ index }))
    const remains = new WeakRef(rubbish)
    keep(context)
    rubbish = undefined
    // It looks at how busy the event loop was, and this is the time in which it is not.
    for (let turn = 0; remains.deref() !== undefined; turn += 1) {
      assert.ok(turn < 100, 'it is still there')
      await setTimeout(10)
      context.mock.timers.tick(2000)
    }
    assert.equal(rubbish, undefined)
  })
})
