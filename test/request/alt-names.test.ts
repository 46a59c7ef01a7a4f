import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { altNamesOf } from '../../src/request/alt-names.ts'
import { openssl, TestAuthority } from '../support/certificates.ts'

function read(subjectAltName: string | undefined): string[] {
  const names = altNamesOf({ subjectAltName } as X509Certificate)
  return names.map(({ type, value }) => `${type} ${value}`)
}

describe('altNamesOf', () => {
  it('reads names of its types, in their order', () => {
    const text = 'DNS:a.test, IP Address:10.0.0.1, URI:spiffe://a/b, email:a@b.test, DNS:*.c.test'
    assert.deepEqual(read(text), [
      'DNS a.test',
      'IP 10.0.0.1',
      'URI spiffe://a/b',
      'email a@b.test',
      'DNS *.c.test',
    ])
  })

  it('has addresses as configs write them', () => {
    const text = 'IP Address:2001:DB8:0:0:0:0:0:A, IP Address:10.0.0.1, IP Address:<invalid>'
    assert.deepEqual(read(text), ['IP 2001:db8::a', 'IP 10.0.0.1', 'IP <invalid>'])
  })

  it('leaves out the others', () => {
    assert.deepEqual(read('Registered ID:1.2.3, DirName:"CN = x, O = y", DNS:a'), ['DNS a'])
    assert.deepEqual(read(undefined), [])
  })

  it('does not take a value for several names', () => {
    assert.deepEqual(read('URI:"http://a, DNS:evil.test", DNS:a'), [
      'URI http://a, DNS:evil.test',
      'DNS a',
    ])
    assert.deepEqual(read(String.raw`URI:"a\"", DNS:b`), ['URI a"', 'DNS b'])
  })

  for (const text of ['DNS', 'DNS:a,DNS:b', 'DNS:"a', String.raw`DNS:"a\x"`, ' DNS:a']) {
    it(`understands nothing of ${text}`, () => {
      assert.deepEqual(read(text), [])
    })
  }

  describe('for real certificates', { skip: openssl.skip }, () => {
    let authority: TestAuthority
    before(async () => {
      authority = await TestAuthority.create()
    })
    after(() => authority[Symbol.asyncDispose]())

    it('finds what the authority has put in', async () => {
      const names = ['DNS:a.test', 'URI:spiffe://a/b', 'email:a@b.test', 'IP:::1']
      const { cert } = await authority.issue({ names })
      assert.deepEqual(altNamesOf(new X509Certificate(cert)), [
        { type: 'DNS', value: 'a.test' },
        { type: 'URI', value: 'spiffe://a/b' },
        { type: 'email', value: 'a@b.test' },
        { type: 'IP', value: '::1' },
      ])
    })
  })
})
