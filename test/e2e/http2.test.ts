/** Clients that speak HTTP/2, endpoints that do not. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { describe, it } from 'node:test'
import { websocketAccept } from '../../src/handshake/switch.ts'
import { BINARY, CLOSE, closePayload, downFrame, TEXT, upFrame } from '../relay/made-frames.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { answerOf, http2Client, type Http2Client } from '../support/http2-client.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import { rawClient, type RawAnswer } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { wsServer } from '../support/ws-server.ts'

const CANCEL = 8
const LISTENERS = 'listeners: [{ address: "127.0.0.1:0", h2c: true }]\n'
const TLS_LISTENERS =
  'listeners: [{ address: "127.0.0.1:0", tls: { cert: ./cert.pem, key: ./key.pem, http2: true } }]\n'
const curl = findProgram('curl')

function tlsFile(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url))
}

const TLS_FILES = { 'cert.pem': tlsFile('cert.pem'), 'key.pem': tlsFile('key.pem') }

function clientOf({ port }: TestGateway): Promise<Http2Client> {
  return http2Client(`http://127.0.0.1:${port}`)
}

interface Endpoint extends AsyncDisposable {
  readonly url: string
}

async function endpoint(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Endpoint> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The right answer to a handshake. */
function switching({ fields }: RawAnswer, ...lines: string[]): string {
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Accept: ${websocketAccept(fields.get('sec-websocket-key') ?? '')}`,
    ...lines,
    '\r\n',
  ].join('\r\n')
}

async function responseOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  return headers
}

async function bytesOf(stream: ClientHttp2Stream, count: number): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  while (bytes.length < count) {
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    bytes = Buffer.concat([bytes, chunk])
  }
  return bytes
}

describe('a plain request over HTTP/2', () => {
  it('is one of HTTP/1.1 to the endpoint, and so is its answer', async () => {
    const requests: { fields: readonly string[]; body: string; trailers: readonly string[] }[] = []
    await using app = await endpoint((request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' })
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString()
        requests.push({ fields: request.rawHeaders, body, trailers: request.rawTrailers })
        response.writeHead(201, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Trailer', 'X-Sum'])
        response.write('the answer')
        response.addTrailers({ 'X-Sum': '7' })
        response.end()
      })
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ name: app, upstream: "${app.url}" }]`,
    )
    await using client = await clientOf(gateway)
    const answer = await client.ask('/path?q=1', {
      headers: { ':method': 'POST', ':authority': 'chat.test:81', cookie: ['a=1', 'b=2', 'c=3'] },
      body: 'the body',
      trailers: { 'x-after': 'it' },
    })
    assert.equal(answer.status, 201)
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
    assert.equal(answer.headers['transfer-encoding'], undefined)
    assert.equal(answer.body.toString(), 'the answer')
    assert.equal(answer.trailers['x-sum'], '7')
    assert.deepEqual(
      answer.informational.map((headers) => [headers[':status'], headers['link']]),
      [[103, '</a.css>; rel=preload']],
    )
    const [{ fields, body, trailers }] = requests as [(typeof requests)[0]]
    const values = Object.fromEntries(
      fields.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), fields[at + 1]]] : [])),
    )
    assert.equal(values['host'], 'chat.test:81')
    assert.equal(values['cookie'], 'a=1; b=2; c=3')
    assert.equal(values['x-forwarded-host'], 'chat.test:81')
    assert.equal(values['x-forwarded-for'], '127.0.0.1')
    assert.equal(body, 'the body')
    assert.deepEqual(trailers, ['x-after', 'it'])
    const line = await gateway.log('request', { route: 'app' })
    assert.deepEqual(
      [line['httpVersion'], line['method'], line['host'], line['path'], line['status']],
      ['2.0', 'POST', 'chat.test', '/path', 201],
    )
    assert.equal(await gateway.metric('upgate_requests_total', { route: 'app' }), 1)
  })

  it('by HEAD has no body, and a body with a length keeps it', async () => {
    await using app = await endpoint((request, response) => {
      response.writeHead(200, { 'content-length': 5 })
      response.end(request.method === 'HEAD' ? undefined : 'whole')
    })
    await using gateway = await startTestGateway(`${LISTENERS}routes: [{ upstream: "${app.url}" }]`)
    await using client = await clientOf(gateway)
    const head = await client.ask('/', { headers: { ':method': 'HEAD' } })
    assert.deepEqual([head.headers['content-length'], head.body.length], ['5', 0])
    const get = await client.ask('/')
    assert.deepEqual([get.headers['content-length'], get.body.toString()], ['5', 'whole'])
  })

  it('is refused by the same rules as any other', async () => {
    await using gateway = await startTestGateway(`
      ${LISTENERS.trim()}
      upstreams: { none: { endpoints: ["http://127.0.0.1:1"] } }
      routes:
        - { match: { path: /key }, upstream: none, origins: ["https://other.test"] }
        - { match: { path: /down }, upstream: none }`)
    await using client = await clientOf(gateway)
    for (const [path, headers, status, code] of [
      ['/down', {}, 502, 'E_UPSTREAM_REFUSED'],
      ['/other', {}, 404, 'E_ROUTE_NONE'],
      ['/down', { ':authority': 'a.test:99999' }, 400, 'E_HOST_INVALID'],
      ['/down', { ':authority': 'a.test', host: 'b.test' }, 400, 'E_HOST_INVALID'],
      ['/down', { 'x-large': 'x'.repeat(20_000) }, 431, 'E_HEAD_TOO_LARGE'],
      ['/down', { ':method': 'TRACE' }, 405, 'E_METHOD_DENIED'],
    ] as const) {
      const answer = await client.ask(path, { headers })
      const problem = JSON.parse(answer.body.toString()) as { code: string }
      assert.deepEqual([answer.status, problem.code], [status, code], path)
      assert.equal(answer.headers['content-type'], 'application/problem+json')
      assert.equal(answer.headers['connection'], undefined)
    }
  })

  it('that is a CONNECT is answered 405', async () => {
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ upstream: "builtin:echo" }]`,
    )
    await using client = await clientOf(gateway)
    const headers = { ':method': 'CONNECT', ':authority': 'other.test:443' }
    const answer = await answerOf(client.session.request(headers))
    assert.equal(answer.status, 405)
  })

  it('with an answer that breaks off is reset', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!')
      connection.socket.end()
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ name: app, upstream: "${upstream.url}" }]`,
    )
    await using client = await clientOf(gateway)
    const answer = await client.ask('/')
    assert.equal(answer.body.toString(), 'five!')
    assert.notEqual(answer.rstCode, 0)
  })

  it('ends at the endpoint too when the client resets it', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      await connection.gone()
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ name: app, upstream: "${upstream.url}" }]`,
    )
    await using client = await clientOf(gateway)
    const stream = client.session.request({ ':path': '/' })
    stream.on('error', () => {})
    while (upstream.connections === 0) await new Promise((resolve) => setImmediate(resolve))
    stream.close(CANCEL)
    await upstream.quiet()
    await gateway.log('request', { code: 'E_CLIENT_GONE' })
  })

  it('moves as fast as its slower side, both ways', async () => {
    const size = 8 * 1024 ** 2
    await using app = await endpoint((request, response) => {
      response.writeHead(200, { 'content-length': size })
      request.pipe(response)
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ name: app, upstream: "${app.url}" }]`,
    )
    await using client = await clientOf(gateway)
    const body = Buffer.alloc(size, 'abcdefg')
    const answer = await client.ask('/', {
      headers: { ':method': 'POST', 'content-length': size },
      body,
    })
    assert.ok(answer.body.equals(body))
    const line = await gateway.log('request', { route: 'app' })
    assert.deepEqual([line['bytesUp'], line['bytesDown']], [size, size])
  })

  it(
    'comes by curl over TLS, and over HTTP/1.1 where it is not offered',
    { skip: curl.skip },
    async () => {
      const routes = 'routes: [{ name: echo, upstream: "builtin:echo" }]'
      await using gateway = await startTestGateway(TLS_LISTENERS + routes, TLS_FILES)
      const get = async (): Promise<string> => {
        const url = `https://127.0.0.1:${gateway.port}/`
        const args = [
          '--http2',
          '-skS',
          '-o',
          '/dev/null',
          '-w',
          '%{http_version} %{http_code}',
          url,
        ]
        const { stdout } = await runProgram(curl.path, args)
        return stdout
      }
      assert.equal(await get(), '2 200')
      await gateway.log('request', { route: 'echo', httpVersion: '2.0' })
      await gateway.reload(TLS_LISTENERS.replace(', http2: true', '') + routes)
      assert.equal(await get(), '1.1 200')
    },
  )

  it('comes with prior knowledge to a port that takes HTTP/1.1 as well', async () => {
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ name: echo, upstream: "builtin:echo" }]`,
    )
    await using client = await clientOf(gateway)
    assert.equal((await client.ask('/')).status, 200)
    await using old = await rawClient(gateway.port)
    for (const method of ['POST', 'PROPFIND']) {
      old.write(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`)
      assert.equal((await old.answer()).status, 200)
    }
  })

  it('is not taken without h2c', async () => {
    await using gateway = await startTestGateway('routes: [{ upstream: "builtin:echo" }]')
    await using client = await rawClient(gateway.port)
    client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    assert.equal((await client.head()).status, 400)
  })
})

describe('a WebSocket over HTTP/2', () => {
  it('is an upgrade of HTTP/1.1 to the endpoint', async () => {
    const seen = Promise.withResolvers<RawAnswer>()
    await using upstream = await scriptedUpstream(async (connection) => {
      const head = await connection.head()
      seen.resolve(head)
      connection.write(switching(head, 'Sec-WebSocket-Protocol: chat', 'X-App: 1'))
      const hello = upFrame(TEXT, 'hello')
      assert.equal(await connection.bytes(hello.length), hello.toString('latin1'))
      connection.write(downFrame(BINARY, 'welcome'))
      assert.equal(await connection.rest(), upFrame(CLOSE, closePayload(1000)).toString('latin1'))
      connection.write(downFrame(CLOSE, closePayload(1000)))
      connection.socket.end()
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ name: chat, upstream: "${upstream.url}" }]`,
    )
    await using client = await clientOf(gateway)
    assert.equal(client.session.remoteSettings.enableConnectProtocol, true)
    const stream = client.connect('/chat?room=1', {
      'sec-websocket-protocol': 'chat, json',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      origin: 'https://app.test',
    })
    const headers = await responseOf(stream)
    assert.equal(headers[':status'], 200)
    assert.equal(headers['sec-websocket-protocol'], 'chat')
    assert.equal(headers['x-app'], '1')
    for (const name of ['upgrade', 'connection', 'sec-websocket-accept']) {
      assert.equal(headers[name], undefined, name)
    }
    const { statusLine, fields } = await seen.promise
    assert.equal(statusLine, 'GET /chat?room=1 HTTP/1.1')
    assert.equal(fields.get('host'), 'gateway.test')
    assert.equal(fields.get('connection'), 'Upgrade')
    assert.equal(fields.get('upgrade'), 'websocket')
    assert.equal(fields.get('origin'), 'https://app.test')
    assert.match(fields.get('sec-websocket-key') ?? '', /^[A-Za-z0-9+/]{22}==$/)
    assert.notEqual(fields.get('sec-websocket-key'), 'AAAAAAAAAAAAAAAAAAAAAA==')
    stream.write(upFrame(TEXT, 'hello'))
    const welcome = downFrame(BINARY, 'welcome')
    assert.deepEqual(await bytesOf(stream, welcome.length), welcome)
    stream.end(upFrame(CLOSE, closePayload(1000)))
    const { body, rstCode } = await answerOf(stream)
    assert.deepEqual([body, rstCode], [downFrame(CLOSE, closePayload(1000)), 0])
    const line = await gateway.log('tunnel close', { route: 'chat' })
    assert.deepEqual(
      [line['protocol'], line['httpVersion'], line['by'], line['reason'], line['wsCloseCode']],
      ['websocket', '2.0', 'client', 'eof', 1000],
    )
    assert.deepEqual([line['messagesUp'], line['messagesDown']], [1, 1])
  })

  it('is refused, or gets another answer, as over HTTP/1.1', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const { statusLine } = await connection.head()
      if (statusLine.includes('/forbidden')) {
        connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
      } else if (statusLine.includes('/page')) {
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage')
      } else if (statusLine.includes('/wrong')) {
        connection.write(
          'HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n',
        )
      } else connection.write('HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n')
    })
    await using gateway = await startTestGateway(`
      ${LISTENERS.trim()}
      upstreams: { app: { endpoints: ["${upstream.url}"] } }
      routes:
        - { match: { path: /plain }, upstream: app, upgrade: [] }
        - { match: { path: /spdy }, upstream: app, upgrade: [spdy/3.1] }
        - { match: { path: /origin }, upstream: app, origins: ["https://app.test"] }
        - { upstream: app }`)
    await using client = await clientOf(gateway)
    for (const [path, headers, status] of [
      ['/forbidden', {}, 403],
      ['/redirect', {}, 302],
      // Any 2xx would say yes to a CONNECT.
      ['/page', {}, 502],
      ['/wrong', {}, 502],
      ['/plain', {}, 501],
      ['/spdy', {}, 501],
      ['/origin', { origin: 'https://other.test' }, 403],
      ['/', { ':protocol': 'connect-udp' }, 501],
      ['/', { ':authority': 'a.test:99999' }, 400],
    ] as const) {
      const stream = client.connect(path, headers)
      const answer = await answerOf(stream)
      assert.equal(answer.status, status, path)
    }
    assert.equal(gateway.gateway.openTunnels, 0)
  })

  it('is offered only where some route takes one', async () => {
    const yaml = (upgrade: string): string =>
      `${LISTENERS}routes: [{ upstream: "builtin:echo", upgrade: ${upgrade} }]`
    await using gateway = await startTestGateway(yaml('[]'))
    await using client = await clientOf(gateway)
    assert.equal(client.session.remoteSettings.enableConnectProtocol, false)
    await gateway.reload(yaml('any'))
    await using next = await clientOf(gateway)
    assert.equal(next.session.remoteSettings.enableConnectProtocol, true)
  })

  it('is never a plain request with the fields of a handshake', async () => {
    const seen = Promise.withResolvers<RawAnswer>()
    await using upstream = await scriptedUpstream(async (connection) => {
      seen.resolve(await connection.head())
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}trustedProxies: [127.0.0.1]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await clientOf(gateway)
    const headers = {
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'sec-websocket-version': '13',
    }
    assert.equal((await client.ask('/', { headers })).status, 200)
    assert.equal((await seen.promise).fields.has('upgrade'), false)
  })

  for (const { name, act, by, reason } of [
    {
      name: "the client's RST_STREAM",
      act: (stream: ClientHttp2Stream) => addAbortSignal(AbortSignal.abort(), stream),
      by: 'client',
      reason: 'reset',
    },
    {
      name: 'the end of its connection',
      act: (stream: ClientHttp2Stream) => stream.session?.destroy(),
      by: 'client',
      reason: 'reset',
    },
  ]) {
    it(`is reset for the endpoint by ${name}`, async () => {
      const code = Promise.withResolvers<string | undefined>()
      await using upstream = await scriptedUpstream(async (connection) => {
        connection.write(switching(await connection.head()))
        code.resolve(await connection.failure())
      })
      await using gateway = await startTestGateway(
        `${LISTENERS}routes: [{ name: chat, upstream: "${upstream.url}" }]`,
      )
      await using client = await clientOf(gateway)
      const stream = client.connect('/')
      await responseOf(stream)
      act(stream)
      assert.equal(await code.promise, 'ECONNRESET')
      await gateway.log('tunnel close', { by, reason })
    })
  }

  it('is reset for the client by a reset of the endpoint', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      connection.write(switching(await connection.head()))
      await connection.bytes(1)
      connection.socket.resetAndDestroy()
    })
    await using gateway = await startTestGateway(
      `${LISTENERS}routes: [{ name: chat, upstream: "${upstream.url}" }]`,
    )
    await using client = await clientOf(gateway)
    const stream = client.connect('/')
    await responseOf(stream)
    stream.write('x')
    assert.equal((await answerOf(stream)).rstCode, CANCEL)
    await gateway.log('tunnel close', { by: 'upstream', reason: 'reset' })
  })

  it('has its limits, its pings and its place in the API', async () => {
    await using server = await wsServer({}, () => {})
    await using gateway = await startTestGateway(`${LISTENERS}routes:
      - { name: chat, match: { path: /chat }, upstream: "${server.url}", keepalive: { ping: 100ms, timeout: 200ms } }
      - { name: idle, match: { path: /idle }, upstream: "${server.url}", timeouts: { idle: 200ms } }`)
    await using client = await clientOf(gateway)
    const idle = client.connect('/idle')
    await responseOf(idle)
    const chunks: Buffer[] = []
    idle.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      idle.end(upFrame(CLOSE, closePayload(1001)))
    })
    await once(idle, 'close')
    assert.equal(Buffer.concat(chunks)[0], 0x80 | CLOSE)
    await gateway.log('tunnel close', { route: 'idle', by: 'gateway', reason: 'idle' })
    const chat = client.connect('/chat')
    await responseOf(chat)
    const [ping] = (await once(chat, 'data')) as [Buffer]
    assert.equal(ping[0], 0x89)
    assert.equal(gateway.gateway.openTunnels, 1)
    await gateway.log('tunnel close', { route: 'chat', by: 'gateway', reason: 'dead' })
  })
})
