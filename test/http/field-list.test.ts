import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withFraming, writableFields } from '../../src/http/field-list.ts'

describe('writableFields', () => {
  const cases: Record<string, [fields: string[], isChunked: boolean, written: string[]]> = {
    'keeps the same list where nothing is to do': [
      ['A', '1', 'a', '2'],
      false,
      ['A', '1', 'a', '2'],
    ],
    'keeps a Trailer of a chunked body': [['Trailer', 'X'], true, ['Trailer', 'X']],
    'drops every Trailer of another body': [
      ['Trailer', 'X', 'A', '1', 'trailer', 'Y'],
      false,
      ['A', '1'],
    ],
    'leaves a plain Content-Disposition where it is': [
      ['Content-Length', '2', 'Content-Disposition', 'inline'],
      false,
      ['Content-Length', '2', 'Content-Disposition', 'inline'],
    ],
    'leaves a Content-Disposition where it is that has no length before it': [
      ['Content-Disposition', '\xe9', 'Content-Length', '2'],
      false,
      ['Content-Disposition', '\xe9', 'Content-Length', '2'],
    ],
    'moves a Content-Disposition with bytes above 0x7f before the length': [
      ['content-length', '2', 'B', '1', 'content-disposition', '\xe9'],
      false,
      ['content-disposition', '\xe9', 'content-length', '2', 'B', '1'],
    ],
  }
  for (const [name, [fields, isChunked, written]] of Object.entries(cases)) {
    it(name, () => {
      assert.deepEqual(writableFields(fields, isChunked), written)
    })
  }
})

describe('withFraming', () => {
  it('keeps framing fields in their place and case, once, with the given value', () => {
    const fields = [
      'content-length',
      '1',
      'A',
      '1',
      'Content-Length',
      '2',
      'TRANSFER-ENCODING',
      'x',
    ]
    assert.deepEqual(withFraming(fields, undefined, '3'), ['content-length', '3', 'A', '1'])
    assert.deepEqual(withFraming(fields, 'chunked', undefined), [
      'A',
      '1',
      'TRANSFER-ENCODING',
      'chunked',
    ])
    assert.deepEqual(withFraming(fields, undefined, undefined), ['A', '1'])
  })

  it('adds at the end what is missing', () => {
    assert.deepEqual(withFraming(['A', '1'], 'chunked', undefined), [
      'A',
      '1',
      'Transfer-Encoding',
      'chunked',
    ])
    assert.deepEqual(withFraming(['A', '1'], undefined, '3'), ['A', '1', 'Content-Length', '3'])
  })
})
