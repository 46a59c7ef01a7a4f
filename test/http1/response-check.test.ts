import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkResponse } from '../../src/http1/response-check.ts'
import type { ResponseHead } from '../../src/http1/response-head.ts'

const OK: ResponseHead = { minorVersion: 1, status: 200, reason: 'OK', fields: [] }

describe('checkResponse', () => {
  it('gives the framing of what is right, whatever its status from 200 to 999', () => {
    for (const status of [200, 404, 599, 600, 999]) {
      const fields = ['Content-Length', '5']
      assert.deepEqual(checkResponse('GET', { ...OK, status, fields }), {
        kind: 'length',
        bytes: 5,
      })
    }
  })

  const wrong: [name: string, head: Partial<ResponseHead>][] = [
    ['a status below 200', { status: 99 }],
    ['a status of 0', { status: 0 }],
    ['a status above 999', { status: 1000 }],
    ['a status that is no number', { status: NaN }],
    ['a control character in the reason', { reason: 'O\x01K' }],
    ['a line feed in the reason', { reason: 'a\nb' }],
    ['a control character in a value', { fields: ['A', 'b\x7f'] }],
    ['a name that is no token', { fields: ['A b', 'c'] }],
    ['a length that is no number', { fields: ['Content-Length', '+5'] }],
    ['two lengths', { fields: ['Content-Length', '5', 'content-length', '6'] }],
    ['a length and a coding', { fields: ['Content-Length', '5', 'Transfer-Encoding', 'chunked'] }],
    ['an unknown coding', { fields: ['Transfer-Encoding', 'gzip, chunked'] }],
    ['a coding under HTTP/1.0', { minorVersion: 0, fields: ['Transfer-Encoding', 'chunked'] }],
  ]
  for (const [name, head] of wrong) {
    it(`refuses ${name}`, () => assert.ok('wrong' in checkResponse('GET', { ...OK, ...head })))
  }
})
