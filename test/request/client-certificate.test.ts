import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { verifiedCertificate } from '../../src/request/client-certificate.ts'
import { openssl, TestAuthority, type Wanted } from '../support/certificates.ts'

describe('verifiedCertificate', { skip: openssl.skip }, () => {
  let authority: TestAuthority
  before(async () => {
    authority = await TestAuthority.create()
  })
  after(() => authority[Symbol.asyncDispose]())

  async function read(wanted: Wanted, by: readonly string[] = []) {
    const { cert } = await authority.issue(wanted)
    return verifiedCertificate(new X509Certificate(cert), by)
  }

  for (const [subject, written, commonName] of [
    ['/C=DE/O=Example/CN=alice', 'CN=alice,O=Example,C=DE', 'alice'],
    ['/CN=inner/CN=outer', 'CN=outer,CN=inner', 'outer'],
    ['/O=a, b/CN=x=y', String.raw`CN=x=y,O=a\, b`, 'x=y'],
    ['/O=x/CN=alice+UID=7', 'CN=alice+UID=7,O=x', 'alice'],
    ['/CN=a"b,c', String.raw`CN=a\"b\,c`, 'a"b,c'],
    ['/O=Example', 'O=Example', undefined],
    ['/CN=Zo\u00eb \u2713', 'CN=Zo\u00eb \u2713', 'Zo\u00eb \u2713'],
    ['/O=x CN=evil/CN=y', 'CN=y,O=x CN=evil', 'y'],
    ['/', '', undefined],
  ] as const) {
    it(`has the subject ${subject} as ${written || 'nothing'}`, async () => {
      const certificate = await read({ subject })
      assert.deepEqual([certificate.subject, certificate.commonName], [written, commonName])
    })
  }

  it('is one element for upstreams, in ASCII, that no name can break out of', async () => {
    const names = ['URI:http://a/?b=c;d', 'DNS:a.test']
    const { forwarded } = await read({ subject: '/CN=Zo\u00eb "x";URI=evil', names }, [
      'spiffe://g',
    ])
    assert.match(forwarded, /^By=spiffe:\/\/g;Hash=[0-9a-f]{64};/)
    assert.equal(
      forwarded.slice(forwarded.indexOf('Subject')),
      String.raw`Subject="CN=Zo\C3\AB \"x\"\;URI=evil";URI="http://a/?b=c;d";DNS=a.test`,
    )
  })
})
