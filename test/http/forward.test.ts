import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { closedAddress, connectTo, startGateway, startUpstream } from './harness.ts'

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
    assert.equal(gateway.responses[0]?.listenerCount('close'), 0)
    process.off('warning', onWarning)
    assert.deepEqual(warnings, [])
  })

  it('passes on what the first acquire refuses', async () => {
    await using gateway = await startGateway([])
    const client = await connectTo(gateway)
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(await client.until('E_ENDPOINT_NONE'), /^HTTP\/1.1 503 /)
  })

  it('leaves no listener on the request and its response', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n')
    const peer = await upstream.next()
    await peer.head()
    client.send('hello')
    await peer.until('hello')
    peer.send(OK)
    await client.until('ok')
    await gateway.answered()
    const [req] = gateway.requests
    const [res] = gateway.responses
    assert.ok(req !== undefined && res !== undefined)
    assert.deepEqual(
      ['data', 'end', 'error', 'close'].map((event) => req.listenerCount(event)),
      [0, 0, 0, 0],
    )
    assert.deepEqual(
      ['drain', 'close', 'error'].map((event) => res.listenerCount(event)),
      [0, 0, 0],
    )
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
})
