import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadText, problemsIn, withRoute } from './load-text.ts'

const PAIR = 'cert: "${FIXTURES}/tls/cert.pem", key: "${FIXTURES}/tls/key.pem"'

function tls(settings: string, more = ''): string {
  return withRoute(`listeners: [{ tls: { ${settings} } }]\n${more}`)
}

const cases: [name: string, yaml: string, problems: string[]][] = [
  ['takes a pair', tls(PAIR), []],
  ['takes several', tls(`certificates: [{ ${PAIR} }, { ${PAIR}, names: ["*.a.test"] }]`), []],
  [
    'asks for a certificate',
    tls('minVersion: TLSv1.3'),
    ['listeners[0].tls: expected cert and key, or certificates'],
  ],
  [
    'refuses HTTP/2 without TLS where there is TLS',
    withRoute(`listeners: [{ h2c: true, tls: { ${PAIR} } }]\n`),
    ['listeners[0].h2c: is for a listener without tls: with it tls.http2 offers HTTP/2'],
  ],
  [
    'asks for the other half of a pair',
    tls('key: "${FIXTURES}/tls/key.pem"'),
    ['listeners[0].tls.cert: missing; expected the path of a file'],
  ],
  [
    'looks into the files of each certificate',
    tls(`certificates: [{ ${PAIR} }, { ${PAIR.replace('key.pem', 'other-key.pem')} }]`),
    ['listeners[0].tls.certificates[1].key: this key does not belong to the certificate in cert'],
  ],
  [
    'knows what is no name',
    tls(`certificates: [{ ${PAIR}, names: [a.test, "*", "a.*.test"] }]`),
    [1, 2].map(
      (index) =>
        `listeners[0].tls.certificates[0].names[${index}]: expected a host name such as chat.example.com or *.example.com`,
    ),
  ],
  ['takes ciphers of OpenSSL', tls(`${PAIR}, ciphers: "TLS_AES_128_GCM_SHA256:ECDHE+AESGCM"`), []],
  [
    'refuses ciphers that nobody knows',
    tls(`${PAIR}, ciphers: nonsense`),
    ['listeners[0].tls.ciphers: OpenSSL knows no cipher by this list'],
  ],
  [
    'refuses a redirect from https to https',
    withRoute(`listeners: [{ tls: { ${PAIR} }, redirect: https }]`),
    ['listeners[0].redirect: is for a listener without tls: its clients speak https already'],
  ],
  [
    'knows what is no place to redirect to',
    withRoute('listeners: [{ redirect: http }, { address: "a:1", redirect: { port: 0 } }]'),
    [
      'listeners[0].redirect: expected https, or { port: NUMBER }',
      'listeners[1].redirect.port: expected a whole number from 1 to 65535',
    ],
  ],
  [
    'asks for the authorities of clients',
    tls(`${PAIR}, clientCert: require, crl: a.pem`),
    [
      'listeners[0].tls.clientCert: needs clientCa beside it',
      'listeners[0].tls.crl: needs clientCa beside it',
    ],
  ],
  [
    'looks into the files about clients',
    tls(`${PAIR}, clientCa: "\${FIXTURES}/tls/key.pem", crl: "\${FIXTURES}/tls/key.pem"`),
    [
      'listeners[0].tls.clientCa: the file holds no certificate in PEM format',
      'listeners[0].tls.crl: the file holds no list of revoked certificates in PEM format',
    ],
  ],
  [
    'refuses a check of certificates that no listener asks for',
    tls(PAIR, 'auth: { a: { type: clientCert } }'),
    ['auth.a.type: no listener asks clients for certificates: give one tls.clientCa'],
  ],
  [
    'knows what is no alternative name',
    tls(
      `${PAIR}, clientCa: "\${FIXTURES}/tls/cert.pem"`,
      'auth: { a: { type: clientCert, san: [a.test] } }',
    ),
    [
      'auth.a.san[0]: expected a pattern that begins with DNS:, URI:, email: or IP:, such as DNS:*.example.com',
    ],
  ],
]

describe('the checks of a listener', () => {
  for (const [name, yaml, problems] of cases) {
    it(name, () => {
      assert.deepEqual(
        problemsIn(yaml).map((problem) => problem.replace(/^\d+:\d+: /, '')),
        problems,
      )
    })
  }

  it('warn of a certificate that has expired, wherever it stands', () => {
    const expired = PAIR.replace('cert.pem', 'expired.pem')
    const { warnings } = loadText(tls(`certificates: [{ ${expired} }]`))
    assert.match(warnings.join('\n'), /certificates\[0\]\.cert: the certificate expired on/)
  })
})
