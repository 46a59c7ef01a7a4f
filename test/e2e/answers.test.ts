import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, WEBSOCKET_KEY } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

/** What a proxy that speaks HTTP/1.0 makes of a handshake. */
const STRIPPED_10 = `GET / HTTP/1.0\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${WEBSOCKET_KEY}\r\n\r\n`

describe('answers other than 101', () => {
  it('are taken out of their chunks for a client of HTTP/1.0', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nT: x\r\n\r\n',
      )
    })
    await using gateway = await startTestGateway(
      `trustedProxies: [127.0.0.1]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(STRIPPED_10)
    const head = await client.head()
    assert.deepEqual(head.lines, ['X: y', 'Connection: close'])
    assert.equal(await client.rest(), 'hello!')
    assert.equal((await gateway.log('request'))['bytesDown'], 6)
  })

  it('have no body after HEAD, 204 and 304, and the connection goes on', async () => {
    const heads = [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 204 No Content\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    ]
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head()
      connection.write(heads[index] ?? '')
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [tcp], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    for (const [index, method] of ['HEAD', 'GET', 'GET'].entries()) {
      client.write(`${method} / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`)
      assert.equal((await client.head()).status, [200, 204, 304][index])
    }
  })

  it('that ask for an upgrade say which one would do, to whoever asks and whichever way', async () => {
    const answer =
      'HTTP/1.1 426 No\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n'
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(answer)
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    for (const request of [handshake('/'), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n']) {
      await using client = await rawClient(gateway.port)
      client.write(request)
      const { status, fields } = await client.answer()
      assert.equal(status, 426)
      assert.equal(fields.get('upgrade'), 'tcp')
      assert.match(fields.get('connection') ?? '', /\bUpgrade\b/)
    }
  })

  it('end with a cut when the upstream resets in the middle, and the report says so', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
      await asked
      connection.socket.resetAndDestroy()
    })
    let ask!: () => void
    const asked = new Promise<void>((resolve) => {
      ask = resolve
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    assert.equal(await client.bytes(4), 'half')
    ask()
    await client.gone()
    assert.equal((await gateway.log('request', { status: 200 }))['cause'], 'ECONNRESET')
  })

  it('end with a cut when the chunks are broken', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n')
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    await client.gone()
    assert.match(String((await gateway.log('request'))['cause']), /chunked body is broken/)
  })

  it('end with a cut when nothing moves for the idle time', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
    })
    await using gateway = await startTestGateway(
      `routes: [{ timeouts: { idle: 100ms }, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    await client.gone()
    assert.equal((await gateway.log('request'))['cause'], 'idle')
    await upstream.quiet()
  })

  it('let go of the upstream when the client leaves in the middle', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    client.socket.resetAndDestroy()
    await upstream.quiet()
    assert.equal((await gateway.log('request'))['cause'], 'the client left')
  })

  it('are read by a client that goes on sending behind a refusal, up to a bound', async () => {
    await using upstream = await scriptedUpstream(() => {})
    await using gateway = await startTestGateway(
      `routes: [{ origins: ["https://a.test"], upgrade: [tcp], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 100000000\r\n\r\n',
    )
    client.write(Buffer.alloc(500_000))
    assert.equal((await client.answer()).status, 403)
    client.write(Buffer.alloc(4_000_000))
    await client.gone()
  })

  it('of an auth server that breaks off go on without their body, for upgrades and for plain requests', async () => {
    const server = http
      .createServer((_request, response) => {
        response.writeHead(403, { 'Content-Length': 100 })
        response.write('half')
        setImmediate(() => response.destroy())
      })
      .listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await using upstream = await scriptedUpstream(() => {})
    {
      await using gateway = await startTestGateway(
        `auth: { portal: { type: forward, url: "http://127.0.0.1:${port}/" } }\nroutes: [{ auth: [portal], upstream: "${upstream.url}" }]`,
      )
      for (const request of [handshake(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n']) {
        await using client = await rawClient(gateway.port)
        client.write(request)
        const { status, body } = await client.answer()
        assert.deepEqual([status, body], [403, ''])
      }
    }
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })

  it('are 500 for a plain request when the gateway itself fails, and it serves on', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    const { forwarder } = gateway.gateway as unknown as { forwarder: { forward: unknown } }
    const forward = forwarder.forward
    forwarder.forward = () => {
      throw new Error('a bug')
    }
    await using client = await rawClient(gateway.port)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const answer = await client.answer()
    assert.equal(answer.status, 500)
    assert.doesNotMatch(answer.body, /a bug/)
    assert.equal((await gateway.log('request', { code: 'E_INTERNAL' }))['level'], 'error')
    forwarder.forward = forward
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.answer()).body, 'ok')
  })

  it('is 400 when the body of a plain request turns out to be broken', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.gone()
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n',
    )
    const answer = await client.answer()
    assert.equal(answer.status, 400)
    await upstream.quiet()
  })
})
