import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { freePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient, RawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const fixtures = join(import.meta.dirname, '../fixtures/tls')
const pem = {
  'cert.pem': readFileSync(join(fixtures, 'cert.pem')),
  'key.pem': readFileSync(join(fixtures, 'key.pem')),
}
const ca = readFileSync(join(fixtures, 'ca.pem'))

const TCP = 'HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'
const ASK_TCP = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

async function tlsClient(port: number): Promise<RawClient> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca,
    allowHalfOpen: true,
  } as tls.ConnectionOptions)
  await once(socket, 'secureConnect')
  return new RawClient(socket)
}

/** Answers each request of each connection with `ok`. */
function answering(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }
  })
}

describe('listener', () => {
  for (const kind of ['plain', 'TLS'] as const) {
    it(`passes half-close through over ${kind}, each way`, async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(TCP)
        assert.equal(await connection.rest(), 'question')
        connection.write('answer ')
        connection.socket.end('to it')
      })
      const listener = kind === 'plain' ? '' : ', tls: { cert: ./cert.pem, key: ./key.pem }'
      await using gateway = await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0"${listener} }]\nroutes: [{ upgrade: [tcp], upstream: "${upstream.url}" }]`,
        pem,
      )
      await using client = await (kind === 'plain'
        ? rawClient(gateway.port)
        : tlsClient(gateway.port))
      client.write(ASK_TCP)
      assert.equal((await client.head()).status, 101)
      client.socket.end('question')
      assert.equal(await client.rest(), 'answer to it')
      const close = await gateway.log('tunnel close')
      assert.deepEqual([close['by'], close['reason']], ['client', 'eof'])
    })

    it(`passes the upstream's half-close through over ${kind} and what the client says after it`, async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.socket.end(`${TCP}all I have`)
        assert.equal(await connection.rest(), 'more from me')
      })
      const listener = kind === 'plain' ? '' : ', tls: { cert: ./cert.pem, key: ./key.pem }'
      await using gateway = await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0"${listener} }]\nroutes: [{ upgrade: [tcp], upstream: "${upstream.url}" }]`,
        pem,
      )
      await using client = await (kind === 'plain'
        ? rawClient(gateway.port)
        : tlsClient(gateway.port))
      client.write(ASK_TCP)
      await client.head()
      assert.equal(await client.rest(), 'all I have')
      client.socket.end('more from me')
      const close = await gateway.log('tunnel close')
      assert.deepEqual([close['by'], close['reason'], close['bytesUp']], ['upstream', 'eof', 12])
    })

    it(`passes a reset through over ${kind}`, async () => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head()
        connection.write(SWITCHING)
        await connection.bytes(1)
        connection.socket.resetAndDestroy()
      })
      const listener = kind === 'plain' ? '' : ', tls: { cert: ./cert.pem, key: ./key.pem }'
      await using gateway = await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0"${listener} }]\nroutes: [{ upstream: "${upstream.url}" }]`,
        pem,
      )
      await using client = await (kind === 'plain'
        ? rawClient(gateway.port)
        : tlsClient(gateway.port))
      client.write(handshake())
      await client.head()
      client.write('x')
      assert.equal(await client.failure(), 'ECONNRESET')
      const close = await gateway.log('tunnel close')
      assert.deepEqual([close['by'], close['reason']], ['upstream', 'reset'])
    })
  }

  it('says https to the upstream for what came over TLS', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const request = await connection.head()
      assert.equal(request.fields.get('x-forwarded-proto'), 'https')
      assert.equal(request.fields.get('x-forwarded-port'), String(gateway.port))
      connection.write(SWITCHING)
    })
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", tls: { cert: ./cert.pem, key: ./key.pem } }]\nroutes: [{ upstream: "${upstream.url}" }]`,
      pem,
    )
    await using client = await tlsClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.head()).status, 101)
  })

  it('keeps a TLS connection for the next request after a refused upgrade', async () => {
    await using upstream = await answering()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", tls: { cert: ./cert.pem, key: ./key.pem } }]\nroutes: [{ upstream: "${upstream.url}" }]`,
      pem,
    )
    await using client = await tlsClient(gateway.port)
    for (let round = 0; round < 3; round += 1) {
      client.write(handshake())
      assert.equal((await client.answer()).body, 'ok')
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      assert.equal((await client.answer()).body, 'ok')
    }
  })

  it('survives a client that speaks no TLS to a TLS listener, and one that says nothing', async () => {
    await using upstream = await answering()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", headTimeout: 200ms, tls: { cert: ./cert.pem, key: ./key.pem } }]\nroutes: [{ upstream: "${upstream.url}" }]`,
      pem,
    )
    await using silent = await rawClient(gateway.port)
    await using wrong = await rawClient(gateway.port)
    wrong.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await wrong.gone()
    await silent.gone()
    await using client = await tlsClient(gateway.port)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.answer()).body, 'ok')
  })

  it('listens on several addresses and on a unix socket, and takes the socket away when it stops', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-listener-'))
    const path = join(folder, 'gateway.sock')
    await using upstream = await scriptedUpstream(async (connection) => {
      const request = await connection.head()
      assert.equal(request.fields.get('x-forwarded-for'), '192.0.2.7')
      connection.write(SWITCHING)
      await connection.rest()
      connection.socket.end()
    })
    {
      await using gateway = await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0" }, { address: "unix:${path}" }]\ntrustedProxies: [unix]\nroutes: [{ upstream: "${upstream.url}" }]`,
      )
      await using client = await rawClient(path)
      client.write(handshake('/', ['X-Forwarded-For: 192.0.2.7']))
      assert.equal((await client.head()).status, 101)
      assert.equal((await gateway.log('tunnel open'))['clientIp'], '192.0.2.7')
      client.socket.end()
      await client.rest()
      await gateway.gateway.stop()
      await assert.rejects(rawClient(path), { code: 'ENOENT' })
    }
    await rm(folder, { recursive: true })
  })

  it('shares its port with another process by reusePort, until that one has ended', async () => {
    const port = await freePort()
    const yaml = `listeners: [{ address: "127.0.0.1:${port}", reusePort: true }]
routes: [{ upstream: "builtin:echo" }]`
    await using one = await startGatewayProcess(yaml)
    await using other = await startGatewayProcess(yaml)
    const openTunnels = async (count: number): Promise<void> => {
      for (let opened = 0; opened < count; opened += 1) {
        await using client = await rawClient(port)
        client.write(handshake())
        assert.equal((await client.head()).status, 101)
      }
    }
    // The kernel goes by the ports of clients: all of them for one process are as likely as 2 ** -63.
    await openTunnels(64)
    await one.log('tunnel open', 1)
    await other.log('tunnel open', 1)
    one.program.child.kill('SIGTERM')
    await one.program.exited
    const left = 64 - one.logged('tunnel open').length
    await openTunnels(8)
    await other.log('tunnel open', left + 8)
  })

  it('closes a connection on which nothing was said without an answer', async () => {
    await using upstream = await answering()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", headTimeout: 100ms }]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    assert.equal(await client.rest(), '')
  })

  it('closes a connection that waits too long for its next request', async () => {
    await using upstream = await answering()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", keepAliveTimeout: 100ms }]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.answer()).body, 'ok')
    assert.equal(await client.rest(), '')
  })

  it('takes no more connections than it may, and serves again when one has ended', async () => {
    await using upstream = await answering()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", connections: 1 }]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    {
      await using first = await rawClient(gateway.port)
      first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await first.answer()
      await using second = await rawClient(gateway.port)
      await second.gone()
      first.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      await first.answer()
      await first.rest()
      first.socket.end()
    }
    // Its place is free when the gateway has seen its end.
    for (let isServed = false; !isServed;) {
      await using third = await rawClient(gateway.port)
      third.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      isServed = await third.more()
      if (isServed) assert.equal((await third.answer()).body, 'ok')
    }
  })

  it('answers pipelined requests in their order', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      while (await connection.more()) {
        const { statusLine } = await connection.head()
        connection.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${statusLine.slice(4, 6)}`)
      }
    })
    await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
    await using client = await rawClient(gateway.port)
    client.write('GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await client.answer()).body, '/a')
    assert.equal((await client.answer()).body, '/b')
  })

  it('drops bytes that are pipelined behind a stripped handshake, before they reach anybody', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(SWITCHING)
      assert.equal(await connection.rest(), '')
    })
    await using gateway = await startTestGateway(
      `trustedProxies: [127.0.0.1]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    const stripped = handshake()
      .replace('Connection: Upgrade\r\n', '')
      .replace('Upgrade: websocket\r\n', '')
    client.write(`${stripped}\x81\x05hello`)
    // What follows is no HTTP: the parser refuses it, and the connection with it.
    const answer = await client.head()
    assert.equal(answer.status, 400)
  })

  it('refuses a request that is pipelined behind a stripped handshake, and the handshake with it', async () => {
    await using upstream = await scriptedUpstream(() => {
      throw new Error('a refused request reached the upstream')
    })
    await using gateway = await startTestGateway(
      `trustedProxies: [127.0.0.1]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    const stripped = handshake()
      .replace('Connection: Upgrade\r\n', '')
      .replace('Upgrade: websocket\r\n', '')
    client.write(`${stripped}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.equal((await client.answer()).status, 400)
    assert.equal(await client.rest(), '')
  })

  it('refuses a request with a body it has not read, and lets the client read the refusal', async () => {
    await using upstream = await scriptedUpstream(() => {
      throw new Error('a refused request reached the upstream')
    })
    await using gateway = await startTestGateway(
      `routes: [{ match: { path: /x }, upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    const body = 'x'.repeat(500_000)
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    const first = await client.answer()
    assert.deepEqual([first.status, first.fields.get('connection')], [404, 'close'])
    assert.equal(await client.rest(), '')
    await using waiting = await rawClient(gateway.port)
    waiting.write('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    const refused = await waiting.answer()
    assert.equal(refused.status, 404)
    assert.equal(refused.fields.get('connection'), 'close')
    assert.equal(await waiting.rest(), '')
  })
})
