import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestGateway } from '../support/gateway.ts'
import {
  handshake,
  rawClient,
  type RawClient,
  SWITCHING,
  WEBSOCKET_ACCEPT,
  WEBSOCKET_KEY,
} from '../support/raw-client.ts'
import { settled } from '../support/settled.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

const TCP = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

describe('handshake', () => {
  it('relays a checked 101 as it came and the bytes behind it both ways', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const request = await connection.head()
      assert.equal(request.statusLine, 'GET /chat?x=1 HTTP/1.1')
      assert.equal(request.fields.get('connection'), 'Upgrade')
      assert.equal(request.fields.get('upgrade'), 'websocket')
      connection.write(
        `HTTP/1.1 101 Go on then\r\nUPGRADE: websocket\r\nx-First: 1\r\nConnection: upgrade\r\nSet-Cookie: a=1\r\nSec-WebSocket-Accept: ${WEBSOCKET_ACCEPT}\r\nset-cookie: b=2\r\n\r\nhello`,
      )
      assert.equal(await connection.bytes(4), 'ping')
      connection.write('pong')
      await connection.rest()
      connection.socket.end()
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake('/chat?x=1'))
    const head = await client.head()
    assert.equal(head.statusLine, 'HTTP/1.1 101 Go on then')
    assert.deepEqual(head.lines, [
      'UPGRADE: websocket',
      'x-First: 1',
      'Connection: upgrade',
      'Set-Cookie: a=1',
      `Sec-WebSocket-Accept: ${WEBSOCKET_ACCEPT}`,
      'set-cookie: b=2',
    ])
    assert.equal(await client.bytes(5), 'hello')
    client.write('ping')
    assert.equal(await client.bytes(4), 'pong')
    client.socket.end()
    assert.equal(await client.rest(), '')
    const close = await gateway.log('tunnel close')
    assert.equal(close['by'], 'client')
    assert.equal(close['reason'], 'eof')
    assert.equal(close['bytesUp'], 4)
    assert.equal(close['bytesDown'], 9)
    const open = await gateway.log('tunnel open')
    assert.equal(open['tunnelId'], close['tunnelId'])
  })

  it('holds client bytes back until the 101, however early they come', async () => {
    let beforeSwitch = ''
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.socket.on('data', (chunk: Buffer) => {
        beforeSwitch += chunk.toString('latin1')
      })
      // Two round trips through the gateway's event loop, so that the early bytes had every chance to get here.
      await fetchStatus(gateway.adminPort)
      await fetchStatus(gateway.adminPort)
      assert.equal(beforeSwitch, '')
      connection.write(SWITCHING)
      assert.equal(await connection.bytes(10), 'early late')
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(`${handshake()}early `)
    client.write('late')
    assert.equal((await client.head()).status, 101)
    await gateway.log('tunnel open')
  })

  it('takes a 101 that comes a byte at a time', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      for (const byte of SWITCHING) {
        connection.write(byte)
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.head()).status, 101)
  })

  it('passes informational answers on before the final one', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${SWITCHING}`)
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.head()).status, 103)
    assert.equal((await client.head()).status, 101)
  })

  for (const [name, head, body, sent] of [
    ['a length', 'Content-Length: 4', 'body', 'body'],
    [
      'chunks, without their extensions',
      'Transfer-Encoding: chunked',
      '2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nT: x\r\n\r\n',
      '2\r\nbo\r\n2\r\ndy\r\n0\r\nT: x\r\n\r\n',
    ],
  ] as const) {
    it(`sends a POST's body framed by ${name} before the 101, and nothing behind it`, async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        const request = await connection.head()
        assert.equal(request.statusLine, 'POST /exec HTTP/1.1')
        assert.equal(request.fields.get('upgrade'), 'tcp')
        assert.equal(await connection.bytes(sent.length), sent)
        connection.write(TCP)
        assert.equal(await connection.rest(), 'stdin')
        connection.socket.end('stdout')
      })
      await using gateway = await startTestGateway(
        `routes: [{ upgrade: [tcp], upstream: "${upstream.url}" }]`,
      )
      await using client = await rawClient(gateway.port)
      client.write(
        `POST /exec HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n${head}\r\n\r\n${body}stdin`,
      )
      client.socket.end()
      assert.equal((await client.head()).statusLine, 'HTTP/1.1 101 UPGRADED')
      assert.equal(await client.rest(), 'stdout')
    })
  }

  it('refuses a body whose chunks are broken', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [tcp], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    )
    const answer = await client.answer()
    assert.equal(answer.status, 400)
    assert.match(answer.body, /E_BODY_MALFORMED/)
    await upstream.quiet()
  })

  it('sends several allowed tokens on in the order of the client, and passes on the one that was granted', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const request = await connection.head()
      assert.equal(request.fields.get('upgrade'), 'SPDY/3.1, tcp')
      connection.write(TCP)
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [tcp, SPDY/3.1], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: SPDY/3.1, h2c\r\nUpgrade: tcp\r\n\r\n',
    )
    assert.equal((await client.head()).fields.get('upgrade'), 'tcp')
    assert.equal((await gateway.log('tunnel open'))['protocol'], 'tcp')
  })

  it('relays another answer whole and goes on with the same connection', async () => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head()
      connection.write(
        index === 0
          ? 'HTTP/1.1 401 Who are you\r\nWWW-Authenticate: Basic\r\nX-Case: Kept\r\nContent-Length: 5\r\n\r\nknock'
          : SWITCHING,
      )
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    const answer = await client.answer()
    assert.equal(answer.statusLine, 'HTTP/1.1 401 Who are you')
    assert.deepEqual(answer.lines.slice(0, 2), ['WWW-Authenticate: Basic', 'X-Case: Kept'])
    assert.equal(answer.body, 'knock')
    client.write(handshake())
    assert.equal((await client.head()).status, 101)
    assert.equal(upstream.connections, 2)
  })

  it('relays a chunked answer with its trailers', async () => {
    const body = '3\r\nabc\r\n0\r\nT: x\r\n\r\n'
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    const head = await client.head()
    assert.equal(head.fields.get('transfer-encoding'), 'chunked')
    assert.equal(await client.bytes(body.length), body)
  })

  it('relays an answer that ends with the connection in chunks, and keeps the connection of the client', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.socket.end('HTTP/1.0 200 OK\r\n\r\nall of it')
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    const { fields } = await client.head()
    assert.equal(fields.get('connection'), undefined)
    assert.equal(fields.get('transfer-encoding'), 'chunked')
    const body = '9\r\nall of it\r\n0\r\n\r\n'
    assert.equal(await client.bytes(body.length), body)
  })

  it('does not pass a truncated answer off as a whole one', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    await assert.rejects(client.bytes(100))
  })

  it('relays a large answer to a slow reader with bounded memory', async () => {
    const total = 64 * 1024 * 1024
    let written = 0
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      const chunk = Buffer.alloc(65_536)
      const pump = (): void => {
        while (written < total) {
          written += chunk.length
          if (!connection.socket.write(chunk)) return
        }
      }
      connection.socket.on('drain', pump)
      pump()
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    await client.head()
    client.socket.pause()
    await settled(() => written)
    assert.ok(written < total / 2, `${written} bytes were read ahead`)
    client.socket.resume()
    assert.equal((await client.bytes(total)).length, total)
  })

  for (const [name, answer] of [
    [
      'a token that was not asked for',
      'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    ],
    ['a wrong accept value', SWITCHING.replace(WEBSOCKET_ACCEPT, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=')],
    ['no accept value', 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['no Connection field', 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n'],
  ] as const) {
    it(`answers 502 to a 101 with ${name}, and closes both connections`, async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(`${answer}smuggled`)
      })
      await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
      await using client = await rawClient(gateway.port)
      client.write(handshake('/', ['Connection: close']))
      const refused = await client.answer()
      assert.equal(refused.status, 502)
      assert.equal(JSON.parse(refused.body).code, 'E_UPSTREAM_SWITCH')
      assert.equal(await client.rest(), '')
      await upstream.quiet()
    })
  }

  it('keeps name, order and number of the fields of a request', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const { lines } = await connection.head()
      assert.deepEqual(
        lines.filter(
          (line) =>
            !/^(X-Forwarded|X-Real-IP|X-Request-Id|traceparent|Via|Connection|Upgrade)/.test(line),
        ),
        [
          'hOsT: gateway.test',
          'b: 1',
          'A: 2',
          'B: 3',
          'Sec-WebSocket-Version: 13',
          `sec-websocket-key: ${WEBSOCKET_KEY}`,
          'Cookie: x=y',
        ],
      )
      connection.write(SWITCHING)
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(
      `GET / HTTP/1.1\r\nhOsT: gateway.test\r\nb: 1\r\nA: 2\r\nConnection: keep-alive, Upgrade, X-Hop\r\nX-Hop: 1\r\nB: 3\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nsec-websocket-key: ${WEBSOCKET_KEY}\r\nCookie: x=y\r\n\r\n`,
    )
    assert.equal((await client.head()).status, 101)
  })

  it('restores a handshake whose Upgrade field a trusted proxy has stripped', async () => {
    for (const version of ['1.0', '1.1']) {
      await using upstream = await scriptedUpstream(async (connection) => {
        const request = await connection.head()
        assert.equal(request.statusLine, 'GET /ws HTTP/1.1')
        assert.equal(request.fields.get('upgrade'), 'websocket')
        assert.equal(request.fields.get('connection'), 'Upgrade')
        connection.write(`${SWITCHING}hi`)
        assert.equal(await connection.bytes(4), 'data')
        connection.write('ok')
      })
      await using gateway = await startTestGateway(
        `trustedProxies: [127.0.0.1]\nroutes: [{ upstream: "${upstream.url}" }]`,
      )
      await using client = await rawClient(gateway.port)
      client.write(
        `GET /ws HTTP/${version}\r\nHost: a\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${WEBSOCKET_KEY}\r\n\r\n`,
      )
      assert.equal((await client.head()).status, 101)
      assert.equal(await client.bytes(2), 'hi')
      client.write('data')
      assert.equal(await client.bytes(2), 'ok')
      await gateway.log('tunnel open', { protocol: 'websocket' })
    }
  })

  it('takes a stripped handshake from anybody else as the plain request that it is', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const request = await connection.head()
      assert.equal(request.fields.get('upgrade'), undefined)
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(
      `GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${WEBSOCKET_KEY}\r\n\r\n`,
    )
    assert.equal((await client.answer()).body, 'plain')
  })

  it('treats an upgrade that the route does not allow as plain HTTP, on a connection that goes on', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      for (let round = 0; round < 3; round += 1) {
        const request = await connection.head()
        assert.equal(request.fields.get('upgrade'), undefined)
        assert.equal(request.fields.get('http2-settings'), undefined)
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
      }
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: any, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    for (let round = 0; round < 3; round += 1) {
      client.write(
        'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n',
      )
      assert.equal((await client.answer()).body, 'plain')
    }
  })

  for (const [name, leave] of [
    ['resets', (client: RawClient) => client.socket.resetAndDestroy()],
    ['leaves with a FIN, as WebSocket clients do', (client: RawClient) => client.socket.end()],
  ] as const) {
    it(`cancels the handshake when the client ${name}, and releases the upstream at once`, async () => {
      const asked = Promise.withResolvers<void>()
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        asked.resolve()
      })
      await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
      await using client = await rawClient(gateway.port)
      client.write(handshake())
      await asked.promise
      leave(client)
      await upstream.quiet()
      assert.equal((await gateway.log('request', { code: 'E_CLIENT_GONE' }))['status'], 499)
    })
  }
})

async function fetchStatus(adminPort: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/healthz`)
  await response.text()
}
