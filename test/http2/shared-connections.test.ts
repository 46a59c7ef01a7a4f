import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import type { Endpoint, EndpointHttp2 } from '../../src/balance/endpoint.ts'
import { Refusal } from '../../src/errors.ts'
import { isShared, type SharedSocket } from '../../src/handshake/shared.ts'
import { Http2Connections } from '../../src/http2/shared-connections.ts'
import { frameEndpoint, requestOn, wholeAnswer } from '../support/frame-endpoint.ts'
import { settled } from '../support/settled.ts'
import { GET } from './harness.ts'

/** As one config has it; `http2` is the same as long as nothing of it changes. */
function endpointAt(port: number, http2: EndpointHttp2 | undefined): Endpoint {
  return {
    id: 'u',
    url: 'u',
    address: { kind: 'tcp', host: '127.0.0.1', port },
    tls: undefined,
    http2,
    weight: 1,
    inUse: 0,
    up: true,
    draining: false,
  }
}

function open(shared: Http2Connections, endpoint: Endpoint): Promise<SharedSocket> {
  return new Promise((resolve, reject) => {
    shared.open(endpoint, { connectTimeoutMs: 20_000 }, (result) => {
      if (result instanceof Refusal) reject(new Error(result.details.cause))
      else if (isShared(result)) resolve(result.on('error', () => {}))
      else reject(new Error('not shared'))
    })
  })
}

/** All of them, cut at the end of the block. */
function connections(): Http2Connections & Disposable {
  const shared = new Http2Connections()
  return Object.assign(shared, { [Symbol.dispose]: () => shared.destroy() })
}

describe('Http2Connections', () => {
  it('are one set for each endpoint', async () => {
    await using first = await frameEndpoint()
    await using second = await frameEndpoint()
    using shared = connections()
    const one = endpointAt(first.port, { streamsMax: 100, connections: 0 })
    const other = endpointAt(second.port, { streamsMax: 100, connections: 0 })
    await Promise.all([one, other, one].map((endpoint) => open(shared, endpoint)))
    assert.equal(first.peers.length, 1)
    assert.equal(second.peers.length, 1)
  })

  it('are for endpoints that speak HTTP/2 alone', () => {
    using shared = connections()
    assert.throws(() => shared.open(endpointAt(1, undefined), { connectTimeoutMs: 1 }, () => {}))
  })

  it('go on under the endpoint of a new config that is the same place', async () => {
    await using peer = await frameEndpoint()
    using shared = connections()
    const http2 = { streamsMax: 100, connections: 0 }
    await open(shared, endpointAt(peer.port, http2))
    const next = endpointAt(peer.port, http2)
    shared.follow([next])
    await open(shared, next)
    assert.equal(peer.peers.length, 1)
    assert.equal(http2.connections, 1)
  })

  it('to other places are closed with their last stream', async () => {
    await using peer = await frameEndpoint()
    using shared = connections()
    const before = { streamsMax: 100, connections: 0 }
    const stream = await open(shared, endpointAt(peer.port, before))
    stream.write(GET, 'latin1')
    const first = await peer.next()
    const { stream: id } = await requestOn(first)
    // Another number of streams makes it another one.
    const after = { streamsMax: 50, connections: 0 }
    const next = endpointAt(peer.port, after)
    shared.follow([next])
    await open(shared, next)
    assert.equal(peer.peers.length, 2)
    assert.equal(before.connections, 1)
    first.write(wholeAnswer(id, [[':status', '204']]))
    const [head] = (await once(stream, 'data')) as [Buffer]
    assert.match(String(head), /^HTTP\/1\.1 204/)
    stream.end()
    await first.closed
    assert.equal(await settled(() => before.connections), 0)
    assert.equal(after.connections, 1)
  })

  it('to other places are closed at once when nobody uses them', async () => {
    await using peer = await frameEndpoint()
    using shared = connections()
    const http2 = { streamsMax: 100, connections: 0 }
    const stream = await open(shared, endpointAt(peer.port, http2))
    stream.destroy()
    await once(stream, 'close')
    shared.follow([])
    await (
      await peer.next()
    ).closed
    assert.equal(await settled(() => http2.connections), 0)
  })

  it('are cut in the end, those to other places as well', async () => {
    await using peer = await frameEndpoint()
    const shared = new Http2Connections()
    const streams: SharedSocket[] = []
    const counts = [50, 100].map((streamsMax) => ({ streamsMax, connections: 0 }))
    for (const http2 of counts) {
      const endpoint = endpointAt(peer.port, http2)
      shared.follow([endpoint])
      const stream = await open(shared, endpoint)
      stream.write(GET, 'latin1')
      await requestOn(await peer.next())
      streams.push(stream)
    }
    shared.close()
    assert.deepEqual(
      counts.map((one) => one.connections),
      [1, 1],
    )
    const closed = streams.map(
      (stream) =>
        new Promise((resolve) => {
          stream.once('close', resolve)
        }),
    )
    shared.destroy()
    await Promise.all(closed)
    await Promise.all(peer.peers.map((one) => one.closed))
    for (const http2 of counts) assert.equal(await settled(() => http2.connections), 0)
  })
})
