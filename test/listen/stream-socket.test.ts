import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http2, { type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import { describe, it } from 'node:test'
import type { Fields, Refusal } from '../../src/errors.ts'
import { ReceiveWindow } from '../../src/http2/receive-window.ts'
import { readStreamRequest, type StreamRequest } from '../../src/listen/http2-request.ts'
import { Http2Transport } from '../../src/listen/http2-transport.ts'
import { StreamSocket } from '../../src/listen/stream-socket.ts'
import { answerOf } from '../support/http2-client.ts'
import { settled } from '../support/settled.ts'
import { socketPair } from '../support/socket-pair.ts'

const NO_ERROR = 0
const PROTOCOL_ERROR = 1
const INTERNAL_ERROR = 2
const CANCEL = 8
const HIGH_WATER_MARK = 65_536
const WEBSOCKET = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':path': '/ws',
  ':authority': 'a.test',
  'sec-websocket-version': '13',
}
const SWITCH = 'HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

interface Exchange extends AsyncDisposable {
  readonly socket: StreamSocket
  readonly client: ClientHttp2Stream
}

/** A stream with this request, from a client of node's. */
async function exchange(
  headers: OutgoingHttpHeaders,
  options: http2.ClientSessionRequestOptions = {},
): Promise<Exchange> {
  const pair = await socketPair()
  for (const end of [pair.peer, pair.socket]) end.allowHalfOpen = false
  const server = http2.performServerHandshake(new Http2Transport(pair.socket), {
    settings: { enableConnectProtocol: true },
  })
  const client = http2.connect('http://a.test', { createConnection: () => pair.peer })
  for (const session of [server, client]) session.on('error', () => {})
  await once(client, 'remoteSettings')
  const asked = client.request(headers, options)
  asked.on('error', () => {})
  const [stream, , flags, fields] = (await once(server, 'stream')) as [
    http2.ServerHttp2Stream,
    unknown,
    number,
    Fields,
  ]
  stream.on('error', () => {})
  const request = readStreamRequest(fields, (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0)
  assert.ok(isRequest(request))
  const socket = new StreamSocket({
    stream,
    request,
    transport: pair.socket,
    peerAddress: '192.0.2.1',
    highWaterMark: HIGH_WATER_MARK,
    window: new ReceiveWindow(server),
  })
  return {
    socket,
    client: asked,
    async [Symbol.asyncDispose]() {
      client.destroy()
      server.destroy()
      await pair[Symbol.asyncDispose]()
    },
  }
}

function isRequest(request: StreamRequest | Refusal | 'malformed'): request is StreamRequest {
  return request !== 'malformed' && 'head' in request
}

/** All that it reads until the end. */
async function textOf(socket: StreamSocket): Promise<string> {
  let text = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) text += String(chunk)
  return text
}

/** How it breaks. */
async function errorOf(socket: StreamSocket): Promise<NodeJS.ErrnoException> {
  const [error] = (await once(socket.resume(), 'error')) as [NodeJS.ErrnoException]
  return error
}

async function rstCodeOf(client: ClientHttp2Stream): Promise<number | undefined> {
  client.resume()
  if (!client.closed) await new Promise((resolve) => client.on('close', resolve))
  return client.rstCode
}

describe('a stream of HTTP/2 as a connection of HTTP/1.1', () => {
  it('reads as head, chunks and trailers, and ends', async () => {
    await using one = await exchange(
      { ':method': 'POST', ':path': '/up' },
      { endStream: false, waitForTrailers: true },
    )
    one.client.on('wantTrailers', () => one.client.sendTrailers({ 'x-sum': '5' }))
    one.client.end('hello')
    const text = await textOf(one.socket)
    assert.match(text, /^POST \/up HTTP\/1\.1\r\nHost: a\.test:80\r\n/)
    assert.match(text, /\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n$/)
    assert.equal(one.socket.remoteAddress, '192.0.2.1')
  })

  it('has a body of a known length as it is', async () => {
    await using one = await exchange(
      { ':method': 'POST', ':path': '/', 'content-length': '5' },
      { endStream: false },
    )
    one.client.end('hello')
    assert.match(await textOf(one.socket), /\r\n\r\nhello$/)
  })

  it('is reset when its body is longer than it says, and when it ends too early', async () => {
    const post = { ':method': 'POST', ':path': '/', 'content-length': '5' }
    await using long = await exchange(post, { endStream: false })
    const failed = errorOf(long.socket)
    long.client.write('hello, world')
    assert.equal(await rstCodeOf(long.client), INTERNAL_ERROR)
    assert.equal((await failed).code, 'ECONNRESET')
    await using short = await exchange(post, { endStream: false })
    const failedToo = errorOf(short.socket)
    short.client.end('hell')
    assert.equal(await rstCodeOf(short.client), PROTOCOL_ERROR)
    assert.equal((await failedToo).code, 'ECONNRESET')
  })

  it('takes an answer with its informational ones, its chunks and its trailers', async () => {
    await using one = await exchange({ ':path': '/' })
    const answer = answerOf(one.client)
    one.socket.resume()
    one.socket.write('HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n')
    one.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    one.socket.end('2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n')
    const { status, body, trailers, informational, rstCode } = await answer
    assert.deepEqual([status, String(body), trailers['x-sum'], rstCode], [200, 'abcde', '5', 0])
    assert.equal(informational[0]?.['link'], '</a>')
  })

  it('is cut in two by END_STREAM and FIN, each of which leaves the other way open', async () => {
    await using one = await exchange(WEBSOCKET, { endStream: false })
    one.socket.write(SWITCH)
    const [head] = (await once(one.client, 'response')) as [OutgoingHttpHeaders]
    assert.equal(head[':status'], 200)
    one.client.end('last words')
    assert.match(await textOf(one.socket), /last words$/)
    one.socket.write('still ')
    one.socket.end('here')
    let text = ''
    for await (const chunk of one.client) text += String(chunk)
    assert.equal(text, 'still here')
    assert.equal(await rstCodeOf(one.client), NO_ERROR)

    await using other = await exchange(WEBSOCKET, { endStream: false })
    other.socket.end(SWITCH)
    await once(other.client.resume(), 'end')
    other.client.end('later')
    assert.match(await textOf(other.socket), /later$/)
  })

  it('can be read to its end after the stream is over', async () => {
    await using one = await exchange(WEBSOCKET, { endStream: false })
    one.socket.end(SWITCH)
    one.client.end('read later')
    assert.equal(await rstCodeOf(one.client), NO_ERROR)
    assert.match(await textOf(one.socket), /read later$/)
  })

  it('is reset by RST_STREAM, and by the end of the connection', async () => {
    await using reset = await exchange(WEBSOCKET, { endStream: false })
    const failed = errorOf(reset.socket)
    reset.client.close(CANCEL)
    assert.equal((await failed).code, 'ECONNRESET')
    assert.equal(reset.socket.hasClosed, false)
    await using gone = await exchange(WEBSOCKET, { endStream: false })
    const failedToo = errorOf(gone.socket)
    gone.client.session?.destroy()
    assert.equal((await failedToo).code, 'ECONNRESET')
  })

  it('makes RST_STREAM of a reset: CANCEL, of a break: INTERNAL_ERROR', async () => {
    await using reset = await exchange(WEBSOCKET, { endStream: false })
    reset.socket.write(SWITCH)
    await once(reset.client, 'response')
    reset.socket.resetAndDestroy()
    assert.equal(await rstCodeOf(reset.client), CANCEL)
    assert.equal(reset.socket.hasClosed, true)
    await using broken = await exchange({ ':path': '/' })
    broken.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    await once(broken.client, 'response')
    broken.socket.destroy()
    assert.equal(await rstCodeOf(broken.client), INTERNAL_ERROR)
    await using early = await exchange({ ':path': '/' })
    early.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    assert.equal(await rstCodeOf(early.client), INTERNAL_ERROR)
    await using none = await exchange({ ':path': '/' })
    none.socket.end('no HTTP at all\r\n\r\n')
    assert.equal(await rstCodeOf(none.client), INTERNAL_ERROR)
  })

  it('sends a whole answer to its end when it is destroyed, whatever is left of the request', async () => {
    const body = randomBytes(1024 ** 2)
    for (const method of ['GET', 'POST']) {
      await using one = await exchange(
        { ':method': method, ':path': '/' },
        { endStream: method === 'GET' },
      )
      one.socket.resume()
      const pushed = new Promise((resolve) => {
        one.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
        one.socket.write(body, resolve)
      })
      const answer = answerOf(one.client)
      await pushed
      one.socket.destroy()
      const { status, body: got, rstCode } = await answer
      assert.deepEqual([status, got.equals(body), rstCode], [200, true, NO_ERROR])
    }
  })

  it('ends when a CONNECT is refused', async () => {
    await using one = await exchange(WEBSOCKET, { endStream: false })
    const answer = answerOf(one.client)
    one.socket.end('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno')
    const { status, body, rstCode } = await answer
    assert.deepEqual([status, String(body), rstCode], [403, 'no', NO_ERROR])
    assert.equal(one.socket.destroyed, true)
  })

  it('holds a buffer for a client that does not read, and a window for one that is not read', async () => {
    await using one = await exchange(WEBSOCKET, { endStream: false })
    one.socket.write(SWITCH)
    await once(one.client, 'response')
    let written = 0
    const write = (error?: Error | null): void => {
      if (error) return
      written += 16_384
      one.socket.write(Buffer.alloc(16_384), write)
    }
    write()
    await settled(() => written)
    // The window of 64 KiB, and what may be held before it.
    assert.ok(written >= 65_536 && written <= 65_536 + 4 * HIGH_WATER_MARK, `${written} bytes`)
    assert.equal(one.socket.writableNeedDrain || one.socket.writableLength > 0, true)

    await using other = await exchange(WEBSOCKET, { endStream: false })
    let sent = 0
    const send = (error?: Error | null): void => {
      if (error) return
      sent += 16_384
      other.client.write(Buffer.alloc(16_384), send)
    }
    send()
    await settled(() => sent)
    assert.ok(sent >= 65_536 && sent <= 65_536 + 4 * HIGH_WATER_MARK, `${sent} bytes`)
    for (let read = 0; read < 1024 ** 2;) {
      const [chunk] = (await once(other.socket, 'data')) as [Buffer]
      read += chunk.length
    }
  })

  it('passes TCP keep-alive on to the connection', async () => {
    await using one = await exchange({ ':path': '/' })
    const { transport } = one.socket
    const calls: unknown[] = []
    transport.setKeepAlive = (...call) => {
      calls.push(call)
      return transport
    }
    assert.equal(one.socket.setKeepAlive(true, 5000), one.socket)
    assert.deepEqual(calls, [[true, 5000]])
  })
})
