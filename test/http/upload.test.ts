import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { connectTo, startGateway, startUpstream } from './harness.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('Upload', () => {
  for (const method of ['POST', 'DELETE', 'OPTIONS', 'GET']) {
    it(`sends the chunked body of a ${method} with its trailers`, async () => {
      await using upstream = await startUpstream()
      await using gateway = await startGateway([upstream])
      const client = await connectTo(gateway)
      const head = `${method} / HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n`
      client.send(
        `${head}5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Auth-User: root\r\nHost: y\r\nx-sum: 2\r\n\r\n`,
      )
      const peer = await upstream.next()
      assert.equal(await peer.head(), head)
      assert.equal(
        await peer.until('0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n'),
        '5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n',
      )
      peer.send(OK)
      await client.until('ok')
      assert.equal((await gateway.answered()).bytesUp, 5)
    })

    it(`sends the body of a ${method} with its length`, async () => {
      await using upstream = await startUpstream()
      await using gateway = await startGateway([upstream])
      const client = await connectTo(gateway)
      const request = `${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`
      client.send(request)
      const peer = await upstream.next()
      assert.equal(await peer.until('hello'), request)
      peer.send(OK)
      await client.until('ok')
    })
  }

  it('drops a Trailer field where there is no chunked body', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nA: 1\r\n\r\n')
    const peer = await upstream.next()
    assert.equal(await peer.head(), 'GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n\r\n')
  })

  it('goes on with a large upload after an early answer', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    const size = 16 * 1024 ** 2
    client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`)
    const peer = await upstream.next()
    await peer.head()
    peer.send(OK)
    await client.until('ok')
    peer.socket.removeAllListeners('data')
    let read = 0
    const all = new Promise<void>((resolve) => {
      peer.socket.on('data', ({ length }) => {
        read += length
        if (read === size) resolve()
      })
    })
    client.send('x'.repeat(size))
    await all
    assert.equal((await gateway.answered()).bytesUp, size)
  })

  it('sends the head before the first byte of the body has come, and each part as it comes', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nX: \xe9\r\nTransfer-Encoding: chunked\r\n\r\n')
    const peer = await upstream.next()
    assert.match(await peer.head(), /X: \xe9\r\n/)
    client.send('3\r\nabc\r\n')
    await peer.until('abc\r\n')
    client.send('3\r\ndef\r\n')
    await peer.until('def\r\n')
  })

  it('stalls the client when the upstream does not read, and goes on when it does', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    const total = 64 * 1024 * 1024
    client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${total}\r\n\r\n`)
    const peer = await upstream.next()
    await peer.head()
    peer.socket.pause()
    const chunk = Buffer.alloc(1024 * 1024)
    const before = process.memoryUsage().arrayBuffers
    let sent = 0
    const push = (): void => {
      while (sent < total) {
        sent += chunk.length
        if (!client.socket.write(chunk)) return
      }
    }
    client.socket.on('drain', push)
    push()
    // Blocked: the client is not read because the upstream's connection takes no more.
    while (gateway.clients[0]?.socket.isPaused() !== true) await new Promise(setImmediate)
    assert.ok(sent < total)
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024)
    let read = 0
    peer.socket.removeAllListeners('data')
    const { promise, resolve } = Promise.withResolvers<void>()
    peer.socket.on('data', (part: Buffer) => {
      read += part.length
      if (read === total) resolve()
    })
    peer.socket.resume()
    await promise
    peer.send(OK)
    await client.until('ok')
    assert.equal((await gateway.answered()).bytesUp, total)
  })

  it('goes on with the upload after an early answer', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello')
    const peer = await upstream.next()
    await peer.until('hello')
    peer.send(OK)
    await client.until('ok')
    client.send('world')
    await peer.until('world')
    const end = await gateway.answered()
    assert.equal(end.bytesUp, 10)
    assert.equal(end.brokenOff, undefined)
    client.send('GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
    await peer.head()
    peer.send(OK)
    await client.until('ok')
    assert.equal(upstream.peers.length, 1)
  })

  it('passes an early answer whose upstream closes, and drops the rest of the body', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello')
    const peer = await upstream.next()
    await peer.until('hello')
    peer.send('HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno')
    peer.socket.end()
    assert.match(await client.until('no'), /^HTTP\/1.1 413 No\r\n/)
    const end = await gateway.answered()
    assert.deepEqual([end.status, end.bytesUp, end.brokenOff], [413, 5, undefined])
    assert.deepEqual(gateway.leases[0]?.calls, ['succeeded', 'disposed'])
    // The connection is still good for the next request.
    client.send('worldGET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
    const second = await upstream.next()
    await second.head()
    second.send(OK)
    await client.until('ok')
  })

  it('ends the exchange when the client leaves in the rest of its body after a whole answer', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello')
    const peer = await upstream.next()
    await peer.until('hello')
    peer.send(OK)
    await client.until('ok')
    client.socket.destroy()
    const end = await gateway.answered()
    assert.equal(end.brokenOff, undefined)
    await peer.rest()
    assert.equal(peer.received, '')
  })

  it('ends the exchange when the rest of a body does not come after a whole answer', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream], { timeouts: { idleMs: 30 } })
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello')
    const peer = await upstream.next()
    await peer.until('hello')
    peer.send(OK)
    await client.until('ok')
    assert.equal((await gateway.answered()).brokenOff, undefined)
    await peer.rest()
  })

  it('cuts a client off that never stops sending what nobody wants', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello')
    const peer = await upstream.next()
    await peer.until('hello')
    peer.socket.end('HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno')
    await client.until('no')
    await gateway.answered()
    client.send('world')
    t.mock.timers.tick(30_000)
    await client.closed()
  })

  it('never ends a cut-off chunked body towards the upstream', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    const peer = await upstream.next()
    await peer.until('hello\r\n')
    client.socket.resetAndDestroy()
    assert.equal((await gateway.refused()).code, 'E_CLIENT_GONE')
    assert.equal(await peer.rest(), '')
  })
})
