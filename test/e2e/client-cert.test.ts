/** Certificates of clients: who gets in with which, and what the upstream learns of it. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import http2 from 'node:http2'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { openssl, TestAuthority, type Issued } from '../support/certificates.ts'
import { startTestGateway, type TestFiles, type TestGateway } from '../support/gateway.ts'
import { findProgram, runProgram } from '../support/programs.ts'
import {
  handshake,
  RawClient,
  rawClient,
  SWITCHING,
  type RawAnswer,
} from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const curl = findProgram('curl')
const { skip } = openssl

let authority: TestAuthority
let strangers: TestAuthority
let ca: string
let server: Issued
let alice: Issued
let bob: Issued
let stranger: Issued

before(async () => {
  if (skip !== false) return
  authority = await TestAuthority.create()
  strangers = await TestAuthority.create('/CN=Nobody')
  ca = await authority.cert
  const names = ['DNS:localhost', 'URI:spiffe://example.com/gate']
  server = await authority.issue({ subject: '/CN=gate', names, days: 30 })
  alice = await authority.issue({
    subject: '/O=Example, Inc./OU=ops/CN=alice',
    names: ['URI:spiffe://example.com/alice', 'DNS:alice.test'],
  })
  bob = await authority.issue({ subject: '/O=Example/CN=bob', names: ['DNS:bob.test'] })
  stranger = await strangers.issue({ subject: '/CN=alice', names: ['DNS:alice.test'] })
})

after(async () => {
  await authority?.[Symbol.asyncDispose]()
  await strangers?.[Symbol.asyncDispose]()
})

interface Upstream extends ScriptedUpstream {
  /** The heads that have come. */
  readonly heads: readonly RawAnswer[]
}

/** Answers handshakes with a 101 and echoes, everything else with `ok`. */
async function serving(): Promise<Upstream> {
  const heads: RawAnswer[] = []
  const upstream = await scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const head = await connection.head()
      heads.push(head)
      if (head.fields.has('upgrade')) {
        connection.write(SWITCHING)
        while (await connection.more()) connection.write(await connection.bytes(1))
        connection.socket.end()
        return
      }
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }
  })
  return Object.assign(upstream, { heads })
}

interface Settings {
  readonly tls?: string
  readonly check?: string
  readonly more?: string
}

function yaml(upstream: ScriptedUpstream, { tls: own = '', check, more = '' }: Settings): string {
  const auth = check === undefined ? '' : `auth: { device: { type: clientCert, ${check} } }\n`
  return `listeners:
  - address: "127.0.0.1:0"
    tls: { cert: server.pem, key: server-key.pem, clientCa: ca.pem, ${own} }
  - address: "127.0.0.1:0"
${more}
${auth}routes: [{ upstream: "${upstream.url}"${check === undefined ? '' : ', auth: [device]'} }]`
}

function startGateway(upstream: ScriptedUpstream, settings: Settings, files: TestFiles = {}) {
  const own = { 'server.pem': server.cert, 'server-key.pem': server.key, 'ca.pem': ca }
  return startTestGateway(yaml(upstream, settings), { ...own, ...files })
}

async function connect(
  port: number,
  shown?: Issued,
  options: tls.ConnectionOptions = {},
): Promise<RawClient> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    ca,
    servername: 'localhost',
    ...shown,
    ...options,
  })
  socket.allowHalfOpen = true
  const client = new RawClient(socket)
  await once(socket, 'secureConnect')
  return client
}

async function statusOf(client: RawClient, lines: readonly string[] = []): Promise<number> {
  client.write(['GET / HTTP/1.1', 'Host: a', ...lines, '\r\n'].join('\r\n'))
  return (await client.answer()).status
}

/** The session of a client with alice's certificate. */
async function begin({ port }: TestGateway, maxVersion: tls.SecureVersion): Promise<Buffer> {
  await using client = await connect(port, alice, { maxVersion })
  const socket = client.socket as tls.TLSSocket
  // TLS 1.3 sends tickets behind its handshake.
  const told = maxVersion === 'TLSv1.2' ? [socket.getSession()] : once(socket, 'session')
  assert.equal(await statusOf(client), 200)
  return (await told)[0] as Buffer
}

async function refuses(gateway: TestGateway, shown?: Issued): Promise<void> {
  // TLS 1.3: the client is done before the gateway has seen its certificate.
  const client = await connect(gateway.port, shown).catch(() => undefined)
  if (client === undefined) return
  await using open = client
  open.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await open.gone()
  await assert.rejects(open.head())
}

describe('a listener that requires a certificate', { skip }, () => {
  it('lets those in whom its authorities know, and nobody else', async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, {})
    await using client = await connect(gateway.port, alice)
    assert.equal(await statusOf(client), 200)
    await refuses(gateway)
    await refuses(gateway, stranger)
    await gateway.log('request', { code: 'E_AUTH_MISSING', clientIp: '127.0.0.1' })
    const line = await gateway.log('request', { code: 'E_AUTH_INVALID', clientIp: '127.0.0.1' })
    assert.equal(line['cause'], 'client certificate: UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    assert.equal(upstream.heads.length, 1)
  })

  for (const version of ['-tls1_2', '-tls1_3']) {
    it(`tells openssl that one is missing, with ${version}`, async () => {
      await using upstream = await serving()
      await using gateway = await startGateway(upstream, {})
      const { stdout, stderr } = await runProgram(
        openssl.path,
        ['s_client', '-connect', `127.0.0.1:${gateway.port}`, version, '-ign_eof'],
        { input: 'GET / HTTP/1.0\r\n\r\n' },
      )
      assert.match(
        stdout + stderr,
        /alert (?:certificate required|handshake failure|number 40|number 116)/,
      )
      assert.ok(!stdout.includes('HTTP/1.1'))
    })
  }

  it('has those of curl', { skip: curl.skip }, async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, {})
    const url = `https://localhost:${gateway.port}/`
    const resolve = ['--resolve', `localhost:${gateway.port}:127.0.0.1`]
    const base = ['-sS', '--cacert', authority.certFile, ...resolve]
    const file = await authority.save(alice)
    const shown = await runProgram(curl.path, [...base, '--cert', file, url])
    const without = await runProgram(curl.path, [...base, url])
    assert.deepEqual([shown.stdout, without.stdout], ['ok', ''], shown.stderr)
    assert.notEqual(without.code, 0)
  })

  it('refuses revoked ones, from the list of the start and from a later one', async () => {
    await using upstream = await serving()
    await using own = await TestAuthority.create()
    const wanted = ['one', 'two', 'three'].map((name) => own.issue({ subject: `/CN=${name}` }))
    const [one, two, three] = (await Promise.all(wanted)) as [Issued, Issued, Issued]
    const files = { 'ca.pem': await own.cert, 'crl.pem': await own.revoke(one.cert) }
    await using gateway = await startGateway(upstream, { tls: 'crl: crl.pem' }, files)
    const trusting = { ca }
    await using client = await connect(gateway.port, two, trusting)
    const told = once(client.socket, 'session')
    assert.equal(await statusOf(client), 200)
    const [session] = (await told) as [Buffer]
    await refuses(gateway, one)
    await gateway.log('request', { cause: 'client certificate: CERT_REVOKED' })
    await gateway.rewrite(yaml(upstream, { tls: 'crl: crl.pem' }), {
      'crl.pem': await own.revoke(two.cert),
    })
    await gateway.log('file reloaded', { what: 'certificates of clients' })
    await refuses(gateway, two)
    await using resuming = await connect(gateway.port, two, { session })
    assert.equal((resuming.socket as tls.TLSSocket).isSessionReused(), false)
    resuming.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await resuming.gone()
    await using good = await connect(gateway.port, three, trusting)
    assert.equal(await statusOf(good), 200)
    await gateway.rewrite(yaml(upstream, { tls: 'crl: crl.pem' }), { 'crl.pem': 'nonsense' })
    const line = await gateway.log('certificate not reloaded, the old one stays in use')
    assert.match(String(line['cause']), /crl\.pem holds no list of revoked certificates/)
    await refuses(gateway, two)
  })

  it('has a list of each authority, none of which is out of date', async () => {
    await using upstream = await serving()
    const lists = [await authority.revoke(), await strangers.revoke()] as const
    const outdated = await strangers.outdatedList()
    const both = ca + (await strangers.cert)
    for (const [crl, cause] of [
      [lists.join(''), undefined],
      [lists[0], 'UNABLE_TO_GET_CRL'],
      [lists[0] + outdated, 'CRL_HAS_EXPIRED'],
    ] as const) {
      const files = { 'ca.pem': both, 'crl.pem': crl }
      await using gateway = await startGateway(upstream, { tls: 'crl: crl.pem' }, files)
      await using client = await connect(gateway.port, alice)
      assert.equal(await statusOf(client), 200)
      if (cause === undefined) {
        await using other = await connect(gateway.port, stranger)
        assert.equal(await statusOf(other), 200)
      } else {
        await refuses(gateway, stranger)
        await gateway.log('request', { cause: `client certificate: ${cause}` })
      }
    }
  })

  it('knows the client of a resumed session', async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, { check: 'user: cn' })
    const session = await begin(gateway, 'TLSv1.3')
    await using client = await connect(gateway.port, undefined, { session })
    assert.equal((client.socket as tls.TLSSocket).isSessionReused(), true)
    assert.equal(await statusOf(client), 200)
    const [first, second] = upstream.heads.map(({ fields }) => fields)
    for (const name of ['x-auth-user', 'x-forwarded-client-cert']) {
      assert.equal(second?.get(name), first?.get(name))
    }
    assert.equal(second?.get('x-auth-user'), 'alice')
  })
})

describe('a session whose certificate has expired since', { skip }, () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is not resumed where one is required, and is none where one is requested (${maxVersion})`, async (t) => {
      await using upstream = await serving()
      for (const clientCert of ['require', 'request'] as const) {
        await using gateway = await startGateway(upstream, { tls: `clientCert: ${clientCert}` })
        const session = await begin(gateway, maxVersion)
        t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 2 * 24 * 3_600_000 })
        const options = { session, maxVersion, rejectUnauthorized: false }
        await using client = await connect(gateway.port, undefined, options)
        assert.equal((client.socket as tls.TLSSocket).isSessionReused(), true)
        if (clientCert === 'require') {
          await client.gone()
          const cause = 'client certificate: CERT_HAS_EXPIRED'
          await gateway.log('request', { code: 'E_AUTH_INVALID', cause })
        } else {
          assert.equal(await statusOf(client), 200)
          assert.equal(upstream.heads.at(-1)?.fields.has('x-forwarded-client-cert'), false)
        }
        t.mock.timers.reset()
      }
    })
  }
})

describe('a listener that requests a certificate', { skip }, () => {
  it('lets everybody in; the check is for those with a right one', async () => {
    await using upstream = await serving()
    const settings = { tls: 'clientCert: request', check: 'user: cn' }
    await using gateway = await startGateway(upstream, settings)
    for (const [shown, status, code] of [
      [alice, 200, undefined],
      [undefined, 401, 'E_AUTH_MISSING'],
      [stranger, 401, 'E_AUTH_INVALID'],
    ] as const) {
      await using client = await connect(gateway.port, shown)
      assert.equal(await statusOf(client), status)
      if (code !== undefined) await gateway.log('request', { code })
    }
    const address = gateway.gateway.addresses[1]
    assert.ok(address?.kind === 'tcp')
    await using plain = await rawClient(address.port)
    assert.equal(await statusOf(plain), 401)
    assert.equal(upstream.heads.length, 1)
  })

  it('tells upstreams nothing of a wrong one', async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, { tls: 'clientCert: request' })
    for (const shown of [undefined, stranger, alice]) {
      await using client = await connect(gateway.port, shown)
      assert.equal(await statusOf(client), 200)
    }
    const told = upstream.heads.map(({ fields }) => fields.has('x-forwarded-client-cert'))
    assert.deepEqual(told, [false, false, true])
  })
})

describe('the check clientCert', { skip }, () => {
  for (const [what, check, statuses] of [
    ['any right one', 'user: cn', [200, 200]],
    ['a subject', 'subject: ["CN=alice,*"]', [200, 403]],
    ['one of several subjects', 'subject: ["CN=carol,*", "CN=bob,O=Example"]', [403, 200]],
    ['a subject by a regex', 'subject: [{ regex: "CN=(alice|carol),OU=ops,.*" }]', [200, 403]],
    ['a part of a subject alone', 'subject: ["CN=alice"]', [403, 403]],
    ['a name', 'san: ["DNS:*.test"]', [200, 200]],
    ['a name of its type', 'san: ["URI:spiffe://example.com/*"]', [200, 403]],
    ['both', 'subject: ["CN=*"], san: ["DNS:bob.test"]', [403, 200]],
  ] as const) {
    it(`takes ${what}`, async () => {
      await using upstream = await serving()
      await using gateway = await startGateway(upstream, { check })
      for (const [index, shown] of [alice, bob].entries()) {
        await using client = await connect(gateway.port, shown)
        assert.equal(await statusOf(client), statuses[index])
      }
    })
  }

  for (const [user, name] of [
    ['cn', 'alice'],
    ['san', 'spiffe://example.com/alice'],
    ['subject', 'CN=alice,OU=ops,O=Example\\,%20Inc.'],
  ] as const) {
    it(`names the user by ${user}`, async () => {
      await using upstream = await serving()
      await using gateway = await startGateway(upstream, { check: `user: ${user}` })
      await using client = await connect(gateway.port, alice)
      assert.equal(await statusOf(client, ['X-Auth-User: root']), 200)
      assert.equal(upstream.heads[0]?.fields.get('x-auth-user'), name)
    })
  }

  it('keeps tunnels over a reload by which their certificate would let them in', async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, { check: 'subject: ["CN=*"]' })
    await using first = await connect(gateway.port, alice)
    await using second = await connect(gateway.port, bob)
    for (const client of [first, second]) {
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
    }
    const result = await gateway.reload(yaml(upstream, { check: 'san: ["DNS:alice.test"]' }))
    assert.deepEqual([result.ok, result.closing], [true, 1])
    await gateway.log('tunnel close', { user: 'bob', reason: 'reload' })
    first.write('!')
    assert.equal(await first.bytes(1), '!')
  })
})

describe('X-Forwarded-Client-Cert', { skip }, () => {
  it('is as Envoy makes it', async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, {})
    await using client = await connect(gateway.port, alice)
    assert.equal(await statusOf(client), 200)
    const hash = new X509Certificate(alice.cert).fingerprint256.replaceAll(':', '').toLowerCase()
    assert.equal(
      upstream.heads[0]?.fields.get('x-forwarded-client-cert'),
      [
        'By=spiffe://example.com/gate',
        `Hash=${hash}`,
        String.raw`Subject="CN=alice,OU=ops,O=Example\, Inc."`,
        'URI=spiffe://example.com/alice',
        'DNS=alice.test',
      ].join(';'),
    )
  })

  it('goes with handshakes, too', async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, {})
    await using client = await connect(gateway.port, bob)
    client.write(handshake())
    assert.equal((await client.head()).status, 101)
    assert.match(String(upstream.heads[0]?.fields.get('x-forwarded-client-cert')), /DNS=bob\.test$/)
  })

  it('goes with requests of HTTP/2, and so does the user', async () => {
    await using upstream = await serving()
    await using gateway = await startGateway(upstream, { tls: 'http2: true', check: 'user: cn' })
    const session = http2.connect(`https://localhost:${gateway.port}`, { ca, ...alice })
    const stream = session.request({ ':path': '/' })
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    assert.equal(headers[':status'], 200)
    const fields = upstream.heads[0]?.fields
    assert.equal(fields?.get('x-auth-user'), 'alice')
    assert.match(String(fields?.get('x-forwarded-client-cert')), /DNS=alice\.test$/)
    const closed = once(session, 'close')
    session.destroy()
    await closed
  })

  it('of a client never reaches an upstream, whoever it is and however it is written', async () => {
    await using upstream = await serving()
    const settings = { tls: 'clientCert: request', more: 'trustedProxies: [127.0.0.1]' }
    await using gateway = await startGateway(upstream, settings)
    const forged = ['X-Forwarded-Client-Cert: Subject="CN=root"', 'x_forwarded_client_cert: x']
    const address = gateway.gateway.addresses[1]
    assert.ok(address?.kind === 'tcp')
    for (const client of [
      await rawClient(address.port),
      await connect(gateway.port),
      await connect(gateway.port, stranger),
    ]) {
      await using open = client
      assert.equal(await statusOf(open, [...forged, 'Connection: X-Forwarded-Client-Cert']), 200)
      const names = upstream.heads.at(-1)?.lines.map((line) => line.toLowerCase()) ?? []
      assert.ok(!names.some((line) => /forwarded.client/.test(line)))
    }
    await using known = await connect(gateway.port, alice)
    assert.equal(await statusOf(known, forged), 200)
    assert.match(
      String(upstream.heads.at(-1)?.fields.get('x-forwarded-client-cert')),
      /^By=[^,]*;Subject="CN=alice,.*DNS=alice\.test$/,
    )
  })
})
