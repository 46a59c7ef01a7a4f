import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { median, summarize } from '../../bench/statistics.ts'

describe('median', () => {
  it('is the middle one of an odd number of values in any order', () => {
    assert.equal(median([9, 1, 5]), 5)
  })

  it('lies between the two middle ones of an even number of values', () => {
    assert.equal(median([10, 1, 4, 2]), 3)
  })

  it('refuses to be of nothing', () => {
    assert.throws(() => median([]), RangeError)
  })
})

describe('summarize', () => {
  it('tells the middle and both ends', () => {
    assert.deepEqual(summarize([3, 1, 2]), { median: 2, min: 1, max: 3 })
  })
})
