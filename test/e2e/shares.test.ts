/** No address takes all the connections or all the TLS handshakes of a listener. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { clientHello } from '../support/client-hello.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, RawClient, rawClient } from '../support/raw-client.ts'
import { grantingUpstream } from '../support/scripted-upstream.ts'
import { filesIn } from '../listen/tls-config.ts'

const { cert, key } = filesIn('tls')
const FILES = { 'cert.pem': readFileSync(cert), 'key.pem': readFileSync(key) }
const TLS = 'cert: cert.pem, key: key.pem'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** Routes answer 426. */
function yaml(listener: string, more = ''): string {
  return `listeners: [{ address: "127.0.0.1:0", ${listener} }]
${more}
routes: [{ http: false, upstream: "http://127.0.0.1:9" }]`
}

async function isServed(client: RawClient, begin = ''): Promise<boolean> {
  client.write(begin + GET)
  const isAnswered = await client.more().catch(() => false)
  if (isAnswered) assert.equal((await client.answer()).status, 426)
  return isAnswered
}

async function tlsClient(port: number, from = '127.0.0.1'): Promise<RawClient> {
  const { socket: below } = await rawClient(port, from)
  const socket = tls.connect({ socket: below, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  return new RawClient(socket)
}

function announcing(family: 'TCP4' | 'TCP6', client: string, local: string): string {
  return `PROXY ${family} ${client} ${local} 4660 443\r\n`
}

const ipv4 = (client: string): string => announcing('TCP4', client, '198.51.100.9')
const ipv6 = (client: string): string => announcing('TCP6', client, '2001:db8:f::9')

/** How many of `count` clients that stay are served. */
async function servedOf(
  gateway: TestGateway,
  clients: AsyncDisposableStack,
  begins: readonly string[],
): Promise<number> {
  let served = 0
  for (const begin of begins) {
    const client = clients.use(await rawClient(gateway.port))
    if (await isServed(client, begin)) served += 1
  }
  return served
}

function many(count: number, begin = ''): string[] {
  return Array.from({ length: count }, () => begin)
}

describe('the handshakes of TLS of a listener', () => {
  it('are not taken by silent connections, however many there are', async () => {
    await using gateway = await startTestGateway(yaml(`tls: { ${TLS}, handshakes: 8 }`), FILES)
    await using clients = new AsyncDisposableStack()
    for (let count = 0; count < 200; count += 1) clients.use(await rawClient(gateway.port))
    await using client = await tlsClient(gateway.port)
    assert.equal(await isServed(client), true)
    assert.equal(await gateway.metric('upgate_tls_handshakes_total', { result: 'refused' }), 0)
  })

  it('are an eighth of one address, which the log names', async () => {
    await using gateway = await startTestGateway(yaml(`tls: { ${TLS}, handshakes: 40 }`), FILES)
    await using clients = new AsyncDisposableStack()
    const hello = await clientHello()
    const begin = async (): Promise<boolean> => {
      const client = clients.use(await rawClient(gateway.port))
      client.write(hello)
      return client.more().catch(() => false)
    }
    for (let count = 0; count < 5; count += 1) assert.equal(await begin(), true)
    assert.equal(await begin(), false)
    await using other = await tlsClient(gateway.port, '127.0.0.2')
    assert.equal(await isServed(other), true)
    const line = await gateway.log('clients turned away', { key: 'tls.handshakes' })
    assert.deepEqual([line['clientIp'], line['share'], line['full']], ['127.0.0.1', 1, 0])
  })
})

describe('the connections of a listener', () => {
  for (const [what, settings, files] of [
    ['without TLS', '', {}],
    ['with TLS', `, tls: { ${TLS} }`, FILES],
  ] as const) {
    it(`are an eighth of one address, which the log names, ${what}`, async () => {
      await using gateway = await startTestGateway(yaml(`connections: 40${settings}`), files)
      await using clients = new AsyncDisposableStack()
      for (let count = 0; count < 5; count += 1) clients.use(await rawClient(gateway.port))
      await using sixth = await rawClient(gateway.port)
      await sixth.gone()
      await using other =
        settings === ''
          ? await rawClient(gateway.port, '127.0.0.2')
          : await tlsClient(gateway.port, '127.0.0.2')
      assert.equal(await isServed(other), true)
      const refused = 'upgate_connections_refused_total'
      assert.equal(await gateway.metric(refused, { why: 'share' }), 1)
      assert.equal(await gateway.metric(refused, { why: 'full' }), 0)
      const line = await gateway.log('clients turned away', { key: 'connections' })
      assert.deepEqual([line['clientIp'], line['share'], line['full']], ['127.0.0.1', 1, 0])
    })
  }

  it('count for the address of a tunnel until it ends, and are free for it then', async () => {
    await using upstream = await grantingUpstream()
    await using gateway =
      await startTestGateway(`listeners: [{ address: "127.0.0.1:0", connections: 40 }]
routes: [{ upstream: "${upstream.url}" }]`)
    await using clients = new AsyncDisposableStack()
    const tunnels: RawClient[] = []
    for (let count = 0; count < 5; count += 1) {
      const client = clients.use(await rawClient(gateway.port))
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
      tunnels.push(client)
    }
    await using sixth = await rawClient(gateway.port)
    await sixth.gone()
    tunnels[0]?.socket.destroy()
    await gateway.log('tunnel close')
    await using next = await rawClient(gateway.port)
    next.write(handshake())
    assert.equal((await next.head()).status, 101)
  })

  it('have no share for peers in trustedProxies, but an end', async () => {
    const text = yaml('connections: 40', 'trustedProxies: [127.0.0.0/31]')
    await using gateway = await startTestGateway(text)
    await using clients = new AsyncDisposableStack()
    assert.equal(await servedOf(gateway, clients, many(40)), 40)
    await using late = await rawClient(gateway.port)
    await late.gone()
    assert.equal(await gateway.metric('upgate_connections_refused_total', { why: 'full' }), 1)
  })

  it('have the shares of the config that a reload brings, for clients that come then', async () => {
    await using gateway = await startTestGateway(yaml('connections: off'))
    await using clients = new AsyncDisposableStack()
    assert.equal(await servedOf(gateway, clients, many(6)), 6)
    await gateway.reload(yaml('connections: 40'))
    assert.equal(await servedOf(gateway, clients, many(1)), 0)
    await gateway.reload(yaml('connections: 40', 'trustedProxies: ["127.0.0.1"]'))
    assert.equal(await servedOf(gateway, clients, many(2)), 2)
  })

  it('count IPv4 clients by their address at a listener for both families', async () => {
    const text = yaml('connections: 40', 'trustedProxies: ["127.0.0.3"]').replace(
      '127.0.0.1:0',
      '[::]:0',
    )
    await using gateway = await startTestGateway(text)
    await using clients = new AsyncDisposableStack()
    assert.equal(await servedOf(gateway, clients, many(6)), 5)
    for (const [from, served] of [
      ['127.0.0.2', 5],
      ['127.0.0.3', 6],
    ] as const) {
      let count = 0
      for (let tries = 0; tries < 6; tries += 1) {
        if (await isServed(clients.use(await rawClient(gateway.port, from)))) count += 1
      }
      assert.equal(count, served, from)
    }
  })

  it('have no share for peers of a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-shares-'))
    const path = join(folder, 'a.sock')
    {
      await using _gateway =
        await startTestGateway(`listeners: [{ address: "unix:${path}", connections: 40 }]
routes: [{ http: false, upstream: "http://127.0.0.1:9" }]`)
      await using clients = new AsyncDisposableStack()
      for (let count = 0; count < 40; count += 1) {
        assert.equal(await isServed(clients.use(await rawClient(path))), true)
      }
      await using late = await rawClient(path)
      await late.gone()
    }
    await rm(folder, { recursive: true })
  })
})

describe('the connections of a listener behind a proxy with the PROXY protocol', () => {
  const behind = (mode: string, more = ''): string =>
    yaml(`connections: 40, proxyProtocol: ${mode}${more}`, 'trustedProxies: ["127.0.0.1"]')

  it('count for the address that is announced, an IPv6 one with its /64', async () => {
    await using gateway = await startTestGateway(behind('required'))
    await using clients = new AsyncDisposableStack()
    assert.equal(await servedOf(gateway, clients, many(6, ipv4('192.0.2.7'))), 5)
    assert.equal(await servedOf(gateway, clients, many(6, ipv4('192.0.2.8'))), 5)
    const sixOfOne = [1, 2, 3, 4, 5, 6].map((host) => ipv6(`2001:db8::${host}`))
    assert.equal(await servedOf(gateway, clients, sixOfOne), 5)
    assert.equal(await servedOf(gateway, clients, [ipv6('2001:db8:0:1::1')]), 1)
    const mapped = many(6, announcing('TCP6', '::ffff:192.0.2.9', '2001:db8::9'))
    assert.equal(await servedOf(gateway, clients, mapped), 5)
  })

  it('count for nobody where none is announced', async () => {
    await using gateway = await startTestGateway(behind('optional'))
    await using clients = new AsyncDisposableStack()
    assert.equal(await servedOf(gateway, clients, many(10)), 10)
    assert.equal(await servedOf(gateway, clients, many(10, 'PROXY UNKNOWN\r\n')), 10)
    assert.equal(await servedOf(gateway, clients, many(10, ipv4('192.0.2.7'))), 5)
  })

  it('count so where a reload turns the protocol on', async () => {
    await using gateway = await startTestGateway(behind('off'))
    await gateway.reload(behind('required'))
    await using clients = new AsyncDisposableStack()
    assert.equal(await servedOf(gateway, clients, many(6, ipv4('192.0.2.7'))), 5)
    assert.equal(await servedOf(gateway, clients, many(1, ipv4('192.0.2.8'))), 1)
  })

  it('are the handshakes of the address that is announced', async () => {
    const bounded = behind('required', `, tls: { ${TLS}, handshakes: 40 }`)
    await using gateway = await startTestGateway(
      bounded.replace('connections: 40', 'connections: off'),
      FILES,
    )
    await using clients = new AsyncDisposableStack()
    const hello = (await clientHello()).toString('latin1')
    const begin = async (client: string): Promise<boolean> => {
      const raw = clients.use(await rawClient(gateway.port))
      raw.write(ipv4(client) + hello)
      return raw.more().catch(() => false)
    }
    for (let count = 0; count < 5; count += 1) assert.equal(await begin('192.0.2.7'), true)
    assert.equal(await begin('192.0.2.7'), false)
    assert.equal(await begin('192.0.2.8'), true)
  })
})
