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
    'X_Auth_User',
    'X.Forwarded.For',
    'X~Request~Id',
    'Content_Length',
    'Set_Cookie',
    'X-Real-IP',
    'X-Original-URL',
    'X_Rewrite_URL',
    'Proxy',
    'Sec-WebSocket-Accept',
  ]) {
    it(`drops ${name}`, () => {
      assert.deepEqual(passedTrailers([name, '1']), [])
    })
  }

  it('drops what checks and the route give themselves, under any spelling', () => {
    const lost = {
      edits: { set: [['X-Env', 'prod']], remove: ['x-debug'] },
      ownFields: ['x-role'],
    } as const
    const raw = ['X-Role', '1', 'x_role', '1', 'X.Env', '1', 'X-Debug', '1', 'X_Debug', '1']
    assert.deepEqual(passedTrailers([...raw, 'X-Sum', '1'], lost), ['X-Sum', '1'])
  })
})
