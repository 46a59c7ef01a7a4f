import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { apiKeyChallenge, basicChallenge, bearerChallenge } from '../../src/auth/challenge.ts'

describe('challenges', () => {
  it('quote what they name', () => {
    assert.deepEqual(basicChallenge('a "b" \\c'), [
      'WWW-Authenticate',
      'Basic realm="a \\"b\\" \\\\c", charset="UTF-8"',
    ])
  })

  it('replace what is not printable ASCII', () => {
    assert.deepEqual(bearerChallenge('ö\r\nX: y', 'invalid_token'), [
      'WWW-Authenticate',
      'Bearer realm="???X: y", error="invalid_token"',
    ])
  })

  it('name no error when no token was sent', () => {
    assert.deepEqual(bearerChallenge('r'), ['WWW-Authenticate', 'Bearer realm="r"'])
  })

  it('name the field of an API key', () => {
    assert.deepEqual(apiKeyChallenge('X-Key'), ['WWW-Authenticate', 'ApiKey header="X-Key"'])
  })
})
