import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import type { ResponseHead } from '../../src/http1/response-head.ts'
import { ResponseReader } from '../../src/http1/response-reader.ts'

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

function newReader(method = 'GET'): { reader: ResponseReader; told: ResponseHead[] } {
  const told: ResponseHead[] = []
  return { reader: new ResponseReader(method, (head) => told.push(head)), told }
}

function causeOf(read: unknown): string {
  assert.ok(read instanceof Refusal)
  assert.equal(read.code, 'E_UPSTREAM_PROTOCOL')
  return read.details.cause ?? ''
}

describe('a response reader', () => {
  for (const lineEnd of ['\r\n', '\n']) {
    it(`finds the final head in whatever parts it comes, and what is behind it, with lines that end in ${JSON.stringify(lineEnd)}`, () => {
      const text = `${CONTINUE}HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n`.replaceAll('\r\n', lineEnd)
      for (let length = 1; length <= text.length; length += 1) {
        const { reader } = newReader()
        let read: ReturnType<ResponseReader['read']>
        let at = 0
        while (read === undefined) {
          read = reader.read(`${text}rest`.slice(at, at + length))
          at += length
        }
        assert.ok(!(read instanceof Refusal))
        assert.deepEqual([read.head.status, read.head.fields], [200, ['A', 'b', 'C', 'd']])
        assert.equal(read.rest + `${text}rest`.slice(at), 'rest')
        assert.equal(reader.informational, 1)
      }
    })
  }

  it('tells of informational responses without framing and hop-by-hop fields', () => {
    const { reader, told } = newReader()
    const hints =
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: a\r\nUpgrade: b\r\n\r\n'
    assert.equal(reader.read(hints), undefined)
    assert.deepEqual(told, [
      { minorVersion: 1, status: 103, reason: 'Early Hints', fields: ['Link', '</a>'] },
    ])
  })

  it('takes 32 informational responses, and no more', () => {
    const { reader } = newReader()
    assert.equal(reader.read(CONTINUE.repeat(32)), undefined)
    assert.match(causeOf(reader.read(CONTINUE)), /too many/)
  })

  it('refuses a head that has no end', () => {
    const { reader } = newReader()
    assert.equal(reader.read(`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(60_000)}`), undefined)
    assert.match(causeOf(reader.read('a'.repeat(10_000))), /more than 65536 bytes/)
  })

  it('refuses a final head whose framing is ambiguous, and does not look for one behind a 101', () => {
    const framing = 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'
    assert.match(causeOf(newReader().reader.read(`HTTP/1.1 200 OK\r\n${framing}`)), /ambiguous/)
    const read = newReader().reader.read(`HTTP/1.1 101 Switching\r\n${framing}`)
    assert.ok(read !== undefined && !(read instanceof Refusal))
    assert.deepEqual(read.framing, { kind: 'close' })
  })

  it('knows of which method the response is', () => {
    const read = newReader('HEAD').reader.read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
    assert.ok(read !== undefined && !(read instanceof Refusal))
    assert.deepEqual(read.framing, { kind: 'none' })
  })

  it('tells a FIN in place of a response from one in the middle of it', () => {
    const { reader } = newReader()
    assert.equal(reader.cutOff().code, 'E_UPSTREAM_RESET')
    reader.read('HTTP')
    assert.match(causeOf(reader.cutOff()), /in the middle/)
  })
})
