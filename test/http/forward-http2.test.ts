import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import { answer, frameEndpoint, requestOn } from '../support/frame-endpoint.ts'
import {
  DATA,
  END_STREAM,
  frame,
  GOAWAY,
  HEADERS,
  RST_STREAM,
  SETTINGS,
  uint32,
  type FramePeer,
} from '../support/http2-frames.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { settled } from '../support/settled.ts'
import { connectTo, endpointAt, startGateway, Upstream } from './harness.ts'

const GET = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'
const OK = [':status', '200'] as const
const CANCEL = 8

function http2At(port: number, streamsMax = 100): Endpoint {
  const endpoint = endpointAt({ kind: 'tcp', host: '127.0.0.1', port })
  return { ...endpoint, http2: { streamsMax, connections: 0 } }
}

function refuse(peer: FramePeer, stream: number): void {
  peer.write(frame(RST_STREAM, 0, stream, uint32(7)))
}

describe('a plain request to an endpoint with HTTP/2', () => {
  it('goes over one connection with all others, and gives its place back', async () => {
    await using endpoint = await http2Endpoint()
    const at = http2At(Number(new URL(endpoint.url).port), 2)
    await using gateway = await startGateway([at])
    const client = await connectTo(gateway)
    for (let round = 0; round < 20; round += 1) {
      client.send(GET)
      assert.match(await client.until('/a'), /^HTTP\/1\.1 200 OK\r\n/)
      await client.until('0\r\n\r\n')
      const end = await gateway.answered()
      assert.equal(end.endpointHttp2, true)
    }
    assert.equal(endpoint.sessions.length, 1)
    assert.equal(at.http2?.connections, 1)
    assert.deepEqual(gateway.leases[0]?.calls, ['succeeded', 'disposed'])
  })

  it('has its body and both trailers', async () => {
    await using endpoint = await frameEndpoint()
    await using gateway = await startGateway([http2At(endpoint.port)])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    const peer = await endpoint.next()
    const { stream: id, flags } = await requestOn(peer)
    assert.equal(flags & END_STREAM, 0)
    client.send('3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n')
    await peer.find(({ type, payload }) => type === DATA && String(payload) === 'abc')
    await peer.find((one) => one.type === HEADERS && (one.flags & END_STREAM) !== 0)
    peer.write(
      answer(id, [OK]),
      frame(DATA, 0, id, Buffer.from('hello')),
      answer(id, [['x-sum', '8']], END_STREAM),
    )
    await client.until('5\r\nhello\r\n0\r\nx-sum: 8\r\n\r\n')
    assert.equal((await gateway.answered()).bytesUp, 3)
  })

  it('is sent once more where the endpoint has not looked at it, whatever its method', async () => {
    for (const method of ['GET', 'POST']) {
      await using endpoint = await frameEndpoint()
      await using gateway = await startGateway([http2At(endpoint.port)])
      const client = await connectTo(gateway)
      client.send(`${method} / HTTP/1.1\r\nHost: x\r\n\r\n`)
      const peer = await endpoint.next()
      refuse(peer, (await requestOn(peer)).stream)
      const { stream: id } = await requestOn(peer, 1)
      peer.write(answer(id, [OK]), frame(DATA, END_STREAM, id, Buffer.from('ok')))
      await client.until('ok')
      await gateway.answered()
      assert.deepEqual(gateway.leases[0]?.calls, ['succeeded', 'disposed'])
    }
  })

  it('is sent once more over another connection where GOAWAY has overtaken it', async () => {
    await using endpoint = await frameEndpoint()
    await using gateway = await startGateway([http2At(endpoint.port)])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\n\r\n')
    const first = await endpoint.next()
    await requestOn(first)
    first.write(frame(GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0)])))
    const second = await endpoint.next()
    const { stream: id } = await requestOn(second)
    second.write(answer(id, [OK]), frame(DATA, END_STREAM, id, Buffer.from('ok')))
    await client.until('ok')
    await gateway.answered()
    await first.closed
  })

  it('is sent once more to one endpoint, and not twice', async () => {
    await using endpoint = await frameEndpoint()
    await using gateway = await startGateway([http2At(endpoint.port)])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await endpoint.next()
    refuse(peer, (await requestOn(peer)).stream)
    refuse(peer, (await requestOn(peer, 1)).stream)
    assert.equal((await gateway.refused()).code, 'E_UPSTREAM_RESET')
    assert.equal(peer.frames.filter(({ type }) => type === HEADERS).length, 2)
  })

  it('with a body is not sent again, nor one that may have been looked at', async () => {
    for (const [head, code] of [
      ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n', 7],
      ['POST / HTTP/1.1\r\nHost: x\r\n\r\n', CANCEL],
    ] as const) {
      await using endpoint = await frameEndpoint()
      await using gateway = await startGateway([http2At(endpoint.port)])
      const client = await connectTo(gateway)
      client.send(head)
      const peer = await endpoint.next()
      const { stream: id } = await requestOn(peer)
      peer.write(frame(RST_STREAM, 0, id, uint32(code)))
      assert.equal((await gateway.refused()).code, 'E_UPSTREAM_RESET')
      assert.equal(peer.frames.filter(({ type }) => type === HEADERS).length, 1)
    }
  })

  it('whose answer is malformed is E_UPSTREAM_PROTOCOL, and not sent again', async () => {
    await using endpoint = await frameEndpoint()
    await using gateway = await startGateway([http2At(endpoint.port)])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await endpoint.next()
    const { stream: id } = await requestOn(peer)
    peer.write(answer(id, [OK, ['connection', 'close']]))
    assert.equal((await gateway.refused()).code, 'E_UPSTREAM_PROTOCOL')
    assert.match(await client.until('E_UPSTREAM_PROTOCOL'), /^HTTP\/1\.1 502/)
    assert.equal(peer.frames.filter(({ type }) => type === HEADERS).length, 1)
  })

  it('is RST_STREAM for the endpoint when its client leaves, and nothing for others', async () => {
    await using endpoint = await frameEndpoint()
    await using gateway = await startGateway([http2At(endpoint.port)])
    const [client, other] = [await connectTo(gateway), await connectTo(gateway)]
    client.send(GET)
    const peer = await endpoint.next()
    const { stream: first } = await requestOn(peer)
    other.send(GET)
    const { stream: second } = await requestOn(peer, 1)
    peer.write(answer(first, [OK]), frame(DATA, 0, first, Buffer.from('abc')))
    await client.until('abc')
    client.socket.resetAndDestroy()
    assert.equal(await peer.resetOf(first), CANCEL)
    await gateway.answered()
    peer.write(answer(second, [OK]), frame(DATA, END_STREAM, second, Buffer.from('ok')))
    await other.until('ok')
    await gateway.answered()
  })

  it('leaves no connection behind when its client leaves before there is one', async () => {
    await using endpoint = await frameEndpoint('silent')
    const at = http2At(endpoint.port)
    await using gateway = await startGateway([at])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await endpoint.next()
    await peer.find(({ type }) => type === SETTINGS)
    client.socket.resetAndDestroy()
    assert.equal((await gateway.refused()).code, 'E_CLIENT_GONE')
    await peer.closed
    assert.equal(at.http2?.connections, 0)
  })

  it('leaves no place taken when its client leaves as it gets one', async () => {
    await using endpoint = await http2Endpoint()
    const at = http2At(Number(new URL(endpoint.url).port), 1)
    await using gateway = await startGateway([at])
    const first = await connectTo(gateway)
    first.send(GET)
    await first.until('0\r\n\r\n')
    await gateway.answered()
    const nextTick = (act: () => void): void => process.nextTick(act)
    const whens = [(act: () => void) => act(), queueMicrotask, nextTick, setImmediate]
    for (const when of whens) {
      gateway.onRequest = ({ socket }) => {
        gateway.onRequest = undefined
        when(() => socket.destroy())
      }
      const client = await connectTo(gateway)
      client.send(GET)
      await gateway.end()
      await client.rest()
      client.socket.destroy()
    }
    first.send(GET)
    await first.until('0\r\n\r\n')
    await gateway.answered()
    assert.equal(await settled(() => at.http2?.connections ?? 0), 1)
    assert.equal(endpoint.sessions.length, 1)
  })

  it('goes over a connection of its own where the endpoint chooses HTTP/1.1', async () => {
    const fixtures = join(import.meta.dirname, '../fixtures/tls')
    const [ca = '', cert = '', key = ''] = await Promise.all(
      ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readFile(join(fixtures, name), 'utf8')),
    )
    const server = tls.createServer({ cert, key, ALPNProtocols: ['http/1.1'] })
    let connections = 0
    server.on('secureConnection', (socket) => {
      connections += 1
      socket.on('error', () => {})
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    })
    server.listen(0, '127.0.0.1')
    await new Promise((resolve) => {
      server.once('listening', resolve)
    })
    await using upstream = new Upstream(server)
    const endpoint = endpointAt(upstream.address)
    const http2 = { streamsMax: 100, connections: 0 }
    await using gateway = await startGateway([
      { ...endpoint, http2, tls: endpointTls({ serverName: 'localhost', ca }) },
    ])
    const client = await connectTo(gateway)
    for (let round = 1; round <= 2; round += 1) {
      client.send(GET)
      await client.until('ok')
      const end = await gateway.answered()
      assert.equal(end.endpointHttp2, false)
      assert.equal(connections, round)
    }
  })
})
