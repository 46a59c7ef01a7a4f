import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { isCredentialName, shownText } from '../../src/config/secrets.ts'

describe('shownText', () => {
  const cases: [key: string, value: string, shown: string][] = [
    ['secret', 'hunter2', '***'],
    ['token', 'hunter2', '***'],
    ['url', 'https://a/b?key=hunter2', 'https://a/b?***'],
    ['jwks', 'https://a/b?x\ny', 'https://a/b?***'],
    ['jwks', 'https://a/b', 'https://a/b'],
    ['key', '/etc/key.pem', '/etc/key.pem'],
    ['publicKey', '/etc/key.pem?', '/etc/key.pem?'],
  ]
  for (const [key, value, shown] of cases) {
    it(`shows ${key}: ${JSON.stringify(value)} as ${shown}`, () => {
      assert.equal(shownText(key, value), shown)
    })
  }
})

describe('isCredentialName', () => {
  const credentials = ['Authorization', 'Cookie', 'X-Api-Key', 'x-secret', 'X-Auth', 'access_token']
  for (const name of credentials) {
    it(`takes ${name} for one`, () => assert.ok(isCredentialName(name)))
  }
  for (const name of ['X-Env', 'Server', 'Host', 'room']) {
    it(`takes ${name} for none`, () => assert.ok(!isCredentialName(name)))
  }
})
