import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isSameCertificate, loadCertificate } from '../../src/listen/tls-certificate.ts'
import { openssl, TestAuthority, type Wanted } from '../support/certificates.ts'
import { filesIn } from './tls-config.ts'

const DEFAULTS = { ciphers: undefined }

describe('loadCertificate', { skip: openssl.skip }, () => {
  let authority: TestAuthority
  let folder: string

  before(async () => {
    authority = await TestAuthority.create()
    folder = await mkdtemp(join(tmpdir(), 'upgate-pair-'))
  })
  after(async () => {
    await authority[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  async function issued(wanted: Wanted, names?: readonly string[], ciphers?: string) {
    const { cert, key } = await authority.issue(wanted)
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem'), names }
    await writeFile(files.cert, cert)
    await writeFile(files.key, key)
    return loadCertificate(files, { ciphers })
  }

  it('has the names of the certificate', async () => {
    const names = ['URI:spiffe://a/gate', 'IP:127.0.0.1', 'DNS:A.test', 'DNS:*.b.test']
    const loaded = await issued({ subject: '/CN=gate', names })
    assert.deepEqual(loaded.names, ['a.test', '*.b.test'])
    assert.equal(loaded.title, 'A.test')
    assert.deepEqual(loaded.uris, ['spiffe://a/gate'])
    assert.equal(loaded.keyType, 'ec')
    assert.ok(Math.abs(loaded.expiresAtMs - Date.now() - 24 * 3_600_000) < 60_000)
  })

  it('has the names of the config where it has some, and its own title all the same', async () => {
    const loaded = await issued({ names: ['DNS:a.test'], keyType: 'rsa' }, ['c.test'])
    assert.deepEqual([loaded.names, loaded.title, loaded.keyType], [['c.test'], 'a.test', 'rsa'])
  })

  it('goes by the common name, an address or the file where there is no other name', async () => {
    assert.equal((await issued({ subject: '/O=x/CN=Gate.test' })).title, 'Gate.test')
    assert.deepEqual((await issued({ subject: '/CN=Gate.test' })).names, ['gate.test'])
    assert.equal((await issued({ names: ['IP:10.0.0.1'] })).title, '10.0.0.1')
    assert.equal((await issued({ subject: '/O=x' })).title, join(folder, 'cert.pem'))
  })

  it('throws for what is missing, wrong, or does not belong to each other', () => {
    const [one, other] = [filesIn('tls'), filesIn('config/tls')]
    for (const [cert, key, error] of [
      [one.cert, '/nowhere/key.pem', { code: 'ENOENT' }],
      [one.key, one.key, /key\.pem holds no certificate in PEM format/],
      [one.cert, one.cert, /cert\.pem holds no private key in PEM format/],
      [one.cert, other.key, /does not belong to the certificate in .*cert\.pem/],
    ] as const) {
      assert.throws(() => loadCertificate({ cert, key, names: undefined }, DEFAULTS), error)
    }
  })

  it('throws for what OpenSSL does not take, by the ciphers of the config', async () => {
    const weak = { keyType: 'weak' } as const
    await assert.rejects(issued(weak), /cert\.pem cannot be used: ee key too small/)
    assert.equal((await issued(weak, undefined, 'DEFAULT@SECLEVEL=0')).keyType, 'rsa')
  })

  it('throws for a broken certificate behind the first one', async () => {
    const { cert, key } = filesIn('tls')
    const chain = join(folder, 'chain.pem')
    await writeFile(chain, (await readFile(cert, 'utf8')).repeat(2).slice(0, -60))
    assert.throws(
      () => loadCertificate({ cert: chain, key, names: undefined }, DEFAULTS),
      /chain\.pem holds a broken certificate, number 2 of 2/,
    )
  })

  it('tells the same from another one by content', () => {
    const [one, other] = ['tls', 'config/tls'].map((name) =>
      loadCertificate({ ...filesIn(name), names: undefined }, DEFAULTS),
    )
    assert.ok(one !== undefined && other !== undefined)
    assert.equal(isSameCertificate(one, { ...one, files: other.files }), true)
    assert.equal(isSameCertificate(one, other), false)
  })
})
