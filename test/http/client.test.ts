import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { connectTo, startGateway, startUpstream } from './harness.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const EXPECTING =
  'PUT / HTTP/1.1\r\nHost: x\r\nX: \xe9\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n'

describe('Client', () => {
  it("tells the client to continue when the upstream does, and sends Expect with the fields' bytes", async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(EXPECTING)
    const peer = await upstream.next()
    assert.equal(await peer.head(), EXPECTING)
    assert.equal(client.received, '')
    peer.send('HTTP/1.1 100 Continue\r\n\r\n')
    assert.equal(await client.head(), 'HTTP/1.1 100 Continue\r\n\r\n')
    client.send('hello')
    await peer.until('hello')
    peer.send(OK)
    assert.equal(await client.until('ok'), OK)
  })

  it('passes a final answer without the 100 and closes, as the body may or may not follow', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(EXPECTING)
    const peer = await upstream.next()
    await peer.head()
    peer.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno')
    assert.equal(
      await client.rest(),
      'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno',
    )
    const end = await gateway.answered()
    assert.deepEqual([end.status, end.bytesUp], [417, 0])
    await peer.rest()
  })

  it('sends a body that does not wait for the 100', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(`${EXPECTING}hello`)
    const peer = await upstream.next()
    await peer.until('hello')
    peer.send(OK)
    await client.until('ok')
  })

  it('passes early hints and other informational answers on as they are', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    const hints =
      'HTTP/1.1 103 Hints\r\nlink: </a.css>\r\nLink: </b.css>\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n'
    peer.send(`HTTP/1.1 100 Continue\r\n\r\n${hints}${OK}`)
    assert.equal(await client.until('ok'), hints + OK)
  })

  it('keeps informational answers from HTTP/1.0 clients', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.0\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    peer.send(`HTTP/1.1 103 Hints\r\nLink: </a.css>\r\n\r\n${OK}`)
    assert.equal(
      await client.rest(),
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
    )
  })

  it('refuses an upstream that never stops to inform', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    peer.send('HTTP/1.1 102 Processing\r\n\r\n'.repeat(40))
    await client.until('E_UPSTREAM_PROTOCOL')
    await peer.rest()
  })

  it('closes the connection to the upstream when the client leaves before the answer', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    client.socket.resetAndDestroy()
    await peer.rest()
    const refusal = await gateway.refused()
    assert.equal(refusal.code, 'E_CLIENT_GONE')
    assert.equal(refusal.details.cause, 'reset')
    assert.deepEqual(gateway.leases[0]?.calls, ['disposed'])
  })

  it('closes the connection to the upstream when the client leaves in the middle of the answer', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    await client.until('hello')
    client.socket.resetAndDestroy()
    await peer.rest()
    const end = await gateway.answered()
    assert.equal(end.bytesDown, 5)
    assert.deepEqual(end.brokenOff, {
      by: 'client',
      reason: 'reset',
      cause: 'the client left before the end of the answer',
    })
  })

  it('still answers a client that has half-closed', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    peer.send(OK)
    assert.match(await client.rest(), /ok$/)
  })

  it('answers pipelined requests in their order, whatever the upstream informs of', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
    const one = await upstream.next()
    assert.match(await one.head(), /^GET \/1 /)
    const big = 'b'.repeat(1_000_000)
    one.send('HTTP/1.1 200 One\r\nContent-Length: 2\r\n\r\nok')
    assert.match(await one.head(), /^GET \/2 /)
    one.send(
      `HTTP/1.1 103 Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 Two\r\nContent-Length: 1000000\r\n\r\n${big}`,
    )
    assert.equal(await client.until('ok'), 'HTTP/1.1 200 One\r\nContent-Length: 2\r\n\r\nok')
    assert.match(await client.head(), /^HTTP\/1.1 103 /)
    assert.match(await client.head(), /^HTTP\/1.1 200 Two\r\n/)
    await client.until(big)
    await gateway.answered()
    await gateway.answered()
  })
})
