import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { boundOf } from '../../bench/settings-table.ts'

const cases = [
  { gateway: 0.8, load: 0.95, upstream: 0.2, cores: 2, bound: 'the load generator' },
  { gateway: 0.8, load: 0.5, upstream: 0.97, cores: 4, bound: 'the upstream' },
  {
    gateway: 0.95,
    load: 0.5,
    upstream: 0.45,
    cores: 2,
    bound: 'all cores of the machine are busy',
  },
  { gateway: 0.98, load: 0.5, upstream: 0.5, cores: 4, bound: 'the gateway' },
  { gateway: 0.5, load: 0.3, upstream: 0.3, cores: 2, bound: 'none is saturated' },
  {
    gateway: 0.5,
    load: 0.3,
    upstream: 0.3,
    others: 0.8,
    cores: 2,
    bound: 'other processes, which share the cores',
  },
]

describe('boundOf', () => {
  for (const { cores, bound, others = 0, ...shares } of cases) {
    it(`names ${bound} on ${cores} cores`, () => {
      assert.equal(boundOf({ ...shares, others }, cores), bound)
    })
  }
})
