/** The PROXY protocol to endpoints, by hand and with HAProxy and nginx. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { pipeline } from 'node:stream'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { readProxyHeader } from '../../src/listen/proxy-protocol.ts'
import { openssl, TestAuthority, type Issued } from '../support/certificates.ts'
import { startTestGateway } from '../support/gateway.ts'
import { haproxy, startHaproxy } from '../support/haproxy.ts'
import { nginx, startNginx } from '../support/nginx.ts'
import { SIGNATURE, typeLengthValue } from '../support/proxy-header.ts'
import { handshake, rawClient, RawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'
import { secureServer } from '../support/secure-server.ts'
import { wsClient, wsServer } from '../support/ws-server.ts'
import { certificate, GET, LINE, told } from '../support/proxy-protocol.ts'

/** What it got first, and whether it had another connection for each request: the addresses of the last client. */
function reading(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    const begin = await connection.bytes(5)
    let header = begin
    while (!header.endsWith('\r\n')) header += await connection.bytes(1)
    const body = header.trim()
    while (await connection.more()) {
      await connection.head()
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    }
  })
}

function toEndpoint(upstream: { readonly url: string }, version: string, more = ''): string {
  return `upstreams: { one: { endpoints: ["${upstream.url}"], proxyProtocol: ${version}${more} } }
routes: [{ upstream: one }]`
}

for (const engine of ['portable', 'auto']) {
  describe(`an upstream with proxyProtocol, relay.engine: ${engine}`, () => {
    const relay = `relay: { engine: ${engine} }\n`

    it('gets the client first on each connection, and no connection serves two', async () => {
      await using upstream = await reading()
      await using gateway = await startTestGateway(relay + toEndpoint(upstream, 'v1'))
      await using one = await rawClient(gateway.port)
      await using other = await rawClient(gateway.port)
      for (const client of [one, other, one]) {
        client.write(GET)
        const { localPort } = client.socket
        const to = `127.0.0.1 127.0.0.1 ${localPort} ${gateway.port}`
        assert.equal((await client.answer()).body, `PROXY TCP4 ${to}`)
      }
      assert.equal(upstream.connections, 3)
    })

    for (const version of ['v1', 'v2']) {
      it(`gets it by ${version} before a handshake, and the tunnel is whole`, async () => {
        let port: number | undefined
        await using upstream = await scriptedUpstream(async (connection) => {
          const length =
            version === 'v2'
              ? 28
              : `PROXY TCP4 127.0.0.1 127.0.0.1 ${port} ${gateway.port}\r\n`.length
          const bytes = Buffer.from(await connection.bytes(length), 'latin1')
          assert.deepEqual(readProxyHeader(bytes), {
            bytes: length,
            client: {
              peerAddress: '127.0.0.1',
              peerPort: port,
              localAddress: '127.0.0.1',
              localPort: gateway.port,
            },
          })
          const { statusLine } = await connection.head()
          assert.equal(statusLine, 'GET /room HTTP/1.1')
          connection.write(SWITCHING)
          connection.write(await connection.bytes(6))
        })
        await using gateway = await startTestGateway(relay + toEndpoint(upstream, version))
        await using client = await rawClient(gateway.port)
        port = client.socket.localPort
        client.write(handshake('/room'))
        assert.equal((await client.head()).status, 101)
        client.write('\x81\x80abcd')
        assert.equal(await client.bytes(6), '\x81\x80abcd')
      })
    }

    it('gets it over a unix socket too, and from a client on one, who has no address', async () => {
      const sockets = await mkdtemp(join(tmpdir(), 'upgate-proxy-'))
      const seen: string[] = []
      const endpoint = net.createServer((socket) => {
        const connection = new RawClient(socket)
        const serve = async (): Promise<void> => {
          const fixed = Buffer.from(await connection.bytes(16), 'latin1')
          const rest = await connection.bytes(fixed.readUInt16BE(14))
          const header = Buffer.concat([fixed, Buffer.from(rest, 'latin1')])
          const read = readProxyHeader(header) as { readonly client: unknown }
          const { fields } = await connection.head()
          seen.push(JSON.stringify(read.client))
          connection.write(fields.has('upgrade') ? SWITCHING : 'HTTP/1.1 204 No Content\r\n\r\n')
        }
        serve().catch((error: unknown) => seen.push(String(error)))
      })
      endpoint.listen(join(sockets, 'endpoint.sock'))
      await once(endpoint, 'listening')
      {
        await using gateway = await startTestGateway(
          `${relay}listeners: [{ address: "127.0.0.1:0" }, { address: "unix:${join(sockets, 'l.sock')}" }]
${toEndpoint({ url: `unix:${join(sockets, 'endpoint.sock')}` }, 'v2')}`,
        )
        for (const at of [gateway.port, join(sockets, 'l.sock')]) {
          await using client = await rawClient(at)
          client.write(GET)
          assert.equal((await client.head()).status, 204)
          client.write(handshake('/'))
          assert.equal((await client.head()).status, 101)
          const { localPort: peerPort } = client.socket
          const localAddress = '127.0.0.1'
          const ends = { peerAddress: '127.0.0.1', peerPort, localAddress, localPort: gateway.port }
          const expected = JSON.stringify(at === gateway.port ? ends : 'unknown')
          assert.deepEqual(seen.splice(0), [expected, expected])
        }
      }
      endpoint.close()
      await rm(sockets, { recursive: true })
    })

    it('gets the client of a stream of HTTP/2', async () => {
      await using upstream = await reading()
      await using gateway = await startTestGateway(
        `${relay}listeners: [{ address: "127.0.0.1:0", h2c: true }]\n${toEndpoint(upstream, 'v1')}`,
      )
      await using raw = await rawClient(gateway.port)
      const { localPort } = raw.socket
      const session = http2.connect('http://a.test', { createConnection: () => raw.release() })
      const request = session.request({ ':path': '/' })
      request.setEncoding('utf8')
      const line = `PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} ${gateway.port}`
      assert.equal((await request.toArray()).join(''), line)
      session.destroy()
    })

    it('gets the client of a PROXY header, with its port', async () => {
      await using upstream = await reading()
      await using gateway = await startTestGateway(
        `${relay}listeners: [{ address: "127.0.0.1:0", proxyProtocol: required }]
trustedProxies: ["127.0.0.1"]
${toEndpoint(upstream, 'v1')}`,
      )
      assert.equal(await told(gateway, LINE), LINE.trim())
    })

    it('gets it before TLS', async () => {
      await using server = await secureServer()
      const { port } = new URL(server.url)
      await using front = await scriptedUpstream(async (connection) => {
        const header = await connection.bytes(28)
        assert.ok(header.startsWith(SIGNATURE.toString('latin1')))
        const behind = net.connect(Number(port), '127.0.0.1')
        const socket = connection.release()
        pipeline(socket, behind, socket, () => {})
      })
      const url = front.url.replace('http:', 'https:')
      await using gateway = await startTestGateway(
        relay + toEndpoint({ url }, 'v2', ', tls: { ca: ca.pem }'),
        { 'ca.pem': readFileSync(join(import.meta.dirname, '../fixtures/tls/ca.pem')) },
      )
      await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
      client.socket.send('hello')
      assert.equal((await client.message()).data.toString(), 'hello')
      assert.equal(await (await fetch(`http://127.0.0.1:${gateway.port}/`)).text(), 'ok')
    })
  })
}

describe('what an endpoint is told of TLS by version 2', () => {
  const { skip } = openssl

  /** The values in the header of each connection. */
  async function valuesFor(shown: readonly Partial<Issued>[], ca: string): Promise<Buffer[]> {
    const values: Buffer[] = []
    await using upstream = await scriptedUpstream(async (connection) => {
      const fixed = Buffer.from(await connection.bytes(16), 'latin1')
      const rest = Buffer.from(await connection.bytes(fixed.readUInt16BE(14)), 'latin1')
      values.push(rest.subarray(12))
      await connection.head()
      connection.write('HTTP/1.1 204 No Content\r\n\r\n')
    })
    await using gateway = await startTestGateway(
      `listeners:
  - address: "127.0.0.1:0"
    tls: { cert: cert.pem, key: key.pem, clientCa: client-ca.pem, clientCert: request }
${toEndpoint(upstream, 'v2')}`,
      { ...certificate, 'client-ca.pem': ca },
    )
    for (const own of shown) {
      const socket = tls.connect({
        port: gateway.port,
        host: '127.0.0.1',
        servername: 'localhost',
        rejectUnauthorized: false,
        ...own,
      })
      await once(socket, 'secureConnect')
      await using client = new RawClient(socket)
      client.write(GET)
      assert.equal((await client.head()).status, 204)
    }
    return values
  }

  it(
    'is the name that was asked for, the version, and the certificate if it was verified',
    { skip },
    async () => {
      await using authority = await TestAuthority.create()
      await using strangers = await TestAuthority.create('/CN=Nobody')
      const alice = await authority.issue({ subject: '/O=Example/CN=alice' })
      const stranger = await strangers.issue({ subject: '/CN=alice' })
      const version = typeLengthValue(0x21, 'TLSv1.3')
      const values = (state: readonly number[], ...more: Buffer[]): Buffer =>
        Buffer.concat([
          typeLengthValue(2, 'localhost'),
          typeLengthValue(0x20, Buffer.concat([Buffer.from(state), version, ...more])),
        ])
      const nobody = values([1, 0, 0, 0, 1])
      assert.deepEqual(await valuesFor([{}, alice, stranger], await authority.cert), [
        nobody,
        values([7, 0, 0, 0, 0], typeLengthValue(0x22, 'alice')),
        nobody,
      ])
    },
  )
})

describe('in front of nginx and HAProxy with the PROXY protocol', () => {
  const skip = nginx.skip === false ? haproxy.skip : nginx.skip

  for (const version of ['v1', 'v2']) {
    it(`tells an nginx by ${version}, and WebSockets go through`, { skip }, async () => {
      const requests: IncomingMessage[] = []
      await using server = await wsServer({}, (socket, request) => {
        requests.push(request)
        socket.on('message', (data) => socket.send(data))
      })
      await using behind = await startNginx(
        `location / {
          proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection upgrade;
          proxy_set_header X-Client $proxy_protocol_addr:$proxy_protocol_port;
          proxy_pass ${server.url};
        }`,
        { listen: 'proxy_protocol' },
      )
      const url = `http://127.0.0.1:${behind.port}`
      await using gateway = await startTestGateway(toEndpoint({ url }, version))
      await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`, [], {
        localAddress: '127.0.0.9',
      })
      client.socket.send('hello')
      assert.equal((await client.message()).data.toString(), 'hello')
      assert.match(String(requests[0]?.headers['x-client']), /^127\.0\.0\.9:[1-9]\d*$/)
    })

    it(
      `tells an HAProxy by ${version} the client of each request over TLS, and by v2 its SNI`,
      { skip },
      async () => {
        const seen: (string | undefined)[] = []
        await using server = await scriptedUpstream(async (connection) => {
          while (await connection.more()) {
            const { fields } = await connection.head()
            seen.push(fields.get('x-told'))
            if (fields.has('upgrade')) connection.write(SWITCHING)
            else connection.write('HTTP/1.1 204 No Content\r\n\r\n')
          }
        })
        await using behind = await startHaproxy({
          mode: 'http',
          server: server.port,
          bind: 'accept-proxy',
          lines: 'http-request set-header X-Told "%[src] %[fc_pp_authority]"',
        })
        const url = `http://127.0.0.1:${behind.port}`
        await using gateway = await startTestGateway(
          `listeners: [{ address: "127.0.0.1:0", tls: { cert: cert.pem, key: key.pem, http2: true } }]
${toEndpoint({ url }, version)}`,
          certificate,
        )
        for (const protocol of ['http/1.1', 'h2']) {
          const socket = tls.connect({
            host: '127.0.0.1',
            port: gateway.port,
            servername: 'chat.test',
            ALPNProtocols: [protocol],
            rejectUnauthorized: false,
          })
          await once(socket, 'secureConnect')
          if (protocol === 'http/1.1') {
            await using client = new RawClient(socket)
            client.write(GET)
            assert.equal((await client.head()).status, 204)
            client.write(handshake('/'))
            assert.equal((await client.head()).status, 101)
          } else {
            const session = http2.connect('https://a.test', { createConnection: () => socket })
            const request = session.request({ ':path': '/' })
            assert.deepEqual(await request.toArray(), [])
            session.destroy()
          }
        }
        const expected = version === 'v2' ? '127.0.0.1 chat.test' : '127.0.0.1'
        assert.deepEqual(
          seen.map((each) => each?.trim()),
          [expected, expected, expected],
        )
      },
    )

    it(`stands between two HAProxies, by ${version}`, { skip }, async () => {
      const requests: IncomingMessage[] = []
      await using server = await wsServer({}, (socket, request) => {
        requests.push(request)
        socket.on('message', (data) => socket.send(data))
      })
      await using behind = await startHaproxy({
        mode: 'http',
        server: server.port,
        bind: 'accept-proxy',
        lines: 'http-request set-header X-Client %[src]:%[src_port]',
      })
      const url = `http://127.0.0.1:${behind.port}`
      await using gateway = await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0", proxyProtocol: required }]
trustedProxies: ["127.0.0.1"]
${toEndpoint({ url }, version)}`,
      )
      const send = version === 'v1' ? 'send-proxy' : 'send-proxy-v2'
      await using front = await startHaproxy({ mode: 'tcp', server: gateway.port, send })
      await using client = await wsClient(`ws://127.0.0.1:${front.port}/`, [], {
        localAddress: '127.0.0.9',
      })
      client.socket.send('hello')
      assert.equal((await client.message()).data.toString(), 'hello')
      assert.match(String(requests[0]?.headers['x-client']), /^127\.0\.0\.9:[1-9]\d*$/)
    })
  }
})
