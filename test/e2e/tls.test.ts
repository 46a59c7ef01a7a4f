/** TLS of listeners, against openssl and curl as clients. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, it, type TestContext } from 'node:test'
import tls from 'node:tls'
import { clientHello } from '../support/client-hello.ts'
import { openssl, TestAuthority, type Issued } from '../support/certificates.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import { handshake, RawClient, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const curl = findProgram('curl')
const { skip } = openssl

let authority: TestAuthority
let one: Issued
let other: Issued
let elliptic: Issued
let many: Issued

before(async () => {
  if (skip !== false) return
  authority = await TestAuthority.create()
  one = await authority.issue({ subject: '/CN=one', names: ['DNS:one.test'], keyType: 'rsa' })
  elliptic = await authority.issue({ subject: '/CN=elliptic', names: ['DNS:one.test'] })
  other = await authority.issue({ subject: '/CN=other', names: ['DNS:other.test'], days: 30 })
  many = await authority.issue({ subject: '/CN=many', names: ['DNS:*.many.test'], days: 30 })
})

after(async () => {
  await authority?.[Symbol.asyncDispose]()
})

/** Answers handshakes with a 101 and then echoes, and everything else with `ok`. */
function serving(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const { lines } = await connection.head()
      if (lines.some((line) => line.startsWith('Upgrade'))) {
        connection.write(SWITCHING)
        while (await connection.more()) connection.write(await connection.bytes(1))
        connection.socket.end()
        return
      }
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }
  })
}

function pemFiles(pairs: Readonly<Record<string, Issued>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(pairs).flatMap(([name, { cert, key }]) => [
      [`${name}.pem`, cert],
      [`${name}-key.pem`, key],
    ]),
  )
}

function yaml(settings: string, upstream: { readonly url: string }): string {
  return `listeners: [{ address: "127.0.0.1:0", tls: { ${settings} } }]
routes: [{ upstream: "${upstream.url}" }]`
}

const SEVERAL = `certificates: [
  { cert: one.pem, key: one-key.pem },
  { cert: elliptic.pem, key: elliptic-key.pem },
  { cert: other.pem, key: other-key.pem },
  { cert: many.pem, key: many-key.pem } ]`

function severalFiles(): Record<string, string> {
  return pemFiles({ one, elliptic, other, many })
}

/** What openssl says of its handshake with the gateway. */
async function sClient({ port }: TestGateway, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await runProgram(openssl.path, [
    's_client',
    '-connect',
    `127.0.0.1:${port}`,
    ...args,
  ])
  return stdout + stderr
}

function subjectIn(text: string): string | undefined {
  return /^subject=CN ?= ?(.+)$/m.exec(text)?.[1]
}

async function tlsClient(port: number, options: tls.ConnectionOptions = {}): Promise<RawClient> {
  const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
  socket.allowHalfOpen = true
  await once(socket, 'secureConnect')
  return new RawClient(socket)
}

function nameOf({ socket }: RawClient): string | undefined {
  return (socket as tls.TLSSocket).getPeerX509Certificate()?.subject.replace('CN=', '')
}

async function openTunnel(client: RawClient): Promise<void> {
  client.write(handshake())
  assert.equal((await client.head()).status, 101)
}

async function isAlive(client: RawClient): Promise<void> {
  client.write('!')
  assert.equal(await client.bytes(1), '!')
}

async function answers(client: RawClient): Promise<void> {
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.equal((await client.answer()).body, 'ok')
}

interface Begun {
  readonly maxVersion: tls.SecureVersion
  readonly session: Buffer
}

describe('the certificates of a listener', { skip }, () => {
  it('are chosen by the name that a client asks for, and by what it can verify', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml(SEVERAL, upstream), severalFiles())
    const seen = async (...args: string[]): Promise<string | undefined> =>
      subjectIn(await sClient(gateway, ...args))
    assert.equal(await seen('-servername', 'other.test'), 'other')
    assert.equal(await seen('-servername', 'OTHER.test'), 'other')
    assert.equal(await seen('-servername', 'a.many.test'), 'many')
    for (const unknown of ['many.test', 'a.b.many.test', 'unknown.test']) {
      assert.match(String(await seen('-servername', unknown)), /^(?:one|elliptic)$/, unknown)
    }
    for (const name of [['-servername', 'one.test'], ['-noservername']]) {
      assert.equal(await seen(...name, '-sigalgs', 'ECDSA+SHA256'), 'elliptic')
      assert.equal(await seen(...name, '-sigalgs', 'RSA-PSS+SHA256'), 'one')
      assert.equal(await seen(...name, '-tls1_2', '-cipher', 'ECDHE+aECDSA'), 'elliptic')
      assert.equal(await seen(...name, '-tls1_2', '-cipher', 'ECDHE+aRSA'), 'one')
    }
  })

  it(
    'are verified by curl, over which requests and handshakes go',
    { skip: curl.skip },
    async () => {
      await using upstream = await serving()
      await using gateway = await startTestGateway(yaml(SEVERAL, upstream), severalFiles())
      for (const name of ['one.test', 'other.test', 'x.many.test']) {
        const { code, stdout, stderr } = await runProgram(curl.path, [
          '-sS',
          '--cacert',
          authority.certFile,
          '--connect-to',
          `::127.0.0.1:${gateway.port}`,
          `https://${name}:${gateway.port}/`,
        ])
        assert.deepEqual([code, stdout], [0, 'ok'], stderr)
      }
    },
  )

  it('are shown for the names of the config where it has some', async () => {
    const settings = `cert: one.pem, key: one-key.pem, certificates: [
      { cert: other.pem, key: other-key.pem, names: ["*.given.test", plain.test] } ]`
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml(settings, upstream), severalFiles())
    for (const [name, subject] of [
      ['plain.test', 'other'],
      ['a.given.test', 'other'],
      ['other.test', 'one'],
      ['one.test', 'one'],
    ] as const) {
      assert.equal(subjectIn(await sClient(gateway, '-servername', name)), subject, name)
    }
  })

  it('are shown to nobody who asks for another name, or for none, with unknownNames: refuse', async () => {
    await using upstream = await serving()
    const settings = `${SEVERAL}, unknownNames: refuse`
    await using gateway = await startTestGateway(yaml(settings, upstream), severalFiles())
    for (const version of ['-tls1_2', '-tls1_3']) {
      for (const name of [['-servername', 'unknown.test'], ['-noservername']]) {
        const text = await sClient(gateway, version, ...name)
        assert.match(text, /alert number 112/)
        assert.equal(subjectIn(text), undefined)
      }
      assert.equal(subjectIn(await sClient(gateway, version, '-servername', 'other.test')), 'other')
    }
    await using client = await tlsClient(gateway.port, { servername: 'other.test' })
    await openTunnel(client)
    await isAlive(client)
    assert.equal(await gateway.metric('upgate_tls_handshakes_total', { result: 'failed' }), 4)
  })

  it('are not for clients that speak no TLS, nor for those that leave or stay silent', async () => {
    await using upstream = await serving()
    for (const settings of [SEVERAL, `${SEVERAL}, unknownNames: refuse`, PAIR]) {
      const patient = `${settings}, handshakeTimeout: 150ms`
      await using gateway = await startTestGateway(yaml(patient, upstream), severalFiles())
      await using plain = await rawClient(gateway.port)
      plain.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await using gone = await rawClient(gateway.port)
      gone.write('\x16\x03')
      gone.socket.end()
      await using silent = await rawClient(gateway.port)
      await using slow = await rawClient(gateway.port)
      slow.write('\x16\x03\x01\x02\x00\x01')
      await Promise.all([plain, gone, silent, slow].map((client) => client.gone()))
      const failed = { result: 'failed' }
      assert.equal(await gateway.metric('upgate_tls_handshakes_total', failed), 4)
      await using client = await tlsClient(gateway.port, { servername: 'one.test' })
      await answers(client)
    }
  })
})

const PAIR = 'cert: one.pem, key: one-key.pem'

describe('TLS of a listener', { skip }, () => {
  for (const { name, settings } of [
    { name: 'one certificate', settings: PAIR },
    { name: 'several certificates', settings: SEVERAL },
    { name: 'HTTP/2', settings: `${PAIR}, http2: true` },
  ]) {
    it(`is of no version below minVersion, with ${name}`, async () => {
      await using upstream = await serving()
      const old = ['-cipher', 'ALL:@SECLEVEL=0']
      const versions = [['-tls1', ...old], ['-tls1_1', ...old], ['-tls1_2'], ['-tls1_3']]
      for (const [minimum, refused] of [
        ['', 2],
        [', minVersion: TLSv1.2', 2],
        [', minVersion: TLSv1.3', 3],
      ] as const) {
        const text = yaml(`${settings}${minimum}`, upstream)
        await using gateway = await startTestGateway(text, severalFiles())
        for (const [index, args] of versions.entries()) {
          const seen = await sClient(gateway, ...args)
          const what = `${args[0]}${minimum}`
          if (index >= refused) assert.match(String(subjectIn(seen)), /^(?:one|elliptic)$/, what)
          else {
            assert.match(seen, /alert protocol version|alert number 70/, what)
            assert.equal(subjectIn(seen), undefined, what)
          }
        }
      }
    })
  }

  it('has the ciphers of the config alone', async () => {
    await using upstream = await serving()
    const settings = `${PAIR}, ciphers: "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256"`
    await using gateway = await startTestGateway(yaml(settings, upstream), pemFiles({ one }))
    const cipher = async (...args: string[]): Promise<string | undefined> =>
      /Cipher is (\S+)/.exec(await sClient(gateway, ...args))?.[1]
    assert.equal(await cipher('-tls1_3'), 'TLS_AES_128_GCM_SHA256')
    assert.equal(await cipher('-tls1_2'), 'ECDHE-RSA-AES128-GCM-SHA256')
    assert.equal(await cipher('-tls1_3', '-ciphersuites', 'TLS_AES_256_GCM_SHA384'), '(NONE)')
  })

  it('speaks what the client names that it knows, and nothing with one that knows none of it', async () => {
    await using upstream = await serving()
    for (const [more, named, chosen] of [
      ['', 'h2,http/1.1', 'http/1.1'],
      [', http2: true', 'http/1.1,h2', 'h2'],
      [', http2: true', 'http/1.1', 'http/1.1'],
      ['', 'h2', undefined],
      [', http2: true', 'http/1.0', undefined],
    ] as const) {
      const text = yaml(`${PAIR}${more}`, upstream)
      await using gateway = await startTestGateway(text, pemFiles({ one }))
      const seen = await sClient(gateway, '-alpn', named)
      assert.equal(/^ALPN protocol: (.+)$/m.exec(seen)?.[1], chosen)
      if (chosen === undefined) assert.match(seen, /no application protocol/)
    }
  })

  it('closes clients beyond the handshakes that may be in progress, and no others', async () => {
    await using upstream = await serving()
    const hello = await clientHello({ servername: 'one.test' })
    for (const settings of [PAIR, SEVERAL]) {
      const bounded = `${settings}, handshakes: 2`
      await using gateway = await startTestGateway(yaml(bounded, upstream), severalFiles())
      await using standing = await tlsClient(gateway.port)
      await using first = await rawClient(gateway.port)
      await using second = await rawClient(gateway.port)
      for (const client of [first, second]) {
        client.write(hello)
        // The gateway has begun, and waits for the client's part.
        await client.bytes(1)
      }
      await using third = await rawClient(gateway.port)
      third.write(hello)
      await third.gone()
      await answers(standing)
      assert.equal(await gateway.metric('upgate_tls_handshakes_total', { result: 'refused' }), 1)
      first.socket.destroy()
      await once(first.socket, 'close')
      for (;;) {
        if ((await gateway.metric('upgate_tls_handshakes_total', { result: 'failed' })) === 1) break
      }
      await using later = await tlsClient(gateway.port)
      await answers(later)
      assert.equal(second.socket.destroyed, false)
    }
  })

  it('resumes sessions over a reload and over new certificates, for the name and the ciphers that they began with', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml(SEVERAL, upstream), severalFiles())
    const begin = async (maxVersion: tls.SecureVersion): Promise<Begun> => {
      await using client = await tlsClient(gateway.port, { servername: 'other.test', maxVersion })
      const socket = client.socket as tls.TLSSocket
      // TLS 1.3 sends tickets behind its handshake.
      const told = maxVersion === 'TLSv1.2' ? [socket.getSession()] : once(socket, 'session')
      await answers(client)
      return { maxVersion, session: (await told)[0] as Buffer }
    }
    const isResumed = async (
      servername: string,
      { maxVersion, session }: Begun,
    ): Promise<boolean> => {
      await using client = await tlsClient(gateway.port, { servername, session, maxVersion })
      await answers(client)
      return (client.socket as tls.TLSSocket).isSessionReused()
    }
    const sessions = [await begin('TLSv1.2'), await begin('TLSv1.3')]
    for (const session of sessions) {
      assert.equal(await isResumed('other.test', session), true)
      assert.equal(await isResumed('a.many.test', session), false)
    }
    await gateway.reload(yaml(`${SEVERAL}, handshakeTimeout: 7s`, upstream))
    for (const session of sessions) assert.equal(await isResumed('other.test', session), true)
    const again = await authority.issue({ subject: '/CN=again', names: ['DNS:other.test'] })
    await gateway.rewrite(yaml(SEVERAL, upstream), pemFiles({ other: again }))
    await gateway.log('certificate reloaded')
    for (const session of sessions) assert.equal(await isResumed('other.test', session), true)
    const resumed = { result: 'resumed' }
    assert.equal(await gateway.metric('upgate_tls_handshakes_total', resumed), 6)
    const ciphers = 'ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384"'
    await gateway.reload(yaml(`${SEVERAL}, ${ciphers}`, upstream))
    for (const session of sessions) assert.equal(await isResumed('other.test', session), false)
  })
})

describe('certificates whose files change', { skip }, () => {
  it('are shown to new clients each time, while a tunnel goes on', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml(SEVERAL, upstream), severalFiles())
    await using tunnel = await tlsClient(gateway.port, { servername: 'other.test' })
    await openTunnel(tunnel)
    const names = ['DNS:other.test']
    for (const subject of ['second', 'third']) {
      const next = await authority.issue({ subject: `/CN=${subject}`, names, days: 50 })
      await gateway.rewrite(yaml(SEVERAL, upstream), pemFiles({ other: next }))
      const line = await gateway.log('certificate reloaded', {
        expires: new Date(new X509Certificate(next.cert).validTo).toISOString(),
      })
      assert.equal(line['certificate'], 'other.test')
      assert.equal(line['url'], `https://127.0.0.1:${gateway.port}/`)
      await using client = await tlsClient(gateway.port, { servername: 'other.test' })
      assert.equal(nameOf(client), subject)
      await openTunnel(client)
      await isAlive(client)
      await isAlive(tunnel)
    }
  })

  it('stay as they were when a file is broken, or a pair does not fit, and the others change', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml(SEVERAL, upstream), severalFiles())
    const next = await authority.issue({ subject: '/CN=next', names: ['DNS:*.many.test'] })
    await gateway.rewrite(yaml(SEVERAL, upstream), {
      ...pemFiles({ many: next }),
      'other.pem': 'nonsense',
      'one-key.pem': other.key,
    })
    await gateway.log('certificate reloaded', { certificate: '*.many.test' })
    const failures = gateway.logs.filter(({ msg }) => msg.startsWith('certificate not reloaded'))
    assert.deepEqual(
      failures.map(({ level, cause }) => [level, String(cause).replaceAll(/\S*\//g, '')]),
      [
        ['error', 'the key in one-key.pem does not belong to the certificate in one.pem'],
        ['error', 'other.pem holds no certificate in PEM format'],
      ],
    )
    for (const [servername, subject] of [
      ['other.test', 'other'],
      ['a.many.test', 'next'],
    ] as const) {
      await using client = await tlsClient(gateway.port, { servername })
      assert.equal(nameOf(client), subject)
    }
    await gateway.rewrite(yaml(SEVERAL, upstream), pemFiles({ one, other: next }))
    await gateway.log('certificate reloaded', {
      certificate: '*.many.test',
      file: failures[1]?.['file'],
    })
  })
})

/** Certificates of a day are in the last third of their life then. */
function passMostOfADay(test: TestContext): void {
  const { now } = Date
  test.mock.method(Date, 'now', () => now() + 17 * 3_600_000)
}

describe('certificates that OpenSSL does not take', { skip }, () => {
  it('leave those that were there, and the gateway with its tunnels', async (test) => {
    passMostOfADay(test)
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml(SEVERAL, upstream), severalFiles())
    await using tunnel = await tlsClient(gateway.port, { servername: 'other.test' })
    await openTunnel(tunnel)
    const names = ['DNS:other.test']
    const weak = await authority.issue({ names, keyType: 'weak' })
    const soon = await gateway.log('certificate expires soon')
    const half = { ...other, cert: other.cert + one.cert.slice(0, one.cert.length / 2) }
    for (const [next, cause] of [
      [weak, 'cannot be used: ee key too small'],
      [half, 'holds a broken certificate, number 2 of 2'],
    ] as const) {
      await gateway.rewrite(yaml(SEVERAL, upstream), pemFiles({ other: next }))
      const file = String(soon['file']).replace('one.pem', 'other.pem')
      await gateway.log('certificate not reloaded, the old one stays in use', {
        level: 'error',
        cause: `${file} ${cause}`,
      })
      await using client = await tlsClient(gateway.port, { servername: 'other.test' })
      assert.equal(nameOf(client), 'other')
    }
    await isAlive(tunnel)
    const next = await authority.issue({ subject: '/CN=next', names })
    await gateway.rewrite(yaml(SEVERAL, upstream), pemFiles({ other: next }))
    await gateway.log('certificate reloaded')
    await using client = await tlsClient(gateway.port, { servername: 'other.test' })
    assert.equal(nameOf(client), 'next')
  })
})

describe('the ends of certificates', { skip }, () => {
  it('are metrics by listener and name, and warned of in time', async (test) => {
    passMostOfADay(test)
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml(SEVERAL, upstream), severalFiles())
    const labels = { listener: '127.0.0.1:0', name: 'other.test' }
    const expiry = 'upgate_certificate_expiry_timestamp_seconds'
    const expected = Date.parse(new X509Certificate(other.cert).validTo) / 1000
    assert.equal(await gateway.metric(expiry, labels), expected)
    const line = await gateway.log('certificate expires soon')
    assert.deepEqual([line['level'], line['certificate']], ['warn', 'one.test'])
    const warned = gateway.logs.filter(({ msg }) => msg === 'certificate expires soon')
    assert.equal(warned.length, 2)
  })
})
