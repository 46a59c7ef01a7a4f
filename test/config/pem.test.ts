import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { certificatesIn, pemsIn, revocationListsIn, whyNotUsable } from '../../src/config/pem.ts'
import { openssl, TestAuthority } from '../support/certificates.ts'

const folder = join(import.meta.dirname, '../fixtures/tls')
const [cert, key] = ['cert.pem', 'key.pem'].map((name) =>
  readFileSync(join(folder, name), 'utf8'),
) as [string, string]

describe('pemsIn', () => {
  it('has each block of its kind, with what is cut off, and nothing in between', () => {
    const [pem] = pemsIn(cert, 'CERTIFICATE') as [string]
    const text = `about it\n${pem}\r\n${key}${pem} and\n${pem.slice(0, 100)}`
    assert.deepEqual(pemsIn(text, 'CERTIFICATE'), [pem, pem, pem.slice(0, 100)])
    assert.deepEqual(pemsIn(text, 'X509 CRL'), [])
  })

  it('has what OpenSSL sees, and nothing else', () => {
    const [pem] = pemsIn(cert, 'CERTIFICATE') as [string]
    assert.deepEqual(pemsIn(`\uFEFF${pem}`, 'CERTIFICATE'), [pem])
    assert.deepEqual(pemsIn(`\xEF\xBB\xBF${pem}`, 'CERTIFICATE'), [pem])
    assert.deepEqual(pemsIn(` ${pem}\n# ${pem}`, 'CERTIFICATE'), [])
  })
})

describe('certificatesIn', () => {
  it('has all of them', () => {
    const [one, other] = certificatesIn(cert + key + cert)
    assert.equal(one.fingerprint256, other?.fingerprint256)
  })

  it('throws for none, and for one that is broken or cut off, wherever it stands', () => {
    for (const [text, message] of [
      ['', 'holds no certificate in PEM format'],
      [key, 'holds no certificate in PEM format'],
      [cert.replace('MII', 'MIX'), 'holds a broken certificate'],
      [cert.slice(0, -40), 'holds a broken certificate'],
      [cert + cert.slice(0, 300), 'holds a broken certificate, number 2 of 2'],
      [`${cert.slice(0, 300)}\n${cert}`, 'holds a broken certificate, number 1 of 2'],
    ] as const) {
      assert.throws(() => certificatesIn(text), { message })
    }
  })
})

describe('revocationListsIn', { skip: openssl.skip }, () => {
  it('has all of them, and throws for none and for broken ones', async () => {
    await using authority = await TestAuthority.create()
    const crl = await authority.revoke()
    assert.equal(revocationListsIn(crl + crl).length, 2)
    for (const [text, message] of [
      [cert, 'holds no list of revoked certificates in PEM format'],
      [crl.slice(0, 100), 'holds a broken list of revoked certificates'],
      [crl + crl.slice(0, 100), 'holds a broken list of revoked certificates, number 2 of 2'],
    ] as const) {
      assert.throws(() => revocationListsIn(text), { message })
    }
  })
})

describe('whyNotUsable', { skip: openssl.skip }, () => {
  it('says it for what OpenSSL does not take', async () => {
    await using authority = await TestAuthority.create()
    const weak = await authority.issue({ keyType: 'weak' })
    assert.equal(whyNotUsable({ cert, key }), undefined)
    assert.equal(whyNotUsable(weak), 'ee key too small')
    assert.equal(whyNotUsable({ ...weak, ciphers: 'DEFAULT@SECLEVEL=0' }), undefined)
    assert.equal(whyNotUsable({ ciphers: 'nonsense' }), 'no cipher match')
  })
})
