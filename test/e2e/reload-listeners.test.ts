import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import type { Address } from '../../src/config/config.ts'
import { freePort } from '../support/free-port.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, rawClient, RawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const pem = {
  'cert.pem': readFileSync(join(fixtures, 'tls/cert.pem')),
  'key.pem': readFileSync(join(fixtures, 'tls/key.pem')),
}
const otherPem = {
  'cert.pem': readFileSync(join(fixtures, 'config/tls/cert.pem')),
  'key.pem': readFileSync(join(fixtures, 'config/tls/key.pem')),
}
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const PLAIN = '{ address: "127.0.0.1:0" }'
const TLS = '{ address: "127.0.0.1:0", tls: { cert: ./cert.pem, key: ./key.pem } }'
const HASTY = TLS.replace('tls: {', 'headTimeout: 200ms, tls: { handshakeTimeout: 200ms,')

interface SecureClient extends RawClient {
  readonly socket: tls.TLSSocket
}

/** `session`: of a connection before. */
async function tlsClient(port: number, session?: Buffer): Promise<SecureClient> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    allowHalfOpen: true,
    ...(session === undefined ? {} : { session }),
  } as tls.ConnectionOptions)
  await once(socket, 'secureConnect')
  return new RawClient(socket) as SecureClient
}

function nameOf({ socket }: SecureClient): unknown {
  return socket.getPeerCertificate().subject.CN
}

/** Echoes what comes through upgrades, and answers other requests with `ok`. */
function serving(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const { fields } = await connection.head()
      if (fields.has('upgrade')) break
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }
    if (!connection.socket.writable) return
    connection.write(SWITCHING)
    connection.socket.on('data', (chunk: Buffer) => connection.socket.write(chunk))
    connection.socket.on('end', () => connection.socket.end())
  })
}

function yaml(listeners: readonly string[], upstream: ScriptedUpstream): string {
  return `listeners: [${listeners.join(', ')}]\nroutes: [{ upstream: "${upstream.url}" }]`
}

function portOf(address: Address | undefined): number {
  return address?.kind === 'tcp' ? address.port : 0
}

async function openTunnel(client: RawClient): Promise<void> {
  client.write(handshake())
  assert.equal((await client.head()).status, 101)
}

/** Frames that nobody looks at: a whole one in a direction is masked, the other way it is not. */
async function isAlive(client: RawClient): Promise<void> {
  const frame = '\x82\x84\0\0\0\0ping'
  client.write(frame)
  assert.equal(await client.bytes(frame.length), frame)
}

async function answers(client: RawClient): Promise<void> {
  client.write(GET)
  assert.equal((await client.answer()).body, 'ok')
}

async function refuses(port: number): Promise<void> {
  await assert.rejects(rawClient(port), { code: 'ECONNREFUSED' })
}

describe('listeners in a reload', () => {
  it('are added and removed; what is in progress on a removed one goes on', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([PLAIN], upstream))
    await using tunnel = await rawClient(gateway.port)
    await openTunnel(tunnel)
    const more = await gateway.reload(yaml([PLAIN, PLAIN], upstream))
    assert.deepEqual([more.ok, more.problems], [true, []])
    const [first, second] = gateway.gateway.addresses.map(portOf)
    assert.equal(first, gateway.port)
    await gateway.log('listening', { url: `http://127.0.0.1:${second}/` })
    await using late = await rawClient(second as number)
    await answers(late)
    await using idle = await rawClient(second as number)
    await answers(idle)
    await using busy = await rawClient(second as number)
    await openTunnel(busy)
    // The head that has begun is one that the parser waits for.
    late.write('GET / HTTP/1.1\r\n')
    await using other = await rawClient(second as number)
    await answers(other)
    await gateway.reload(yaml([PLAIN], upstream))
    await gateway.log('listening no more', { url: `http://127.0.0.1:${second}/` })
    await refuses(second as number)
    assert.equal(await idle.rest(), '')
    await isAlive(busy)
    await isAlive(tunnel)
    late.write('Host: a\r\n\r\n')
    const last = await late.answer()
    assert.deepEqual([last.body, last.fields.get('connection')], ['ok', 'close'])
    assert.deepEqual(gateway.gateway.addresses.map(portOf), [gateway.port])
    await using again = await rawClient(gateway.port)
    await answers(again)
  })

  it('removed ones are waited for when the gateway stops', async () => {
    const asked = Promise.withResolvers<void>()
    const told = Promise.withResolvers<void>()
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      asked.resolve()
      await told.promise
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    await using gateway = await startTestGateway(yaml([PLAIN, PLAIN], upstream))
    const [, second] = gateway.gateway.addresses.map(portOf)
    await using client = await rawClient(second as number)
    client.write(GET)
    await asked.promise
    await gateway.reload(yaml([PLAIN], upstream))
    const stopped = gateway.gateway.stop()
    told.resolve()
    assert.equal((await client.answer()).body, 'ok')
    await stopped
  })

  it('that cannot be bound leave everything as it was, the other new ones included', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([PLAIN], upstream))
    await using taken = await startTestGateway(yaml([PLAIN], upstream))
    const free = await freePort()
    const result = await gateway.reload(
      yaml(
        [`{ address: "127.0.0.1:${free}" }`, `{ address: "127.0.0.1:${taken.port}" }`],
        upstream,
      ),
    )
    assert.equal(result.ok, false)
    assert.match(
      result.problems.join('\n'),
      /^cannot listen on 127\.0\.0\.1:\d+ \(listeners\[1\]\.address\): the address is in use/,
    )
    await refuses(free)
    assert.deepEqual(gateway.gateway.addresses.map(portOf), [gateway.port])
    await using client = await rawClient(gateway.port)
    await answers(client)
  })

  it('that are unix sockets come and go with their files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-reload-'))
    const path = join(folder, 'gateway.sock')
    {
      await using upstream = await serving()
      await using gateway = await startTestGateway(yaml([PLAIN], upstream))
      const both = yaml([PLAIN, `{ address: "unix:${path}" }`], upstream)
      await gateway.reload(both)
      await using client = await rawClient(path)
      await openTunnel(client)
      await gateway.reload(both)
      await isAlive(client)
      await gateway.reload(yaml([PLAIN], upstream))
      await assert.rejects(rawClient(path), { code: 'ENOENT' })
      await isAlive(client)
      await gateway.reload(both)
      await using again = await rawClient(path)
      await openTunnel(again)
    }
    await rm(folder, { recursive: true })
  })

  it('show another certificate when the content of its file is another one, and keep the tunnels', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([TLS], upstream), pem)
    await using tunnel = await tlsClient(gateway.port)
    assert.equal(nameOf(tunnel), 'localhost')
    await openTunnel(tunnel)
    await using kept = await tlsClient(gateway.port)
    await answers(kept)
    const same = await gateway.reload(yaml([TLS], upstream))
    assert.deepEqual(same.changes, [])
    const result = await gateway.reload(yaml([TLS], upstream), otherPem)
    assert.deepEqual(result.changes, [`another certificate at https://127.0.0.1:${gateway.port}/`])
    await using client = await tlsClient(gateway.port)
    assert.equal(nameOf(client), 'chat.example.com')
    await answers(client)
    await isAlive(tunnel)
    await answers(kept)
  })

  it('resume TLS sessions of before', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([TLS], upstream), pem)
    let session: Buffer
    {
      await using client = await tlsClient(gateway.port)
      const told = once(client.socket, 'session')
      await answers(client)
      ;[session] = (await told) as [Buffer]
    }
    await gateway.reload(yaml([TLS.replace('tls', 'headTimeout: 7s, tls')], upstream))
    await using client = await tlsClient(gateway.port, session)
    assert.equal(client.socket.isSessionReused(), true)
    await answers(client)
  })

  it('with a certificate that cannot be read leave everything as it was', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([TLS], upstream), pem)
    const result = await gateway.reload(yaml([TLS, PLAIN], upstream), { 'cert.pem': 'nonsense' })
    assert.equal(result.ok, false)
    assert.match(result.problems.join('\n'), /cert/)
    await using client = await tlsClient(gateway.port)
    assert.equal(nameOf(client), 'localhost')
    assert.equal(gateway.gateway.addresses.length, 1)
  })

  for (const [from, to] of [
    [PLAIN, TLS],
    [TLS, PLAIN],
  ] as const) {
    const names = from === PLAIN ? ['plain', 'TLS'] : ['TLS', 'plain']
    const before = from === PLAIN ? rawClient : tlsClient
    const after = from === PLAIN ? tlsClient : rawClient

    it(`go from ${names.join(' to ')} on the same socket, and nobody who is connected notices`, async () => {
      await using upstream = await serving()
      await using gateway = await startTestGateway(yaml([from], upstream), pem)
      await using tunnel = await before(gateway.port)
      await openTunnel(tunnel)
      await using kept = await before(gateway.port)
      await answers(kept)
      const result = await gateway.reload(yaml([to], upstream))
      assert.deepEqual([result.ok, result.problems], [true, []])
      assert.equal(portOf(gateway.gateway.addresses[0]), gateway.port)
      await using plain = await after(gateway.port)
      await answers(plain)
      await openTunnel(plain)
      await isAlive(plain)
      await isAlive(tunnel)
      await answers(kept)
      await openTunnel(kept)
      await isAlive(kept)
      await gateway.reload(yaml([from], upstream))
      await using again = await before(gateway.port)
      await openTunnel(again)
      await isAlive(again)
      await isAlive(plain)
    })
  }

  it('say to the upstream what each connection came over', async () => {
    const seen: (string | undefined)[] = []
    await using upstream = await scriptedUpstream(async (connection) => {
      while (await connection.more()) {
        seen.push((await connection.head()).fields.get('x-forwarded-proto'))
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }
    })
    await using gateway = await startTestGateway(yaml([PLAIN], upstream), pem)
    await using before = await rawClient(gateway.port)
    await answers(before)
    await gateway.reload(yaml([TLS], upstream))
    await using after = await tlsClient(gateway.port)
    await answers(after)
    await answers(before)
    assert.deepEqual(seen, ['http', 'https', 'http'])
  })

  it('close whoever says nothing, or no TLS, to one that has come to speak TLS', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([PLAIN], upstream), pem)
    await gateway.reload(yaml([HASTY], upstream))
    await using silent = await rawClient(gateway.port)
    await using begun = await rawClient(gateway.port)
    // The begin of a ClientHello.
    begun.write('\x16\x03\x01')
    await using wrong = await rawClient(gateway.port)
    wrong.write(GET)
    await Promise.all([silent.gone(), begun.gone(), wrong.gone()])
  })

  async function limited(gateway: TestGateway, upstream: ScriptedUpstream, limit: string) {
    const result = await gateway.reload(yaml([PLAIN.replace(' }', `, ${limit} }`)], upstream))
    assert.deepEqual([result.ok, result.closing], [true, 0])
  }

  it('have the new headTimeout', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([PLAIN], upstream))
    await limited(gateway, upstream, 'headTimeout: 100ms')
    await using silent = await rawClient(gateway.port)
    assert.equal(await silent.rest(), '')
    await using slow = await rawClient(gateway.port)
    slow.write('GET / HTTP/1.1\r\n')
    assert.equal((await slow.answer()).status, 408)
    // This one is read by node's parser.
    await using parsed = await rawClient(gateway.port)
    await answers(parsed)
    parsed.write('GET / HTTP/1.1\r\n')
    assert.equal((await parsed.answer()).status, 408)
  })

  it('have the new headBytes', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([PLAIN], upstream))
    const large = [`X-Large: ${'x'.repeat(2000)}`]
    {
      await using client = await rawClient(gateway.port)
      client.write(handshake('/', large))
      assert.equal((await client.head()).status, 101)
    }
    await limited(gateway, upstream, 'headBytes: 1KiB')
    await using client = await rawClient(gateway.port)
    client.write(handshake('/', large))
    assert.equal((await client.head()).status, 431)
  })

  it('have the new keepAliveTimeout, also for connections that stand', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([PLAIN], upstream))
    await using client = await rawClient(gateway.port)
    await answers(client)
    await limited(gateway, upstream, 'keepAliveTimeout: 100ms')
    await answers(client)
    assert.equal(await client.rest(), '')
  })

  it('have the new number of connections, those that are open included', async () => {
    await using upstream = await serving()
    await using gateway = await startTestGateway(yaml([PLAIN], upstream))
    await using first = await rawClient(gateway.port)
    await openTunnel(first)
    await using second = await rawClient(gateway.port)
    await answers(second)
    await limited(gateway, upstream, 'connections: 2')
    await using refused = await rawClient(gateway.port)
    await refused.gone()
    await isAlive(first)
    await answers(second)
    await limited(gateway, upstream, 'connections: 3')
    await using third = await rawClient(gateway.port)
    await answers(third)
  })
})

describe('the admin listener in a reload', () => {
  it('moves to another address, and is there before the old one is gone', async () => {
    await using upstream = await serving()
    const routes = `routes: [{ upstream: "${upstream.url}" }]`
    await using gateway = await startTestGateway(routes)
    const port = await freePort()
    const result = await gateway.reload(`admin: { address: "127.0.0.1:${port}" }\n${routes}`)
    assert.deepEqual([result.ok, result.problems], [true, []])
    assert.equal(portOf(gateway.gateway.adminAddress), port)
    assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
    await gateway.reload(`admin: off\n${routes}`)
    assert.equal(gateway.gateway.adminAddress, undefined)
  })

  it('answers the call that has moved it, over the address of before, which is gone then', async () => {
    await using upstream = await serving()
    const routes = `routes: [{ upstream: "${upstream.url}" }]`
    await using gateway = await startTestGateway(routes)
    const port = await freePort()
    await gateway.rewrite(`admin: { address: "127.0.0.1:${port}" }\n${routes}`)
    await using client = await rawClient(gateway.adminPort)
    const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/reload`, { method: 'POST' })
    const { ok, changes } = (await answer.json()) as { ok: boolean; changes: string[] }
    assert.equal(ok, true)
    assert.deepEqual(changes, [`admin.address: 127.0.0.1:0 -> 127.0.0.1:${port}`])
    await gateway.log('admin listening', { url: `http://127.0.0.1:${port}/metrics` })
    await client.gone()
    await refuses(gateway.adminPort)
  })

  it('takes its token in place', async () => {
    await using upstream = await serving()
    const withToken = (token: string): string =>
      `admin: { address: "127.0.0.1:0", token: ${token} }\nroutes: [{ upstream: "${upstream.url}" }]`
    await using gateway = await startTestGateway(withToken('first-token-of-all'))
    const statusWith = async (token: string): Promise<number> => {
      const headers = { Authorization: `Bearer ${token}` }
      const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`, { headers })
      return answer.status
    }
    assert.equal(await statusWith('first-token-of-all'), 200)
    await gateway.reload(withToken('second-token-of-all'))
    assert.equal(await statusWith('first-token-of-all'), 401)
    assert.equal(await statusWith('second-token-of-all'), 200)
  })

  it('that cannot be bound leaves everything as it was', async () => {
    await using upstream = await serving()
    const routes = `routes: [{ upstream: "${upstream.url}" }]`
    await using gateway = await startTestGateway(routes)
    const result = await gateway.reload(
      `admin: { address: "127.0.0.1:${gateway.port}" }\nlisteners: [{ address: "127.0.0.1:0" }, { address: "127.0.0.1:0" }]\n${routes}`,
    )
    assert.equal(result.ok, false)
    assert.match(result.problems.join('\n'), /admin\.address|address is in use/)
    assert.equal(gateway.gateway.addresses.length, 1)
    assert.equal((await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)).status, 200)
  })
})
