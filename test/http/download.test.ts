import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  connectTo,
  startGateway,
  startUpstream,
  type Gateway,
  type Peer,
  type Upstream,
} from './harness.ts'

interface Exchange {
  readonly client: Peer
  readonly peer: Peer
}

async function exchange(
  upstream: Upstream,
  gateway: Gateway,
  request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
): Promise<Exchange> {
  const client = await connectTo(gateway)
  client.send(request)
  const peer = await upstream.next()
  await peer.head()
  return { client, peer }
}

describe('Download', () => {
  const unchanged = {
    'the status, reason and fields in their case, order and number':
      'HTTP/1.1 299 Very  Odd\xe9\r\nserver: a\r\nSet-Cookie: a=1\r\nB: 1\r\nset-cookie: b=2\r\n' +
      'B: 2\r\nCONTENT-LENGTH: 2\r\nX: caf\xe9\r\n\r\nok',
    'a status without a reason': 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok',
    "the upstream's Date":
      'HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok',
    'an empty body': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'a chunked body with trailers':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n' +
      '2\r\nok\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n',
    'a 204': 'HTTP/1.1 204 No Content\r\nA: b\r\n\r\n',
    'a 304 with the length of what it does not send':
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: "x"\r\n\r\n',
    'bytes in a Content-Disposition':
      'HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="\xc3\xa9\xe9"\r\nContent-Length: 2\r\n\r\nok',
  }
  for (const [name, answer] of Object.entries(unchanged)) {
    it(`passes on ${name}`, async () => {
      await using upstream = await startUpstream()
      await using gateway = await startGateway([upstream])
      const { client, peer } = await exchange(upstream, gateway)
      peer.send(answer)
      assert.equal((await gateway.answered()).brokenOff, undefined)
      client.send('GET /2 HTTP/1.0\r\n\r\n')
      await peer.head()
      peer.send('HTTP/1.1 200 End\r\nContent-Length: 0\r\n\r\n')
      assert.equal(
        await client.rest(),
        `${answer}HTTP/1.1 200 End\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      )
    })
  }

  it('passes the answer to HEAD on with its length and without a body', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const { client, peer } = await exchange(upstream, gateway, 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n')
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
    assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
    assert.equal((await gateway.answered()).bytesDown, 0)
  })

  it('applies the edits and drops what is hop-by-hop', async () => {
    const responseEdits = { set: [['X-Env', 'prod']] as const, remove: ['server'] }
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { responseEdits })
    const { client, peer } = await exchange(upstream, gateway)
    peer.send(
      'HTTP/1.1 200 OK\r\nServer: a\r\nKeep-Alive: timeout=9\r\nConnection: X-Hop\r\nX-Hop: 1\r\nA: 1\r\nContent-Length: 2\r\n\r\nok',
    )
    assert.equal(
      await client.until('ok'),
      'HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 2\r\nX-Env: prod\r\n\r\nok',
    )
  })

  it('answers 500 for edits that cannot be written', async () => {
    const responseEdits = { set: [['X-Env', 'a\r\nb']] as const, remove: [] }
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { responseEdits })
    const { client, peer } = await exchange(upstream, gateway)
    peer.send('HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok')
    assert.match(await client.until('E_INTERNAL'), /^HTTP\/1.1 500 Internal Server Error\r\n/)
    await peer.rest()
  })

  it('passes each event of a stream on before the next one comes', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const { client, peer } = await exchange(upstream, gateway)
    const head =
      'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: \xe9\r\nTransfer-Encoding: chunked\r\n\r\n'
    peer.send(head)
    assert.equal(await client.head(), head)
    for (const event of ['one', 'two']) {
      peer.send(`9\r\ndata: ${event}\r\n`)
      await client.until(`data: ${event}\r\n`)
    }
  })

  it('makes a body that ends with the connection chunked, and ends it well', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const { client, peer } = await exchange(upstream, gateway)
    peer.send('HTTP/1.0 200 OK\r\nA: 1\r\n\r\nok')
    peer.socket.end()
    assert.equal(
      await client.until('0\r\n\r\n'),
      'HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    )
    assert.equal((await gateway.answered()).brokenOff, undefined)
  })

  for (const te of ['', 'TE: chunked\r\n']) {
    it(`gives HTTP/1.0 clients the content of a chunked body without the coding${te && ', even if they ask for it'}`, async () => {
      await using upstream = await startUpstream()
      await using gateway = await startGateway([upstream])
      const request = `GET / HTTP/1.0\r\nConnection: keep-alive\r\n${te}\r\n`
      const { client, peer } = await exchange(upstream, gateway, request)
      peer.send(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: 1\r\n\r\n',
      )
      assert.equal(await client.rest(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok')
      assert.equal(client.error, undefined)
    })
  }

  it('keeps the connection of an HTTP/1.0 client that asks for it', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const request = 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'
    const { client, peer } = await exchange(upstream, gateway, request)
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    assert.equal(
      await client.until('ok'),
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok',
    )
    client.send(request)
    await peer.head()
  })

  it('does not let an upstream fill memory when the client does not read', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const { client, peer } = await exchange(upstream, gateway)
    client.socket.pause()
    const total = 200 * 1024 * 1024
    const chunk = Buffer.alloc(1024 * 1024)
    peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
    let sent = 0
    const push = (): void => {
      while (sent < total) {
        sent += chunk.length
        if (!peer.socket.write(chunk)) return
      }
    }
    peer.socket.on('drain', push)
    const before = process.memoryUsage().arrayBuffers
    push()
    const res = gateway.clients[0]?.socket
    // Stalled: what the response could not write waits for the client.
    assert.ok(res !== undefined)
    while (!res.writableNeedDrain) await new Promise(setImmediate)
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate)
    assert.equal(res.writableNeedDrain, true)
    assert.ok(res.writableLength < 1024 * 1024)
    assert.ok(sent < total / 4)
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024)
    let read = 0
    client.socket.removeAllListeners('data')
    client.socket.on('data', (part: Buffer) => {
      read += part.length
    })
    client.socket.resume()
    const end = await gateway.answered()
    assert.equal(end.bytesDown, total)
    assert.ok(read > 0)
  })

  const cutOff = {
    'a body with a length': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello',
    'a chunked body': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
  }
  for (const [name, answer] of Object.entries(cutOff)) {
    for (const how of ['eof', 'reset'] as const) {
      it(`cuts the client off when the upstream breaks off ${name} by ${how}`, async () => {
        await using upstream = await startUpstream()
        await using gateway = await startGateway([upstream])
        const { client, peer } = await exchange(upstream, gateway)
        peer.send(answer)
        await client.until('hello')
        if (how === 'eof') peer.socket.end()
        else peer.socket.resetAndDestroy()
        await client.rest()
        assert.ok(!client.received.includes('0\r\n\r\n'))
        const end = await gateway.answered()
        assert.deepEqual([end.brokenOff?.by, end.brokenOff?.reason], ['upstream', how])
        assert.equal(end.bytesDown, 5)
        assert.deepEqual(gateway.leases[0]?.calls, ['succeeded', 'disposed'])
      })
    }
  }

  it('resets the client when a body that ends with the connection is reset', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const request = 'GET / HTTP/1.0\r\n\r\n'
    const { client, peer } = await exchange(upstream, gateway, request)
    peer.send('HTTP/1.1 200 OK\r\n\r\nhello')
    await client.until('hello')
    peer.socket.resetAndDestroy()
    await client.closed()
    assert.equal(client.error?.code, 'ECONNRESET')
    assert.equal((await gateway.answered()).brokenOff?.reason, 'reset')
  })

  it('cuts a chunked answer off when the body behind it, ended by the connection, is reset', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const { client, peer } = await exchange(upstream, gateway)
    peer.send('HTTP/1.1 200 OK\r\n\r\nhello')
    await client.until('hello\r\n')
    peer.socket.resetAndDestroy()
    assert.equal(await client.rest(), '')
    assert.equal((await gateway.answered()).brokenOff?.reason, 'reset')
  })

  it('cuts the client off when the chunks break the grammar', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const { client, peer } = await exchange(upstream, gateway)
    peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await client.until('hello\r\n')
    peer.send('nonsense\r\n')
    assert.equal(await client.rest(), '')
    const { brokenOff } = await gateway.answered()
    assert.equal(brokenOff?.reason, 'error')
    assert.equal(brokenOff?.cause, 'the chunked body is broken')
  })

  it('breaks the exchange off when no byte moves for too long', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { timeouts: { idleMs: 50 } })
    const { client, peer } = await exchange(upstream, gateway)
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    assert.match(await client.rest(), /hello$/)
    await peer.rest()
    const { brokenOff } = await gateway.answered()
    assert.deepEqual(brokenOff, { by: 'gateway', reason: 'idle', cause: 'no byte for 50 ms' })
  })
})
