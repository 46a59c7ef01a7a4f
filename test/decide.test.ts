import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decide } from '../src/decide.ts'
import type { Plane } from '../src/plane.ts'

describe('decide', () => {
  it('makes a refusal of a bug, since the parser that asks would take the process down with it', () => {
    const plane = {
      trusted: {
        has: () => {
          throw new Error('a bug')
        },
      },
    } as unknown as Plane
    const head = { method: 'GET', target: '/', httpVersion: '1.1', fields: ['Host', 'a'] } as const
    const connection = { peerAddress: '127.0.0.1', encrypted: false, localPort: 80 }
    const decision = decide(plane, head, connection)
    assert.ok('refusal' in decision)
    assert.equal(decision.refusal.code, 'E_INTERNAL')
    assert.match(decision.refusal.details.cause ?? '', /a bug/)
    assert.deepEqual([decision.upgrades, decision.peerAddress], [false, '127.0.0.1'])
  })

  it('names the peer of a refusal without ::ffff:, as facts do', () => {
    const head = { method: 'TRACE', target: '/', httpVersion: '1.1', fields: [] } as const
    const connection = { peerAddress: '::ffff:192.0.2.7', encrypted: false, localPort: 80 }
    const decision = decide({} as Plane, head, connection)
    assert.ok('refusal' in decision)
    assert.equal(decision.peerAddress, '192.0.2.7')
  })
})
