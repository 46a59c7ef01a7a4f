import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseAuthority, plainHost } from '../../src/request/authority.ts'

describe('parseAuthority', () => {
  const valid: [text: string, host: string, port: number | undefined][] = [
    ['example.com', 'example.com', undefined],
    ['Example.COM:8080', 'example.com', 8080],
    ['example.com.', 'example.com', undefined],
    ['example.com.:443', 'example.com', 443],
    ['example.com:', 'example.com', undefined],
    ['my_service-1', 'my_service-1', undefined],
    ['127.0.0.1:80', '127.0.0.1', 80],
    ['[::1]', '[::1]', undefined],
    ['[2001:DB8:0::1]:65535', '[2001:db8::1]', 65_535],
    ['[::ffff:10.0.0.1]:1', '[::ffff:10.0.0.1]', 1],
    [`${'a'.repeat(253)}.`, 'a'.repeat(253), undefined],
  ]
  for (const [text, host, port] of valid) {
    it(`reads ${text.slice(0, 40)}`, () => {
      assert.deepEqual(parseAuthority(text), { text, host, port })
    })
  }

  const invalid: [name: string, text: string][] = [
    ['the empty text', ''],
    ['a port alone', ':80'],
    ['userinfo', 'user@example.com'],
    ['userinfo with a password', 'user:pw@example.com'],
    ['a path', 'example.com/x'],
    ['a query', 'example.com?x'],
    ['a blank', 'example.com b'],
    ['two hosts', 'a.example,b.example'],
    ['a percent-encoded name', '%61dmin.example'],
    ['an empty label', 'a..b'],
    ['a dot at the start', '.example.com'],
    ['a dot alone', '.'],
    ['a port that is no number', 'example.com:http'],
    ['a port above 65535', 'example.com:65536'],
    ['a port of six digits', 'example.com:000080'],
    ['two ports', 'example.com:80:80'],
    ['IPv6 without brackets', '::1'],
    ['an open bracket', '[::1'],
    ['text behind a bracket', '[::1]x'],
    ['IPv6 with a zone', '[fe80::1%25eth0]'],
    ['brackets without IPv6', '[1.2.3.4]'],
    ['what looks like IPv6', '[1:2:3]'],
    ['a future literal', '[v1.a]'],
    ['characters beyond ASCII', 'ex\u00e4mple.com'],
    ['a backslash', 'example.com\\x'],
    ['a name that is too long', 'a'.repeat(300)],
  ]
  for (const [name, text] of invalid) {
    it(`refuses ${name}`, () => {
      assert.equal(parseAuthority(text), undefined)
    })
  }
})

describe('plainHost', () => {
  it('gives hosts of the configuration the spelling of those of requests', () => {
    assert.equal(plainHost('[0:0::1]'), '[::1]')
    assert.equal(plainHost('Example.com.'), 'example.com')
    assert.equal(plainHost('*.Example.com'), '*.example.com')
  })
})
