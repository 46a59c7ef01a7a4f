/** How a tunnel and a request to an endpoint with HTTP/2 begin and end, stream by stream: ends, resets, refusals and connections that go away. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { createServer } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { describe, it } from 'node:test'
import { BINARY, downFrame, TEXT, upFrame } from '../relay/made-frames.ts'
import { FrameTalk } from '../support/frame-talk.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { http2Client } from '../support/http2-client.ts'
import { http2Endpoint, type Http2Endpoint, type OpenedStream } from '../support/http2-server.ts'
import { listenerOf } from '../support/http-versions.ts'
import { handshake, rawClient, type RawClient } from '../support/raw-client.ts'
import { settled } from '../support/settled.ts'

const CANCEL = 8

interface Config {
  readonly upstream?: string
  readonly route?: string
  readonly more?: string
}

function gatewayTo(
  { url }: { readonly url: string },
  { upstream = '', route = '', more = '' }: Config = {},
): Promise<TestGateway> {
  return startTestGateway(`${listenerOf(false)}
upstreams: { app: { endpoints: [{ url: "${url}", http2: true }]${upstream} } }
routes: [{ name: app, upstream: app${route} }]
${more}`)
}

/** An endpoint whose streams a test has in its hands, one after the other. */
class Hand implements AsyncDisposable {
  #endpoint: Http2Endpoint | undefined
  readonly #waiting: ((opened: OpenedStream) => void)[] = []
  readonly #opened: OpenedStream[] = []

  static async open(): Promise<Hand> {
    const hand = new Hand()
    hand.#endpoint = await http2Endpoint({ onStream: (opened) => hand.#take(opened) })
    return hand
  }

  private constructor() {}

  get url(): string {
    return this.#endpoint?.url ?? ''
  }

  get sessions(): readonly ServerHttp2Session[] {
    return this.#endpoint?.sessions ?? []
  }

  /** The next one. */
  next(): Promise<OpenedStream> {
    const opened = this.#opened.shift()
    return opened === undefined
      ? new Promise((resolve) => this.#waiting.push(resolve))
      : Promise.resolve(opened)
  }

  /** The next one, which is a WebSocket from now on. */
  async accepted(): Promise<ServerHttp2Stream> {
    const { stream } = await this.next()
    stream.respond({ ':status': 200 })
    return stream
  }

  #take(opened: OpenedStream): void {
    const wake = this.#waiting.shift()
    if (wake === undefined) this.#opened.push(opened)
    else wake(opened)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endpoint?.[Symbol.asyncDispose]()
  }
}

/** A client of HTTP/1.1 and the stream that it has become. */
async function tunnel(gateway: TestGateway, hand: Hand): Promise<[RawClient, ServerHttp2Stream]> {
  const client = await rawClient(gateway.port)
  client.write(handshake())
  const stream = await hand.accepted()
  assert.equal((await client.head()).status, 101)
  return [client, stream]
}

/** All that comes until the end. */
async function rest(stream: ServerHttp2Stream): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

describe('a tunnel to an endpoint with HTTP/2', () => {
  it("ends each way by itself: the client's FIN is END_STREAM, and the endpoint's a FIN", async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    {
      const [opened, stream] = await tunnel(gateway, hand)
      await using client = opened
      const last = upFrame(TEXT, 'last words')
      client.write(last)
      client.socket.end()
      assert.equal(await rest(stream), last.toString('latin1'))
      const answer = downFrame(BINARY, Buffer.alloc(300_000, 'x'))
      stream.end(answer)
      assert.ok((await client.rest()) === answer.toString('latin1'))
    }
    await gateway.log('tunnel close', { by: 'client', reason: 'eof' })
    const [opened, stream] = await tunnel(gateway, hand)
    await using client = opened
    const last = downFrame(TEXT, 'last words')
    // Node closes what it has ended and nobody reads.
    const read = rest(stream)
    stream.end(last)
    assert.equal(await client.rest(), last.toString('latin1'))
    const answer = upFrame(BINARY, Buffer.alloc(300_000, 'x'))
    client.write(answer)
    client.socket.end()
    assert.ok((await read) === answer.toString('latin1'))
    await gateway.log('tunnel close', { by: 'upstream', reason: 'eof' })
    assert.equal(hand.sessions.length, 1)
  })

  it("is reset by the client's reset", async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    const [opened, stream] = await tunnel(gateway, hand)
    await using client = opened
    const closed = once(stream, 'close')
    stream.resume()
    client.socket.resetAndDestroy()
    await closed
    assert.equal(stream.rstCode, CANCEL)
    await gateway.log('tunnel close', { by: 'client', reason: 'reset' })
  })

  for (const [name, act] of [
    ["the endpoint's RST_STREAM", (stream) => addAbortSignal(AbortSignal.abort(), stream)],
    ['the end of the connection', (stream) => stream.session?.destroy()],
  ] as [string, (stream: ServerHttp2Stream) => void][]) {
    it(`is reset for the client by ${name}`, async () => {
      await using hand = await Hand.open()
      await using gateway = await gatewayTo(hand)
      const [opened, stream] = await tunnel(gateway, hand)
      await using client = opened
      const message = downFrame(TEXT, 'before it')
      stream.write(message)
      assert.equal(await client.bytes(message.length), message.toString('latin1'))
      act(stream)
      assert.equal(await client.failure(), 'ECONNRESET')
      await gateway.log('tunnel close', { by: 'upstream', reason: 'reset' })
    })
  }

  it('gets nothing of the client before its yes, and then all', async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    await using client = await rawClient(gateway.port)
    const early = upFrame(TEXT, 'early')
    client.write(handshake() + early.toString('latin1'))
    const { stream } = await hand.next()
    let bytes = 0
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length))
    assert.equal(await settled(() => bytes), 0)
    stream.respond({ ':status': 200 })
    assert.equal((await client.head()).status, 101)
    while (bytes < early.length) await once(stream, 'data')
    assert.equal(bytes, early.length)
  })

  it('gets the whole of another answer, and what comes before it', async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    const { stream } = await hand.next()
    stream.additionalHeaders({ ':status': 103, link: '</a.css>' })
    stream.respond({ ':status': 403, 'www-authenticate': ['Basic', 'Bearer'] })
    stream.end(Buffer.alloc(500_000, 'no '))
    assert.equal((await client.head()).status, 103)
    const { status, lines, fields } = await client.head()
    assert.equal(status, 403)
    assert.deepEqual(
      lines.filter((line) => /^www-/i.test(line)),
      ['www-authenticate: Basic', 'www-authenticate: Bearer'],
    )
    assert.equal(fields.get('transfer-encoding'), 'chunked')
    assert.equal((await bodyOf(client)).length, 500_000)
    const line = await gateway.log('request', { status: 403 })
    assert.equal(line['endpointHttpVersion'], '2.0')
  })

  it('is refused when its yes is the end, or does not come', async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand, {
      upstream: ', health: { setAside: 1ms, setAsideMax: 1ms }',
      route: ', timeouts: { handshake: 100ms }',
    })
    for (const [act, code] of [
      [
        ({ stream }) => stream.respond({ ':status': 200 }, { endStream: true }),
        'E_UPSTREAM_PROTOCOL',
      ],
      [({ stream }) => addAbortSignal(AbortSignal.abort(), stream), 'E_UPSTREAM_RESET'],
      [() => {}, 'E_HANDSHAKE_TIMEOUT'],
    ] as [(opened: OpenedStream) => void, string][]) {
      await using client = await rawClient(gateway.port)
      client.write(handshake())
      const opened = await hand.next()
      const closed = new Promise((resolve) => opened.stream.once('close', resolve))
      act(opened)
      const { status } = await client.answer()
      assert.equal(status, code === 'E_HANDSHAKE_TIMEOUT' ? 504 : 502)
      await gateway.log('request', { code })
      await closed
    }
  })

  it('stalls no other of its connection when its client reads nothing', async () => {
    let sent = 0
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    const [slowClient, slow] = await tunnel(gateway, hand)
    await using stalled = slowClient
    stalled.socket.pause()
    const message = downFrame(BINARY, Buffer.alloc(65_536))
    const fill = (): void => {
      while (sent < 1000) {
        sent += 1
        if (!slow.write(message)) return
      }
    }
    slow.on('drain', fill)
    fill()
    const held = await settled(() => sent)
    assert.ok(held < 400, `${held} messages are held`)
    for (let index = 0; index < 5; index += 1) {
      const [opened, stream] = await tunnel(gateway, hand)
      await using client = opened
      stream.pipe(stream)
      const talk = new FrameTalk(client.release())
      for (let round = 0; round < 10; round += 1) {
        const frame = upFrame(BINARY, Buffer.alloc(200_000, String(round)))
        client.socket.write(frame)
        assert.ok(frame.equals(await talk.bytes(frame.length)))
      }
    }
    assert.equal(hand.sessions.length, 1)
  })
})

/** Of a chunked body. */
async function bodyOf(client: RawClient): Promise<string> {
  let body = ''
  for (;;) {
    let line = ''
    while (!line.endsWith('\r\n')) line += await client.bytes(1)
    const size = Number.parseInt(line, 16)
    body += (await client.bytes(size + 2)).slice(0, size)
    if (size === 0) return body
  }
}

describe('a connection to an endpoint with HTTP/2', () => {
  it('that says GOAWAY keeps its tunnels, and the next ones get another', async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    const [first, stream] = await tunnel(gateway, hand)
    await using client = first
    hand.sessions[0]?.close()
    const [second, other] = await tunnel(gateway, hand)
    await using next = second
    assert.equal(hand.sessions.length, 2)
    assert.notEqual(stream.session, other.session)
    for (const [one, its] of [
      [client, stream],
      [next, other],
    ] as const) {
      const message = downFrame(TEXT, 'still here')
      its.write(message)
      assert.equal(await one.bytes(message.length), message.toString('latin1'))
    }
  })

  it('that refuses a stream is asked once more, and not for ever', async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    const refused = async (): Promise<void> => {
      const { stream } = await hand.next()
      stream.close(7)
    }
    for (const ask of [handshake(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n']) {
      await using client = await rawClient(gateway.port)
      client.write(ask)
      await refused()
      const { stream, headers } = await hand.next()
      stream.respond({ ':status': 200 })
      assert.equal((await client.head()).status, headers[':method'] === 'CONNECT' ? 101 : 200)
    }
    await using client = await rawClient(gateway.port)
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await refused()
    await refused()
    assert.equal((await client.answer()).status, 502)
    // A body is not kept for a second time.
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody')
    await refused()
    assert.equal((await client.answer()).status, 502)
  })

  it('has its places back however their streams have ended', async () => {
    const endings: ((opened: OpenedStream, client: RawClient) => void)[] = [
      ({ stream }) => stream.respond({ ':status': 403 }, { endStream: true }),
      ({ stream }) => addAbortSignal(AbortSignal.abort(), stream),
      (_, client) => client.socket.resetAndDestroy(),
      ({ stream }, client) => {
        stream.respond({ ':status': 200 })
        client.socket.resetAndDestroy()
      },
      ({ stream }) => {
        stream.respond({ ':status': 200 })
        setImmediate(() => addAbortSignal(AbortSignal.abort(), stream))
      },
    ]
    await using hand = await Hand.open()
    const health = 'health: { setAside: 1ms, setAsideMax: 1ms }'
    await using gateway = await gatewayTo(hand, { upstream: `, http2Streams: 2, ${health}` })
    for (const end of [...endings, ...endings]) {
      for (const ask of [handshake(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n']) {
        await using client = await rawClient(gateway.port)
        client.write(ask)
        const opened = await hand.next()
        const closed = new Promise((resolve) => opened.stream.once('close', resolve))
        end(opened, client)
        await closed
      }
    }
    const clients: RawClient[] = []
    for (let index = 0; index < 4; index += 1) clients.push((await tunnel(gateway, hand))[0])
    // Two, and one more where the gateway has not heard yet that a stream is over.
    assert.ok(hand.sessions.length <= 3, String(hand.sessions.length))
    for (const client of clients) await client[Symbol.asyncDispose]()
  })

  it('that never greets is given up after the time to connect', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).resume())
    await using stack = new AsyncDisposableStack()
    stack.defer(async () => {
      server.close()
      await once(server, 'close')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { readonly port: number }
    const url = `http://127.0.0.1:${port}`
    await using gateway = await gatewayTo({ url }, { route: ', timeouts: { connect: 100ms }' })
    await using client = await rawClient(gateway.port)
    client.write(handshake())
    assert.equal((await client.answer()).status, 504)
    await gateway.log('request', { code: 'E_CONNECT_TIMEOUT' })
  })
})

describe('clients with less than HTTP/1.1', () => {
  it('get their WebSocket though a proxy has removed its Upgrade', async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand, { more: 'trustedProxies: [127.0.0.1]' })
    await using client = await rawClient(gateway.port)
    const stripped = handshake().replace(/^(?:Connection|Upgrade): .*\r\n/gm, '')
    client.write(stripped.replace('HTTP/1.1', 'HTTP/1.0'))
    const stream = await hand.accepted()
    assert.equal((await client.head()).status, 101)
    const message = upFrame(TEXT, 'hello')
    client.write(message)
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    assert.deepEqual(chunk, message)
  })

  it('get an answer without chunks, to a request without a Host', async () => {
    await using hand = await Hand.open()
    await using gateway = await gatewayTo(hand)
    await using client = await rawClient(gateway.port)
    client.write('GET /old HTTP/1.0\r\n\r\n')
    const { stream, headers } = await hand.next()
    assert.equal(headers[':authority'], hand.url.replace('http://', ''))
    stream.respond({ ':status': 200 })
    stream.write('in two ')
    stream.end('parts')
    const { status, fields } = await client.head()
    assert.deepEqual([status, fields.get('transfer-encoding')], [200, undefined])
    assert.equal(await client.rest(), 'in two parts')
  })
})

describe('many plain requests at once', () => {
  it('share connections, and each gets its own answer', async () => {
    await using endpoint = await http2Endpoint()
    await using gateway = await gatewayTo(endpoint, { upstream: ', http2Streams: 20' })
    await using client = await http2Client(`http://127.0.0.1:${gateway.port}`)
    for (let round = 0; round < 3; round += 1) {
      const paths = Array.from({ length: 80 }, (_, index) => `/${round}/${index}`)
      const answers = await Promise.all(paths.map((path) => client.ask(path)))
      assert.deepEqual(
        answers.map(({ body }) => body.toString()),
        paths,
      )
    }
    assert.equal(endpoint.streams.length, 240)
    assert.ok(endpoint.sessions.length <= 4, String(endpoint.sessions.length))
  })
})
