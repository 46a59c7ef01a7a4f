import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { MALFORMED_CODE, UNPROCESSED_CODE } from '../../src/handshake/dial.ts'
import { answer, frameEndpoint, requestOn, wholeAnswer } from '../support/frame-endpoint.ts'
import { DATA, END_STREAM, frame, GOAWAY, RST_STREAM, uint32 } from '../support/http2-frames.ts'
import { http2Endpoint, type Http2Endpoint, type OpenedStream } from '../support/http2-server.ts'
import { settled } from '../support/settled.ts'
import {
  framePair,
  GET,
  HEAD,
  ready,
  request,
  TestStream,
  WEBSOCKET,
  type TestConnection,
} from './harness.ts'

const CANCEL = 8
const OK = [':status', '200'] as const

/** An endpoint by node that does nothing by itself, a stream to it, and the endpoint's end of the stream. */
interface Pair extends AsyncDisposable {
  readonly endpoint: Http2Endpoint
  readonly connection: TestConnection
  readonly stream: TestStream
  readonly peer: ServerHttp2Stream
  readonly opened: OpenedStream
}

async function pair(text: string): Promise<Pair> {
  const arrived = Promise.withResolvers<OpenedStream>()
  const endpoint = await http2Endpoint({ onStream: (opened) => arrived.resolve(opened) })
  const connection = await ready(Number(new URL(endpoint.url).port))
  const stream = new TestStream(connection.connection, text)
  const opened = await arrived.promise
  return {
    endpoint,
    connection,
    stream,
    opened,
    peer: opened.stream,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await endpoint[Symbol.asyncDispose]()
    },
  }
}

function lines(...parts: readonly string[]): string {
  return parts.join('|').replaceAll('|', '\r\n')
}

async function textOf(stream: ServerHttp2Stream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

describe('EndpointStream', () => {
  it('is a request with its answer', async () => {
    await using both = await pair(request('GET /a?b', 'X-One: 1', 'x-one: \xe9'))
    assert.deepEqual(
      both.opened.fields.join(' '),
      ':method GET :scheme http :path /a?b :authority endpoint.test te trailers x-one 1 x-one \xe9',
    )
    assert.equal(both.peer.endAfterHeaders, true)
    both.peer.respond({ ':status': 200, 'content-length': 5, server: 'gr\xfcn' }, {})
    both.peer.end('hello')
    const text = await both.stream.whole()
    assert.match(
      text,
      /^HTTP\/1\.1 200 OK\r\ncontent-length: 5\r\nserver: gr\xfcn\r\ndate: .*\r\n\r\nhello$/,
    )
    both.stream.stream.end()
    assert.equal(await both.stream.closed, undefined)
    assert.equal(both.connection.connection.isUnused, true)
  })

  it('passes informational answers, a body in chunks and trailers on', async () => {
    await using both = await framePair(GET)
    both.peer.write(
      answer(both.id, [
        [':status', '103'],
        ['link', '</a.css>'],
      ]),
      answer(both.id, [
        [':status', '103'],
        ['link', '</b.css>'],
      ]),
      answer(both.id, [OK, ['trailer', 'x-sum']]),
      frame(DATA, 0, both.id, Buffer.from('hello')),
      frame(DATA, 0, both.id),
      wholeAnswer(both.id, [
        ['x-sum', '9'],
        ['x-sum', '8'],
      ]),
    )
    assert.equal(
      await both.stream.whole(),
      lines(
        'HTTP/1.1 103 Early Hints|link: </a.css>|',
        'HTTP/1.1 103 Early Hints|link: </b.css>|',
        'HTTP/1.1 200 OK|trailer: x-sum|Transfer-Encoding: chunked|',
        '5|hello|0|x-sum: 9|x-sum: 8||',
      ),
    )
  })

  it('passes informational answers on before one that has no body', async () => {
    await using both = await framePair(HEAD)
    both.peer.write(
      answer(both.id, [[':status', '103']]),
      wholeAnswer(both.id, [OK, ['content-length', '9']]),
    )
    assert.equal(
      await both.stream.whole(),
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n',
    )
  })

  it('sends a body with its trailers', async () => {
    const head = request('POST /', 'Transfer-Encoding: chunked')
    await using both = await pair(`${head}3\r\nabc\r\n`)
    const trailers = once(both.peer, 'trailers')
    both.stream.write('2\r\nde\r\n0\r\nX-Sum: 9\r\nconstructor: 1\r\n\r\n')
    assert.equal(await textOf(both.peer), 'abcde')
    const [fields] = (await trailers) as [Record<string, string>]
    assert.deepEqual(Object.entries(fields), [
      ['x-sum', '9'],
      ['constructor', '1'],
    ])
  })

  it('sends a body of a length, and its end with the last byte', async () => {
    await using both = await pair(`${request('POST /', 'Content-Length: 5')}he`)
    both.stream.write('llo')
    assert.equal(await textOf(both.peer), 'hello')
    assert.equal(both.opened.headers['content-length'], '5')
  })

  it('is a tunnel behind the yes to an extended CONNECT, each side of which ends by itself', async () => {
    await using both = await pair(WEBSOCKET)
    assert.equal(both.opened.headers[':method'], 'CONNECT')
    assert.equal(both.opened.headers[':protocol'], 'websocket')
    both.peer.respond({ ':status': 200 })
    both.peer.write('one')
    await both.stream.until('\r\n\r\none')
    both.stream.write('two')
    const [sent] = (await once(both.peer, 'data')) as [Buffer]
    assert.equal(String(sent), 'two')
    both.stream.stream.end()
    await once(both.peer, 'end')
    both.peer.end('three')
    assert.match(await both.stream.whole(), /^HTTP\/1\.1 101 .*onethree$/s)
    assert.equal(await both.stream.closed, undefined)
  })

  it('still sends when the endpoint has ended its side', async () => {
    await using both = await framePair(WEBSOCKET)
    both.peer.write(answer(both.id, [OK]), frame(DATA, END_STREAM, both.id, Buffer.from('bye')))
    assert.match(await both.stream.whole(), /bye$/)
    both.stream.stream.end('last words')
    await both.peer.find(({ type, flags }) => type === DATA && flags === END_STREAM)
    const sent = both.peer.frames.filter(({ type }) => type === DATA)
    assert.equal(Buffer.concat(sent.map(({ payload }) => payload)).toString(), 'last words')
    assert.equal(await both.stream.closed, undefined)
    assert.equal(both.connection.connection.isUnused, true)
  })

  it('opens no stream before the head is whole', async () => {
    await using endpoint = await http2Endpoint()
    await using connection = await ready(Number(new URL(endpoint.url).port))
    const stream = new TestStream(connection.connection, 'GET / HTTP/1.1\r\n')
    assert.equal(connection.connection.isUnused, false)
    stream.stream.destroy()
    assert.equal(await stream.closed, undefined)
    assert.equal(connection.connection.isUnused, true)
    assert.equal(endpoint.streams.length, 0)
  })

  it('breaks for an end in the middle of a request', async () => {
    for (const text of ['GET / HT', `${request('POST /', 'Content-Length: 5')}he`]) {
      await using endpoint = await http2Endpoint({ onStream: () => {} })
      await using connection = await ready(Number(new URL(endpoint.url).port))
      const stream = new TestStream(connection.connection, text)
      stream.stream.end()
      assert.match(String(await stream.closed), /not whole/)
    }
  })

  it('breaks for a request that is none', async () => {
    await using endpoint = await http2Endpoint()
    await using connection = await ready(Number(new URL(endpoint.url).port))
    const stream = new TestStream(connection.connection, 'GET / HTTP/1.1\r\nno colon\r\n\r\n')
    assert.match(String(await stream.closed), /no valid name/)
    assert.equal(connection.connection.isUnused, true)
  })

  it('keeps the peer of the connection below alive', async () => {
    await using both = await pair(WEBSOCKET)
    const { transport } = both.connection.connection
    const calls: unknown[] = []
    transport.setKeepAlive = (...options) => {
      calls.push(options)
      return transport
    }
    both.stream.stream.setKeepAlive(true, 5000)
    assert.deepEqual(calls, [[true, 5000]])
    assert.equal(both.stream.stream.takesWebSocket, true)
  })
})

describe('a reset', () => {
  it('of ours is RST_STREAM with CANCEL', async () => {
    for (const text of [GET, WEBSOCKET, request('POST /', 'Content-Length: 5')]) {
      await using both = await framePair(text)
      both.stream.stream.resetAndDestroy()
      assert.equal(await both.peer.resetOf(both.id), CANCEL)
      assert.equal(both.connection.connection.isUnused, true)
    }
  })

  it('of ours in the middle of a tunnel is one as well', async () => {
    await using both = await framePair(WEBSOCKET)
    both.peer.write(answer(both.id, [OK]), frame(DATA, 0, both.id, Buffer.from('abc')))
    await both.stream.until('abc')
    both.stream.stream.destroy()
    assert.equal(await both.peer.resetOf(both.id), CANCEL)
  })

  it("of the endpoint's before an answer is ECONNRESET, whatever its code", async () => {
    for (const code of [0, 2, 5, CANCEL, 11, 13, 0xffffffff]) {
      await using both = await framePair(GET)
      both.peer.write(frame(RST_STREAM, 0, both.id, uint32(code)))
      const error = await both.stream.closed
      assert.equal(error?.code, 'ECONNRESET')
      assert.match(error.message, new RegExp(`ended with ${code}$`))
      assert.equal(both.stream.stream.isUnprocessed, false)
    }
  })

  it('for an error of protocol means that', async () => {
    await using both = await framePair(GET)
    both.peer.write(frame(RST_STREAM, 0, both.id, uint32(1)))
    assert.equal((await both.stream.closed)?.code, MALFORMED_CODE)
  })

  it('of a stream that was refused is told from others', async () => {
    await using both = await framePair(GET)
    both.peer.write(frame(RST_STREAM, 0, both.id, uint32(7)))
    assert.equal((await both.stream.closed)?.code, UNPROCESSED_CODE)
    assert.equal(both.stream.stream.isUnprocessed, true)
  })

  it('behind an answer is none of a stream that was refused', async () => {
    await using both = await framePair(GET)
    both.peer.write(answer(both.id, [OK]), frame(RST_STREAM, 0, both.id, uint32(7)))
    assert.equal((await both.stream.closed)?.code, 'ECONNRESET')
    assert.equal(both.stream.stream.isUnprocessed, false)
  })

  it('in the middle of an answer or a tunnel never looks like its end, not even with NO_ERROR', async () => {
    for (const text of [GET, WEBSOCKET, request('POST /', 'Content-Length: 5')]) {
      for (const code of [0, 2, CANCEL]) {
        await using both = await framePair(text)
        both.peer.write(
          answer(both.id, [OK]),
          frame(DATA, 0, both.id, Buffer.from('abc')),
          frame(RST_STREAM, 0, both.id, uint32(code)),
        )
        assert.equal((await both.stream.closed)?.code, 'ECONNRESET', `${text} ${code}`)
        assert.equal(both.stream.hasEnded, false)
        assert.doesNotMatch(both.stream.received, /0\r\n\r\n$/)
      }
    }
  })

  it('of what is left of a request leaves the whole answer as it is', async () => {
    for (const code of [0, CANCEL]) {
      await using both = await framePair(`${request('POST /', 'Content-Length: 500000')}abc`)
      // More than the window, so that some of it waits.
      both.stream.write('x'.repeat(400_000))
      both.peer.write(
        answer(both.id, [[':status', '413']]),
        frame(DATA, END_STREAM, both.id, Buffer.from('no')),
        frame(RST_STREAM, 0, both.id, uint32(code)),
      )
      assert.match(await both.stream.whole(), /^HTTP\/1\.1 413 .*2\r\nno\r\n0\r\n\r\n$/s)
      // What is written from here on goes nowhere, and holds nobody up.
      await new Promise((resolve) => both.stream.stream.write('y', resolve))
      both.stream.stream.destroy()
      assert.equal(await both.stream.closed, undefined)
    }
  })

  for (const code of [0, CANCEL]) {
    it(`with ${code} behind the endpoint's end is the end of a tunnel`, async () => {
      await using both = await framePair(WEBSOCKET)
      both.peer.write(
        answer(both.id, [OK]),
        frame(DATA, END_STREAM, both.id, Buffer.from('bye')),
        frame(RST_STREAM, 0, both.id, uint32(code)),
      )
      assert.match(await both.stream.whole(), /bye$/)
      both.stream.stream.end()
      assert.equal(await both.stream.closed, undefined)
    })
  }

  it("behind the endpoint's end tells whoever goes on speaking to it", async () => {
    await using both = await framePair(WEBSOCKET)
    both.peer.write(
      answer(both.id, [OK]),
      frame(DATA, END_STREAM, both.id, Buffer.from('bye')),
      frame(RST_STREAM, 0, both.id, uint32(CANCEL)),
    )
    assert.match(await both.stream.whole(), /bye$/)
    while (!both.stream.stream.destroyed) {
      both.stream.stream.write('nobody reads it')
      await setImmediate()
    }
    assert.equal((await both.stream.closed)?.code, 'ECONNRESET')
  })
})

describe('the end of the connection', () => {
  it('is a reset of its streams, answered or not, and never the end of an answer', async () => {
    await using endpoint = await frameEndpoint()
    await using connection = await ready(endpoint.port)
    const peer = await endpoint.next()
    const streams: TestStream[] = []
    for (const [index, text] of [GET, GET, WEBSOCKET, HEAD].entries()) {
      streams.push(new TestStream(connection.connection, text))
      const { stream: id } = await requestOn(peer, index)
      if (index === 0) continue
      peer.write(answer(id, [OK]), ...(index < 3 ? [frame(DATA, 0, id, Buffer.from('abc'))] : []))
      await streams[index]?.until(index < 3 ? 'abc' : '\r\n\r\n')
    }
    peer.socket.resetAndDestroy()
    for (const stream of streams) {
      assert.equal((await stream.closed)?.code, 'ECONNRESET')
      assert.equal(stream.hasEnded, false)
    }
    assert.match(await connection.closed, /ECONNRESET/)
  })

  it('by a FIN is one as well', async () => {
    await using both = await framePair(GET)
    both.peer.write(answer(both.id, [OK]), frame(DATA, 0, both.id, Buffer.from('abc')))
    await both.stream.until('abc')
    both.peer.socket.end()
    assert.equal((await both.stream.closed)?.code, 'ECONNRESET')
    assert.equal(both.stream.hasEnded, false)
  })

  it('by us is one as well, and says why', async () => {
    await using both = await framePair(GET)
    both.peer.write(answer(both.id, [OK]), frame(DATA, 0, both.id, Buffer.from('abc')))
    await both.stream.until('abc')
    both.connection.connection.destroy('it was enough')
    const error = await both.stream.closed
    assert.equal(error?.code, 'ECONNRESET')
    assert.match(error.message, /it was enough/)
    assert.equal(both.stream.hasEnded, false)
    assert.equal(await both.connection.closed, 'it was enough')
  })

  it('leaves a stream that was taken before it unprocessed', async () => {
    await using endpoint = await frameEndpoint()
    await using connection = await ready(endpoint.port)
    const stream = new TestStream(connection.connection)
    const peer = await endpoint.next()
    peer.socket.destroy()
    await connection.closed
    stream.write(GET)
    assert.equal((await stream.closed)?.code, UNPROCESSED_CODE)
  })

  it('by GOAWAY lets streams go on that the endpoint has looked at, and no others', async () => {
    await using endpoint = await frameEndpoint()
    await using connection = await ready(endpoint.port)
    const peer = await endpoint.next()
    const first = new TestStream(connection.connection, GET)
    const second = new TestStream(connection.connection, GET)
    const third = new TestStream(connection.connection)
    const { stream: id } = await requestOn(peer)
    await requestOn(peer, 1)
    peer.write(frame(GOAWAY, 0, 0, Buffer.concat([uint32(id), uint32(0)])))
    assert.equal((await second.closed)?.code, UNPROCESSED_CODE)
    assert.equal(connection.connection.room, 0)
    third.write(GET)
    assert.equal((await third.closed)?.code, UNPROCESSED_CODE)
    peer.write(answer(id, [OK]), frame(DATA, END_STREAM, id, Buffer.from('abc')))
    assert.match(await first.whole(), /abc/)
    assert.equal(await connection.closed, 'GOAWAY with 0')
  })

  it('by GOAWAY with an error breaks them, and says which the endpoint has not looked at', async () => {
    await using endpoint = await frameEndpoint()
    await using connection = await ready(endpoint.port)
    const peer = await endpoint.next()
    const first = new TestStream(connection.connection, GET)
    const second = new TestStream(connection.connection, GET)
    const { stream: id } = await requestOn(peer)
    await requestOn(peer, 1)
    peer.write(frame(GOAWAY, 0, 0, Buffer.concat([uint32(id), uint32(11)])))
    assert.equal((await first.closed)?.code, 'ECONNRESET')
    assert.equal((await second.closed)?.code, UNPROCESSED_CODE)
    assert.match(await connection.closed, /11/)
  })
})

describe('the back-pressure of a stream', () => {
  it('holds an endpoint up whose bytes nobody reads', async () => {
    await using both = await pair(WEBSOCKET)
    both.peer.respond({ ':status': 200 })
    await both.stream.until('\r\n\r\n')
    both.stream.stream.pause()
    const chunk = Buffer.alloc(65_536)
    let sent = 0
    const write = (): void => {
      both.peer.write(chunk, () => {
        sent += chunk.length
        if (sent < 8_000_000) write()
        else both.peer.end()
      })
    }
    write()
    // Our window, what the stream holds, and what is on the way.
    const before = await settled(() => sent)
    assert.ok(before < 400_000, String(before))
    both.stream.stream.resume()
    assert.ok((await both.stream.whole()).length > 8_000_000)
  })

  it('holds whoever writes up when the endpoint does not read', async () => {
    await using both = await pair(WEBSOCKET)
    both.peer.pause()
    both.peer.respond({ ':status': 200 })
    await both.stream.until('\r\n\r\n')
    const chunk = Buffer.alloc(65_536)
    let taken = 0
    const write = (): void => {
      both.stream.stream.write(chunk, () => {
        taken += chunk.length
        if (taken < 8_000_000) write()
        else both.stream.stream.end()
      })
    }
    write()
    const before = await settled(() => taken)
    assert.ok(before < 400_000, String(before))
    let received = 0
    both.peer.on('data', (bytes: Buffer) => {
      received += bytes.length
    })
    both.peer.resume()
    await once(both.peer, 'end')
    assert.equal(received, taken)
  })

  it('of one stalls no other on the connection', async () => {
    await using endpoint = await http2Endpoint({
      onStream: ({ stream, headers }) => {
        stream.respond({ ':status': 200 })
        stream.end(headers[':path'] === '/big' ? Buffer.alloc(150_000) : 'small')
      },
    })
    await using connection = await ready(Number(new URL(endpoint.url).port))
    const stalled = Array.from({ length: 40 }, () => {
      const stream = new TestStream(connection.connection, request('GET /big'))
      stream.stream.pause()
      return stream
    })
    const other = new TestStream(connection.connection, request('GET /small'))
    assert.match(await other.whole(), /small/)
    for (const { stream } of stalled) stream.destroy()
    await Promise.all(stalled.map(({ closed }) => closed))
  })

  it('keeps nothing of an answer that came whole and was never read', async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] })
    await using both = await framePair(GET)
    both.stream.stream.pause()
    both.peer.write(answer(both.id, [OK]))
    // What the stream holds, and then what it leaves to node.
    for (let part = 1; part <= 7; part += 1) {
      const flags = part === 7 ? END_STREAM : 0
      both.peer.write(frame(DATA, flags, both.id, Buffer.alloc(16_000)))
    }
    await settled(() => both.connection.connection.transport.bytesRead)
    both.stream.stream.destroy()
    await both.stream.closed
    // It would wait for the stream, as no timer cuts it.
    both.connection.connection.close()
    await both.connection.closed
  })
})
