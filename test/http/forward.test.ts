import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { describe, it } from 'node:test'
import type { Client } from '../../src/http1/client.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import {
  closedAddress,
  connectTo,
  endpointAt,
  startGateway,
  startUpstream,
  Upstream,
} from './harness.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('Forwarder', () => {
  it('sends the fields in their case, order and number', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    const head =
      'GET /a HTTP/1.1\r\nhOsT: x\r\nB: 1\r\nA: 1\r\nb: 2\r\n12: n\r\nA: 2\r\nCookie: p=1\r\n' +
      'B: 3\r\ncookie: q=2\r\nX-Latin: caf\xe9\r\n\r\n'
    client.send(head)
    const peer = await upstream.next()
    assert.equal(await peer.head(), head)
    peer.send(OK)
    await client.until('ok')
  })

  it('sends the target byte for byte', async () => {
    const target = '//a/../b//%2e%2e/%zz?x=1&&y=%20?z=\xe9#'
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { target })
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    assert.equal(await peer.until('\r\n'), `GET ${target} HTTP/1.1\r\n`)
  })

  it('sends OPTIONS * with its asterisk', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    assert.equal(await peer.head(), 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n')
  })

  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'GET']) {
    it(`adds no framing to a ${method} without a body`, async () => {
      await using upstream = await startUpstream()
      await using gateway = await startGateway([upstream])
      const client = await connectTo(gateway)
      const head = `${method} / HTTP/1.1\r\nHost: x\r\n\r\n`
      client.send(head)
      const peer = await upstream.next()
      assert.equal(await peer.head(), head)
      peer.send(OK)
      await client.until('ok')
      assert.equal(peer.received, '')
    })
  }

  it('ignores FORCE_FETCH_PATH', async () => {
    process.env['FORCE_FETCH_PATH'] = 'true'
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    assert.equal(await peer.head(), 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  })

  it('refuses fields that cannot be written', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { fields: ['A', 'b\r\nc'] })
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(await client.until('E_REQUEST_MALFORMED'), /^HTTP\/1.1 400 /)
    assert.deepEqual(gateway.leases[0]?.calls, ['disposed'])
    assert.equal(upstream.peers.length, 0)
  })

  it('tries the next endpoint when one refuses the connection, even for a request with a body', async () => {
    await using upstream = await startUpstream()
    const dead = await closedAddress()
    await using gateway = await startGateway([dead, upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
    const peer = await upstream.next()
    await peer.until('\r\n\r\nhello')
    peer.send(OK)
    await client.until('ok')
    const end = await gateway.answered()
    assert.equal(end.endpoint.url, gateway.attempts[1])
    assert.equal(end.brokenOff, undefined)
    assert.ok(end.headMs > 0)
    assert.deepEqual(
      gateway.leases.map(({ calls }) => calls),
      [
        ['failed', 'disposed'],
        ['succeeded', 'disposed'],
      ],
    )
  })

  it('tries each of many endpoints once, leaves no listeners behind and warns of none', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => {
      warnings.push(warning)
    }
    process.on('warning', onWarning)
    const dead = await closedAddress()
    await using gateway = await startGateway(Array.from({ length: 30 }, () => dead))
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
    await client.until('E_UPSTREAM_REFUSED')
    assert.equal(gateway.leases.length, 30)
    assert.equal(new Set(gateway.leases.map(({ endpoint }) => endpoint)).size, 30)
    process.off('warning', onWarning)
    assert.deepEqual(warnings, [])
  })

  it('passes on what the first acquire refuses', async () => {
    await using gateway = await startGateway([])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(await client.until('E_ENDPOINT_NONE'), /^HTTP\/1.1 503 /)
  })

  it('leaves no more listeners on the connection after each exchange', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    const counts: number[][] = []
    for (let turn = 0; turn < 2; turn += 1) {
      client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
      const peer = turn === 0 ? await upstream.next() : upstream.peers[0]
      await peer?.until('hello')
      peer?.send(OK)
      await client.until('ok')
      await gateway.answered()
      const { socket } = gateway.clients[turn] as Client
      counts.push(['data', 'end', 'drain', 'error', 'close'].map((e) => socket.listenerCount(e)))
    }
    assert.deepEqual(counts[0], counts[1])
  })

  it('closes idle connections at close, and a busy one after its answer', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const first = await connectTo(gateway)
    const second = await connectTo(gateway)
    first.send('GET /1 HTTP/1.1\r\nHost: x\r\n\r\n')
    second.send('GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
    const [one, two] = [await upstream.next(), await upstream.next()]
    await Promise.all([one.head(), two.head()])
    one.send(OK)
    await gateway.answered()
    gateway.forwarder.close()
    await one.rest()
    assert.equal(two.hasEnded, false)
    two.send(OK)
    await gateway.answered()
    await two.rest()
  })

  it('uses the connections of before to an endpoint that a new config has at the same place', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET /1 HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    peer.send(OK)
    await gateway.answered()
    gateway.endpoints = [endpointAt(upstream.address)]
    gateway.forwarder.follow(gateway.endpoints)
    client.send('GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(await peer.head(), /^GET \/2 /)
    peer.send(OK)
    await gateway.answered()
  })

  it('closes connections to places that a new config has not, and busy ones after their answer', async () => {
    await using idle = await startUpstream()
    await using busy = await startUpstream()
    await using gateway = await startGateway([idle])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const one = await idle.next()
    await one.head()
    one.send(OK)
    await gateway.answered()
    gateway.endpoints = [endpointAt(busy.address)]
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const two = await busy.next()
    await two.head()
    const secure = endpointTls({ serverName: 'other' })
    gateway.forwarder.follow([{ ...endpointAt(idle.address), tls: secure }])
    await one.rest()
    assert.equal(two.hasEnded, false)
    two.send(OK)
    await gateway.answered()
    await two.rest()
  })

  it('frames the body as the client did, whatever the given fields say', async () => {
    const cases: [fields: string[], framing: string, sent: string][] = [
      [['A', '1'], 'Transfer-Encoding: chunked', 'A: 1\r\nTransfer-Encoding: chunked\r\n'],
      [
        ['transfer-encoding', 'x', 'content-length', '9', 'A', '1'],
        'Transfer-Encoding: chunked',
        'transfer-encoding: chunked\r\nA: 1\r\n',
      ],
      [
        ['Transfer-Encoding', 'chunked', 'A', '1'],
        'Content-Length: 0',
        'A: 1\r\nContent-Length: 0\r\n',
      ],
    ]
    for (const [fields, framing, sent] of cases) {
      await using upstream = await startUpstream()
      await using gateway = await startGateway([upstream], { fields: ['Host', 'x', ...fields] })
      const client = await connectTo(gateway)
      client.send(`POST / HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`)
      const peer = await upstream.next()
      assert.equal(await peer.head(), `POST / HTTP/1.1\r\nHost: x\r\n${sent}\r\n`)
    }
  })

  it('gives HTTP/1.0 requests without a Host the one of the endpoint', async () => {
    await using upstream = await startUpstream()
    const { address } = upstream
    assert.ok(address.kind === 'tcp')
    await using gateway = await startGateway([address])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.0\r\n\r\n')
    const peer = await upstream.next()
    assert.equal(await peer.head(), `GET / HTTP/1.1\r\nHost: 127.0.0.1:${address.port}\r\n\r\n`)
  })

  it('puts the address of an endpoint in brackets for IPv6', async () => {
    const server = net.createServer()
    server.listen(0, '::1')
    await once(server, 'listening')
    await using upstream = new Upstream(server)
    const { port } = server.address() as net.AddressInfo
    await using gateway = await startGateway([{ kind: 'tcp', host: '::1', port }])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.0\r\n\r\n')
    const peer = await upstream.next()
    assert.equal(await peer.head(), `GET / HTTP/1.1\r\nHost: [::1]:${port}\r\n\r\n`)
  })

  it('survives peers that break off at any point, and gives every lease back once', async () => {
    await using upstream = await startUpstream()
    upstream.server.on('connection', (socket) => {
      let turn = 0
      socket.on('data', () => {
        const act = upstreamActs[(upstream.peers.length + turn) % upstreamActs.length]
        turn += 1
        act?.(socket)
      })
    })
    await using gateway = await startGateway([upstream, upstream], {
      timeouts: { responseMs: 200, bodyMs: 200, idleMs: 200 },
    })
    const requests = [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello',
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      'PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
      'HEAD / HTTP/1.0\r\n\r\n',
    ]
    const rounds = 200
    for (let round = 0; round < rounds; round += 1) {
      const client = await connectTo(gateway)
      client.send(requests[round % requests.length] ?? '')
      if (round % 3 === 0) client.socket.resetAndDestroy()
      else if (round % 7 === 0) client.socket.end()
      client.socket.on('data', () => {
        if (round % 4 === 0) client.socket.destroy()
      })
    }
    // A reset that arrives together with its request leaves nothing to forward.
    while (gateway.requests.length < rounds / 2) await new Promise(setImmediate)
    for (let ended = 0; ended < gateway.requests.length; ended += 1) await gateway.end()
    for (const { calls } of gateway.leases) {
      assert.equal(calls.filter((call) => call === 'disposed').length, 1)
    }
    gateway.forwarder.close()
    await Promise.all(upstream.peers.map((peer) => peer.rest()))
  })
})

const upstreamActs: ((socket: net.Socket) => void)[] = [
  (socket) => socket.write(OK),
  (socket) => socket.resetAndDestroy(),
  (socket) => socket.end(),
  (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'),
  (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'),
  (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n'),
  (socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe'),
  (socket) => socket.write('nonsense'),
]
