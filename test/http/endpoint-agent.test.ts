import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { EndpointAgent, kConnecting } from '../../src/http/endpoint-agent.ts'
import { DialError } from '../../src/http/filtered-agent.ts'
import { Http2Connections } from '../../src/http2/shared-connections.ts'
import { endpointTls } from '../support/endpoint-tls.ts'
import {
  closedAddress,
  connectTo,
  endpointAt,
  startGateway,
  startUpstream,
  Upstream,
} from './harness.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

/** Asks through the agent, as the Forwarder does; the answer's body is read. */
async function ask(agent: EndpointAgent): Promise<void> {
  const connecting = { connectTimeoutMs: 5000, onDialing: () => {} }
  const request = http.request({ agent, [kConnecting]: connecting } as http.RequestOptions)
  request.end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.resume()
  await once(response, 'end')
}

/** Answers every request at once, but only when `count` of them are there. */
function answerTogether(upstream: Upstream, count: number): void {
  const waiting: net.Socket[] = []
  upstream.server.on('connection', (socket) => {
    socket.on('data', () => {
      waiting.push(socket)
      if (waiting.length < count) return
      for (const each of waiting.splice(0)) each.write(OK)
    })
  })
}

describe('EndpointAgent', () => {
  it('uses an idle connection for the next request', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    for (let round = 0; round < 3; round += 1) {
      client.send(GET)
      const peer = upstream.peers[0] ?? (await upstream.next())
      await peer.head()
      peer.send(OK)
      await client.until('ok')
      await gateway.answered()
    }
    assert.equal(upstream.peers.length, 1)
  })

  it('keeps no more idle connections than it may', async () => {
    await using upstream = await startUpstream()
    answerTogether(upstream, 5)
    const agent = new EndpointAgent(endpointAt(upstream.address), {
      shared: new Http2Connections(),
      keepAlive: true,
      idleMax: 2,
    })
    await Promise.all(Array.from({ length: 5 }, () => ask(agent)))
    await Promise.all(upstream.peers.slice(2).map((peer) => peer.rest()))
    assert.equal(upstream.peers.filter((peer) => !peer.hasEnded).length, 2)
    agent.close()
    await Promise.all(upstream.peers.map((peer) => peer.rest()))
  })

  it('closes connections that are idle for too long', async () => {
    await using upstream = await startUpstream()
    answerTogether(upstream, 1)
    const agent = new EndpointAgent(endpointAt(upstream.address), {
      shared: new Http2Connections(),
      keepAlive: true,
      idleMs: 20,
    })
    await ask(agent)
    await upstream.peers[0]?.rest()
    agent.close()
  })

  it('keeps no connection after its close', async () => {
    await using upstream = await startUpstream()
    answerTogether(upstream, 1)
    const agent = new EndpointAgent(endpointAt(upstream.address), {
      shared: new Http2Connections(),
      keepAlive: true,
    })
    agent.close()
    await ask(agent)
    await upstream.peers[0]?.rest()
  })

  it("tells of a failed dial with dial's refusal", async () => {
    const agent = new EndpointAgent(endpointAt(await closedAddress()), {
      shared: new Http2Connections(),
      keepAlive: true,
    })
    await assert.rejects(ask(agent), (error) => {
      assert.ok(error instanceof DialError)
      assert.equal(error.refusal.code, 'E_UPSTREAM_REFUSED')
      return true
    })
  })

  it('reaches an endpoint at a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-'))
    const path = join(folder, 'app.sock')
    const server = net.createServer()
    server.listen(path)
    await once(server, 'listening')
    await using upstream = new Upstream(server)
    await using gateway = await startGateway([endpointAt({ kind: 'unix', path })])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await upstream.next()
    await peer.head()
    peer.send(OK)
    await client.until('ok')
    await rm(folder, { recursive: true })
  })

  it('reaches an endpoint over TLS', async () => {
    const fixtures = join(import.meta.dirname, '../fixtures/tls')
    const [ca, cert, key] = await Promise.all(
      ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readFile(join(fixtures, name), 'utf8')),
    )
    assert.ok(ca !== undefined && cert !== undefined && key !== undefined)
    const server = https.createServer({ cert, key }, (req, res) => {
      req.pipe(res)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const endpoint = endpointAt({ kind: 'tcp', host: '127.0.0.1', port })
    await using gateway = await startGateway([
      { ...endpoint, tls: endpointTls({ serverName: 'localhost', ca }) },
    ])
    const client = await connectTo(gateway)
    for (const word of ['one', 'two']) {
      client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n${word}`)
      assert.match(await client.until(word), /^HTTP\/1.1 200 OK\r\n/)
      await client.until('0\r\n\r\n')
    }
    gateway.forwarder.close()
    server.close()
    await once(server, 'close')
  })

  it('is unused when it has no connection', async () => {
    await using upstream = await startUpstream()
    answerTogether(upstream, 1)
    const agent = new EndpointAgent(endpointAt(upstream.address), {
      shared: new Http2Connections(),
      keepAlive: true,
    })
    assert.equal(agent.isUnused, true)
    await ask(agent)
    assert.equal(agent.isUnused, false)
    agent.close()
    await upstream.peers[0]?.rest()
    assert.equal(agent.isUnused, true)
  })

  it('sends a request without a body again over a new connection when an idle one was stale', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(GET)
    const first = await upstream.next()
    await first.head()
    first.send(OK)
    await client.until('ok')
    client.send(GET)
    await first.head()
    first.socket.resetAndDestroy()
    const second = await upstream.next()
    await second.head()
    second.send(OK)
    await client.until('ok')
    assert.deepEqual(gateway.leases[1]?.calls, ['succeeded', 'disposed'])
    assert.equal(gateway.attempts.length, 2)
  })

  it('does not send a POST again when an idle connection was stale', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await upstream.next()
    await peer.head()
    peer.send(OK)
    await client.until('ok')
    client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi')
    await peer.until('hi')
    peer.socket.resetAndDestroy()
    await client.until('E_UPSTREAM_RESET')
    assert.deepEqual(gateway.leases[1]?.calls, ['disposed'])
    assert.equal(upstream.peers.length, 1)
  })

  it('does not use a connection again on which bytes came unasked', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway([upstream])
    const client = await connectTo(gateway)
    client.send(GET)
    const peer = await upstream.next()
    await peer.head()
    peer.send(`${OK}HTTP/1.1 200 Poison\r\nContent-Length: 0\r\n\r\n`)
    await client.until('ok')
    client.send(GET)
    const second = await upstream.next()
    await second.head()
    second.send('HTTP/1.1 200 Good\r\nContent-Length: 0\r\n\r\n')
    assert.match(await client.head(), /^HTTP\/1.1 200 Good/)
  })
})
