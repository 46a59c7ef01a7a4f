import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it, mock } from 'node:test'
import type { Refusal } from '../../src/errors.ts'
import { Http2Connection, type Http2Handlers } from '../../src/listen/http2-connection.ts'
import type { StreamSocket } from '../../src/listen/stream-socket.ts'
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  fieldBlock,
  frame,
  FramePeer,
  get,
  GOAWAY,
  HEADERS,
  PING,
  PREFACE,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  uint32,
  WINDOW_UPDATE,
} from '../support/http2-frames.ts'
import { socketPair, type SocketPair } from '../support/socket-pair.ts'

const NO_ERROR = 0
const PROTOCOL_ERROR = 1
const CANCEL = 8
const ANY_STREAM = 2 ** 31 - 1
const LIMITS = { headBytesMax: 16_384, headTimeoutMs: 10_000, keepAliveTimeoutMs: 20_000 }

interface Connected extends AsyncDisposable {
  readonly pair: SocketPair
  readonly peer: FramePeer
  readonly connection: Http2Connection
  readonly requests: StreamSocket[]
  readonly refused: Refusal[]
  readonly broken: Refusal[]
}

/** A connection of which the client has said nothing yet, with the handlers that it tells. */
async function accepted(handlers: Partial<Http2Handlers> = {}): Promise<Connected> {
  const pair = await socketPair()
  pair.peer.allowHalfOpen = false
  for (const end of [pair.peer, pair.socket]) end.setNoDelay()
  const requests: StreamSocket[] = []
  const refused: Refusal[] = []
  const broken: Refusal[] = []
  const connection = new Http2Connection(pair.socket, 65_536, {
    limits: () => LIMITS,
    servesWebSocket: () => false,
    onRequest: (socket) => requests.push(socket.resume()),
    onRefused: (refusal, socket) => {
      refused.push(refusal)
      socket.end('HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n')
    },
    onBroken: (refusal) => broken.push(refusal),
    ...handlers,
  })
  const closed = new Promise<void>((resolve) => connection.onceClosed(resolve))
  const peer = new FramePeer(pair.peer)
  return {
    pair,
    peer,
    connection,
    requests,
    refused,
    broken,
    async [Symbol.asyncDispose]() {
      connection.destroy()
      await pair[Symbol.asyncDispose]()
      await closed
    },
  }
}

/** The same, with its settings behind it. */
async function connected(handlers: Partial<Http2Handlers> = {}): Promise<Connected> {
  const one = await accepted(handlers)
  one.peer.write(PREFACE, frame(SETTINGS, 0, 0))
  await one.peer.find(({ type, flags }) => type === SETTINGS && flags === ACK)
  one.peer.write(frame(SETTINGS, ACK, 0))
  return one
}

function ask(stream: number, ...more: (readonly [string, string])[]): Buffer {
  return frame(HEADERS, END_HEADERS | END_STREAM, stream, get('/', ...more))
}

/** Waits until the connection has read all that its client has sent so far. */
async function roundTrip({ peer }: Connected): Promise<void> {
  const isPong = (one: { type: number; flags: number }): boolean =>
    one.type === PING && one.flags === ACK
  const pongs = peer.frames.filter(isPong).length
  peer.write(frame(PING, 0, 0, Buffer.alloc(8)))
  await peer.count(isPong, pongs + 1)
}

function goneAways({ peer }: Connected): [lastStream: number, code: number][] {
  return peer.frames
    .filter(({ type }) => type === GOAWAY)
    .map(({ payload }) => [payload.readUInt32BE(0), payload.readUInt32BE(4)])
}

/** Time stands still for timers that are made from now on. */
function stopTime(): Disposable & { tick(ms: number): void } {
  mock.timers.enable({ apis: ['setTimeout'] })
  return {
    tick: (ms) => mock.timers.tick(ms),
    [Symbol.dispose]: () => mock.timers.reset(),
  }
}

describe('a connection of HTTP/2', () => {
  it('tells what it takes in its settings', async () => {
    for (const serves of [false, true]) {
      await using one = await connected({ servesWebSocket: () => serves })
      const [first] = one.peer.frames
      const settings = new Map<number, number>()
      for (let at = 0; at < (first?.payload.length ?? 0); at += 6) {
        settings.set(first?.payload.readUInt16BE(at) ?? 0, first?.payload.readUInt32BE(at + 2) ?? 0)
      }
      assert.equal(settings.get(3), 100)
      assert.equal(settings.get(4), 262_144)
      assert.equal(settings.get(8) ?? 0, serves ? 1 : 0)
    }
  })

  it('has a socket for each request, and a refusal for those that are none', async () => {
    await using one = await connected({ limits: () => ({ ...LIMITS, headBytesMax: 500 }) })
    one.peer.write(
      ask(1),
      ask(3, ['x-large', 'x'.repeat(500)]),
      frame(
        HEADERS,
        END_HEADERS,
        5,
        fieldBlock([
          [':method', 'CONNECT'],
          [':authority', 'a:1'],
        ]),
      ),
      ask(7, ['connection', 'close']),
      frame(HEADERS, END_HEADERS | END_STREAM, 9, get('/a b')),
    )
    assert.equal(await one.peer.resetOf(9), PROTOCOL_ERROR)
    assert.equal(await one.peer.resetOf(7), PROTOCOL_ERROR)
    assert.equal(one.requests.length, 1)
    assert.deepEqual(
      one.refused.map(({ code }) => code),
      ['E_HEAD_TOO_LARGE', 'E_METHOD_DENIED'],
    )
    assert.deepEqual(one.broken, [])
  })

  for (const { name, apart } of [
    { name: 'behind their heads', apart: true },
    { name: 'in one read with their heads', apart: false },
  ]) {
    it(`is ended for more resets than a browser has, ${name}`, async () => {
      await using one = await connected()
      for (let first = 1; one.broken.length === 0 && first < 600; first += 20) {
        const streams = Array.from({ length: 10 }, (_, index) => first + 2 * index)
        const resets = streams.map((stream) => frame(RST_STREAM, 0, stream, uint32(CANCEL)))
        if (apart) {
          one.peer.write(...streams.map((stream) => ask(stream)))
          await roundTrip(one)
          one.peer.write(...resets)
        } else {
          one.peer.write(
            ...streams.flatMap((stream, index) => [ask(stream), resets[index] as Buffer]),
          )
        }
        await roundTrip(one)
      }
      assert.equal(await one.peer.goneAway(), ENHANCE_YOUR_CALM)
      assert.deepEqual(
        one.broken.map(({ code, details }) => [code, details.cause]),
        [['E_HTTP2_FLOOD', 'reset streams']],
      )
      assert.ok(one.requests.length >= 200 && one.requests.length <= 230)
    })
  }

  it('is ended for more PINGs and SETTINGS than anybody needs', async () => {
    for (const flood of [frame(PING, 0, 0, Buffer.alloc(8)), frame(SETTINGS, 0, 0)]) {
      await using one = await connected()
      one.peer.write(...Array.from({ length: 150 }, () => flood))
      await roundTrip(one)
      assert.equal(one.broken.length, 0)
      one.peer.write(...Array.from({ length: 150 }, () => flood))
      assert.equal(await one.peer.goneAway(), ENHANCE_YOUR_CALM)
      assert.deepEqual(
        one.broken.map(({ details }) => details.cause),
        ['PING and SETTINGS'],
      )
    }
  })

  it('lives on when a body is longer than its content-length, and resets that stream', async () => {
    await using one = await connected()
    const post = fieldBlock([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':authority', 'gateway.test'],
      [':path', '/'],
      ['content-length', '3'],
    ])
    for (const [stream, ended] of [
      [1, END_STREAM],
      [3, 0],
    ] as const) {
      one.peer.write(frame(HEADERS, END_HEADERS, stream, post))
      one.peer.write(frame(DATA, ended, stream, Buffer.from('four')))
      assert.equal(await one.peer.resetOf(stream), PROTOCOL_ERROR)
    }
    await roundTrip(one)
    assert.deepEqual([goneAways(one), one.broken], [[], []])
  })

  it('is ended by what breaks the rules of the whole connection (CVE-2025-8671)', async () => {
    for (const wrong of [
      frame(WINDOW_UPDATE, 0, 1, uint32(0)),
      frame(WINDOW_UPDATE, 0, 1, uint32(2 ** 31 - 1)),
      frame(WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1)),
      frame(DATA, 0, 1, Buffer.from('behind the end')),
      frame(PRIORITY, 0, 1, Buffer.alloc(4)),
    ]) {
      await using one = await connected()
      one.peer.write(ask(1), wrong)
      assert.notEqual(await one.peer.goneAway(), NO_ERROR)
      await one.peer.closed
      assert.equal(one.broken[0]?.code, 'E_REQUEST_MALFORMED')
    }
  })

  it('resets a stream with blanks around a value, or a protocol without CONNECT', async () => {
    await using one = await connected({ servesWebSocket: () => true })
    one.peer.write(ask(1, ['x-a', ' b']), ask(3, ['x-a', 'b ']))
    const block = [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'gateway.test'],
      [':path', '/'],
      [':protocol', 'websocket'],
    ] as const
    one.peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 5, fieldBlock([...block])))
    for (const stream of [1, 3, 5]) assert.equal(await one.peer.resetOf(stream), PROTOCOL_ERROR)
    assert.deepEqual(goneAways(one), [])
  })

  it('tells of one that breaks the protocol, and not of one that leaves', async () => {
    await using one = await connected()
    one.peer.write(frame(HEADERS, END_HEADERS | END_STREAM, 2, get('/')))
    assert.equal(await one.peer.goneAway(), PROTOCOL_ERROR)
    one.pair.peer.end()
    await one.peer.closed
    assert.deepEqual(
      one.broken.map(({ code }) => code),
      ['E_REQUEST_MALFORMED'],
    )
    await using gone = await connected()
    const closed = new Promise<void>((resolve) => gone.connection.onceClosed(resolve))
    gone.pair.peer.resetAndDestroy()
    await closed
    assert.deepEqual(gone.broken, [])
  })

  it('closes when nothing is asked for within headTimeout, and nothing more within keepAliveTimeout', async () => {
    using time = stopTime()
    await using silent = await accepted()
    time.tick(LIMITS.headTimeoutMs)
    await silent.peer.find(({ type }) => type === GOAWAY)
    await using one = await connected()
    one.peer.write(ask(1))
    await roundTrip(one)
    // Not while a stream is open.
    time.tick(LIMITS.headTimeoutMs)
    await roundTrip(one)
    one.requests[0]?.end('HTTP/1.1 204 No\r\n\r\n')
    await one.peer.find(({ type }) => type === HEADERS)
    await roundTrip(one)
    time.tick(LIMITS.keepAliveTimeoutMs - 1)
    await roundTrip(one)
    assert.deepEqual(goneAways(one), [])
    time.tick(1)
    await one.peer.find(({ type }) => type === GOAWAY)
    assert.deepEqual(goneAways(one), [[1, NO_ERROR]])
  })

  it('is cut two seconds later when its client does not leave', async () => {
    using time = stopTime()
    await using one = await connected()
    one.pair.peer.allowHalfOpen = true
    time.tick(LIMITS.headTimeoutMs)
    await once(one.pair.peer, 'end')
    assert.equal(one.pair.socket.destroyed, false)
    time.tick(2000)
    assert.equal(one.pair.socket.destroyed, true)
  })

  it('is cut two seconds after a flood when its client reads nothing', async () => {
    using time = stopTime()
    await using one = await connected()
    one.peer.socket.pause()
    const closed = once(one.pair.socket, 'close')
    for (let round = 0; one.broken.length === 0; round += 1) {
      one.peer.write(frame(PING, 0, 0, Buffer.alloc(8)))
      await new Promise((resolve) => setImmediate(resolve))
    }
    time.tick(2000)
    await closed
  })
})

describe('the end of a connection of HTTP/2', () => {
  it('begins behind the first settings', async () => {
    await using one = await accepted()
    const gone = one.connection.goAway()
    assert.equal(one.connection.goAway(), gone)
    one.peer.write(PREFACE, frame(SETTINGS, 0, 0), ask(1))
    const ping = await one.peer.find(({ type, flags }) => type === PING && flags !== ACK)
    const [first, second] = one.peer.frames.filter(({ type }) => type !== WINDOW_UPDATE)
    assert.deepEqual([first?.type, second?.type], [SETTINGS, GOAWAY])
    one.peer.write(frame(PING, ACK, 0, ping?.payload))
    await one.peer.count(({ type }) => type === GOAWAY, 2)
    assert.deepEqual(goneAways(one), [
      [ANY_STREAM, NO_ERROR],
      [1, NO_ERROR],
    ])
    one.requests[0]?.end('HTTP/1.1 204 No\r\n\r\n')
    await gone
    await one.peer.find(({ type }) => type === HEADERS)
  })

  it('waits for a PING that nobody answers for a second, and for streams as long as they take', async () => {
    using time = stopTime()
    await using one = await connected()
    one.peer.write(ask(1))
    await roundTrip(one)
    let isGone = false
    const gone = one.connection.goAway().then(() => {
      isGone = true
    })
    await one.peer.find(({ type, flags }) => type === PING && flags !== ACK)
    time.tick(999)
    await roundTrip(one)
    assert.deepEqual(goneAways(one), [[ANY_STREAM, NO_ERROR]])
    time.tick(1)
    await one.peer.count(({ type }) => type === GOAWAY, 2)
    assert.deepEqual(goneAways(one)[1], [1, NO_ERROR])
    time.tick(60_000)
    await roundTrip(one)
    assert.equal(isGone, false)
    one.requests[0]?.end('HTTP/1.1 204 No\r\n\r\n')
    await gone
  })

  it('is there at once when the client is gone', async () => {
    await using one = await connected()
    const gone = one.connection.goAway()
    one.pair.peer.resetAndDestroy()
    await gone
    await one.connection.goAway()
    await using closed = await accepted()
    const isClosed = new Promise<void>((resolve) => closed.connection.onceClosed(resolve))
    closed.connection.destroy()
    await closed.connection.goAway()
    closed.pair.peer.end()
    closed.pair.peer.resume()
    await isClosed
  })
})
