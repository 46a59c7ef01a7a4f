import assert from 'node:assert/strict'
import type { OutgoingHttpHeaders } from 'node:http2'
import { describe, it } from 'node:test'
import { RequestReader, type StreamHead } from '../../src/http2/request-reader.ts'

/** Names and values. */
function fields(text: string): string[] {
  return text.split(' ')
}

class Sink {
  readonly heads: StreamHead[] = []
  readonly trailers: OutgoingHttpHeaders[] = []
  body = ''

  onHead(head: StreamHead): void {
    this.heads.push(head)
  }

  onData(bytes: Buffer): void {
    this.body += bytes.toString('latin1')
  }

  onWhole(trailers: OutgoingHttpHeaders): void {
    this.trailers.push({ ...trailers })
  }
}

function lines(...all: string[]): string {
  return [...all, '', ''].join('\r\n')
}

/** Reads `text`, in parts of `size` bytes where one is said. */
function read(text: string, size = text.length): { sink: Sink; reader: RequestReader } {
  const sink = new Sink()
  const reader = new RequestReader('https', sink)
  for (let at = 0; at < text.length; at += size) {
    reader.push(Buffer.from(text.slice(at, at + size), 'latin1'))
  }
  return { sink, reader }
}

describe('RequestReader', () => {
  it('makes pseudo-header fields of the request line and Host, before all others', () => {
    const { sink, reader } = read(
      lines('GET /a?b HTTP/1.1', 'X-One: 1', 'Host: a.test:8443', 'Cookie: a=1', 'x-one: \xe9'),
    )
    assert.deepEqual(sink.heads, [
      {
        method: 'GET',
        headers: fields(
          ':method GET :scheme https :path /a?b :authority a.test:8443 te trailers x-one 1 cookie a=1 x-one \xe9',
        ),
        connects: false,
        websocketKey: undefined,
        rest: 'nothing',
      },
    ])
    assert.equal(reader.mayEnd, true)
  })

  it('drops what belongs to a connection of HTTP/1.1', () => {
    const { sink } = read(
      lines(
        'GET / HTTP/1.1',
        'Host: a',
        'Connection: close',
        'Keep-Alive: 5',
        'Proxy-Connection: close',
        'TE: deflate',
        'HTTP2-Settings: AAMAAABkAAQAAP__',
        'X: 1',
      ),
    )
    assert.deepEqual(sink.heads[0]?.headers.slice(8), ['te', 'trailers', 'x', '1'])
  })

  it('opens an extended CONNECT for a WebSocket, without the key, and passes what follows on as it is', () => {
    const { sink, reader } = read(
      `${lines(
        'GET /ws HTTP/1.1',
        'Host: a',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Key: abc',
        'Sec-WebSocket-Version: 13',
      )}\x81\x05`,
    )
    assert.deepEqual(sink.heads, [
      {
        method: 'GET',
        headers: fields(
          ':method CONNECT :scheme https :path /ws :authority a :protocol websocket sec-websocket-version 13',
        ),
        connects: true,
        websocketKey: 'abc',
        rest: 'body',
      },
    ])
    assert.equal(sink.body, '\x81\x05')
    assert.equal(reader.mayEnd, true)
    reader.push(Buffer.from('0\r\n\r\n'))
    assert.equal(sink.body, '\x81\x050\r\n\r\n')
    assert.deepEqual(sink.trailers, [])
  })

  it('reads a body of a length, in whatever parts it comes', () => {
    const text = `${lines('POST / HTTP/1.1', 'Host: a', 'Content-Length: 5')}hello`
    for (let size = 1; size <= text.length; size += 1) {
      const { sink, reader } = read(text, size)
      assert.equal(sink.heads[0]?.rest, 'body')
      assert.deepEqual(sink.heads[0].headers.slice(-2), ['content-length', '5'])
      assert.equal(sink.body, 'hello')
      assert.equal(reader.mayEnd, true)
      assert.deepEqual(sink.trailers, [{}])
    }
  })

  it('takes the chunks off a body, and makes trailers of its trailers, without those of a connection', () => {
    const text = `${lines('POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 9\r\nx-sum: 8\r\nConnection: x\r\n\r\n`
    for (let size = 1; size <= text.length; size += 1) {
      const { sink, reader } = read(text, size)
      assert.equal(sink.heads[0]?.rest, 'body and trailers')
      assert.equal(sink.heads[0].headers.includes('transfer-encoding'), false)
      assert.equal(sink.body, 'abcde')
      assert.deepEqual(sink.trailers, [{ 'x-sum': '9, 8' }])
      assert.equal(reader.mayEnd, true)
    }
  })

  it('is not whole before the last byte', () => {
    for (const text of [
      'GET / HTTP/1.1\r\nHost: a\r\n',
      `${lines('POST / HTTP/1.1', 'Host: a', 'Content-Length: 5')}hell`,
      `${lines('POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n`,
    ]) {
      const { sink, reader } = read(text)
      assert.equal(reader.mayEnd, false, text)
      assert.deepEqual(sink.trailers, [])
    }
  })

  it('says no authority where there is no Host', () => {
    const { sink } = read(lines('GET / HTTP/1.0'))
    assert.deepEqual(
      sink.heads[0]?.headers.slice(0, 6),
      fields(':method GET :scheme https :path /'),
    )
    assert.equal(sink.heads[0]?.headers.includes(':authority'), false)
  })

  it('drops what comes behind the end of the request', () => {
    const { sink } = read(`${lines('GET / HTTP/1.1', 'Host: a')}GET /smuggled HTTP/1.1\r\n\r\n`)
    assert.equal(sink.heads.length, 1)
    assert.equal(sink.body, '')
  })

  it('throws for what no gateway writes', () => {
    assert.throws(() => read(lines('GET / HTTP/1.1', 'no colon')), /a request whose field line 1/)
    const chunked = lines('POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')
    assert.throws(() => read(`${chunked}x\r\n`), /broken chunks/)
  })
})
