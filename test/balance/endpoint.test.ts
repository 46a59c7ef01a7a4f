import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { followed, type Endpoint } from '../../src/balance/endpoint.ts'
import { LocalAddresses } from '../../src/balance/local-addresses.ts'
import type { Address } from '../../src/config/config.ts'
import { endpointTls } from '../support/endpoint-tls.ts'

const HERE: Address = { kind: 'tcp', host: 'chat', port: 80 }

function endpoint(more: Partial<Endpoint> = {}): Endpoint {
  return {
    id: 'u',
    url: 'u',
    address: HERE,
    tls: undefined,
    weight: 1,
    inUse: 0,
    up: true,
    draining: false,
    ...more,
  }
}

describe('followed', () => {
  it('keeps what is kept for a place under the endpoint that has it now', () => {
    const [before, gone] = [endpoint(), endpoint({ address: { ...HERE, port: 81 } })]
    const [after, added] = [endpoint({ weight: 2 }), endpoint({ address: { ...HERE, port: 82 } })]
    const kept = new Map([
      [gone, 'gone'],
      [before, 'here'],
    ])
    assert.deepEqual(followed(kept, [added, after]), ['gone'])
    assert.deepEqual([...kept], [[after, 'here']])
  })

  it('gives each of two endpoints at one place its own', () => {
    const kept = new Map([
      [endpoint(), 1],
      [endpoint(), 2],
      [endpoint(), 3],
    ])
    const next = [endpoint(), endpoint()]
    assert.deepEqual(followed(kept, next), [3])
    assert.deepEqual(
      next.map((one) => kept.get(one)),
      [1, 2],
    )
  })

  it('takes no other place for the same', () => {
    const http2 = { streamsMax: 1, connections: 0 }
    const tls = endpointTls({ serverName: 'a' })
    const local = LocalAddresses.of(['10.0.0.1'])
    for (const [one, other] of [
      [{}, { address: { kind: 'unix', path: '/a' } }],
      [{}, { http2 }],
      [{ http2 }, { http2: { ...http2 } }],
      [{ tls }, { tls: endpointTls({ serverName: 'a' }) }],
      [{ tls }, {}],
      [{ local }, {}],
    ] as [Partial<Endpoint>, Partial<Endpoint>][]) {
      for (const [before, after] of [
        [one, other],
        [other, one],
      ] as const) {
        const kept = new Map([[endpoint(before), 'kept']])
        assert.deepEqual(followed(kept, [endpoint(after)]), ['kept'])
        assert.equal(kept.size, 0)
      }
    }
  })

  it('knows the same place by its TLS, HTTP/2 and addresses of ours', () => {
    const same = {
      tls: endpointTls({ serverName: 'a' }),
      http2: { streamsMax: 1, connections: 0 },
      local: LocalAddresses.of(['10.0.0.1']),
    }
    const kept = new Map([[endpoint(same), 'kept']])
    assert.deepEqual(followed(kept, [endpoint(same)]), [])
    assert.equal(kept.size, 1)
  })
})
