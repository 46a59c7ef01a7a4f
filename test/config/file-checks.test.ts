import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { fixtures, loadText, problemsIn, withRoute } from './load-text.ts'

function tls(cert: string, key: string): string {
  return withRoute(
    `listeners: [{ tls: { cert: "\${FIXTURES}/${cert}", key: "\${FIXTURES}/${key}" } }]`,
  )
}

function adminTls(cert: string, key: string): string {
  return withRoute(`admin: { tls: { cert: "\${FIXTURES}/${cert}", key: "\${FIXTURES}/${key}" } }`)
}

function client(cert: string, key: string): string {
  return withRoute(
    `upstreams: { a: { endpoints: ["https://a"], tls: { cert: "\${FIXTURES}/${cert}", key: "\${FIXTURES}/${key}" } } }`,
  )
}

function publicKey(file: string): string {
  return withRoute(`auth: { a: { type: jwt, publicKey: "\${FIXTURES}/${file}" } }`)
}

function ca(file: string): string {
  return withRoute(
    `upstreams: { a: { endpoints: ["https://a"], tls: { ca: "\${FIXTURES}/${file}" } } }`,
  )
}

const cases: [name: string, yaml: string, problems: string[]][] = [
  ['accepts a certificate with its key', tls('tls/cert.pem', 'tls/key.pem'), []],
  [
    'refuses a key of another certificate',
    tls('tls/cert.pem', 'tls/other-key.pem'),
    ['listeners[0].tls.key: this key does not belong to the certificate in cert'],
  ],
  [
    'refuses files that are missing, both at once',
    tls('no-cert.pem', 'no-key.pem'),
    [
      `listeners[0].tls.cert: ${fixtures}/no-cert.pem cannot be read: there is no such file`,
      `listeners[0].tls.key: ${fixtures}/no-key.pem cannot be read: there is no such file`,
    ],
  ],
  [
    'refuses a folder',
    tls('tls', 'tls/key.pem'),
    [`listeners[0].tls.cert: ${fixtures}/tls cannot be read: it is a directory`],
  ],
  [
    'refuses a certificate and a key that changed places',
    tls('tls/key.pem', 'tls/cert.pem'),
    [
      'listeners[0].tls.cert: the file holds no certificate in PEM format',
      'listeners[0].tls.key: the file holds no private key in PEM format',
    ],
  ],
  [
    'refuses a broken certificate',
    tls('tls/broken.pem', 'tls/key.pem'),
    ['listeners[0].tls.cert: the file holds a broken certificate'],
  ],
  [
    'refuses an encrypted key',
    tls('tls/cert.pem', 'tls/encrypted-key.pem'),
    ['listeners[0].tls.key: the private key is encrypted; expected one without a passphrase'],
  ],
  [
    'accepts a certificate with its key for the admin server',
    adminTls('tls/cert.pem', 'tls/key.pem'),
    [],
  ],
  [
    'refuses a key of another certificate for the admin server',
    adminTls('tls/cert.pem', 'tls/other-key.pem'),
    ['admin.tls.key: this key does not belong to the certificate in cert'],
  ],
  [
    'refuses files of the admin server that are missing',
    adminTls('no-cert.pem', 'tls/key.pem'),
    [`admin.tls.cert: ${fixtures}/no-cert.pem cannot be read: there is no such file`],
  ],
  ['accepts an authority', ca('tls/cert.pem'), []],
  [
    'refuses an authority that is none',
    ca('users.htpasswd'),
    ['upstreams.a.tls.ca: the file holds no certificate in PEM format'],
  ],
  [
    'refuses an authority that is missing',
    ca('no-ca.pem'),
    [`upstreams.a.tls.ca: ${fixtures}/no-ca.pem cannot be read: there is no such file`],
  ],
  ['accepts a client certificate with its key', client('tls/cert.pem', 'tls/key.pem'), []],
  [
    'refuses a key of another client certificate',
    client('tls/cert.pem', 'tls/other-key.pem'),
    ['upstreams.a.tls.key: this key does not belong to the certificate in cert'],
  ],
  [
    'refuses a client certificate and a key that are missing, both at once',
    client('no-cert.pem', 'no-key.pem'),
    [
      `upstreams.a.tls.cert: ${fixtures}/no-cert.pem cannot be read: there is no such file`,
      `upstreams.a.tls.key: ${fixtures}/no-key.pem cannot be read: there is no such file`,
    ],
  ],
  ['accepts a public key', publicKey('tls/public.pem'), []],
  ['accepts a certificate as a public key', publicKey('tls/cert.pem'), []],
  ['accepts a JWK', publicKey('jwk.json'), []],
  [
    'refuses a private key for a public one',
    publicKey('tls/key.pem'),
    ['auth.a.publicKey: the file holds a private key; expected the public one, which cannot sign'],
  ],
  [
    'refuses a private JWK',
    publicKey('private-jwk.json'),
    ['auth.a.publicKey: the file holds a private key; expected the public one, which cannot sign'],
  ],
  [
    'refuses a file without a key',
    publicKey('users.htpasswd'),
    [
      'auth.a.publicKey: the file holds no public key: expected PEM (a key or a certificate) or a JWK',
    ],
  ],
  [
    'refuses a public key that is missing',
    publicKey('no.pem'),
    [`auth.a.publicKey: ${fixtures}/no.pem cannot be read: there is no such file`],
  ],
  [
    'refuses files of users and keys that are missing',
    withRoute(
      'auth: { a: { type: basic, users: /no/users }, b: { type: apiKey, keys: /no/keys } }',
    ),
    [
      'auth.a.users: /no/users cannot be read: there is no such file',
      'auth.b.keys: /no/keys cannot be read: there is no such file',
    ],
  ],
]

describe('files', () => {
  for (const [name, yaml, problems] of cases) {
    it(name, () => {
      const found = problemsIn(yaml).map((problem) => problem.replace(/^\d+:\d+: /, ''))
      assert.deepEqual(found, problems)
    })
  }

  it('warns of a certificate that has expired', () => {
    const [warning] = loadText(tls('tls/expired.pem', 'tls/key.pem')).warnings
    assert.match(
      String(warning),
      /listeners\[0\]\.tls\.cert: the certificate expired on Jan {2}1 00:00:00 2021 GMT/,
    )
  })

  it('warns of a certificate that is not valid yet', () => {
    const [warning] = loadText(tls('tls/future.pem', 'tls/key.pem')).warnings
    assert.match(String(warning), /the certificate is not valid before Jan {2}1 00:00:00 2090 GMT/)
  })

  it('warns of a certificate of the admin server that has expired', () => {
    const [warning] = loadText(adminTls('tls/expired.pem', 'tls/key.pem')).warnings
    assert.match(String(warning), /: admin\.tls\.cert: the certificate expired on /)
  })

  it('warns of a client certificate that has expired', () => {
    const [warning] = loadText(client('tls/expired.pem', 'tls/key.pem')).warnings
    assert.match(String(warning), /: upstreams\.a\.tls\.cert: the certificate expired on /)
  })

  it('has no warnings for a certificate in force', () => {
    assert.deepEqual(loadText(tls('tls/cert.pem', 'tls/key.pem')).warnings, [])
  })
})
