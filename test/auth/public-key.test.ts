import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, it } from 'node:test'
import { isFitKey, whyUnfit } from '../../src/auth/public-key.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
const ec = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const ed25519 = generateKeyPairSync('ed25519')
const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey
const x25519 = generateKeyPairSync('x25519').publicKey

const jwkOf = (key: KeyObject): object => key.export({ format: 'jwk' })

describe('a public key', () => {
  it('fits if signatures of tokens can be checked with it', () => {
    for (const { publicKey } of [rsa, ec, ed25519]) {
      assert.equal(whyUnfit(publicKey), undefined)
      assert.ok(isFitKey(jwkOf(publicKey)))
      assert.ok(isFitKey({ ...jwkOf(publicKey), kid: 5, x5c: null }))
    }
  })

  const unfit: readonly (readonly [name: string, key: KeyObject, why: RegExp])[] = [
    ['a short RSA key', shortRsa, /RSA key of 1024 bits; expected 2048 or more/],
    ['a curve of no algorithm', secp256k1, /curve secp256k1/],
    ['a key for key agreement', x25519, /type x25519/],
  ]
  for (const [name, key, why] of unfit) {
    it(`does not fit if it is ${name}`, () => {
      assert.match(whyUnfit(key) ?? '', why)
      assert.equal(isFitKey(jwkOf(key)), false)
    })
  }

  const others: readonly (readonly [name: string, jwk: unknown])[] = [
    ['null', null],
    ['text', 'key'],
    ['a list', []],
    ['empty', {}],
    ['of an unknown type', { ...jwkOf(rsa.publicKey), kty: 'XYZ' }],
    ['of a type that is no text', { ...jwkOf(rsa.publicKey), kty: ['RSA'] }],
    ['without its modulus', { ...jwkOf(rsa.publicKey), n: undefined }],
    ['one with a modulus that is no text', { ...jwkOf(rsa.publicKey), n: 5 }],
    ['one with a point off its curve', { ...jwkOf(ec.publicKey), y: 'AAAA' }],
    ['a secret', { kty: 'oct', k: 'AAAA' }],
    ['a private key', jwkOf(ec.privateKey)],
  ]
  for (const [name, jwk] of others) {
    it(`is none if a member of a key set is ${name}`, () => assert.equal(isFitKey(jwk), false))
  }
})
