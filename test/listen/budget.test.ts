import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Budget } from '../../src/listen/budget.ts'

describe('a budget', () => {
  it('gives what it has, and no more until time has passed', () => {
    const budget = new Budget(3, 2)
    const start = performance.now()
    assert.deepEqual(
      [0, 0, 0, 0].map((ms) => budget.take(start + ms)),
      [true, true, true, false],
    )
    // What is asked for in vain is owed.
    assert.equal(budget.take(start + 500), false)
    assert.equal(budget.take(start + 1600), true)
  })

  it('never has more than at first', () => {
    const budget = new Budget(1, 10)
    const later = performance.now() + 3_600_000
    assert.deepEqual([budget.take(later), budget.take(later)], [true, false])
  })
})
