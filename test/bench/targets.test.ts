import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { peers } from '../../bench/peers.ts'
import { targets, targetTable, verdict } from '../../bench/targets.ts'
import { works } from '../../bench/works.ts'
import { resultsOf, work } from './samples.ts'

describe('verdict', () => {
  const cases = [
    { name: 'reaches a limit that it equals', kind: 'at most', measured: 1, said: 'reached' },
    { name: 'misses a limit by a little', kind: 'at most', measured: 1.001, said: '**MISSED**' },
    { name: 'has to stay below', kind: 'below', measured: 1, said: '**MISSED**' },
    { name: 'has to come above', kind: 'above', measured: 1, said: '**MISSED**' },
    { name: 'comes above', kind: 'above', measured: 1.2, said: 'reached' },
  ] as const
  for (const { name, kind, measured, said } of cases) {
    it(name, () => {
      assert.equal(verdict(measured, { kind, value: 1 }), said)
    })
  }

  it('says nothing where nothing was measured or nothing is asked', () => {
    assert.equal(verdict(undefined, { kind: 'below', value: 1 }), '')
    assert.equal(verdict(1, undefined), '')
  })
})

describe('targetTable', () => {
  it('keeps a target that is missed, and one whose peer was not measured', () => {
    const results = resultsOf(work('echo64'), { upgate: [10], nginx: [10] })
    const table = targetTable(results)
    assert.match(table, /\| echo64, upgate \/ nginx \| at most 0\.95 \| 1\.00 \| \*\*MISSED\*\* \|/)
    assert.match(table, /\| echo64, upgate \/ haproxy \| at most 0\.75 \| not measured \| {2}\|/)
  })

  it('is about works and peers that there are', () => {
    for (const { figure, by } of targets) {
      for (const { work: name, peer, of } of by === undefined ? [figure] : [figure, by]) {
        const found = works.find((one) => one.name === name)
        assert.ok(found?.measures.some((measure) => measure.of === of))
        assert.ok(peers.some((one) => one.name === peer))
      }
    }
  })
})
