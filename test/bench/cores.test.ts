import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { coresOf } from '../../bench/cores.ts'

describe('coresOf', () => {
  it('reads ranges and single numbers', () => {
    assert.deepEqual(coresOf('0-2,5'), [0, 1, 2, 5])
  })

  it('reads the list of a machine with one core', () => {
    assert.deepEqual(coresOf('0'), [0])
  })
})
