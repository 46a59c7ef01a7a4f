import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { capsule, datagram, proxyUdp, readDatagram } from '../support/capsules.ts'
import { startTestGateway } from '../support/gateway.ts'
import { kubernetesApi } from '../support/kubernetes-api.ts'
import { findProgram, runProgram, type Exit } from '../support/programs.ts'
import {
  handshake,
  rawClient,
  SWITCHING,
  WEBSOCKET_KEY,
  type RawClient,
} from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { wsClient } from '../support/ws-server.ts'

/** Written in pieces of all sizes, each in a packet of its own if the kernel likes. */
function writeInPieces(socket: Socket, bytes: Buffer): void {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 3) % 70_001) {
    socket.write(bytes.subarray(at, at + size))
  }
}

async function readAll(socket: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function answerTo(token: string): string {
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\n`
}

function asking(method: string, target: string, token: string, lines: readonly string[]): string {
  return [
    `${method} ${target} HTTP/1.1`,
    'Host: gateway.test',
    'Connection: Upgrade',
    `Upgrade: ${token}`,
    ...lines,
    '\r\n',
  ].join('\r\n')
}

/** Random, and so no valid frame of any of the protocols: whoever looked into one would stumble. */
const NOISE = randomBytes(1_000_003)

interface Kind {
  readonly name: string
  readonly token: string
  readonly request: string
  readonly answer: string
}

const kinds: readonly Kind[] = [
  {
    name: 'the tcp of docker, a POST with a body',
    token: 'tcp',
    request: `${asking('POST', '/v1.47/exec/1/start', 'tcp', ['Content-Length: 13'])}{"Tty":false}`,
    answer: answerTo('tcp').replace('Switching Protocols', 'UPGRADED'),
  },
  {
    name: 'the SPDY/3.1 of kubectl',
    token: 'SPDY/3.1',
    request: asking('POST', '/api/v1/namespaces/default/pods/web/exec?command=sh', 'SPDY/3.1', [
      'X-Stream-Protocol-Version: v4.channel.k8s.io',
      'X-Stream-Protocol-Version: v3.channel.k8s.io',
      'Content-Length: 0',
    ]),
    answer: answerTo('SPDY/3.1'),
  },
  {
    name: 'connect-udp',
    token: 'connect-udp',
    request: asking('GET', '/.well-known/masque/udp/192.0.2.6/443/', 'connect-udp', [
      'Capsule-Protocol: ?1',
    ]),
    answer: answerTo('connect-udp'),
  },
  {
    name: 'TLS/1.2',
    token: 'TLS/1.2',
    request: asking('OPTIONS', '*', 'TLS/1.2', []),
    answer: answerTo('TLS/1.2'),
  },
  {
    name: 'TLS/1.2, to a server that answers as CUPS and RFC 2817 do',
    token: 'TLS/1.2',
    request: asking('GET', '/', 'TLS/1.2,TLS/1.1,TLS/1.0', []),
    answer: answerTo('TLS/1.2,TLS/1.1,TLS/1.0, HTTP/1.1\r\nContent-Length: 0'),
  },
  {
    name: 'h2c',
    token: 'h2c',
    request: asking('GET', '/', 'h2c', ['HTTP2-Settings: AAMAAABk']),
    answer: answerTo('h2c'),
  },
  {
    name: 'a protocol that nobody knows',
    token: 'x-own/7',
    request: asking('PATCH', '/', 'x-own/7', []),
    answer: answerTo('x-own/7'),
  },
]

describe('the bytes of other upgrades', () => {
  for (const { name, token, request, answer } of kinds) {
    it(`pass as they are, each way, for ${name}; and each end by itself`, async () => {
      const up = Promise.withResolvers<Buffer>()
      await using upstream = await scriptedUpstream(async (connection) => {
        const { fields } = await connection.head()
        await connection.bytes(Number(fields.get('content-length') ?? 0))
        // In one packet with the 101, as servers do that speak first.
        connection.write(Buffer.concat([Buffer.from(answer), NOISE.subarray(0, 1000)]))
        const socket = connection.release()
        up.resolve(await readAll(socket))
        // The client has ended already.
        writeInPieces(socket, NOISE.subarray(1000))
        socket.end()
      })
      await using gateway = await startTestGateway(
        `routes: [{ upgrade: ["${token}"], upstream: "${upstream.url}" }]`,
      )
      await using client = await rawClient(gateway.port)
      client.write(request)
      const { statusLine, fields } = await client.head()
      assert.equal(`${statusLine}\r\n`, answer.slice(0, answer.indexOf('\n') + 1))
      assert.equal(`Upgrade: ${fields.get('upgrade')}`, /^Upgrade: .*$/m.exec(answer)?.[0])
      const socket = client.release()
      writeInPieces(socket, NOISE)
      socket.end()
      assert.ok((await up.promise).equals(NOISE))
      assert.ok((await readAll(socket)).equals(NOISE))
      const close = await gateway.log('tunnel close', { protocol: token.toLowerCase() })
      assert.deepEqual(
        [close['reason'], close['bytesUp'], close['bytesDown']],
        ['eof', NOISE.length, NOISE.length],
      )
    })
  }
})

describe('TLS/1.2 by RFC 2817', () => {
  const pem = (name: string): Buffer =>
    readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url))
  const identity = { cert: pem('cert'), key: pem('key') }

  /** After the 101 both sides are the tunnel's; the server asks for a certificate of the same authority. */
  async function secured(connection: RawClient): Promise<void> {
    await connection.head()
    connection.write(answerTo('TLS/1.2'))
    const socket = new tls.TLSSocket(connection.release(), {
      ...identity,
      isServer: true,
      ca: pem('ca'),
      requestCert: true,
      rejectUnauthorized: true,
    })
    socket.on('error', () => {})
    socket.pipe(socket)
  }

  for (const [method, target] of [
    ['GET', '/printers'],
    ['OPTIONS', '*'],
  ] as const) {
    it(`lets client and upstream check each other's certificate through the tunnel of ${method} ${target}`, async () => {
      await using upstream = await scriptedUpstream(secured)
      await using gateway = await startTestGateway(
        `routes: [{ upgrade: [TLS/1.2], upstream: "${upstream.url}" }]`,
      )
      await using client = await rawClient(gateway.port)
      client.write(asking(method, target, 'TLS/1.2', []))
      assert.equal((await client.head()).fields.get('upgrade'), 'TLS/1.2')
      const socket = tls.connect({
        ...identity,
        socket: client.release(),
        ca: pem('ca'),
        servername: 'localhost',
      })
      await once(socket, 'secureConnect')
      assert.ok(socket.authorized)
      writeInPieces(socket, NOISE)
      socket.end()
      assert.ok((await readAll(socket)).equals(NOISE))
      const close = await gateway.log('tunnel close', { protocol: 'tls/1.2', reason: 'eof' })
      assert.ok(Number(close['bytesUp']) > NOISE.length)
    })
  }

  it("shows the client the upstream's certificate and no other", async () => {
    await using upstream = await scriptedUpstream(secured)
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [TLS/1.2], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(asking('GET', '/', 'TLS/1.2', []))
    await client.head()
    const socket = tls.connect({
      ...identity,
      socket: client.release(),
      ca: pem('other-ca'),
      servername: 'localhost',
    })
    const [error] = (await once(socket, 'error').catch((thrown: unknown) => [thrown])) as [
      NodeJS.ErrnoException,
    ]
    assert.match(error.code ?? '', /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED|UNABLE_TO_GET/)
  })
})

describe('connect-udp', () => {
  it('carries capsules both ways between a client and a UDP socket', async () => {
    const echo = dgram.createSocket('udp4')
    echo.on('message', (payload, { port }) => echo.send(payload, port, '127.0.0.1'))
    echo.bind(0, '127.0.0.1')
    await once(echo, 'listening')
    const { port } = echo.address()
    await using upstream = await scriptedUpstream(proxyUdp)
    await using gateway = await startTestGateway(
      `routes: [{ match: { path: /.well-known/masque }, upgrade: [connect-udp], upstream: "${upstream.url}" }]`,
    )
    await using client = await rawClient(gateway.port)
    client.write(
      asking('GET', `/.well-known/masque/udp/127.0.0.1/${port}/`, 'connect-udp', [
        'Capsule-Protocol: ?1',
      ]),
    )
    const { status, fields } = await client.head()
    assert.deepEqual([status, fields.get('capsule-protocol')], [101, '?1'])
    for (const size of [0, 1, 62, 63, 1200, 16_383, 40_000]) {
      const payload = randomBytes(size)
      // A capsule of an extension that this proxy does not know goes before it.
      client.write(Buffer.concat([capsule(0x2b, randomBytes(100)), datagram(payload)]))
      assert.deepEqual(await readDatagram(client), payload)
    }
    client.socket.end()
    assert.equal(await client.rest(), '')
    await gateway.log('tunnel close', { protocol: 'connect-udp', reason: 'eof' })
    echo.close()
  })
})

describe('kubectl exec through the gateway', () => {
  const kubectl = findProgram('kubectl', 'kubernetes-client')

  /** Whether it speaks WebSocket unless told otherwise: from 1.31 on. Debian's is 1.20. */
  function speaksWebSocket(): boolean {
    if (kubectl.skip !== false) return false
    const args = ['version', '--client', '-o', 'json']
    const { stdout } = spawnSync(kubectl.path, args, { encoding: 'utf8' })
    return Number(/"minor": "(\d+)/.exec(stdout)?.[1]) >= 31
  }

  const forWebSocket =
    kubectl.skip || (speaksWebSocket() ? false : 'this kubectl speaks SPDY alone')

  async function exec(
    port: number,
    speech: 'websocket' | 'spdy',
    args: readonly string[],
    input: Buffer | string,
  ): Promise<Exit> {
    const home = await mkdtemp(join(tmpdir(), 'upgate-kubectl-'))
    const exit = await runProgram(
      kubectl.path,
      ['--server', `http://127.0.0.1:${port}`, 'exec', '-i', 'web', '--', ...args],
      {
        input,
        env: {
          HOME: home,
          KUBECONFIG: '/dev/null',
          KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(speech === 'websocket'),
        },
      },
    )
    await rm(home, { recursive: true })
    return exit
  }

  /** What every way of exec has to bring: output that follows the end of the input, both outputs, and the exit code. */
  async function assertExecs(port: number, speech: 'websocket' | 'spdy'): Promise<void> {
    const input = `${randomBytes(150_000).toString('hex')}\n`
    const whole = await exec(port, speech, ['cat'], input)
    assert.deepEqual([whole.code, whole.stderr], [0, ''])
    assert.ok(whole.stdout === input)
    const failing = await exec(port, speech, ['cat', '7'], 'the input')
    assert.deepEqual([failing.code, failing.stdout], [7, 'the input'])
    assert.match(failing.stderr, /^wrong$/m)
  }

  it('brings input, outputs and exit code by SPDY/3.1', { skip: kubectl.skip }, async () => {
    await using api = await kubernetesApi()
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [SPDY/3.1], upstream: "${api.url}" }]`,
    )
    await assertExecs(gateway.port, 'spdy')
    assert.match(api.execs.join('\n'), /^POST SPDY\/3\.1 .*\bv4\.channel\.k8s\.io, /)
    await gateway.log('tunnel close', { protocol: 'spdy/3.1', method: 'POST', reason: 'eof' })
  })

  it('brings them by the WebSocket subprotocol v5', { skip: forWebSocket }, async () => {
    await using api = await kubernetesApi()
    await using gateway = await startTestGateway(`routes: [{ upstream: "${api.url}" }]`)
    await assertExecs(gateway.port, 'websocket')
    assert.match(api.execs.join('\n'), /^GET websocket v5\.channel\.k8s\.io/)
    await gateway.log('tunnel close', { protocol: 'websocket', wsCloseCode: 1000 })
  })

  it('falls back to SPDY/3.1 where a route allows that alone', { skip: forWebSocket }, async () => {
    await using api = await kubernetesApi()
    await using gateway = await startTestGateway(
      `routes: [{ upgrade: [SPDY/3.1], upstream: "${api.url}" }]`,
    )
    await assertExecs(gateway.port, 'websocket')
    assert.doesNotMatch(api.execs.join('\n'), /websocket/)
  })
})

describe('the WebSocket subprotocols of Kubernetes', () => {
  const path =
    '/api/v1/namespaces/default/pods/web/exec?command=cat&stdin=true&stdout=true&stderr=true'

  it('ends the input of a v5 client by the close channel, and its output still comes', async () => {
    await using api = await kubernetesApi()
    await using gateway = await startTestGateway(`routes: [{ upstream: "${api.url}" }]`)
    const offered = ['v5.channel.k8s.io', 'v4.channel.k8s.io']
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}${path}`, offered)
    assert.equal(client.socket.protocol, 'v5.channel.k8s.io')
    client.socket.send(Buffer.from([0, 0xff, 0x00, 0x81]))
    client.socket.send(Buffer.from([255, 0]))
    assert.deepEqual((await client.message()).data, Buffer.from([1, 0xff, 0x00, 0x81]))
    const status = await client.message()
    assert.ok(status.isBinary)
    assert.equal(status.data.toString(), '\u0003{"metadata":{},"status":"Success"}')
    assert.equal((await client.closed()).code, 1000)
    const close = await gateway.log('tunnel close', { wsCloseCode: 1000, wsCloseBy: 'upstream' })
    assert.deepEqual([close['messagesUp'], close['messagesDown']], [2, 2])
  })

  for (const protocol of ['v4.channel.k8s.io', 'v5.channel.k8s.io', 'base64.channel.k8s.io']) {
    it(`passes every byte of ${protocol}, masks and all`, async () => {
      const up = Buffer.concat([
        maskedFrame(2, Buffer.concat([Buffer.from([0]), randomBytes(70_000)])),
        maskedFrame(2, Buffer.from([4, ...Buffer.from('{"Width":80,"Height":24}')])),
        maskedFrame(2, Buffer.from([255, 0])),
        maskedFrame(2, Buffer.alloc(0)),
      ])
      const down = Buffer.concat([
        frame(2, Buffer.from([1])),
        frame(2, Buffer.concat([Buffer.from([1]), randomBytes(70_000)])),
        frame(2, Buffer.from([255, 1])),
        frame(2, Buffer.from([3, ...Buffer.from('{"status":"Success"}')])),
      ])
      await using upstream = await scriptedUpstream(async (connection) => {
        const { fields } = await connection.head()
        assert.equal(fields.get('sec-websocket-protocol'), protocol)
        connection.write(SWITCHING.replace(/\r\n$/, `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`))
        const received = await connection.bytes(up.length)
        assert.ok(Buffer.from(received, 'latin1').equals(up))
        writeInPieces(connection.socket, down)
      })
      await using gateway = await startTestGateway(`routes: [{ upstream: "${upstream.url}" }]`)
      await using client = await rawClient(gateway.port)
      client.write(handshake(path, [`Sec-WebSocket-Protocol: ${protocol}`]))
      const head = await client.head()
      assert.equal(head.fields.get('sec-websocket-protocol'), protocol)
      writeInPieces(client.socket, up)
      const received = await client.bytes(down.length)
      assert.ok(Buffer.from(received, 'latin1').equals(down))
    })
  }
})

/** RFC 6455 5.2 */
function frame(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([frameHead(opcode, payload.length, 0), payload])
}

function maskedFrame(opcode: number, payload: Buffer): Buffer {
  const mask = Buffer.from(WEBSOCKET_KEY.slice(0, 4))
  const masked = payload.map((byte, index) => byte ^ (mask[index % 4] as number))
  return Buffer.concat([frameHead(opcode, payload.length, 0x80), mask, masked])
}

function frameHead(opcode: number, length: number, maskBit: number): Buffer {
  if (length < 126) return Buffer.from([0x80 | opcode, maskBit | length])
  const head = Buffer.alloc(10)
  head[0] = 0x80 | opcode
  head[1] = maskBit | 127
  head.writeBigUInt64BE(BigInt(length), 2)
  return head
}
