import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, it } from 'node:test'
import { WebSocket as WsWebSocket } from 'ws'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { findPython, runProgram } from '../support/programs.ts'
import { handshake, rawClient, SWITCHING } from '../support/raw-client.ts'
import { scriptedUpstream } from '../support/scripted-upstream.ts'
import { WsClient, wsClient, wsServer } from '../support/ws-server.ts'

const LARGE_BYTES = 16 * 1024 * 1024

/** Every code that the `ws` package lets a program send: those of RFC 6455 7.4 and IANA's, and the ends of the open ranges. */
const SENDABLE_CODES = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
]

function digest(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function through(upstreamUrl: string): Promise<TestGateway> {
  return startTestGateway(`routes: [{ upstream: "${upstreamUrl}" }]`)
}

/** A masked close frame, as clients send it. */
function maskedClose(code: number): Buffer {
  const mask = Buffer.of(1, 2, 3, 4)
  return Buffer.of(0x88, 0x82, ...mask, (code >> 8) ^ 1, (code & 0xff) ^ 2)
}

/** A close frame as servers send it. */
function plainClose(code: number): Buffer {
  return Buffer.of(0x88, 0x02, code >> 8, code & 0xff)
}

describe('ws through the gateway', () => {
  it('negotiates permessage-deflate between the ends and carries compressed messages', async () => {
    await using server = await wsServer({ perMessageDeflate: { threshold: 0 } })
    await using gateway = await through(server.url)
    const text = 'compress me '.repeat(20_000)
    {
      await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`, [], {
        perMessageDeflate: { threshold: 0 },
      })
      assert.match(client.socket.extensions, /^permessage-deflate/)
      client.socket.send(text)
      const { data, isBinary } = await client.message()
      assert.equal(data.toString(), text)
      assert.equal(isBinary, false)
      client.socket.close(1000)
      await client.closed()
    }
    const close = await gateway.log('tunnel close')
    for (const bytes of [close['bytesUp'], close['bytesDown']]) {
      assert.ok((bytes as number) < text.length / 10, `${String(bytes)} bytes are not compressed`)
    }
  })

  it('lets the server choose among the subprotocols of the client', async () => {
    await using server = await wsServer({ handleProtocols: () => 'v2.chat' })
    await using gateway = await through(server.url)
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`, ['v1.chat', 'v2.chat'])
    assert.equal(client.socket.protocol, 'v2.chat')
  })

  it('carries 16 MiB messages both ways at the same time, unchanged', async () => {
    const up = randomBytes(LARGE_BYTES)
    const down = randomBytes(LARGE_BYTES)
    const received = Promise.withResolvers<Buffer>()
    await using server = await wsServer({ perMessageDeflate: false }, (socket) => {
      socket.send(down)
      socket.on('message', (data) => received.resolve(data as Buffer))
    })
    await using gateway = await through(server.url)
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    client.socket.send(up)
    assert.equal(digest((await client.message()).data), digest(down))
    assert.equal(digest(await received.promise), digest(up))
  })

  it('carries fragmented messages with control frames between the fragments', async () => {
    await using server = await wsServer({ perMessageDeflate: false }, (socket) => {
      socket.on('message', (data) => {
        for (const byte of data as Buffer) {
          socket.send(Buffer.of(byte), { fin: false })
          socket.ping()
        }
        socket.send('', { fin: true })
      })
    })
    await using gateway = await through(server.url)
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    client.socket.send('in ', { fin: false })
    client.socket.ping()
    client.socket.send('three ', { fin: false })
    client.socket.send('parts', { fin: true })
    assert.equal((await client.message()).data.toString(), 'in three parts')
  })

  it('carries pings and pongs of both ends with their payload', async () => {
    const pongs = Promise.withResolvers<Buffer>()
    await using server = await wsServer({}, (socket) => {
      socket.on('pong', (data) => pongs.resolve(data))
      socket.ping('from upstream')
    })
    await using gateway = await through(server.url)
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    const pong = once(client.socket, 'pong')
    client.socket.ping('from client')
    assert.equal(String((await pong)[0]), 'from client')
    assert.equal((await pongs.promise).toString(), 'from upstream')
  })

  it('shows the same close code and reason at both ends when the client closes', async () => {
    let report = Promise.withResolvers<unknown>()
    await using server = await wsServer({}, (socket) => {
      socket.on('close', (code, reason) => report.resolve([code, reason.toString()]))
    })
    await using gateway = await through(server.url)
    for (const code of SENDABLE_CODES) {
      report = Promise.withResolvers()
      await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
      client.socket.close(code, `bye ${code}`)
      assert.deepEqual(await report.promise, [code, `bye ${code}`])
      assert.deepEqual(await client.closed(), { code, reason: `bye ${code}` })
    }
  })

  it('shows the same close code and reason at both ends when the upstream closes', async () => {
    let report = Promise.withResolvers<unknown>()
    await using server = await wsServer({}, (socket, request) => {
      socket.on('close', (code, reason) => report.resolve([code, reason.toString()]))
      const code = Number((request.url ?? '').slice(1))
      socket.close(code, `bye ${code}`)
    })
    await using gateway = await through(server.url)
    for (const code of SENDABLE_CODES) {
      report = Promise.withResolvers()
      await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/${code}`)
      assert.deepEqual(await client.closed(), { code, reason: `bye ${code}` })
      assert.deepEqual(await report.promise, [code, `bye ${code}`])
    }
  })

  it('shows a close without a code as 1005 at both ends', async () => {
    const report = Promise.withResolvers<number>()
    await using server = await wsServer({}, (socket) => {
      socket.on('close', (code) => report.resolve(code))
    })
    await using gateway = await through(server.url)
    await using client = await wsClient(`ws://127.0.0.1:${gateway.port}/`)
    client.socket.close()
    assert.equal(await report.promise, 1005)
    assert.equal((await client.closed()).code, 1005)
  })

  it('delivers a close frame behind 8 MiB that are still on their way when the upstream leaves', async () => {
    await using server = await wsServer({ perMessageDeflate: false }, (socket) => {
      socket.send(randomBytes(8 * 1024 * 1024))
      socket.close(4001, 'after all of it')
      // The upstream does not wait for the answer to its close frame.
      ;(socket as WsWebSocket & { _socket: { end(): void } })._socket.end()
    })
    await using gateway = await through(server.url)
    const socket = new WsWebSocket(`ws://127.0.0.1:${gateway.port}/`)
    await using client = new WsClient(socket)
    await once(socket, 'open')
    // By now more is under way than the buffers on the path hold.
    socket.pause()
    await gateway.log('tunnel open')
    await gateway.metrics()
    socket.resume()
    assert.equal((await client.message()).data.length, 8 * 1024 * 1024)
    assert.deepEqual(await client.closed(), { code: 4001, reason: 'after all of it' })
  })

  it('shows 1006 only where the upstream ends without a close frame', async () => {
    await using server = await wsServer({}, (socket) => socket.terminate())
    await using gateway = await through(server.url)
    const socket = new WsWebSocket(`ws://127.0.0.1:${gateway.port}/`)
    await using client = new WsClient(socket)
    assert.equal((await client.closed()).code, 1006)
  })
})

describe('raw close frames through the gateway', () => {
  const CODES = Array.from({ length: 4000 }, (_, index) => 1000 + index)
  const AT_ONCE = 50

  it('passes every code from 1000 to 4999 on unchanged, both ways', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head()
      connection.write(SWITCHING)
      const frame = Buffer.from(await connection.bytes(8), 'latin1')
      const code = ((frame[6]! ^ 1) << 8) | (frame[7]! ^ 2)
      assert.deepEqual(frame, maskedClose(code))
      connection.write(plainClose(5999 - code))
      assert.equal(await connection.rest(), '')
      connection.socket.end()
    })
    await using gateway = await through(upstream.url)
    const exchange = async (code: number): Promise<void> => {
      await using client = await rawClient(gateway.port)
      client.write(handshake())
      assert.equal((await client.head()).status, 101)
      client.write(maskedClose(code))
      client.socket.end()
      assert.deepEqual(Buffer.from(await client.rest(), 'latin1'), plainClose(5999 - code))
    }
    const queue = CODES.values()
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const code of queue) await exchange(code)
      }),
    )
    assert.equal(upstream.connections, CODES.length)
  })
})

describe("Node's own WebSocket through the gateway", () => {
  it('exchanges text and bytes and sees the code of the close', async () => {
    await using server = await wsServer({ handleProtocols: () => 'chat' }, (socket) => {
      socket.on('message', (data, isBinary) => {
        if ((data as Buffer).toString() === 'leave') socket.close(4002, 'as you wish')
        else socket.send(data, { binary: isBinary })
      })
    })
    await using gateway = await through(server.url)
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, ['chat', 'other'])
    socket.binaryType = 'arraybuffer'
    await once(socket, 'open')
    assert.equal(socket.protocol, 'chat')
    for (const message of ['text', new Uint8Array([0, 255, 7])]) {
      socket.send(message)
      const [event] = (await once(socket, 'message')) as [MessageEvent]
      const data = event.data as string | ArrayBuffer
      const echoed = typeof data === 'string' ? data : new Uint8Array(data)
      assert.deepEqual(echoed, message)
    }
    socket.send('leave')
    const [event] = (await once(socket, 'close')) as [CloseEvent]
    assert.deepEqual([event.code, event.reason, event.wasClean], [4002, 'as you wish', true])
  })
})

describe("Python's websockets through the gateway", () => {
  const python = findPython('websockets', 'python3-websockets')
  const script = fileURLToPath(new URL('../fixtures/e2e/websocket_client.py', import.meta.url))

  it(
    'exchanges text, bytes, fragments and pings and closes in order',
    { skip: python.skip },
    async () => {
      const report = Promise.withResolvers<unknown>()
      await using server = await wsServer({ handleProtocols: () => 'v2' }, (socket) => {
        socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
        socket.on('close', (code, reason) => report.resolve([code, reason.toString()]))
      })
      await using gateway = await through(server.url)
      const exit = await runProgram(python.path, [script, `ws://127.0.0.1:${gateway.port}/chat`])
      assert.equal(exit.code, 0, exit.stderr)
      assert.deepEqual(JSON.parse(exit.stdout), {
        subprotocol: 'v2',
        text: 'grüße',
        bytes: [0, 1, 255],
        fragments: 'one two three',
        large: 1_000_000,
        pong: true,
      })
      assert.deepEqual(await report.promise, [4003, 'done'])
      const close = await gateway.log('tunnel close')
      assert.equal(close['reason'], 'eof')
    },
  )
})
