import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { finalHead, informationalHead, type ReadAnswer } from '../../src/http2/answer-head.ts'

const GET = { method: 'GET', connects: false, websocketKey: undefined }
const HEAD = { ...GET, method: 'HEAD' }
const WEBSOCKET = { method: 'GET', connects: true, websocketKey: 'dGhlIHNhbXBsZSBub25jZQ==' }

function wrong(read: ReadAnswer): string {
  assert.ok('wrong' in read, `is read: ${JSON.stringify(read)}`)
  return read.wrong
}

describe('finalHead', () => {
  it('says the same in HTTP/1.1, in the same order', () => {
    const fields = [':status', '200', 'b', '1', 'a', '2', 'b', '', 'content-length', '7']
    assert.deepEqual(finalHead(fields, GET, false), {
      head: 'HTTP/1.1 200 OK\r\nb: 1\r\na: 2\r\nb: \r\ncontent-length: 7\r\n\r\n',
      body: { kind: 'length', bytes: 7 },
    })
  })

  it('writes a body of no said length in chunks', () => {
    assert.deepEqual(finalHead([':status', '299'], GET, false), {
      head: 'HTTP/1.1 299 \r\nTransfer-Encoding: chunked\r\n\r\n',
      body: { kind: 'chunked' },
    })
  })

  it('says that there is no body where the answer ends with its head', () => {
    for (const length of [[], ['content-length', '0']]) {
      const read = finalHead([':status', '404', ...length], GET, true)
      assert.ok('head' in read)
      assert.match(read.head, /^HTTP\/1\.1 404 Not Found\r\ncontent-length: 0\r\n\r\n$/i)
      assert.deepEqual(read.body, { kind: 'length', bytes: 0 })
    }
  })

  it('reads no body behind HEAD, 204 and 304, whatever length they say', () => {
    const length = ['content-length', '9']
    for (const ended of [true, false]) {
      assert.deepEqual(finalHead([':status', '200', ...length], HEAD, ended), {
        head: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n',
        body: { kind: 'none' },
      })
      for (const status of ['204', '304']) {
        const read = finalHead([':status', status, ...length], GET, ended)
        assert.ok('body' in read)
        assert.deepEqual(read.body, { kind: 'none' })
      }
    }
  })

  it('makes a 101 of the yes to an extended CONNECT, with the accept value for the key', () => {
    const fields = [':status', '200', 'sec-websocket-protocol', 'chat', 'sec-websocket-accept', 'x']
    assert.deepEqual(finalHead(fields, WEBSOCKET, false), {
      head: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat\r\n\r\n',
      body: { kind: 'close' },
    })
  })

  it('proves nothing to a client without a key', () => {
    const read = finalHead([':status', '204'], { ...WEBSOCKET, websocketKey: undefined }, false)
    assert.ok('head' in read)
    assert.doesNotMatch(read.head, /accept/i)
  })

  it('passes a no to an extended CONNECT on like any answer', () => {
    assert.deepEqual(finalHead([':status', '403', 'content-length', '2'], WEBSOCKET, false), {
      head: 'HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n',
      body: { kind: 'length', bytes: 2 },
    })
  })

  it('takes no yes to a WebSocket that is over', () => {
    assert.match(wrong(finalHead([':status', '200'], WEBSOCKET, true)), /over/)
  })

  it('takes no status but one, before all fields', () => {
    for (const fields of [
      [],
      ['a', '1'],
      [':status', '200', ':status', '200'],
      ['a', '1', ':status', '200'],
      [':status', '099'],
      [':status', '2000'],
      [':status', '20'],
      [':status', '+20'],
      [':status', '20a'],
      [':status', ' 200'],
      [':status', '101'],
      [':status', '100'],
    ]) {
      assert.ok('wrong' in finalHead(fields, GET, false), JSON.stringify(fields))
    }
  })

  it('takes no field that cannot be in an answer of HTTP/2', () => {
    for (const [name, value] of [
      ['X-Up', '1'],
      [':path', '/'],
      ['connection', 'close'],
      ['keep-alive', 'timeout=5'],
      ['proxy-connection', 'close'],
      ['transfer-encoding', 'chunked'],
      ['upgrade', 'h2c'],
      ['a b', '1'],
      ['', '1'],
      ['x', 'a\r\nSet-Cookie: b'],
      ['x', 'a\0'],
      ['x'.repeat(500).concat('\n'), '1'],
    ] as const) {
      for (const read of [
        finalHead([':status', '200', name, value], GET, false),
        finalHead([':status', '200', name, value], WEBSOCKET, false),
        informationalHead([':status', '103', name, value]),
      ]) {
        const text = wrong(read)
        assert.match(text, /a field that cannot be in an answer/)
        assert.ok(text.length < 128)
      }
    }
  })

  it('takes no length that is none, or not the one of the body', () => {
    for (const [fields, ended] of [
      [['content-length', '3', 'content-length', '4'], false],
      [['content-length', '-3'], false],
      [['content-length', '3, 3'], false],
      [['content-length', ''], false],
      [['content-length', '1234567890123456'], false],
      [['content-length', '3'], true],
    ] as const) {
      const read = finalHead([':status', '200', ...fields], GET, ended)
      assert.match(wrong(read), /another length/, fields.join())
    }
    const same = ['content-length', '3', 'content-length', '3']
    assert.ok('head' in finalHead([':status', '200', ...same], GET, false))
  })

  it('takes the value of a field for no name', () => {
    const read = finalHead([':status', '200', 'x', 'content-length', 'y', '7'], GET, false)
    assert.ok('head' in read)
    assert.deepEqual(read.body, { kind: 'chunked' })
  })
})

describe('informationalHead', () => {
  it('says the same in HTTP/1.1', () => {
    assert.deepEqual(informationalHead([':status', '103', 'link', '</a.css>']), {
      head: 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n',
      body: { kind: 'none' },
    })
  })

  it('loses a length, as there is no body', () => {
    const read = informationalHead([':status', '103', 'content-length', '5', 'link', '</a.css>'])
    assert.ok('head' in read)
    assert.equal(read.head, 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n')
  })

  it('is no 101, and no final one', () => {
    assert.match(wrong(informationalHead([':status', '101'])), /101/)
    assert.match(wrong(informationalHead([':status', '200'])), /200/)
  })
})
