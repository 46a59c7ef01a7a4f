import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/errors.ts'
import { parseTarget, type Target } from '../../src/request/target.ts'

function parse(method: string, text: string): Target {
  const target = parseTarget(method, text)
  assert.ok(!(target instanceof Refusal), 'the target is refused')
  return target
}

describe('parseTarget', () => {
  const originForms: [name: string, text: string, target: string, path: string, query: string][] = [
    ['a path', '/ws', '/ws', '/ws', ''],
    ['a path and a query', '/ws?a=1&b=%20', '/ws?a=1&b=%20', '/ws', 'a=1&b=%20'],
    ['a query with question marks and slashes', '/?a?b=//../', '/?a?b=//../', '/', 'a?b=//../'],
    ['an empty query', '/ws?', '/ws?', '/ws', ''],
    ['a path that is not canonical', '/a/../%62', '/a/../%62', '/b', ''],
    ['an absolute form', 'http://example.com/ws?a', '/ws?a', '/ws', 'a'],
    ['an absolute form in capitals', 'HTTPS://Example.com/WS', '/WS', '/WS', ''],
    ['an absolute form without a path', 'http://example.com', '/', '/', ''],
    [
      'an absolute form without a path but with a query',
      'http://example.com?a=/b',
      '/?a=/b',
      '/',
      'a=/b',
    ],
    ['an absolute form with dot segments', 'http://h/a/../b', '/a/../b', '/b', ''],
    ['an absolute form with two slashes', 'http://h//b', '//b', '/b', ''],
    [
      'bytes above 0x7F, encoded,',
      '/caf\u00c3\u00a9?q=\u00ff',
      '/caf%C3%A9?q=%FF',
      '/caf%C3%A9',
      'q=%FF',
    ],
  ]
  for (const [name, text, target, path, query] of originForms) {
    it(`reduces ${name} to the origin form`, () => {
      const parsed = parse('GET', text)
      assert.equal(parsed.target, target)
      assert.equal(parsed.path, path)
      assert.equal(parsed.query, query)
    })
  }

  it('gives the authority of an absolute form, and none of an origin form', () => {
    assert.deepEqual(parse('GET', 'http://Example.com:81/').authority, {
      text: 'Example.com:81',
      host: 'example.com',
      port: 81,
    })
    assert.equal(parse('GET', '/').authority, undefined)
  })

  it('takes * for OPTIONS', () => {
    assert.deepEqual(parse('OPTIONS', '*'), {
      target: '*',
      path: '*',
      otherPaths: [],
      query: '',
      authority: undefined,
    })
  })

  it('makes * of an absolute form without a path for OPTIONS', () => {
    const parsed = parse('OPTIONS', 'http://example.com')
    assert.equal(parsed.target, '*')
    assert.equal(parsed.authority?.host, 'example.com')
    assert.equal(parse('OPTIONS', 'http://example.com/').target, '/')
    assert.equal(parse('OPTIONS', 'http://example.com?a').target, '/?a')
  })

  const invalid: [name: string, method: string, text: string][] = [
    ['the empty text', 'GET', ''],
    ['* for another method', 'GET', '*'],
    ['a path without a slash', 'GET', 'ws'],
    ['an authority form', 'GET', 'example.com:80'],
    ['another scheme', 'GET', 'ftp://example.com/'],
    ['ws as the scheme', 'GET', 'ws://example.com/'],
    ['a scheme without slashes', 'GET', 'http:/example.com/'],
    ['an absolute form without a host', 'GET', 'http:///path'],
    ['an absolute form with a port alone', 'GET', 'http://:80/'],
    ['userinfo', 'GET', 'http://user@example.com/'],
    ['userinfo with a password', 'GET', 'http://user:secret@example.com/'],
    ['a backslash behind the host', 'GET', 'http://example.com\\@evil.example/'],
    ['an invalid host', 'GET', 'http://a,b/'],
    ['a fragment', 'GET', '/a#b'],
    ['a fragment in the query', 'GET', '/a?b#c'],
    ['a blank', 'GET', '/a b'],
    ['a line break', 'GET', '/a\r\nX: y'],
    ['a NUL', 'GET', '/a\0'],
    ['a DEL', 'GET', '/a\x7f'],
    ['characters that are no bytes', 'GET', '/caf\u0119'],
    ['bytes above 0x7F in a host', 'GET', 'http://caf\u00c3\u00a9/'],
    ['a stray percent sign', 'GET', '/100%'],
    ['a percent sign before one digit', 'GET', '/%4'],
    ['a percent sign before other letters', 'GET', '/%zz'],
    ['an encoded NUL', 'GET', '/a%00.png'],
  ]
  for (const [name, method, text] of invalid) {
    it(`refuses ${name}`, () => {
      const refusal = parseTarget(method, text)
      assert.ok(refusal instanceof Refusal)
      assert.equal(refusal.code, 'E_TARGET_INVALID')
    })
  }

  it('refuses a path with too many readings as ambiguous', () => {
    const refusal = parseTarget('GET', `/%${'25'.repeat(80)}2e`)
    assert.ok(refusal instanceof Refusal)
    assert.equal(refusal.code, 'E_TARGET_AMBIGUOUS')
  })

  it('names neither the query nor userinfo in the cause of a refusal', () => {
    for (const text of ['/a#b?token=secret', 'http://user:secret@example.com/']) {
      const refusal = parseTarget('GET', text)
      assert.ok(refusal instanceof Refusal)
      assert.doesNotMatch(refusal.details.cause ?? '', /secret/)
    }
  })
})
