import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { Endpoint } from '../../src/balance/endpoint.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import { connectTo, endpointAt, startGateway, startUpstream, type Upstream } from './harness.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

describe('Attempt', () => {
  const broken: Record<string, [answer: string, code: string]> = {
    'an unasked switch': [
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes',
      'E_UPSTREAM_SWITCH',
    ],
    'a 101 without Upgrade': ['HTTP/1.1 101 Hm\r\n\r\n', 'E_UPSTREAM_SWITCH'],
    'no HTTP': ['SSH-2.0-OpenSSH\r\n', 'E_UPSTREAM_PROTOCOL'],
    'a status of four digits': ['HTTP/1.1 2000 OK\r\n\r\n', 'E_UPSTREAM_PROTOCOL'],
    'a status below 100': ['HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n', 'E_UPSTREAM_PROTOCOL'],
    'a reason with control characters': [
      'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    'both framings': [
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    'both framings the other way round': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    'two lengths': [
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!',
      'E_UPSTREAM_PROTOCOL',
    ],
    'two lengths in a list': [
      'HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!',
      'E_UPSTREAM_PROTOCOL',
    ],
    'a length with a sign': [
      'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok',
      'E_UPSTREAM_PROTOCOL',
    ],
    'a coding that is not chunked': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok',
      'E_UPSTREAM_PROTOCOL',
    ],
    'a coding before chunked': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    'chunked twice': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    'a coding under HTTP/1.0': [
      'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    'a field without a name': ['HTTP/1.1 200 OK\r\n: x\r\n\r\n', 'E_UPSTREAM_PROTOCOL'],
    'a bare LF among CRLFs': [
      'HTTP/1.1 200 OK\r\nA: x\nContent-Length: 0\r\n\r\n',
      'E_UPSTREAM_PROTOCOL',
    ],
    'a head above 64 KiB': [
      `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(66_000)}\r\n\r\n`,
      'E_UPSTREAM_PROTOCOL',
    ],
  }
  for (const [name, [answer, code]] of Object.entries(broken)) {
    it(`refuses ${name} with ${code} and closes the connection`, async () => {
      await using upstream = await startUpstream()
      await using gateway = await startGateway([upstream, upstream])
      const client = await connectTo(gateway)
      client.send(GET)
      const peer = await upstream.next()
      await peer.head()
      peer.send(answer)
      assert.match(await client.until(code), /^HTTP\/1.1 502 /)
      await peer.rest()
      assert.equal(upstream.peers.length, 1)
      assert.equal(gateway.leases[0]?.calls.at(-1), 'disposed')
    })
  }

  it('passes a head of thousands of fields on whole', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await upstream.next()
    await peer.head()
    const answer = `HTTP/1.1 200 OK\r\n${'A: 1\r\n'.repeat(8000)}Content-Length: 0\r\n\r\n`
    peer.send(answer)
    assert.equal(await client.head(), answer)
  })

  const repeatable = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']
  for (const method of [...repeatable, 'POST', 'PATCH']) {
    const repeats = repeatable.includes(method)
    it(`${repeats ? 'sends' : 'does not send'} a ${method} without a body to the next endpoint after a reset`, async () => {
      await using first = await startUpstream()
      await using second = await startUpstream()
      await using gateway = await startGateway([first, second])
      const client = await connectTo(gateway)
      client.send(`${method} / HTTP/1.1\r\nHost: x\r\n\r\n`)
      const peer = await first.next()
      await peer.head()
      peer.socket.resetAndDestroy()
      if (repeats) {
        const next = await second.next()
        await next.head()
        next.send('HTTP/1.1 204 No Content\r\n\r\n')
        await client.head()
      } else {
        await client.until('E_UPSTREAM_RESET')
        assert.equal(second.peers.length, 0)
      }
      assert.deepEqual(gateway.leases[0]?.calls, ['failed', 'disposed'])
    })
  }

  it('does not send a request with a body twice once its head was sent', async () => {
    await using first = await startUpstream()
    await using second = await startUpstream()
    await using gateway = await startGateway([first, second])
    const client = await connectTo(gateway)
    client.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n')
    const peer = await first.next()
    await peer.head()
    peer.socket.end()
    await client.until('E_UPSTREAM_RESET')
    assert.equal(second.peers.length, 0)
  })

  it('answers 502 when the upstream closes in the middle of its head', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await upstream.next()
    await peer.head()
    peer.socket.end('HTTP/1.1 200 OK\r\nConte')
    assert.match(await client.until('E_UPSTREAM_RESET'), /^HTTP\/1.1 502 /)
  })

  it('answers 504 when no head comes, closes the connection, and holds nothing against the endpoint', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { timeouts: { responseMs: 30 } })
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await upstream.next()
    assert.match(await client.until('E_RESPONSE_TIMEOUT'), /^HTTP\/1.1 504 /)
    await peer.rest()
    assert.deepEqual(gateway.leases[0]?.calls, ['disposed'])
  })

  it('counts the time for the head from the end of the body on', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], {
      timeouts: { responseMs: 5000, bodyMs: 60_000 },
    })
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const client = await connectTo(gateway)
      client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel')
      const peer = await upstream.next()
      await peer.until('hel')
      mock.timers.tick(59_000)
      client.send('lo')
      await peer.until('lo')
      mock.timers.tick(4000)
      assert.equal(client.received, '')
      mock.timers.tick(1000)
      await client.until('E_RESPONSE_TIMEOUT')
    } finally {
      mock.timers.reset()
    }
  })

  it('answers 504 when the upstream stops taking the body', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { timeouts: { responseMs: 200 } })
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n')
    const peer = await upstream.next()
    peer.socket.pause()
    const chunk = Buffer.alloc(1_000_000)
    for (let sent = 0; sent < 100; sent += 1) client.socket.write(chunk)
    await client.until('E_RESPONSE_TIMEOUT')
  })

  it('answers 408 when the client stops sending its body', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { timeouts: { bodyMs: 30 } })
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel')
    const peer = await upstream.next()
    assert.match(await client.until('E_HEAD_TIMEOUT'), /^HTTP\/1.1 408 /)
    await peer.rest()
  })

  it('answers 504 when the upstream neither continues nor answers', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { timeouts: { responseMs: 30 } })
    const client = await connectTo(gateway)
    client.send('PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    await client.until('E_RESPONSE_TIMEOUT')
  })

  it('gives the connect up when the client leaves, and tries no other endpoint', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([hanging(upstream), hanging(upstream)])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
    const peer = await upstream.next()
    client.socket.resetAndDestroy()
    assert.equal((await gateway.refused()).code, 'E_CLIENT_GONE')
    await peer.rest()
    assert.equal(gateway.leases.length, 1)
    assert.deepEqual(gateway.leases[0]?.calls, ['disposed'])
  })

  it('answers 504 when the connect takes too long, after it has tried the other endpoints', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([hanging(upstream), hanging(upstream)], {
      timeouts: { connectMs: 30 },
    })
    const client = await connectTo(gateway)
    client.send(GET)
    assert.match(await client.until('E_CONNECT_TIMEOUT'), /^HTTP\/1.1 504 /)
    assert.deepEqual(
      gateway.leases.map(({ calls }) => calls),
      [
        ['failed', 'disposed'],
        ['failed', 'disposed'],
      ],
    )
  })

  it('refuses at once when the client has left before', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    gateway.onRequest = ({ socket }) => void socket.destroy()
    client.send(GET)
    assert.equal((await gateway.refused()).code, 'E_CLIENT_GONE')
    assert.deepEqual(gateway.leases, [])
  })
})

/** Its connect never ends: the peer says nothing in the TLS handshake. */
function hanging(upstream: Upstream): Endpoint {
  return { ...endpointAt(upstream.address), tls: endpointTls({ serverName: 'x' }) }
}
