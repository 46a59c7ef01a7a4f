/** What proxies of upgrades have been seen to get wrong: each of these tests is a fault that one of them has or had. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { answerOf, http2Client } from '../support/http2-client.ts'
import {
  handshake,
  rawClient,
  SWITCHING,
  WEBSOCKET_ACCEPT,
  WEBSOCKET_KEY,
  type RawAnswer,
  type RawClient,
} from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'
import { untilLeft } from '../support/until-left.ts'

const TCP_REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'
const TCP_SWITCHING = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

function tlsFile(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url))
}

/** The head of the request that comes of `request`. */
async function forwarded(request: string, yaml = ''): Promise<RawAnswer> {
  const seen = Promise.withResolvers<RawAnswer>()
  await using upstream = await scriptedUpstream(async (connection) => {
    seen.resolve(await connection.head())
    connection.write(SWITCHING)
  })
  await using gateway = await startTestGateway(`${yaml}routes: [{ upstream: "${upstream.url}" }]`)
  await using client = await rawClient(gateway.port)
  client.write(request)
  assert.equal((await client.head()).status, 101)
  return seen.promise
}

/** The 101 that comes of an upstream's `answer`. */
async function switched(answer: string, route = ''): Promise<RawAnswer> {
  await using upstream = await scriptedUpstream(async (connection) => {
    await connection.head()
    connection.write(answer)
  })
  await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}"${route} }]`)
  await using client = await rawClient(gateway.port)
  client.write(handshake())
  return await client.head()
}

function echo(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    await connection.head()
    connection.write(TCP_SWITCHING)
    connection.socket.pipe(connection.socket)
  })
}

async function assertServes(gateway: TestGateway): Promise<void> {
  await using client = await rawClient(gateway.port)
  client.write(handshake('/alive'))
  assert.equal((await client.head()).status, 101)
}

describe('the request that is forwarded', () => {
  it('leaves out what is hop by hop, and what Connection names', async () => {
    const { fields } = await forwarded(
      handshake('/', [
        'Connection: X-Hop, close',
        'X-Hop: 1',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic YTpi',
        'TE: trailers',
        'HTTP2-Settings: AAMAAABk',
      ]),
    )
    for (const name of [
      'x-hop',
      'keep-alive',
      'proxy-connection',
      'proxy-authorization',
      'te',
      'http2-settings',
    ]) {
      assert.ok(!fields.has(name), name)
    }
    assert.equal(fields.get('connection'), 'Upgrade')
  })

  it('keeps what the upstream relies on, whatever Connection names', async () => {
    const { fields } = await forwarded(
      handshake('/', [
        'Connection: Host, Authorization, Cookie, X-Forwarded-For, X-Request-Id, Sec-WebSocket-Key, Origin',
        'Authorization: Bearer a',
        'Cookie: b=c',
        'Origin: https://app.test',
      ]),
    )
    assert.equal(fields.get('host'), 'gateway.test')
    assert.equal(fields.get('authorization'), 'Bearer a')
    assert.equal(fields.get('cookie'), 'b=c')
    assert.equal(fields.get('origin'), 'https://app.test')
    assert.equal(fields.get('sec-websocket-key'), WEBSOCKET_KEY)
    assert.equal(fields.get('x-forwarded-for'), '127.0.0.1')
    assert.ok(fields.has('x-request-id'))
  })

  it('says where the request came from in place of what the client claims, with http for ws', async () => {
    const claims = handshake('/', [
      'X-Forwarded-For: 10.1.2.3',
      'X-Forwarded-For: 10.1.2.4',
      'X-Forwarded-Proto: wss',
      'X-Forwarded-Host: bank.test',
      'X-Real-IP: 10.1.2.3',
      'Forwarded: for=10.1.2.3',
    ])
    const { fields } = await forwarded(claims)
    assert.equal(fields.get('x-forwarded-for'), '127.0.0.1')
    assert.equal(fields.get('x-forwarded-proto'), 'http')
    assert.equal(fields.get('x-forwarded-host'), 'gateway.test')
    assert.equal(fields.get('x-real-ip'), '127.0.0.1')
    assert.ok(!fields.has('forwarded'))
  })

  const separators = ['_', '.', '~', '!', '^', '|', "'"]
  const spellings = [
    'X-Auth-User',
    'X-Forwarded-For',
    'X-Real-IP',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-Request-Id',
  ].flatMap((name) => separators.map((separator) => name.replaceAll('-', separator)))

  it('has no field that a CGI-like server takes for a protected one, however it is spelt', async () => {
    const { lines } = await forwarded(
      handshake('/', [
        'Connection: X_Forwarded_For, X_Request_Id, X_Hop',
        'X-Hop: 1',
        ...spellings.map((name) => `${name}: evil`),
      ]),
    )
    assert.deepEqual(
      lines.filter((line) => /evil|hop/i.test(line)),
      [],
    )
    assert.ok(lines.includes('X-Forwarded-For: 127.0.0.1'))
    assert.ok(lines.some((line) => line.startsWith('X-Request-Id: ')))
  })

  it('has none either of a client that speaks HTTP/2, whether it is an upgrade or not', async () => {
    const heads: string[][] = []
    await using upstream = await scriptedUpstream(async (connection) => {
      const { lines, fields } = await connection.head()
      heads.push([...lines])
      const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
      connection.write(fields.has('upgrade') ? 'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n' : ok)
    })
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", h2c: true }]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    const headers = Object.fromEntries(spellings.map((name) => [name.toLowerCase(), 'evil']))
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    assert.equal((await client.ask('/', { headers })).status, 200)
    assert.equal((await answerOf(client.connect('/', headers))).status, 404)
    assert.equal(heads.length, 2)
    assert.deepEqual(
      heads.flat().filter((line) => line.includes('evil')),
      [],
    )
  })

  it('has bytes above 0x7F in its target encoded, and is for the route that they are for', async () => {
    const seen: string[] = []
    await using upstream = await scriptedUpstream(async (connection) => {
      while (await connection.more()) {
        seen.push((await connection.head()).statusLine)
        connection.write('HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n')
      }
    })
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", h2c: true }]\nroutes: [{ match: { path: "/caf%C3%A9" }, upstream: "${upstream.url}" }]`,
    )
    const target = '/caf\xc3\xa9?q=\xff'
    for (const request of [handshake(target), `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`]) {
      await using client = await rawClient(gateway.port)
      client.write(request)
      assert.equal((await client.answer()).status, 404)
    }
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    assert.equal((await client.ask('/caf\xc3\xa9?q=\xff')).status, 404)
    assert.deepEqual(seen, Array(3).fill('GET /caf%C3%A9?q=%FF HTTP/1.1'))
  })

  it('says https for the wss of a trusted proxy: some say so, and frameworks know http and https alone', async () => {
    const { fields } = await forwarded(
      handshake('/', ['X-Forwarded-For: 10.1.2.3', 'X-Forwarded-Proto: wss']),
      'trustedProxies: ["127.0.0.1"]\n',
    )
    assert.equal(fields.get('x-forwarded-for'), '10.1.2.3, 127.0.0.1')
    assert.equal(fields.get('x-forwarded-proto'), 'https')
  })

  it('asks for websocket alone when the client names it in other letters and beside h2c', async () => {
    const request = handshake().replace('Upgrade: websocket', 'Upgrade: h2c, WebSocket')
    const { fields } = await forwarded(request)
    assert.equal(fields.get('upgrade'), 'WebSocket')
  })

  it('goes on with an empty Host, which is valid and which docker sends', async () => {
    const { lines } = await forwarded(handshake().replace('Host: gateway.test', 'Host:'))
    assert.equal(lines.filter((line) => /^host:/i.test(line)).length, 1)
  })
})

describe('the 101 that is passed on', () => {
  it('leaves out what is hop by hop, and what its Connection names', async () => {
    const { fields } = await switched(
      SWITCHING.replace(
        'Connection: Upgrade',
        'Connection: Upgrade, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 2',
      ),
    )
    for (const name of ['x-hop', 'keep-alive']) assert.ok(!fields.has(name), name)
    assert.equal(fields.get('x-kept'), '2')
  })

  it("gets the route's edits like every other answer", async () => {
    const { fields } = await switched(
      SWITCHING.replace('Upgrade: websocket', 'Upgrade: websocket\r\nServer: secret/1.0'),
      ', headers: { response: { set: { X-Env: prod }, remove: [Server] } }',
    )
    assert.equal(fields.get('x-env'), 'prod')
    assert.ok(!fields.has('server'))
  })

  it('is accepted in other letters than those that were asked for', async () => {
    const { status, fields } = await switched(
      `HTTP/1.1 101 OK\r\nupgrade: WebSocket\r\nconnection: UPGRADE\r\nsec-websocket-accept: ${WEBSOCKET_ACCEPT}\r\n\r\n`,
    )
    assert.equal(status, 101)
    assert.equal(fields.get('upgrade'), 'WebSocket')
  })
})

describe('a tunnel', () => {
  it("never gets the parser's 408, however long it is open and however slow its head was", async () => {
    await using upstream = await echo()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", headTimeout: 150ms, keepAliveTimeout: 150ms }]\nroutes: [{ upgrade: [tcp], upstream: "${upstream.url}" }]`,
    )
    // The first fetch of a process takes longer than the limit.
    await gateway.metrics()
    await using client = await rawClient(gateway.port)
    client.write(TCP_REQUEST.slice(0, 20))
    await gateway.metrics()
    client.write(TCP_REQUEST.slice(20))
    assert.equal((await client.head()).status, 101)
    for (let round = 0; round < 2; round += 1) {
      // A connection that gets its 408 shows that the limit has passed for all.
      await using slow = await rawClient(gateway.port)
      slow.write('GET / HTTP/1.1\r\n')
      assert.equal((await slow.answer()).status, 408)
    }
    client.write('still here')
    assert.equal(await client.bytes(10), 'still here')
    client.socket.end()
    assert.equal(await client.rest(), '')
  })

  it('ends once, without harm to others, when both peers reset at the same time', async () => {
    const peers: RawClient[] = []
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(TCP_SWITCHING)
      peers.push(connection)
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [tcp], upstream: "${upstream.url}" }]`,
    )
    await using bystander = await rawClient(gateway.port)
    bystander.write(TCP_REQUEST)
    await bystander.head()
    for (let round = 0; round < 50; round += 1) {
      const client = await rawClient(gateway.port)
      client.write(TCP_REQUEST)
      await client.head()
      const peer = peers.at(-1)
      client.write('data on the way')
      client.socket.resetAndDestroy()
      peer?.socket.resetAndDestroy()
    }
    while ((await gateway.metric('upgate_tunnels_open')) > 1) {
      // Each scrape is a turn of the event loop.
    }
    const closes = gateway.logs.filter((line) => line.msg === 'tunnel close')
    assert.equal(closes.length, 50)
    peers[0]?.write('unharmed')
    assert.equal(await bystander.bytes(8), 'unharmed')
  })
})

describe('a client that leaves at any moment', () => {
  it('takes neither the gateway nor the upstream connection with it', async () => {
    await using upstream = await scriptedUpstream(untilLeft)
    await using gateway = await startTestGateway(
      `routes: [{ match: { path: /alive }, upstream: "builtin:echo" }, { upgrade: [tcp], upstream: "${upstream.url}" }]`,
    )
    const request =
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\nbody'
    for (let length = 0; length <= request.length; length += 1) {
      const socket = net.connect(gateway.port, '127.0.0.1')
      await once(socket, 'connect')
      await new Promise((resolve) => socket.write(request.slice(0, length), resolve))
      socket.resetAndDestroy()
    }
    await upstream.quiet()
    await assertServes(gateway)
  })
})

describe('a refused upgrade', () => {
  const UNAUTHORIZED = 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n'

  it('leaves no upstream connection behind, though the upstream would keep it', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(UNAUTHORIZED)
      assert.equal(await connection.rest(), '')
      connection.socket.end()
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.answer()).status, 401)
    await upstream.quiet()
  })

  it('lets no byte behind the request reach its endpoint, and serves the next request by the rules', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(UNAUTHORIZED)
      assert.equal(await connection.rest(), '')
      connection.socket.end()
    })
    await using gateway = await startTestGateway(
      `routes: [{ match: { path: /ws }, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(`${handshake('/ws')}GET /next HTTP/1.1\r\nHost: gateway.test\r\n\r\n`)
    assert.equal((await client.answer()).status, 401)
    assert.equal((await client.answer()).status, 404)
    await upstream.quiet()
    assert.equal(upstream.connections, 1)
  })

  it('ends its connection with a 400 where what is behind it is no HTTP', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(UNAUTHORIZED)
      assert.equal(await connection.rest(), '')
      connection.socket.end()
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write(`${handshake()}\x81\x85\x00\x00\x00\x00hello`)
    assert.equal((await client.answer()).status, 401)
    assert.equal((await client.answer()).status, 400)
    assert.equal(await client.rest(), '')
    await upstream.quiet()
  })

  it('can be followed by any number of requests on its connection, without listeners that pile up', async () => {
    const rounds = 30
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head()
      connection.write(index < rounds ? UNAUTHORIZED : SWITCHING)
    })
    await using gateway = await startTestGateway(
      `routes: [{ match: { path: /plain }, upstream: "builtin:echo" }, { upstream: "${upstream.url}" }]`,
    )
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    try {
      await using client = await rawClient(gateway.port)
      for (let round = 0; round < rounds; round += 1) {
        client.write(handshake())
        assert.equal((await client.answer()).status, 401)
        client.write('GET /plain HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n')
        const plain = await client.head()
        assert.equal(plain.status, 200)
        await client.bytes(Number(plain.fields.get('content-length')))
      }
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
      // Warnings are emitted in the next tick.
      await gateway.metrics()
      assert.deepEqual(warnings, [])
    } finally {
      process.off('warning', onWarning)
    }
  })
})

describe('what is not for this gateway', () => {
  it('refuses CONNECT and closes, with whatever stands behind it', async () => {
    await using upstream = await scriptedUpstream(() => {
      throw new Error('something got through')
    })
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: any, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      'CONNECT internal:22 HTTP/1.1\r\nHost: internal:22\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
    )
    assert.equal((await client.answer()).status, 405)
    assert.equal(await client.rest(), '')
  })

  it('refuses the preface of HTTP/2', async () => {
    await using gateway = await startTestGateway(
      'routes: [{ upgrade: any, upstream: "builtin:echo" }]',
    )
    await using client = await rawClient(gateway.port)
    client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    const answer = await client.answer()
    assert.equal(answer.status, 400)
    assert.equal(await client.rest(), '')
  })

  it('chooses HTTP/1.1 when a TLS client offers HTTP/2 first', async () => {
    await using gateway = await startTestGateway(
      'listeners: [{ address: "127.0.0.1:0", tls: { cert: ./cert.pem, key: ./key.pem } }]\nroutes: [{ upstream: "builtin:echo" }]',
      { 'cert.pem': tlsFile('cert.pem'), 'key.pem': tlsFile('key.pem') },
    )
    const socket = tls.connect({
      port: gateway.port,
      host: '127.0.0.1',
      ca: tlsFile('ca.pem'),
      servername: 'localhost',
      ALPNProtocols: ['h2', 'http/1.1'],
    })
    await once(socket, 'secureConnect')
    assert.equal(socket.alpnProtocol, 'http/1.1')
    socket.destroy()
    await once(socket, 'close')
  })
})
