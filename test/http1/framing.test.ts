import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bodyScanner, requestFraming, responseFraming } from '../../src/http1/framing.ts'

describe('requestFraming', () => {
  it('tells chunked, a length, and no body apart', () => {
    assert.deepEqual(requestFraming(['Transfer-Encoding', 'chunked']), { kind: 'chunked' })
    assert.deepEqual(requestFraming(['content-length', '12']), { kind: 'length', bytes: 12 })
    assert.deepEqual(requestFraming(['content-length', '0']), { kind: 'none' })
    assert.deepEqual(requestFraming([]), { kind: 'none' })
  })
})

describe('responseFraming', () => {
  const cases: [
    name: string,
    method: string,
    status: number,
    fields: string[],
    kind: string | undefined,
  ][] = [
    ['a length', 'GET', 200, ['Content-Length', '5'], 'length'],
    ['the same length twice', 'GET', 200, ['Content-Length', '5', 'content-length', '5'], 'length'],
    ['chunked in any case', 'GET', 200, ['Transfer-Encoding', 'Chunked'], 'chunked'],
    ['neither: until the close', 'GET', 200, [], 'close'],
    ['a length of zero', 'GET', 200, ['Content-Length', '0'], 'none'],
    ['HEAD', 'HEAD', 200, ['Content-Length', '5'], 'none'],
    ['204', 'GET', 204, [], 'none'],
    ['304', 'GET', 304, ['Content-Length', '5'], 'none'],
    [
      'both framings',
      'GET',
      200,
      ['Content-Length', '5', 'Transfer-Encoding', 'chunked'],
      undefined,
    ],
    ['the same length twice in a list', 'GET', 200, ['Content-Length', '5 ,\t5'], 'length'],
    ['an empty length', 'GET', 200, ['Content-Length', ''], undefined],
    ['a list with an empty length', 'GET', 200, ['Content-Length', '5,'], undefined],
    ['an empty coding', 'GET', 200, ['Transfer-Encoding', ''], undefined],
    [
      'chunked twice',
      'GET',
      200,
      ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'],
      undefined,
    ],
    ['another coding for HEAD', 'HEAD', 200, ['Transfer-Encoding', 'gzip'], undefined],
    ['two lengths', 'GET', 200, ['Content-Length', '5, 6'], undefined],
    ['a length that is no number', 'GET', 200, ['Content-Length', '0x5'], undefined],
    ['a negative length', 'GET', 200, ['Content-Length', '-5'], undefined],
    [
      'a length above what a number holds',
      'GET',
      200,
      ['Content-Length', '9999999999999999'],
      undefined,
    ],
    ['another coding', 'GET', 200, ['Transfer-Encoding', 'gzip'], undefined],
    [
      'chunked behind another coding',
      'GET',
      200,
      ['Transfer-Encoding', 'gzip, chunked'],
      undefined,
    ],
  ]
  for (const [name, method, status, fields, kind] of cases) {
    it(`reads ${name}`, () => assert.equal(responseFraming(method, status, fields)?.kind, kind))
  }
})

/** Feeds `text` in pieces of `size` bytes; returns the content, and how many bytes belong to the body. */
function scan(
  text: string,
  size: number,
): { content: string; bytes: number; done: boolean } | 'broken' {
  const scanner = bodyScanner({ kind: 'chunked' })
  let content = ''
  let bytes = 0
  for (let at = 0; at < text.length && !scanner.done; at += size) {
    const scanned = scanner.scan(Buffer.from(text.slice(at, at + size), 'latin1'), (data) => {
      content += data.toString('latin1')
    })
    if (scanned === undefined) return 'broken'
    bytes += scanned.bytes
  }
  return { content, bytes, done: scanner.done }
}

describe('bodyScanner', () => {
  it('counts a length down and leaves the rest', () => {
    const scanner = bodyScanner({ kind: 'length', bytes: 5 })
    assert.deepEqual(scanner.scan(Buffer.from('abc')), { bytes: 3, done: false })
    assert.deepEqual(scanner.scan(Buffer.from('defg')), { bytes: 2, done: true })
  })

  it('is done at once without a body, and never before the close', () => {
    assert.equal(bodyScanner({ kind: 'none' }).done, true)
    const close = bodyScanner({ kind: 'close' })
    assert.deepEqual(close.scan(Buffer.from('abc')), { bytes: 3, done: false })
  })

  const body = '5;ext="a b"\r\nhello\r\n0A\r\n0123456789\r\n000\r\nTrailer: x\r\nY: z\r\n\r\n'
  it('finds the end of a chunked body however it is cut', () => {
    for (let size = 1; size <= body.length; size += 1) {
      assert.deepEqual(scan(`${body}next`, size), {
        content: 'hello0123456789',
        bytes: body.length,
        done: true,
      })
    }
  })

  it('waits for the rest of a body that is cut off anywhere', () => {
    for (let end = 1; end < body.length; end += 1) {
      const scanned = scan(body.slice(0, end), end)
      assert.ok(scanned !== 'broken' && !scanned.done && scanned.bytes === end)
    }
  })

  const broken: [name: string, text: string][] = [
    ['no size', '\r\n'],
    ['a size that is no number', 'x\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size with 0x', '0x5\r\n'],
    ['a size of too many digits', '100000000000\r\n'],
    ['a bare LF after the size', '5\nhello'],
    ['a CR without LF after the size', '5\rhello'],
    ['a space after the size', '5 \r\nhello'],
    ['data longer than its size', '3\r\nhello\r\n'],
    ['data that ends in a bare LF', '5\r\nhello\n0\r\n'],
    ['a NUL in an extension', '5;a=\0\r\n'],
    ['a LF in an extension', '5;a\nb\r\n'],
    ['an endless extension', `5;${'a'.repeat(5000)}`],
    ['a LF in a trailer', '0\r\nA: b\nC: d\r\n\r\n'],
    ['endless trailers', `0\r\n${'A: b\r\n'.repeat(5000)}`],
    ['a CR without LF at the end', '0\r\n\rx'],
  ]
  for (const [name, text] of broken) {
    it(`refuses ${name}`, () => {
      assert.equal(scan(text, text.length), 'broken')
      assert.equal(scan(text, 1), 'broken')
    })
  }
})
