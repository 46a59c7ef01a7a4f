import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AnswerReader, type AnswerSink } from '../../src/listen/http2-answer.ts'

/** What an answer becomes, however it is cut into pieces. */
function readAll(text: string, method = 'GET'): { told: unknown[]; reader: AnswerReader } {
  const runs = [1, 2, 7, text.length].map((size) => {
    const told: unknown[] = []
    let data = ''
    const sink: AnswerSink = {
      onInformation: (headers) => told.push({ ...headers }),
      onHead: (headers, rest) => told.push({ ...headers }, rest),
      onData: (bytes) => {
        data += bytes.toString('latin1')
      },
      onWhole: (trailers) => told.push(data, { ...trailers }),
    }
    const reader = new AnswerReader(method, sink)
    for (let at = 0; at < text.length; at += size) {
      reader.push(Buffer.from(text.slice(at, at + size), 'latin1'))
    }
    if (!reader.isWhole) told.push(data)
    return { told, reader }
  })
  const [first, ...others] = runs as [(typeof runs)[0]]
  for (const { told } of others) assert.deepEqual(told, first.told)
  return first
}

describe('an answer for HTTP/2', () => {
  it('leaves out what is for a connection of HTTP/1.1', () => {
    const { told, reader } = readAll(
      'HTTP/1.1 200 Fine\r\nConnection: close\r\nKeep-Alive: 1\r\nUpgrade: a\r\nX-A: \xe9\r\nContent-Length: 2\r\n\r\nok',
    )
    assert.deepEqual(told, [
      { ':status': 200, 'x-a': '\xe9', 'content-length': '2' },
      'body',
      'ok',
      {},
    ])
    assert.equal(reader.isWhole, true)
  })

  it('has content and trailers without their chunks', () => {
    const { told } = readAll(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-Sum: 5\r\nTE: gzip\r\nHTTP2-Settings: a\r\n\r\n',
    )
    assert.deepEqual(told, [{ ':status': 200 }, 'body and trailers', 'abcde', { 'x-sum': '5' }])
  })

  it('tells of informational answers first', () => {
    const { told } = readAll(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n',
    )
    assert.deepEqual(told, [
      { ':status': 100 },
      { ':status': 103, link: 'a' },
      { ':status': 204 },
      'nothing',
    ])
  })

  it('joins the lines of a field, save those that are no list', () => {
    const { told } = readAll(
      'HTTP/1.1 304 Not\r\nVary: a\r\nSet-Cookie: a=1\r\nVary: b\r\nSet-Cookie: b=2\r\n\r\n',
    )
    assert.deepEqual(told[0], { ':status': 304, vary: 'a, b', 'set-cookie': ['a=1', 'b=2'] })
  })

  it('to HEAD ends with its head', () => {
    const { told, reader } = readAll('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'HEAD')
    assert.deepEqual(told, [{ ':status': 200, 'content-length': '9' }, 'nothing'])
    assert.equal(reader.mayEnd, true)
  })

  it('makes a 101 a 200, and of what follows bytes', () => {
    const { told, reader } = readAll(
      'HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n\x81\x00',
    )
    assert.deepEqual(told, [{ ':status': 200, 'sec-websocket-protocol': 'p' }, 'body', '\x81\x00'])
    assert.deepEqual([reader.isSwitched, reader.mayEnd], [true, true])
  })

  it('of a status that HTTP/2 cannot have is a 502 without its body', () => {
    for (const status of [600, 999]) {
      const { told, reader } = readAll(`HTTP/1.1 ${status} Odd\r\nContent-Length: 2\r\n\r\nno`)
      assert.deepEqual(told, [{ ':status': 502 }, 'nothing'])
      assert.equal(reader.isWhole, true)
    }
  })

  it('may end anywhere only where its end is that of the connection', () => {
    assert.equal(readAll('HTTP/1.1 200 OK\r\n\r\nsome').reader.mayEnd, true)
    assert.equal(readAll('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome').reader.mayEnd, false)
    assert.equal(readAll('HTTP/1.1 200 OK\r\nContent-').reader.mayEnd, false)
  })

  it('that is none is an error', () => {
    for (const text of [
      'HTTP/2 200 OK\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone',
    ]) {
      assert.throws(() => readAll(text), Error, text)
    }
  })
})
