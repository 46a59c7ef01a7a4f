import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { badByteIn } from '../../src/config/utf8.ts'

function placeIn(...parts: readonly (string | number)[]): string | undefined {
  const bad = badByteIn(
    Buffer.concat(
      parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.of(part))),
    ),
  )
  return bad && `${bad.line}:${bad.column} ${bad.source}`
}

describe('badByteIn', () => {
  it('finds nothing in UTF-8', () => {
    assert.equal(placeIn(''), undefined)
    assert.equal(placeIn('a: ä€😀\ufffd\r\n'), undefined)
  })
  it('finds the first byte that is part of no character', () => {
    assert.equal(placeIn('a\nb: ', 0xe4, 'x\n', 0xe4), '2:4 b: \ufffdx')
    assert.equal(placeIn('ä€😀', 0xff), '1:5 ä€😀\ufffd')
  })
  it('takes a character that is cut off, or written with too many bytes, for none', () => {
    assert.equal(placeIn('a', 0xe2, 0x82), '1:2 a\ufffd')
    assert.equal(placeIn('a\n', 0xe2, 0x82, '\nb'), '2:1 \ufffd')
    assert.equal(placeIn(0xc0, 0xaf), '1:1 \ufffd\ufffd')
  })
})
