import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { passedTrailers } from '../../src/outgoing/trailers.ts'

describe('passedTrailers', () => {
  it('passes checksums and their like, in order, case and number', () => {
    assert.deepEqual(passedTrailers(['X-Sum', '1', 'grpc-status', '0', 'x-sum', '2']), [
      'X-Sum',
      '1',
      'grpc-status',
      '0',
      'x-sum',
      '2',
    ])
  })

  for (const name of [
    'Transfer-Encoding',
    'CONTENT-LENGTH',
    'Host',
    'Set-Cookie',
    'Authorization',
    'X-Forwarded-For',
    'X-Auth-User',
    'X-Request-Id',
    'traceparent',
    'Trailer',
  ]) {
    it(`drops ${name}`, () => {
      assert.deepEqual(passedTrailers([name, '1']), [])
    })
  }
})
