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
      addForwarded(outgoing, facts({ read: 'x-forwarded', write }))
      return linesOf(outgoing).map((line) => line.slice(0, line.indexOf(':')))
    }
    const x = [
      'X-Forwarded-For',
      'X-Forwarded-Proto',
      'X-Forwarded-Host',
      'X-Forwarded-Port',
      'X-Real-IP',
    ]
    assert.deepEqual(names('x-forwarded'), x)
    assert.deepEqual(names('forwarded'), ['Forwarded'])
    assert.deepEqual(names('both'), ['Forwarded', ...x])
  })

  it('leaves out what is not known', () => {
    const outgoing: string[] = []
    const unix = { peer: '', localPort: undefined, host: false, httpVersion: '1.0' } as const
    addForwarded(outgoing, facts({ read: 'forwarded', write: 'both' }, unix))
    assert.deepEqual(linesOf(outgoing), [
      'Forwarded: for=unknown;proto=http',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Port: 80',
    ])
  })
})

describe('X-Real-IP', () => {
  const proxy: SampleRequest = { peer: '10.0.0.1', trusted: ['10.0.0.0/8'] }
  const cases: [name: string, SampleRequest, ForwardedConfig | undefined, string | undefined][] = [
    ['is the peer', { lines: ['X-Real-IP: 192.0.2.1'] }, undefined, '203.0.113.9'],
    [
      'is the client that a trusted proxy tells of in X-Forwarded-For, whatever it says beside it',
      { ...proxy, lines: ['X-Forwarded-For: 198.51.100.7, 10.0.0.2', 'X-Real-IP: 192.0.2.1'] },
      undefined,
      '198.51.100.7',
    ],
    [
      'is what a trusted proxy says that sends nothing else',
      { ...proxy, lines: ['X-Real-IP: 192.0.2.1'] },
      undefined,
      '192.0.2.1',
    ],
    ['is not what is no address', { ...proxy, lines: ['X-Real-IP: evil'] }, undefined, '10.0.0.1'],
    [
      'is not one of several',
      { ...proxy, lines: ['X-Real-IP: 192.0.2.1', 'X-Real-IP: 192.0.2.2'] },
      undefined,
      '10.0.0.1',
    ],
    [
      'is the client of Forwarded where that is read',
      { ...proxy, lines: ['Forwarded: for=198.51.100.7', 'X-Real-IP: 192.0.2.1'] },
      { read: 'forwarded', write: 'both' },
      '198.51.100.7',
    ],
    [
      'is not there where Forwarded alone is written',
      { ...proxy, lines: ['X-Real-IP: 192.0.2.1'] },
      { read: 'x-forwarded', write: 'forwarded' },
      undefined,
    ],
    [
      'is not there for a unix peer that tells nothing',
      { peer: '', localPort: undefined },
      undefined,
      undefined,
    ],
  ]
  for (const [name, sample, policy, expected] of cases) {
    it(name, () => {
      const outgoing: string[] = []
      addForwarded(outgoing, facts(policy, sample))
      const sent = linesOf(outgoing).filter((line) => line.startsWith('X-Real-IP'))
      assert.deepEqual(sent, expected === undefined ? [] : [`X-Real-IP: ${expected}`])
    })
  }
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
