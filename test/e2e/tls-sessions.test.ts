/** Sessions of TLS are as good as the checks that they began with: neither clients nor endpoints get by others with them. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { openssl, TestAuthority, type Issued } from '../support/certificates.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, RawClient, rawClient } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'
import { secureServer } from '../support/secure-server.ts'

const { skip } = openssl
const versions = ['TLSv1.2', 'TLSv1.3'] as const

let authority: TestAuthority
let others: TestAuthority
let ca: string
let server: Issued
let alice: Issued
let bob: Issued

before(async () => {
  if (skip !== false) return
  authority = await TestAuthority.create()
  others = await TestAuthority.create('/CN=Others')
  ca = await authority.cert
  server = await authority.issue({ names: ['DNS:localhost'] })
  alice = await authority.issue({ subject: '/CN=alice' })
  bob = await others.issue({ subject: '/CN=bob' })
})

after(async () => {
  await authority?.[Symbol.asyncDispose]()
  await others?.[Symbol.asyncDispose]()
})

function serving(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }
  })
}

/** A listener for each of `clients`, which is what it says of clients; all of one certificate. */
async function startGateway(
  upstream: ScriptedUpstream,
  clients: readonly string[],
): Promise<TestGateway> {
  const listeners = clients.map(
    (more) => `{ address: "127.0.0.1:0", tls: { cert: server.pem, key: server-key.pem${more} } }`,
  )
  return startTestGateway(
    `listeners: [${listeners.join(', ')}]\nroutes: [{ upstream: "${upstream.url}" }]`,
    {
      'server.pem': server.cert,
      'server-key.pem': server.key,
      'ca.pem': ca,
      'others.pem': await others.cert,
    },
  )
}

function portOf(gateway: TestGateway, index: number): number {
  const address = gateway.gateway.addresses[index]
  assert.ok(address?.kind === 'tcp')
  return address.port
}

interface Visit {
  /** Undefined where the client was turned away. */
  readonly status: number | undefined
  readonly isResumed: boolean
  readonly session: Buffer | undefined
}

async function visit(port: number, options: tls.ConnectionOptions): Promise<Visit> {
  const socket = tls.connect({ host: '127.0.0.1', port, ca, servername: 'localhost', ...options })
  await using client = new RawClient(socket)
  const told: Buffer[] = []
  socket.on('session', (session) => told.push(session))
  try {
    await once(socket, 'secureConnect')
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const { status } = await client.answer()
    // TLS 1.3 sends tickets behind its handshake, and so before the answer.
    const session = told.at(-1) ?? socket.getSession()
    return { status, isResumed: socket.isSessionReused(), session }
  } catch {
    return { status: undefined, isResumed: socket.isSessionReused(), session: undefined }
  }
}

describe('a session of a client', { skip }, () => {
  for (const maxVersion of versions) {
    it(`opens no other listener, whatever that asks of clients (${maxVersion})`, async () => {
      await using upstream = await serving()
      await using gateway = await startGateway(upstream, [
        '',
        '',
        ', clientCa: ca.pem',
        ', clientCa: others.pem',
        ', clientCa: ca.pem, clientCert: request',
      ])
      const open = await visit(portOf(gateway, 0), { maxVersion })
      const shown = await visit(portOf(gateway, 2), { maxVersion, ...alice })
      const asked = await visit(portOf(gateway, 4), { maxVersion, ...alice })
      for (const { status, session, isResumed } of [open, shown, asked]) {
        assert.equal(status, 200)
        assert.equal(isResumed, false)
        assert.ok(session)
      }
      const tried = async (index: number, { session }: Visit): Promise<unknown[]> => {
        const { status, isResumed } = await visit(portOf(gateway, index), { maxVersion, session })
        return [status, isResumed]
      }
      assert.deepEqual(await tried(0, open), [200, true])
      assert.deepEqual(await tried(1, open), [200, false])
      assert.deepEqual(await tried(2, open), [undefined, false])
      assert.deepEqual(await tried(3, shown), [undefined, false])
      assert.deepEqual(await tried(2, asked), [undefined, false])
    })

    it(`opens nothing any more when its listener has other authorities (${maxVersion})`, async () => {
      await using upstream = await serving()
      await using gateway = await startGateway(upstream, [', clientCa: ca.pem'])
      const { session } = await visit(gateway.port, { maxVersion, ...alice })
      assert.equal((await visit(gateway.port, { maxVersion, session })).status, 200)
      const listener = `{ address: "127.0.0.1:0", tls: { cert: server.pem, key: server-key.pem, clientCa: others.pem } }`
      const { ok } = await gateway.reload(
        `listeners: [${listener}]\nroutes: [{ upstream: "${upstream.url}" }]`,
      )
      assert.equal(ok, true)
      const late = await visit(gateway.port, { maxVersion, session })
      assert.deepEqual([late.status, late.isResumed], [undefined, false])
      assert.equal((await visit(gateway.port, { maxVersion, ...bob })).status, 200)
    })

    it(`is over when the keys of tickets change, and a forged one is none (${maxVersion})`, async (t) => {
      await using upstream = await serving()
      t.mock.timers.enable({ apis: ['setInterval'] })
      await using gateway = await startGateway(upstream, [', clientCa: ca.pem'])
      const { session } = await visit(gateway.port, { maxVersion, ...alice })
      assert.ok(session)
      assert.equal((await visit(gateway.port, { maxVersion, session })).isResumed, true)
      for (let at = session.length >> 2; at < session.length; at += session.length >> 3) {
        const forged = Buffer.from(session)
        forged[at] = (forged[at] as number) ^ 1
        const { status, isResumed } = await visit(gateway.port, { maxVersion, session: forged })
        // A byte of what is the client's own leaves the ticket as it was.
        if (!isResumed) assert.equal(status, undefined)
      }
      t.mock.timers.tick(12 * 3_600_000)
      const late = await visit(gateway.port, { maxVersion, session })
      assert.deepEqual([late.status, late.isResumed], [undefined, false])
      const next = await visit(gateway.port, { maxVersion, ...alice })
      const again = await visit(gateway.port, { maxVersion, session: next.session })
      assert.deepEqual([again.status, again.isResumed], [200, true])
    })
  }
})

describe('a session with an endpoint', () => {
  const fixtures = join(import.meta.dirname, '../fixtures/tls')
  const files = {
    'ca.pem': readFileSync(join(fixtures, 'ca.pem'), 'utf8'),
    'other-ca.pem': readFileSync(join(fixtures, 'other-ca.pem'), 'utf8'),
  }

  for (const maxVersion of versions) {
    it(`is shown for no other name, and by no upstream of other authorities (${maxVersion})`, async () => {
      await using endpoint = await secureServer({ maxVersion })
      const upstreams = {
        right: '{ ca: ./ca.pem }',
        same: '{ ca: ./ca.pem }',
        named: '{ ca: ./ca.pem, serverName: localhost }',
        wrong: '{ ca: ./ca.pem, serverName: other.test }',
        stranger: '{ ca: ./other-ca.pem }',
        careless: '{ insecure: true }',
      }
      const names = Object.keys(upstreams)
      await using gateway = await startTestGateway(
        [
          'upstreams:',
          ...Object.entries(upstreams).map(
            ([name, settings]) => `  ${name}: { endpoints: ["${endpoint.url}"], tls: ${settings} }`,
          ),
          'routes:',
          ...names.map((name) => `  - { match: { path: /${name} }, upstream: ${name} }`),
          '',
        ].join('\n'),
        files,
      )
      const status = async (name: string): Promise<number> => {
        await using client = await rawClient(gateway.port)
        client.write(handshake(`/${name}`))
        return (await client.head()).status
      }
      // Those that are refused have seen others succeed first, and the other way round.
      for (const name of ['careless', 'right', 'wrong', 'stranger', 'same', 'named']) {
        const earlier = endpoint.reused.length
        const expected = name === 'wrong' || name === 'stranger' ? 502 : 101
        assert.equal(await status(name), expected, name)
        assert.ok(!endpoint.reused.slice(earlier).includes(true), `${name} has resumed a session`)
      }
      for (const name of ['right', 'careless', 'named']) {
        assert.equal(await status(name), 101)
        assert.equal(endpoint.reused.at(-1), true, `${name} has resumed its own`)
      }
      for (const name of ['wrong', 'stranger']) assert.equal(await status(name), 502)
    })
  }
})
