import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { urlOf } from '../../src/listen/url.ts'

describe('urlOf', () => {
  for (const [host, tls, url] of [
    ['127.0.0.1', undefined, 'http://127.0.0.1:80/'],
    ['0.0.0.0', {}, 'https://localhost:80/'],
    ['::', undefined, 'http://localhost:80/'],
    ['::1', {}, 'https://[::1]:80/'],
  ] as const) {
    it(`is ${url} for ${host}`, () => {
      assert.equal(urlOf({ kind: 'tcp', host, port: 80 }, tls), url)
    })
  }

  it('is the path of a unix socket', () => {
    assert.equal(urlOf({ kind: 'unix', path: '/run/a.sock' }, undefined), 'unix:/run/a.sock')
  })
})
