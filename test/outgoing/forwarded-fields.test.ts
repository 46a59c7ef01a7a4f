import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ForwardedConfig } from '../../src/config/config.ts'
import { addForwarded, passesXForwarded } from '../../src/outgoing/forwarded-fields.ts'
import { factsOf, linesOf, type SampleRequest } from '../request/reading.ts'

function facts(policy: ForwardedConfig | undefined, sample: SampleRequest = {}) {
  return factsOf({ ...sample, ...(policy && { forwarded: policy }) })
}

describe('addForwarded', () => {
  it('adds the families that are written', () => {
    const names = (write: ForwardedConfig['write']): string[] => {
      const outgoing: string[] = []
      addForwarded(outgoing, facts({ read: 'x-forwarded', write }).forwarded)
      return linesOf(outgoing).map((line) => line.slice(0, line.indexOf(':')))
    }
    const x = ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port']
    assert.deepEqual(names('x-forwarded'), x)
    assert.deepEqual(names('forwarded'), ['Forwarded'])
    assert.deepEqual(names('both'), ['Forwarded', ...x])
  })

  it('leaves out what is not known', () => {
    const outgoing: string[] = []
    const unix = { peer: '', localPort: undefined, host: false, httpVersion: '1.0' } as const
    addForwarded(outgoing, facts({ read: 'forwarded', write: 'both' }, unix).forwarded)
    assert.deepEqual(linesOf(outgoing), [
      'Forwarded: for=unknown;proto=http',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Port: 80',
    ])
  })
})

describe('what passes of X-Forwarded-* as it came', () => {
  const trusted: SampleRequest = { peer: '10.0.0.1', trusted: ['10.0.0.0/8'] }
  const cases: [ForwardedConfig | undefined, passes: boolean][] = [
    [undefined, true],
    [{ read: 'x-forwarded', write: 'x-forwarded' }, true],
    [{ read: 'x-forwarded', write: 'both' }, true],
    [{ read: 'x-forwarded', write: 'forwarded' }, false],
    [{ read: 'forwarded', write: 'x-forwarded' }, false],
    [{ read: 'forwarded', write: 'both' }, false],
    [{ read: 'forwarded', write: 'forwarded' }, false],
  ]
  for (const [policy, passes] of cases) {
    it(`is of trusted proxies, where that family is read and written (${JSON.stringify(policy)})`, () => {
      assert.equal(passesXForwarded(facts(policy, trusted)), passes)
      assert.equal(passesXForwarded(facts(policy)), false)
    })
  }
})
