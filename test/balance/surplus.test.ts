import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { closingsOf, excessOf, type Load } from '../../src/balance/surplus.ts'

function loads(open: readonly number[], weights: readonly number[] = []): Load[] {
  return open.map((count, index) => ({ open: count, weight: weights[index] ?? 1 }))
}

describe('closingsOf', () => {
  const cases: {
    name: string
    open: readonly number[]
    weights?: readonly number[]
    spread?: number
    away?: number
    max?: number
    closings: readonly number[]
  }[] = [
    { name: 'nothing where all have the same', open: [50, 50], closings: [0, 0] },
    { name: 'nothing within the spread', open: [55, 45], closings: [0, 0] },
    { name: 'what is above the spread, and no more', open: [60, 40], closings: [5, 0] },
    { name: 'no more than may be', open: [100, 0], max: 7, closings: [7, 0] },
    { name: 'from the fullest first', open: [100, 90, 20], max: 10, closings: [10, 0, 0] },
    { name: 'from equals in turn', open: [100, 100, 10], max: 10, closings: [5, 5, 0] },
    {
      name: 'by weight',
      open: [30, 60],
      weights: [2, 1],
      spread: 0.01,
      closings: [0, 30],
    },
    {
      name: 'nothing where loads are as their weights',
      open: [20, 60],
      weights: [1, 3],
      closings: [0, 0],
    },
    { name: 'with those in mind who are away', open: [60, 0], away: 40, closings: [5, 0] },
    { name: 'nothing that would bring it below its share', open: [2, 1], closings: [0, 0] },
    { name: 'the last tunnel above the share', open: [3, 1], closings: [1, 0] },
    { name: 'nothing of one endpoint', open: [100], closings: [0] },
    { name: 'nothing without tunnels', open: [0, 0], closings: [0, 0] },
    { name: 'nothing without endpoints', open: [], closings: [] },
  ]
  for (const { name, open, weights, spread = 0.1, away = 0, max = 1000, closings } of cases) {
    it(`takes ${name}`, () => {
      const options = { spread, away, closingsMax: max }
      assert.deepEqual(closingsOf(loads(open, weights), options), closings)
    })
  }

  it('never takes more than brings an endpoint to its share, whatever there is', () => {
    for (let round = 0; round < 500; round += 1) {
      const count = 1 + Math.floor(Math.random() * 6)
      const drawn = Array.from({ length: count }, () => ({
        open: Math.floor(Math.random() * 200),
        weight: 1 + Math.floor(Math.random() * 4),
      }))
      const away = Math.floor(Math.random() * 50)
      const closings = closingsOf(drawn, { spread: 0.05, away, closingsMax: 10_000 })
      const tunnels = drawn.reduce((sum, { open }) => sum + open, away)
      const weights = drawn.reduce((sum, { weight }) => sum + weight, 0)
      for (const [index, { open, weight }] of drawn.entries()) {
        const share = (tunnels * weight) / weights
        const left = open - (closings[index] as number)
        if (left < open) assert.ok(left >= share, JSON.stringify({ drawn, away, closings }))
        assert.ok(
          left <= share * 1.05 || left - 1 < share,
          JSON.stringify({ drawn, away, closings }),
        )
      }
    }
  })
})

describe('excessOf', () => {
  it('is the part of all tunnels that is above the shares', () => {
    assert.equal(excessOf(loads([100, 0])), 0.5)
    assert.equal(excessOf(loads([50, 50])), 0)
    assert.equal(excessOf(loads([75, 25], [3, 1])), 0)
    assert.equal(excessOf(loads([40, 40, 10])), 2 / 9)
    assert.equal(excessOf(loads([0, 0])), 0)
  })
})
