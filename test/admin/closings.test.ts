import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Closings } from '../../src/admin/closings.ts'
import type { RunningTunnel } from '../../src/tunnels/tunnel.ts'
import { FakeTunnels } from '../tunnels/fake-tunnels.ts'
import type { Endpoint } from '../../src/balance/endpoint.ts'

const endpoint = { id: 'e1', url: 'http://a:80' } as Endpoint

describe('Closings', () => {
  it('forgets the drain of an endpoint that is done', async () => {
    const closings = new Closings()
    const tunnels = new FakeTunnels()
    tunnels.openMany(3, 'chat', endpoint)
    assert.equal(closings.drain(tunnels.registry, 'chat', endpoint, 0), 3)
    assert.equal(tunnels.told.length, 3)
    await Promise.resolve()
    assert.equal(closings.isDraining('e1'), false)
  })

  it('leaves all alone that were not told to end when it is stopped, and begins anew', () => {
    const closings = new Closings()
    const tunnels = new FakeTunnels()
    const some = tunnels.openMany(4, 'chat', endpoint) as unknown as RunningTunnel[]
    closings.start(some, 3_600_000, (tunnel) => tunnel.end('admin', 'kill'))
    tunnels.openMany(3, 'feed', { ...endpoint, id: 'e2', url: 'http://b:80' })
    closings.drain(
      tunnels.registry,
      'feed',
      { ...endpoint, id: 'e2', url: 'http://b:80' },
      3_600_000,
    )
    assert.equal(closings.isDraining('e2'), true)
    closings.stop()
    assert.equal(closings.isDraining('e2'), false)
    assert.equal(tunnels.told.length, 2)
    closings.start(some, 0, (tunnel) => tunnel.end('admin', 'kill'))
    assert.equal(tunnels.told.length, 5)
  })
})
