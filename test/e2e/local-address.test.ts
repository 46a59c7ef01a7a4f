import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'

const run = promisify(execFile)

interface Upstream extends AsyncDisposable {
  readonly port: number
  /** Where its connections came from, in their order. */
  readonly peers: readonly (string | undefined)[]
}

/** Grants every upgrade, and answers other requests with the peer's address on a connection of their own. */
async function upstream(host = '127.0.0.1'): Promise<Upstream> {
  const peers: (string | undefined)[] = []
  const server = http.createServer((request, response) => {
    response.setHeader('Connection', 'close').end(request.socket.remoteAddress)
  })
  server.on('connection', (socket: Socket) => peers.push(socket.remoteAddress))
  const tunnels = new Set<Socket>()
  server.on('upgrade', (_request, socket: Socket) => {
    tunnels.add(socket)
    socket.on('error', () => {})
    socket.write(SWITCHING)
  })
  server.listen(0, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    peers,
    async [Symbol.asyncDispose]() {
      for (const socket of tunnels) socket.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function config(url: string, localAddress: string, more = ''): string {
  return `upstreams: { u: { endpoints: ["${url}"], localAddress: ${localAddress} } }\nroutes: [{ upstream: u }]\n${more}`
}

async function upgradeStatus(gateway: TestGateway): Promise<number> {
  await using client = await rawClient(gateway.port)
  client.write(handshake())
  const { status } = await client.head()
  return status
}

async function peerOfRequest(gateway: TestGateway): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${gateway.port}/`)
  return response.text()
}

const program = fileURLToPath(new URL('../fixtures/e2e/narrow-ports.ts', import.meta.url))

/** A network of its own, made by whoever runs the tests. */
const ownNetwork = ['-rn', '--', process.execPath, program]
const withOwnNetwork = {
  skip: spawnSync('unshare', ['-rn', 'ip', 'link']).status === 0 ? false : 'no network of our own',
}

describe('the ports of an address', () => {
  for (const engine of ['portable', 'auto']) {
    for (const [host, list, addresses] of [
      // For the one that is missing the last one is taken, and is used up first by that.
      ['127.0.0.1', '[127.0.0.2, 203.0.113.1, 127.0.0.3]', ['127.0.0.2', '127.0.0.3']],
      ['::1', '"::1"', ['::1']],
    ] as const) {
      it(
        `are all used for an endpoint, and then those of the next one (${host}, relay.engine: ${engine})`,
        withOwnNetwork,
        async () => {
          const folder = await mkdtemp(join(tmpdir(), 'upgate-ports-'))
          const { stdout } = await run('unshare', [...ownNetwork, folder, engine, host, list])
          const { peers, status, code, cause } = JSON.parse(stdout) as Record<string, unknown>
          assert.deepEqual(peers, Object.fromEntries(addresses.map((address) => [address, 16])))
          assert.deepEqual([status, code], [502, 'E_UPSTREAM_UNREACHABLE'])
          assert.match(String(cause), /EADDRNOTAVAIL|EADDRINUSE/)
          await rm(folder, { recursive: true })
        },
      )
    }
  }
})

describe('the address that connections to endpoints come from', () => {
  // A name goes the way of a lookup.
  for (const host of ['127.0.0.1', 'localhost']) {
    it(`is one of localAddress in turn, for upgrades and for plain requests to ${host}`, async () => {
      await using endpoint = await upstream()
      const url = `http://${host}:${endpoint.port}`
      await using gateway = await startTestGateway(config(url, '[127.0.0.2, 127.0.0.3]'))
      for (let count = 0; count < 4; count += 1) assert.equal(await upgradeStatus(gateway), 101)
      assert.deepEqual(endpoint.peers, ['127.0.0.2', '127.0.0.3', '127.0.0.2', '127.0.0.3'])
      assert.equal(await peerOfRequest(gateway), '127.0.0.2')
      assert.equal(await peerOfRequest(gateway), '127.0.0.3')
    })
  }

  it('may be the only one of an upstream', async () => {
    await using endpoint = await upstream()
    const url = `http://127.0.0.1:${endpoint.port}`
    await using gateway = await startTestGateway(config(url, '127.0.0.9'))
    assert.equal(await upgradeStatus(gateway), 101)
    assert.equal(await peerOfRequest(gateway), '127.0.0.9')
    assert.deepEqual(endpoint.peers, ['127.0.0.9', '127.0.0.9'])
  })

  it('is another one where the machine does not have the first', async () => {
    await using endpoint = await upstream()
    const url = `http://127.0.0.1:${endpoint.port}`
    // Of a block for examples (RFC 5737).
    await using gateway = await startTestGateway(config(url, '[203.0.113.1, 127.0.0.2]'))
    for (let count = 0; count < 3; count += 1) assert.equal(await upgradeStatus(gateway), 101)
    assert.equal(await peerOfRequest(gateway), '127.0.0.2')
    assert.deepEqual(new Set(endpoint.peers), new Set(['127.0.0.2']))
  })

  it('is missing, and that is said, where the machine has none of them', async () => {
    await using endpoint = await upstream()
    const url = `http://127.0.0.1:${endpoint.port}`
    await using gateway = await startTestGateway(config(url, '[203.0.113.1, 203.0.113.2]'))
    assert.equal(await upgradeStatus(gateway), 502)
    const refused = await gateway.log('request', { code: 'E_UPSTREAM_UNREACHABLE' })
    assert.match(String(refused['cause']), /EADDRNOTAVAIL/)
    assert.match(await peerOfRequest(gateway), /E_UPSTREAM_UNREACHABLE/)
    assert.deepEqual(endpoint.peers, [])
  })

  it('is of the family of the endpoint', async () => {
    await using endpoint = await upstream('::1')
    const url = `http://[::1]:${endpoint.port}`
    await using gateway = await startTestGateway(config(url, '[127.0.0.2, "::1"]'))
    assert.equal(await upgradeStatus(gateway), 101)
    assert.equal(await peerOfRequest(gateway), '::1')
  })

  it('is missing, and that is said, where a name has addresses of the other family only', async () => {
    await using endpoint = await upstream()
    const url = `http://localhost:${endpoint.port}`
    await using gateway = await startTestGateway(config(url, '"2001:db8::5"'))
    const found = await lookup('localhost', { all: true })
    assert.equal(await upgradeStatus(gateway), 502)
    const refused = await gateway.log('request', { code: 'E_UPSTREAM_UNREACHABLE' })
    const hasV6 = found.some(({ family }) => family === 6)
    assert.match(String(refused['cause']), hasV6 ? /EADDRNOTAVAIL/ : /has no address of the family/)
    assert.deepEqual(endpoint.peers, [])
  })

  it('is another one after a reload, also for requests that have a connection', async () => {
    await using endpoint = await upstream()
    const url = `http://127.0.0.1:${endpoint.port}`
    await using gateway = await startTestGateway(config(url, '127.0.0.2'))
    assert.equal(await peerOfRequest(gateway), '127.0.0.2')
    const { ok, changes } = await gateway.reload(config(url, '[127.0.0.3]'))
    assert.ok(ok)
    assert.deepEqual(changes, ['upstream u: localAddress: [127.0.0.2] -> [127.0.0.3]'])
    assert.equal(await peerOfRequest(gateway), '127.0.0.3')
    assert.equal(await upgradeStatus(gateway), 101)
    assert.deepEqual(endpoint.peers, ['127.0.0.2', '127.0.0.3', '127.0.0.3'])
  })
})
