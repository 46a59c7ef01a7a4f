/** What is no WebSocket over HTTP/2, to an endpoint that knows HTTP/2: other upgrades, endpoints that take WebSockets by HTTP/1.1 alone, and gRPC. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { describe, it } from 'node:test'
import { WebSocketServer } from 'ws'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { h2cSession, h2cUpstream } from '../support/h2c.ts'
import { answerOf, http2Client } from '../support/http2-client.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { clientOf, endpointOf, listenerOf, TLS_FILES } from '../support/http-versions.ts'
import { rawClient, type RawAnswer } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'

function gatewayTo(url: string, upgrade: string): Promise<TestGateway> {
  return startTestGateway(
    `${listenerOf(url.startsWith('https'))}
upstreams: { app: { endpoints: [{ url: "${url}", http2: true }], tls: { ca: ./ca.pem } } }
routes: [{ name: app, upstream: app, upgrade: ${upgrade} }]`,
    TLS_FILES,
  )
}

function asking(method: string, token: string, lines: readonly string[] = []): string {
  const fields = ['Host: gateway.test', 'Connection: Upgrade', `Upgrade: ${token}`, ...lines]
  return [`${method} /exec HTTP/1.1`, ...fields, '\r\n'].join('\r\n')
}

describe('another upgrade to an endpoint with HTTP/2', () => {
  for (const { token, request } of [
    {
      token: 'tcp',
      request: `${asking('POST', 'tcp', ['Content-Length: 13'])}{"Tty":false}`,
    },
    { token: 'SPDY/3.1', request: asking('POST', 'SPDY/3.1', ['Content-Length: 0']) },
    { token: 'x-own/7', request: asking('GET', 'x-own/7') },
  ]) {
    it(`goes by HTTP/1.1: ${token}`, async () => {
      const seen = Promise.withResolvers<RawAnswer>()
      await using upstream = await scriptedUpstream(async (connection) => {
        const head = await connection.head()
        seen.resolve(head)
        await connection.bytes(Number(head.fields.get('content-length') ?? 0))
        connection.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\nhello`,
        )
        connection.write((await connection.rest()).toUpperCase())
        connection.socket.end()
      })
      await using gateway = await gatewayTo(upstream.url, 'any')
      await using client = await rawClient(gateway.port)
      client.write(request)
      assert.equal((await client.head()).fields.get('upgrade'), token)
      assert.equal(await client.bytes(5), 'hello')
      client.write('anything')
      client.socket.end()
      assert.equal(await client.rest(), 'ANYTHING')
      const { statusLine, fields } = await seen.promise
      assert.match(statusLine, /^(?:GET|POST) \/exec HTTP\/1\.1$/)
      assert.equal(fields.get('upgrade'), token)
      const line = await gateway.log('tunnel close')
      assert.deepEqual(
        [line['protocol'], line['endpointHttpVersion']],
        [token.toLowerCase(), undefined],
      )
    })
  }

  it('goes by HTTP/1.1: h2c, and nowhere where no route names it', async () => {
    await using upstream = await h2cUpstream()
    {
      await using gateway = await gatewayTo(upstream.url, '[h2c]')
      await using client = await rawClient(gateway.port)
      client.write(asking('GET', 'h2c', ['HTTP2-Settings: AAMAAABk']))
      assert.equal((await client.head()).status, 101)
      await using session = h2cSession(client)
      assert.equal((await session.ask('/inner')).status, 200)
      assert.deepEqual(upstream.inner, ['POST /inner'])
    }
    await using endpoint = await http2Endpoint()
    await using gateway = await gatewayTo(endpoint.url, 'any')
    await using client = await rawClient(gateway.port)
    client.write(asking('GET', 'h2c', ['HTTP2-Settings: AAMAAABk']))
    assert.equal((await client.head()).status, 200)
    assert.deepEqual(
      endpoint.streams.map(({ headers }) => [headers[':method'], headers['http2-settings']]),
      [['GET', undefined]],
    )
  })
})

interface EitherServer extends AsyncDisposable {
  readonly url: string
  /** `2.0` or `1.1` of each request and each WebSocket. */
  readonly versions: readonly string[]
}

/** HTTP/2 or HTTP/1.1 as the client likes; WebSockets by HTTP/1.1 alone. */
async function eitherServer(): Promise<EitherServer> {
  const versions: string[] = []
  const sockets = new Set<Socket>()
  const cert = TLS_FILES['cert.pem']
  const server = http2.createSecureServer({ cert, key: TLS_FILES['key.pem'], allowHTTP1: true })
  const webSockets = new WebSocketServer({ noServer: true })
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.on('request', (request, response) => {
    versions.push(request.httpVersion)
    response.end('page')
  })
  server.on('upgrade', (request, socket, head) => {
    versions.push(request.httpVersion)
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    versions,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

describe('an endpoint that takes WebSockets by HTTP/1.1 alone', () => {
  for (const client of ['1.1', '2'] as const) {
    it(`gets them so, and plain requests by HTTP/2, of a client with HTTP/${client}`, async () => {
      await using server = await eitherServer()
      await using gateway = await gatewayTo(server.url, '[websocket]')
      await using asker = await clientOf(gateway, { client, endpoint: '2', isSecure: true })
      for (let times = 0; times < 2; times += 1) {
        assert.equal((await asker.ask('/')).body.toString(), 'page')
        await using chat = await asker.webSocket('/chat')
        chat.socket.send('hello')
        assert.equal((await chat.message()).data.toString(), 'hello')
        chat.socket.close(1000)
        assert.equal((await chat.closed()).code, 1000)
      }
      assert.deepEqual(server.versions, ['2.0', '1.1', '2.0', '1.1'])
      const line = await gateway.log('tunnel close')
      assert.equal(line['endpointHttpVersion'], undefined)
      assert.equal(await gateway.metric('upgate_upstream_http2_connections'), 1)
    })
  }
})

describe('an endpoint that chooses HTTP/1.1 by ALPN', () => {
  for (const client of ['1.1', '2'] as const) {
    it(`gets everything so, of a client with HTTP/${client}`, async () => {
      await using server = await endpointOf({ endpoint: '1.1', isSecure: true })
      await using gateway = await gatewayTo(server.url, '[websocket]')
      await using asker = await clientOf(gateway, { client, endpoint: '1.1', isSecure: true })
      const asked = ['/a', '/b', '/c'].map((path) => asker.ask(path, { method: 'PUT', body: 'x' }))
      assert.deepEqual(
        (await Promise.all(asked)).map(({ body }) => body.toString()),
        ['PUT /a', 'PUT /b', 'PUT /c'],
      )
      await using chat = await asker.webSocket('/chat', { deflate: true })
      chat.socket.send('hello')
      assert.equal((await chat.message()).data.toString(), 'hello')
      const line = await gateway.log('tunnel open')
      assert.equal(line['endpointHttpVersion'], undefined)
      assert.equal(await gateway.metric('upgate_upstream_http2_connections'), 0)
    })
  }
})

/** As gRPC frames it: a byte for compression, the length, the message. */
function grpcMessage(text: string): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(text.length, 1)
  return Buffer.concat([head, Buffer.from(text)])
}

const GRPC = {
  ':method': 'POST',
  'content-type': 'application/grpc',
  te: 'trailers',
  'grpc-timeout': '10S',
}

describe('gRPC through a gateway that speaks HTTP/2 on both sides', () => {
  it('streams both ways at once, and ends with its status in the trailers', async () => {
    const seen: unknown[] = []
    const onStream = (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void => {
      seen.push(headers['te'], headers['content-type'], headers['grpc-timeout'])
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      )
      stream.on('wantTrailers', () => {
        stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine', 'x-bin': 'AAE=' })
      })
      stream.on('data', (chunk: Buffer) => stream.write(chunk))
      stream.on('end', () => stream.end(grpcMessage('last')))
    }
    await using endpoint = await http2Endpoint({
      onStream: ({ stream, headers }) => onStream(stream, headers),
    })
    await using gateway = await gatewayTo(endpoint.url, '[]')
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    const stream = client.session.request({ ':path': '/chat.Chat/Talk', ...GRPC })
    const responded = once(stream, 'response')
    for (let round = 0; round < 20; round += 1) {
      const message = grpcMessage(`message ${round}`)
      stream.write(message)
      const [echoed] = (await once(stream, 'data')) as [Buffer]
      assert.deepEqual(echoed, message)
    }
    const [headers] = (await responded) as [http2.IncomingHttpHeaders]
    assert.equal(headers['content-type'], 'application/grpc')
    const answered = answerOf(stream)
    stream.end()
    const { body, trailers, rstCode } = await answered
    assert.deepEqual(body, grpcMessage('last'))
    assert.deepEqual(
      [trailers['grpc-status'], trailers['grpc-message'], trailers['x-bin'], rstCode],
      ['0', 'fine', 'AAE=', 0],
    )
    assert.deepEqual(seen, ['trailers', 'application/grpc', '10S'])
  })

  it('gets an answer that is trailers alone', async () => {
    await using endpoint = await http2Endpoint({
      onStream: ({ stream }) => {
        const headers = { 'content-type': 'application/grpc', 'grpc-status': '5' }
        stream.respond({ ':status': 200, ...headers }, { endStream: true })
      },
    })
    await using gateway = await gatewayTo(endpoint.url, '[]')
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    const answer = await client.ask('/chat.Chat/Find', { headers: GRPC, body: grpcMessage('who') })
    assert.deepEqual(
      [answer.status, answer.headers['grpc-status'], answer.body.length],
      [200, '5', 0],
    )
    assert.equal(answer.rstCode, 0)
  })

  it('is told when the endpoint gives up, and tells it when the client does', async () => {
    const streams: ServerHttp2Stream[] = []
    await using endpoint = await http2Endpoint({
      onStream: ({ stream }) => {
        streams.push(stream)
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
        stream.write(grpcMessage('begun'))
      },
    })
    await using gateway = await gatewayTo(endpoint.url, '[]')
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    const given = client.session.request({ ':path': '/given-up', ...GRPC })
    const answered = answerOf(given)
    await once(given, 'data')
    // By `close` node would end the stream in peace first.
    addAbortSignal(AbortSignal.abort(), streams[0] as ServerHttp2Stream)
    assert.notEqual((await answered).rstCode, 0)
    const cancelled = client.session.request({ ':path': '/', ...GRPC })
    cancelled.on('error', () => {})
    await once(cancelled, 'data')
    const [, last] = streams as [ServerHttp2Stream, ServerHttp2Stream]
    const closed = once(last, 'close')
    cancelled.close(http2.constants.NGHTTP2_CANCEL)
    await closed
    assert.equal(last.rstCode, http2.constants.NGHTTP2_CANCEL)
  })
})
