import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseResponseHead } from '../../src/http1/response-head.ts'

const MAX = 1024

function parse(text: string, max = MAX) {
  return parseResponseHead(text, max)
}

describe('parseResponseHead', () => {
  it('keeps the reason phrase, and the order, case and number of fields', () => {
    const text =
      'HTTP/1.1 101 UPGRADED\r\ncontent-TYPE: a/b\r\nSet-Cookie: a=1\r\nX: \r\nset-cookie: b=2\r\n\r\n'
    assert.deepEqual(parse(`${text}\x81\x00`), {
      head: {
        minorVersion: 1,
        status: 101,
        reason: 'UPGRADED',
        fields: ['content-TYPE', 'a/b', 'Set-Cookie', 'a=1', 'X', '', 'set-cookie', 'b=2'],
      },
      bytes: text.length,
    })
  })

  const good: [name: string, text: string, reason: string, fields: string[]][] = [
    ['takes an empty reason phrase', 'HTTP/1.1 200 \r\n\r\n', '', []],
    ['takes a status line without a reason and its space', 'HTTP/1.1 200\r\n\r\n', '', []],
    [
      'trims spaces and tabs around a value',
      'HTTP/1.1 200 OK\r\nA:\t b c \t\r\n\r\n',
      'OK',
      ['A', 'b c'],
    ],
    [
      'keeps bytes above ASCII in a value',
      'HTTP/1.1 200 OK\r\nA: \xe9\r\n\r\n',
      'OK',
      ['A', '\xe9'],
    ],
    [
      'keeps a no-break space at the end of a value',
      'HTTP/1.1 200 OK\r\nA: b\xa0\r\n\r\n',
      'OK',
      ['A', 'b\xa0'],
    ],
    [
      'takes lines that all end in a bare line feed',
      'HTTP/1.1 200 OK\nA: b\nC: d\n\n',
      'OK',
      ['A', 'b', 'C', 'd'],
    ],
    [
      'joins folded lines by a blank each',
      'HTTP/1.1 200 OK\r\nA: b \r\n \t c\r\n\td \r\nE:\r\n f\r\n\r\n',
      'OK',
      ['A', 'b c d', 'E', 'f'],
    ],
    [
      'joins folded lines that end in a bare line feed',
      'HTTP/1.1 200 OK\nA: b\n c\n\n',
      'OK',
      ['A', 'b c'],
    ],
    [
      'removes blanks before a colon',
      'HTTP/1.1 200 OK\r\nA : b\r\nTransfer-Encoding \t: chunked\r\n\r\n',
      'OK',
      ['A', 'b', 'Transfer-Encoding', 'chunked'],
    ],
    [
      'counts equal lengths once, in lines and in lists',
      'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nA: b\r\ncontent-length: 5\r\n\r\n',
      'OK',
      ['Content-Length', '5', 'A', 'b'],
    ],
    [
      'keeps lengths that disagree',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
      'OK',
      ['Content-Length', '5', 'Content-Length', '6'],
    ],
    ['takes a minor version that is not known yet', 'HTTP/1.2 200 OK\r\n\r\n', 'OK', []],
  ]
  for (const [name, text, reason, fields] of good) {
    it(name, () => {
      const parsed = parse(text)
      assert.ok(parsed !== undefined && 'head' in parsed)
      assert.equal(parsed.head.reason, reason)
      assert.deepEqual(parsed.head.fields, fields)
    })
  }

  const whole = 'HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n'
  it('waits for more at every border at which a head can be split', () => {
    for (let end = 0; end < whole.length; end += 1)
      assert.equal(parse(whole.slice(0, end)), undefined)
    assert.ok('head' in (parse(whole) ?? {}))
  })

  const bad: [name: string, text: string][] = [
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['another major version', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status that begins with 0', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['a control character in the reason', 'HTTP/1.1 200 O\x01K\r\n\r\n'],
    ['a field line without a colon', 'HTTP/1.1 200 OK\r\nA\r\n\r\n'],
    ['a field without a name', 'HTTP/1.1 200 OK\r\n: b\r\n\r\n'],
    ['a status line without a blank behind the version', 'HTTP/1.1200 OK\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['a minor version of two digits', 'HTTP/1.10 200 OK\r\n\r\n'],
    ['an empty line in front of the status line', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
    ['a line feed in front of the status line', '\nHTTP/1.1 200 OK\n\n'],
    ['a blank inside a name', 'HTTP/1.1 200 OK\r\nA b: c\r\n\r\n'],
    ['a folded line without a field', 'HTTP/1.1 200 OK\r\n A: b\r\n\r\n'],
    ['a name and a colon in two lines', 'HTTP/1.1 200 OK\r\nA\r\n : b\r\n\r\n'],
    ['a control character in a folded line', 'HTTP/1.1 200 OK\r\nA: b\r\n \x01\r\n\r\n'],
    ['a bare line feed before the end of the head has come', 'HTTP/1.1 200 OK\r\nA: b\nC: d'],
    ['a bare line feed at the end of the head', 'HTTP/1.1 200 OK\r\nA: b\r\n\n'],
    ['a CRLF among bare line feeds', 'HTTP/1.1 200 OK\nA: b\r\nC: d\n\n'],
    ['a CRLF at the end of a head with bare line feeds', 'HTTP/1.1 200 OK\nA: b\n\r\n'],
    ['a bare line feed inside a value', 'HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n'],
    ['a NUL in a value', 'HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n'],
    ['a bare carriage return in a value', 'HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n'],
  ]
  for (const [name, text] of bad) {
    it(`refuses ${name}, at once`, () => {
      const parsed = parse(text)
      assert.ok(parsed !== undefined && 'wrong' in parsed)
    })
  }

  it('does not read line ends behind the head', () => {
    for (const head of ['HTTP/1.1 200 OK\nA: b\n\n', 'HTTP/1.1 200 OK\r\nA: b\r\n\r\n']) {
      for (const body of ['\r\n\r\n', '\n\n', '\r']) {
        const parsed = parse(head + body)
        assert.ok(parsed !== undefined && 'head' in parsed)
        assert.equal(parsed.bytes, head.length)
      }
    }
  })

  it('refuses a head above the limit, whole or not', () => {
    const long = `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(MAX)}`
    assert.ok('wrong' in (parse(long) ?? {}))
    assert.ok('wrong' in (parse(`${long}\r\n\r\n`) ?? {}))
  })
})
