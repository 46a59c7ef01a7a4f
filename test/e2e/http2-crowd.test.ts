/** A thousand WebSockets of HTTP/2 clients on ten connections, one of which does not move. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { describe, it } from 'node:test'
import type { WebSocket } from 'ws'
import { BINARY, CLOSE, closePayload, downFrame, TEXT, upFrame } from '../relay/made-frames.ts'
import { FrameTalk } from '../support/frame-talk.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { http2Client, type Http2Client } from '../support/http2-client.ts'
import { wsServer, type WsServer } from '../support/ws-server.ts'

const CONNECTIONS = 10
/** What a connection may have. */
const STREAMS = 100
/** Messages of everybody else, from when the slow one stands still. */
const ROUNDS = 5
const FLOOD_MESSAGES = 1024
const MESSAGE_BYTES = 65_536
/** What the windows, the sockets on the way and the gateway may hold of a flood of 64 MiB. */
const HELD_BYTES_MAX = 16 * 1024 ** 2
/** What the gateway may take for it, and for the garbage of everybody else's messages. */
const GROWTH_BYTES_MAX = 48 * 1024 ** 2

/** Each with a content of its own. */
function floodMessage(index: number): Buffer {
  return Buffer.alloc(MESSAGE_BYTES, `message ${index} `)
}

/** With a key of zeros, which costs nothing. */
function floodFrame(message: Buffer): Buffer {
  const head = { length: BigInt(message.length), lengthBytes: 8, key: Buffer.alloc(4) } as const
  return Buffer.concat([upFrame(BINARY, '', head), message])
}

class Crowd implements AsyncDisposable {
  /** The first WebSocket of the first connection. */
  readonly slow: ClientHttp2Stream
  readonly slowTalk: FrameTalk
  readonly #others: readonly FrameTalk[]
  readonly #clients: readonly Http2Client[]
  #round = 0

  private constructor(
    clients: readonly Http2Client[],
    [slow, ...others]: readonly [ClientHttp2Stream, ...ClientHttp2Stream[]],
  ) {
    this.#clients = clients
    this.slow = slow
    this.slowTalk = new FrameTalk(slow)
    this.#others = others.map((stream) => new FrameTalk(stream))
  }

  static async open({ port }: GatewayProcess): Promise<Crowd> {
    const url = `http://127.0.0.1:${port}`
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => http2Client(url)))
    const streams = clients.flatMap((client) =>
      Array.from({ length: STREAMS }, (_, index) =>
        client.connect(client === clients[0] && index === 0 ? '/slow' : '/echo'),
      ),
    )
    const answered = streams.map(async (stream) => {
      const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
      assert.equal(headers[':status'], 200)
    })
    await Promise.all(answered)
    return new Crowd(clients, streams as [ClientHttp2Stream, ...ClientHttp2Stream[]])
  }

  /** Everybody but the slow one exchanges so many messages. */
  async rounds(count: number): Promise<void> {
    const first = this.#round
    this.#round += count
    const go = async (talk: FrameTalk, who: number): Promise<void> => {
      for (let round = first; round < first + count; round += 1) {
        await talk.exchange(`${who} in round ${round}`)
      }
    }
    await Promise.all(this.#others.map(go))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]()
  }
}

function echo(socket: WebSocket): void {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
}

function gatewayTo({ url }: WsServer): Promise<GatewayProcess> {
  return startGatewayProcess(`
listeners: [{ address: "127.0.0.1:0", h2c: true }]
routes: [{ name: chat, upstream: "${url}" }]`)
}

describe('one of 1,000 WebSockets on 10 connections of HTTP/2', () => {
  it('stalls nobody else when its client reads slowly, and gets everything in the end', async (test) => {
    let sent = 0
    const flood = async (socket: WebSocket): Promise<void> => {
      for (let index = 0; index < FLOOD_MESSAGES; index += 1) {
        await new Promise((resolve) => socket.send(floodMessage(index), resolve))
        sent += MESSAGE_BYTES
      }
      socket.close(1000)
    }
    await using server = await wsServer({}, (socket, { url }) => {
      if (url !== '/slow') return echo(socket)
      socket.once('message', () => void flood(socket))
    })
    await using gateway = await gatewayTo(server)
    await using crowd = await Crowd.open(gateway)
    const { slow: stream, slowTalk } = crowd
    await crowd.rounds(ROUNDS)
    const before = await gateway.peakBytes()

    assert.notEqual(stream.state.localWindowSize, 0)
    stream.write(upFrame(TEXT, 'all of it'))
    while (stream.state.localWindowSize !== 0) await crowd.rounds(1)
    await crowd.rounds(ROUNDS)
    assert.equal(stream.state.localWindowSize, 0)
    const growth = (await gateway.peakBytes()) - before
    test.diagnostic(`${sent} bytes sent, ${growth} bytes more in the gateway`)
    assert.ok(sent > 0 && sent < HELD_BYTES_MAX, `${sent} bytes`)
    assert.ok(growth < GROWTH_BYTES_MAX, `${growth} bytes`)

    const everythingComes = async (): Promise<void> => {
      for (let index = 0; index < FLOOD_MESSAGES; index += 1) {
        const message = downFrame(BINARY, floodMessage(index))
        assert.ok(message.equals(await slowTalk.bytes(message.length)), `message ${index}`)
      }
    }
    await Promise.all([everythingComes(), crowd.rounds(ROUNDS)])
    const close = downFrame(CLOSE, closePayload(1000))
    assert.deepEqual(await slowTalk.bytes(close.length), close)
    stream.end(upFrame(CLOSE, closePayload(1000)))
    const [line, ...more] = await gateway.log('tunnel close', 1)
    assert.deepEqual(more, [])
    assert.deepEqual(
      [line?.['path'], line?.['reason'], line?.['messagesDown'], line?.['wsCloseCode']],
      ['/slow', 'eof', FLOOD_MESSAGES, 1000],
    )
  })

  it('stalls nobody else when its endpoint reads slowly, and everything comes there in the end', async (test) => {
    const slow = Promise.withResolvers<WebSocket>()
    const digest = createHash('sha256')
    await using server = await wsServer({}, (socket, { url }) => {
      if (url !== '/slow') return echo(socket)
      socket.pause()
      socket.on('message', (data: Buffer) => digest.update(data))
      slow.resolve(socket)
    })
    await using gateway = await gatewayTo(server)
    await using crowd = await Crowd.open(gateway)
    const { slow: stream } = crowd
    await crowd.rounds(ROUNDS)
    const before = await gateway.peakBytes()

    let sent = 0
    const expected = createHash('sha256')
    const flooding = (async () => {
      for (let index = 0; index < FLOOD_MESSAGES; index += 1) {
        const message = floodMessage(index)
        expected.update(message)
        await new Promise((resolve) => stream.write(floodFrame(message), resolve))
        sent += MESSAGE_BYTES
      }
      stream.end(upFrame(CLOSE, closePayload(1000)))
    })()
    // What goes nowhere while everybody else has gone round stands still.
    let seen: number
    do {
      seen = sent
      await crowd.rounds(1)
    } while (sent !== seen)
    await crowd.rounds(ROUNDS)
    const growth = (await gateway.peakBytes()) - before
    test.diagnostic(`${sent} bytes taken, ${growth} bytes more in the gateway`)
    assert.ok(sent > 0 && sent < HELD_BYTES_MAX, `${sent} bytes`)
    assert.ok(growth < GROWTH_BYTES_MAX, `${growth} bytes`)

    const socket = await slow.promise
    const closed = once(socket, 'close')
    socket.resume()
    await Promise.all([flooding, crowd.rounds(ROUNDS)])
    assert.equal((await closed)[0], 1000)
    assert.equal(digest.digest('hex'), expected.digest('hex'))
    const [line, ...more] = await gateway.log('tunnel close', 1)
    assert.deepEqual(more, [])
    assert.deepEqual(
      [line?.['path'], line?.['reason'], line?.['messagesUp'], line?.['wsCloseCode']],
      ['/slow', 'eof', FLOOD_MESSAGES, 1000],
    )
  })
})
