/** The PROXY protocol of clients, by hand and with HAProxy and nginx. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { duplexPair, type Duplex } from 'node:stream'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { FrameTalk } from '../support/frame-talk.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { haproxy, startHaproxy } from '../support/haproxy.ts'
import { http2Client } from '../support/http2-client.ts'
import { startNginxStream, withNginxStream } from '../support/nginx.ts'
import { binaryHeader, SIGNATURE, typeLengthValue } from '../support/proxy-header.ts'
import { handshake, rawClient, RawClient } from '../support/raw-client.ts'
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts'
import { wsClient, wsServer } from '../support/ws-server.ts'
import { certificate, GET, LINE, told } from '../support/proxy-protocol.ts'

/** Answers with the X-Forwarded-* fields that came. */
function telling(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    while (await connection.more()) {
      const { fields } = await connection.head()
      const names = ['x-forwarded-for', 'x-forwarded-port', 'x-forwarded-proto']
      const body = names.map((name) => fields.get(name)).join(' ')
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    }
  })
}

interface Settings {
  readonly mode?: string
  readonly trusted?: string
  readonly listener?: string
  readonly route?: string
}

function yaml(
  upstream: { readonly url: string },
  { mode = 'required', trusted = '127.0.0.1', listener = '', route = '' }: Settings = {},
): string {
  return `listeners: [{ address: "127.0.0.1:0", proxyProtocol: ${mode}${listener} }]
trustedProxies: ["${trusted}"]
routes: [{ upstream: "${upstream.url}"${route} }]`
}

/** For a client that speaks over it: `header` goes out in one packet with the first that is written, or all of it by pieces. */
async function behindHeader(port: number, header: Buffer, pieces?: number): Promise<Duplex> {
  const socket = net.connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  const [own, other] = duplexPair()
  socket.pipe(other)
  const pass = async (): Promise<void> => {
    let bytes = header
    for await (const chunk of other) {
      bytes = Buffer.concat([bytes, chunk as Buffer])
      const size = pieces ?? bytes.length
      for (let at = 0; at < bytes.length; at += size) {
        socket.write(bytes.subarray(at, at + size))
        await new Promise(setImmediate)
      }
      bytes = Buffer.alloc(0)
    }
  }
  pass().catch(() => {})
  own.on('close', () => socket.destroy())
  return own
}

/** Fails unless the gateway closes the connection without an answer, and says in the log why. */
async function refused(gateway: TestGateway, bytes: string | Buffer, cause: string): Promise<void> {
  await using client = await rawClient(gateway.port)
  client.write(bytes)
  assert.equal(await client.more(), false)
  const line = await gateway.log('request', { code: 'E_PROXY_HEADER', cause })
  assert.equal(line['clientIp'], '127.0.0.1')
}

describe('a listener with proxyProtocol', () => {
  it('takes the client and the port of the header, of version 1 and 2', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(yaml(upstream))
    assert.equal(await told(gateway, LINE), '192.0.2.7 443 http')
    assert.equal(await told(gateway, binaryHeader()), '192.0.2.7 443 http')
    const values = [typeLengthValue(0xe0, 'x'.repeat(3000))]
    assert.equal(await told(gateway, binaryHeader({ values })), '192.0.2.7 443 http')
    await gateway.log('request', { clientIp: '192.0.2.7', status: 200 })
  })

  it('takes a header and a handshake that come byte by byte', async () => {
    await using server = await wsServer()
    await using gateway = await startTestGateway(yaml(server))
    await using client = await rawClient(gateway.port)
    client.socket.setNoDelay(true)
    for (const byte of Buffer.concat([binaryHeader(), Buffer.from(handshake('/slow'))])) {
      client.write(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    assert.equal((await client.head()).status, 101)
    const { clientIp } = await gateway.log('tunnel open')
    assert.equal(clientIp, '192.0.2.7')
  })

  it('keeps the client for each request of the connection, and every byte behind the header', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(yaml(upstream))
    await using client = await rawClient(gateway.port)
    client.write(LINE + GET + GET)
    assert.equal((await client.answer()).body, '192.0.2.7 443 http')
    assert.equal((await client.answer()).body, '192.0.2.7 443 http')
    client.write(GET)
    assert.equal((await client.answer()).body, '192.0.2.7 443 http')
  })

  it('believes X-Forwarded-For of a client that is a trusted proxy itself, and of no other', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "127.0.0.1:0", proxyProtocol: required }]
trustedProxies: ["127.0.0.1", "192.0.2.7"]
routes: [{ upstream: "${upstream.url}" }]`,
    )
    const request = GET.replace('\r\n\r\n', '\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n')
    assert.equal(await told(gateway, LINE, request), '203.0.113.5, 192.0.2.7 443 http')
    const other = LINE.replace('192.0.2.7', '192.0.2.8')
    assert.equal(await told(gateway, other, request), '192.0.2.8 443 http')
  })

  it('knows the peer alone where the header tells of nobody, and believes nothing that he says', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(yaml(upstream))
    const { port } = gateway
    const request = GET.replace('\r\n\r\n', '\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n')
    const unknown = ['PROXY UNKNOWN\r\n', binaryHeader({ family: 0, addresses: [] })]
    for (const bytes of unknown) {
      assert.equal(await told(gateway, bytes, request), `127.0.0.1 ${port} http`)
    }
    const own = binaryHeader({ start: 0x20, family: 0, addresses: [] })
    assert.equal(await told(gateway, own, request), `203.0.113.5, 127.0.0.1 ${port} http`)
  })

  it('holds allow lists and limits for the client of the header', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(
      yaml(upstream, { route: ', allow: ["192.0.2.7"]' }),
    )
    assert.equal(await told(gateway, LINE), '192.0.2.7 443 http')
    await using client = await rawClient(gateway.port)
    client.write(LINE.replace('192.0.2.7', '127.0.0.1') + GET)
    assert.equal((await client.head()).status, 403)
  })

  it('comes before TLS, and SNI behind it counts', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(
      yaml(upstream, { listener: ', tls: { cert: cert.pem, key: key.pem, unknownNames: refuse }' }),
      certificate,
    )
    await using raw = await rawClient(gateway.port)
    raw.write(LINE)
    const socket = tls.connect({
      socket: raw.release(),
      servername: 'localhost',
      rejectUnauthorized: false,
    })
    await once(socket, 'secureConnect')
    await using client = new RawClient(socket)
    client.write(GET)
    assert.equal((await client.answer()).body, '192.0.2.7 443 https')
  })

  for (const header of [Buffer.from(LINE), binaryHeader()]) {
    for (const pieces of [undefined, 1, 7]) {
      const how = pieces === undefined ? 'in one packet' : `by ${pieces} bytes`
      it(`comes ${how} with what is behind it: TLS, HTTP/2 in it, HTTP/2 without (${header.length} bytes)`, async () => {
        await using upstream = await telling()
        await using gateway = await startTestGateway(
          `listeners:
  - { address: "127.0.0.1:0", proxyProtocol: required, h2c: true }
  - { address: "127.0.0.1:0", proxyProtocol: required, tls: { cert: cert.pem, key: key.pem, http2: true } }
trustedProxies: ["127.0.0.1"]
routes: [{ upstream: "${upstream.url}" }]`,
          certificate,
        )
        const ports = gateway.gateway.addresses.map((address) => (address as { port: number }).port)
        const [plain = 0, secure = 0] = ports
        for (const protocol of ['http/1.1', 'h2', 'h2c']) {
          let channel = await behindHeader(protocol === 'h2c' ? plain : secure, header, pieces)
          if (protocol !== 'h2c') {
            channel = tls.connect({
              socket: channel,
              ALPNProtocols: [protocol],
              rejectUnauthorized: false,
            })
            await once(channel, 'secureConnect')
          }
          if (protocol === 'http/1.1') {
            await using client = new RawClient(channel as tls.TLSSocket)
            client.write(GET)
            assert.equal((await client.answer()).body, '192.0.2.7 443 https')
            continue
          }
          const session = http2.connect('http://a.test', { createConnection: () => channel })
          const request = session.request({ ':path': '/' }).setEncoding('utf8')
          const scheme = protocol === 'h2' ? 'https' : 'http'
          assert.equal((await request.toArray()).join(''), `192.0.2.7 443 ${scheme}`)
          session.destroy()
        }
      })
    }
  }

  it('comes once: a second one is no request', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(yaml(upstream))
    await using client = await rawClient(gateway.port)
    client.write(LINE + LINE + GET)
    assert.equal((await client.head()).status, 400)
    assert.equal(upstream.connections, 0)
  })

  it('comes before HTTP/2, and each stream has the client of it', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(yaml(upstream, { listener: ', h2c: true' }))
    for (const [header, seen] of [
      [LINE, '192.0.2.7 443 http'],
      ['PROXY UNKNOWN\r\n', `127.0.0.1 ${gateway.port} http`],
    ] as const) {
      await using raw = await rawClient(gateway.port)
      raw.write(header)
      const session = http2.connect('http://a.test', { createConnection: () => raw.release() })
      for (let stream = 0; stream < 2; stream += 1) {
        const request = session.request({ ':path': '/', 'x-forwarded-for': '203.0.113.5' })
        request.setEncoding('utf8')
        assert.equal((await request.toArray()).join(''), seen)
      }
      session.destroy()
    }
  })

  it('closes whoever sends no header where it is required, and serves him where it is not', async () => {
    await using upstream = await telling()
    await using required = await startTestGateway(yaml(upstream))
    await refused(required, GET, 'no PROXY header')
    await using optional = await startTestGateway(yaml(upstream, { mode: 'optional' }))
    assert.equal(await told(optional, ''), `127.0.0.1 ${optional.port} http`)
    assert.equal(await told(optional, LINE), '192.0.2.7 443 http')
  })

  it('takes a header from trusted proxies alone', async () => {
    await using upstream = await telling()
    const cause = 'a PROXY header from a peer that is not in trustedProxies'
    for (const mode of ['optional', 'required']) {
      await using gateway = await startTestGateway(yaml(upstream, { mode, trusted: '192.0.2.7' }))
      await refused(gateway, LINE + GET, cause)
      await refused(gateway, binaryHeader(), cause)
      if (mode === 'optional')
        assert.equal(await told(gateway, ''), `127.0.0.1 ${gateway.port} http`)
      else await refused(gateway, GET, 'no PROXY header')
    }
    assert.equal(upstream.connections, 1)
  })

  it('knows trusted proxies, and tells of others, by IPv4 at a listener for both families', async () => {
    await using upstream = await telling()
    const both = yaml(upstream).replace('127.0.0.1:0', '[::]:0')
    await using gateway = await startTestGateway(both)
    assert.equal(await told(gateway, LINE), '192.0.2.7 443 http')
    await refused(gateway, GET, 'no PROXY header')
  })

  it('takes a header over a unix socket where such peers are trusted', async () => {
    const folderOfSocket = await mkdtemp(join(tmpdir(), 'upgate-proxy-'))
    const path = join(folderOfSocket, 'listener.sock')
    await using upstream = await telling()
    await using gateway = await startTestGateway(
      `listeners: [{ address: "unix:${path}", proxyProtocol: required }]
trustedProxies: [unix]
routes: [{ upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(path)
    const request = GET.replace('\r\n\r\n', '\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n')
    client.write(LINE + request)
    assert.equal((await client.answer()).body, '192.0.2.7 443 http')
    await using hidden = await rawClient(path)
    const ofUnix = { family: 0x31, addresses: Buffer.alloc(216, 'a') }
    hidden.write(Buffer.concat([binaryHeader(ofUnix), Buffer.from(request)]))
    assert.doesNotMatch((await hidden.answer()).body, /203/)
    await gateway.log('request', { clientIp: '' })
    await rm(folderOfSocket, { recursive: true })
  })

  it('is off by default: a header is no request', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(
      `trustedProxies: ["127.0.0.1"]\nroutes: [{ upstream: "${upstream.url}" }]`,
    )
    for (const header of [LINE, binaryHeader()]) {
      await using client = await rawClient(gateway.port)
      client.write(header)
      assert.equal((await client.head()).status, 400)
    }
    assert.equal(upstream.connections, 0)
  })

  it('closes whoever sends a broken header', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(yaml(upstream, { mode: 'optional' }))
    await refused(
      gateway,
      LINE.replace('443', '65536'),
      'PROXY header: a line without two addresses and two ports',
    )
    await refused(gateway, binaryHeader({ start: 0x31 }), 'PROXY header: version 3')
    await using client = await rawClient(gateway.port)
    client.write('PROXY TCP4')
    client.socket.end()
    assert.equal(await client.more(), false)
    await gateway.log('request', { cause: 'PROXY header: it ends early' })
    assert.equal(upstream.connections, 0)
  })

  it('closes whoever takes too long for the header, and says nothing of him who said nothing', async () => {
    await using upstream = await telling()
    await using gateway = await startTestGateway(
      yaml(upstream, { listener: ', headTimeout: 100ms' }),
    )
    await refused(gateway, SIGNATURE, 'PROXY header: not whole after 100 ms')
    await using silent = await rawClient(gateway.port)
    assert.equal(await silent.more(), false)
    await using behind = await rawClient(gateway.port)
    behind.write(LINE)
    assert.equal(await behind.more(), false)
    assert.equal(gateway.logs.filter(({ msg }) => msg === 'request').length, 1)
  })

  it('changes by a reload, for connections that come then', async () => {
    await using upstream = await telling()
    const off = yaml(upstream, { mode: 'off' })
    await using gateway = await startTestGateway(off)
    const own = `127.0.0.1 ${gateway.port} http`
    await using kept = await rawClient(gateway.port)
    kept.write(GET)
    assert.equal((await kept.answer()).body, own)
    assert.equal((await gateway.reload(yaml(upstream))).ok, true)
    assert.equal(await told(gateway, LINE), '192.0.2.7 443 http')
    assert.equal(await told(gateway, binaryHeader()), '192.0.2.7 443 http')
    await refused(gateway, GET, 'no PROXY header')
    kept.write(GET)
    assert.equal((await kept.answer()).body, own)
    assert.equal((await gateway.reload(off)).ok, true)
    assert.equal(await told(gateway, ''), own)
  })

  it('is cut with the gateway while it waits for a header', async () => {
    await using upstream = await telling()
    const gateway = await startTestGateway(yaml(upstream))
    await using client = await rawClient(gateway.port)
    client.write(LINE.slice(0, 10))
    await using other = await rawClient(gateway.port)
    other.write(LINE + GET)
    await other.answer()
    await gateway[Symbol.asyncDispose]()
    assert.equal(await client.more(), false)
  })
})

describe('behind HAProxy with the PROXY protocol', () => {
  const { skip } = haproxy

  for (const send of [
    'send-proxy',
    'send-proxy-v2',
    'send-proxy-v2 proxy-v2-options crc32c,unique-id',
  ]) {
    it(`knows the clients of ${send}, and WebSockets go through`, { skip }, async () => {
      await using server = await wsServer()
      await using gateway = await startTestGateway(yaml(server))
      const lines = 'unique-id-format %[uuid()]'
      await using front = await startHaproxy({ mode: 'tcp', server: gateway.port, send, lines })
      await using client = await wsClient(`ws://127.0.0.1:${front.port}/`, [], {
        localAddress: '127.0.0.9',
      })
      const message = Buffer.alloc(1024 * 1024, 'message')
      client.socket.send(message)
      assert.deepEqual((await client.message()).data, message)
      assert.equal((await gateway.log('tunnel open'))['clientIp'], '127.0.0.9')
    })
  }
})

describe('behind nginx with proxy_protocol', () => {
  interface Behind extends AsyncDisposable {
    readonly gateway: TestGateway
    readonly port: number
    /** Of WebSockets, at the endpoint. */
    readonly requests: readonly IncomingMessage[]
  }

  /** The answer to /page is what its endpoint was told. */
  async function start(listener: string): Promise<Behind> {
    await using stack = new AsyncDisposableStack()
    const requests: IncomingMessage[] = []
    const server = stack.use(
      await wsServer({}, (socket, request) => {
        requests.push(request)
        socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
      }),
    )
    const page = stack.use(await telling())
    const gateway = stack.use(
      await startTestGateway(
        `listeners: [{ address: "127.0.0.1:0", proxyProtocol: required${listener} }]
trustedProxies: ["127.0.0.1"]
routes:
  - { match: { path: /page }, upstream: "${page.url}" }
  - { upstream: "${server.url}" }`,
        certificate,
      ),
    )
    const proxy = `proxy_pass 127.0.0.1:${gateway.port}; proxy_protocol on;`
    const { port } = stack.use(await startNginxStream(proxy))
    const moved = stack.move()
    return { gateway, port, requests, [Symbol.asyncDispose]: () => moved.disposeAsync() }
  }

  const own = { localAddress: '127.0.0.9', rejectUnauthorized: false }

  function forwardedTo(request: IncomingMessage | undefined): string {
    const names = ['x-forwarded-for', 'x-forwarded-port', 'x-forwarded-proto']
    return names.map((name) => request?.headers[name]).join(' ')
  }

  for (const { secure, listener } of [
    { secure: false, listener: '' },
    { secure: true, listener: ', tls: { cert: cert.pem, key: key.pem }' },
  ]) {
    const [ws, http] = secure ? ['wss', 'https'] : ['ws', 'http']

    it(`knows the clients of ${ws} and ${http}`, withNginxStream, async () => {
      await using behind = await start(listener)
      const { gateway, port, requests } = behind
      await using client = await wsClient(`${ws}://127.0.0.1:${port}/room`, [], own)
      const message = Buffer.alloc(1024 * 1024, 'message')
      client.socket.send(message)
      assert.deepEqual((await client.message()).data, message)
      const seen = `127.0.0.9 ${port} ${http}`
      assert.equal(forwardedTo(requests[0]), seen)
      await gateway.log('tunnel open', { path: '/room', clientIp: '127.0.0.9' })

      const to = { host: '127.0.0.1', port, ...own }
      const socket = secure ? tls.connect(to) : net.connect(to)
      await once(socket, secure ? 'secureConnect' : 'connect')
      await using raw = new RawClient(socket)
      raw.write(GET.replace('/', '/page'))
      assert.equal((await raw.answer()).body, seen)
      await gateway.log('request', { path: '/page', clientIp: '127.0.0.9' })
    })
  }

  it('knows the client of each stream of HTTP/2', withNginxStream, async () => {
    const listener = ', tls: { cert: cert.pem, key: key.pem, http2: true }'
    await using behind = await start(listener)
    const { gateway, port, requests } = behind
    await using client = await http2Client(`https://127.0.0.1:${port}`, own)
    const seen = `127.0.0.9 ${port} https`
    assert.equal((await client.ask('/page')).body.toString(), seen)
    const stream = client.connect('/room')
    await once(stream, 'response')
    await new FrameTalk(stream).exchange('through nginx')
    assert.equal(forwardedTo(requests[0]), seen)
    const line = { path: '/room', clientIp: '127.0.0.9', httpVersion: '2.0' }
    await gateway.log('tunnel open', line)
  })
})
