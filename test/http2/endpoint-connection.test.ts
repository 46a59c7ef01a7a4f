import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { describe, it, mock, type TestContext } from 'node:test'
import {
  answer,
  frameEndpoint,
  requestOn,
  setting,
  wholeAnswer,
} from '../support/frame-endpoint.ts'
import {
  ACK,
  frame,
  FramePeer,
  GOAWAY,
  PING,
  PREFACE,
  SETTINGS,
  uint32,
  WINDOW_UPDATE,
  type Frame,
} from '../support/http2-frames.ts'
import { http2Endpoint } from '../support/http2-server.ts'
import { settled } from '../support/settled.ts'
import { connect, GET, ready, TestConnection, TestStream, WEBSOCKET } from './harness.ts'

const MAX_CONCURRENT_STREAMS = 3
const ENABLE_CONNECT_PROTOCOL = 8

function isPing({ type, flags }: Frame): boolean {
  return type === PING && flags !== ACK
}

function pings({ frames }: FramePeer): number {
  return frames.filter(isPing).length
}

/** Timers and the clock are the test's until its end. */
function ownTime(context: TestContext): { tick: (ms: number) => void } {
  // Whole ones, so that sums are exact.
  let nowMs = Math.ceil(performance.now())
  mock.timers.enable({ apis: ['setTimeout'] })
  mock.method(performance, 'now', () => nowMs)
  context.after(() => {
    mock.timers.reset()
    mock.restoreAll()
  })
  return {
    tick: (ms) => {
      nowMs += ms
      mock.timers.tick(ms)
    },
  }
}

describe('EndpointConnection', () => {
  it('takes streams when the SETTINGS are there', async () => {
    await using endpoint = await frameEndpoint('silent')
    await using one = await connect(endpoint.port)
    const peer = await endpoint.next()
    await peer.find(({ type }) => type === SETTINGS)
    assert.equal(one.connection.room, 0)
    assert.equal(one.isReady, false)
    peer.write(frame(SETTINGS, 0, 0))
    await one.ready
    assert.equal(one.connection.room, 100)
    assert.equal(one.connection.takesWebSocket, false)
  })

  it('promises no pushes, and takes a window for all streams', async () => {
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    const settings = await peer.find(({ type, flags }) => type === SETTINGS && flags === 0)
    assert.match(settings?.payload.toString('hex') ?? '', /^(?:.{12})*000200000000/)
    const window = await peer.find(({ type }) => type === WINDOW_UPDATE)
    assert.equal(window?.payload.readUInt32BE(0), 16 * 1_048_576 - 65_535)
    assert.equal(one.connection.takesWebSocket, true)
  })

  it('has room for as many as it and the endpoint want', async () => {
    for (const [theirs, ours, room] of [
      [3, 100, 3],
      [100, 3, 3],
      [0xffffffff, 7, 7],
    ] as const) {
      await using endpoint = await frameEndpoint(setting(MAX_CONCURRENT_STREAMS, theirs))
      await using one = await ready(endpoint.port, ours)
      assert.equal(one.connection.capacity, room)
      assert.equal(one.connection.room, room)
      const stream = new TestStream(one.connection)
      assert.equal(one.connection.room, room - 1)
      assert.equal(one.connection.isUnused, false)
      stream.stream.destroy()
      await stream.closed
      assert.equal(one.connection.room, room)
      assert.equal(one.connection.isUnused, true)
    }
  })

  it('follows SETTINGS that change, and tells of the room', async () => {
    await using endpoint = await frameEndpoint(setting(MAX_CONCURRENT_STREAMS, 2))
    const rooms: number[] = []
    const wakes: (() => void)[] = []
    await using one = await connect(endpoint.port, 100, () => {
      rooms.push(one.connection.room)
      wakes.shift()?.()
    })
    await one.ready
    const peer = await endpoint.next()
    const streams = [new TestStream(one.connection, GET), new TestStream(one.connection, GET)]
    await requestOn(peer, 1)
    for (const streamsMax of [1, 5]) {
      const told = new Promise<void>((resolve) => {
        wakes.push(resolve)
      })
      peer.write(frame(SETTINGS, 0, 0, setting(MAX_CONCURRENT_STREAMS, streamsMax)))
      await told
    }
    assert.deepEqual(rooms, [0, 3])
    for (const { stream } of streams) stream.destroy()
  })

  it('is not ready as long as the endpoint takes no streams at all', async () => {
    await using endpoint = await frameEndpoint(setting(MAX_CONCURRENT_STREAMS, 0))
    await using one = await connect(endpoint.port)
    const peer = await endpoint.next()
    await peer.find(({ type, flags }) => type === SETTINGS && flags === ACK)
    assert.equal(one.isReady, false)
    peer.write(frame(SETTINGS, 0, 0, setting(MAX_CONCURRENT_STREAMS, 1)))
    await one.ready
    assert.equal(one.connection.room, 1)
  })

  it('knows of extended CONNECT by the SETTINGS, the later ones too', async () => {
    await using endpoint = await frameEndpoint(setting(ENABLE_CONNECT_PROTOCOL, 0))
    const room = Promise.withResolvers<void>()
    await using one = await connect(endpoint.port, 100, () => room.resolve())
    await one.ready
    assert.equal(one.connection.takesWebSocket, false)
    const peer = await endpoint.next()
    peer.write(frame(SETTINGS, 0, 0, setting(ENABLE_CONNECT_PROTOCOL, 1)))
    await room.promise
    assert.equal(one.connection.takesWebSocket, true)
  })

  it('closes by itself when nobody has used it for 30 s', async (context) => {
    const { tick } = ownTime(context)
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    tick(29_000)
    const stream = new TestStream(one.connection, GET)
    const { stream: id } = await requestOn(peer)
    tick(60_000)
    assert.equal(one.connection.room, 99)
    peer.write(wholeAnswer(id, [[':status', '204']]))
    await stream.whole()
    stream.stream.end()
    await stream.closed
    tick(29_999)
    assert.equal(one.connection.room, 100)
    tick(1)
    assert.equal(one.connection.room, 0)
    await one.closed
    await peer.closed
  })

  it('leaves no timer behind, however it ends', async () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    for (const end of ['idle', 'close', 'destroy', 'reset', 'GOAWAY'] as const) {
      await using endpoint = await frameEndpoint()
      await using one = await ready(endpoint.port)
      const peer = await endpoint.next()
      const streams = [new TestStream(one.connection, GET), new TestStream(one.connection)]
      const { stream: id } = await requestOn(peer)
      if (end === 'reset') peer.socket.resetAndDestroy()
      if (end === 'destroy') one.connection.destroy()
      if (end === 'close') one.connection.close()
      if (end === 'GOAWAY') {
        peer.write(frame(GOAWAY, 0, 0, Buffer.concat([uint32(id), uint32(0)])))
      }
      if (end !== 'reset' && end !== 'destroy') for (const { stream } of streams) stream.destroy()
      if (end === 'idle') one.connection.close()
      await one.closed
      for (const { stream } of streams) stream.destroy()
      await Promise.all(streams.map(({ closed }) => closed))
      // Fewer where one of the tests before has ended only now.
      assert.ok(timers() <= before, end)
    }
  })

  it('takes no more after its close, and ends with the last stream or place', async () => {
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    const open = new TestStream(one.connection, GET)
    const taken = new TestStream(one.connection)
    const { stream: id } = await requestOn(peer)
    one.connection.close()
    assert.equal(one.connection.room, 0)
    taken.write(GET)
    const { stream: second } = await requestOn(peer, 1)
    peer.write(wholeAnswer(id, [[':status', '204']]), wholeAnswer(second, [[':status', '205']]))
    assert.match(await open.whole(), /204/)
    assert.match(await taken.whole(), /205/)
    open.stream.end()
    taken.stream.end()
    assert.equal(await one.closed, 'it was closed')
    await peer.closed
  })

  it('does not wait for long for an endpoint that does not close its end', async (context) => {
    const { tick } = ownTime(context)
    for (const end of ['idle', 'close', 'GOAWAY'] as const) {
      const server = net.createServer({ allowHalfOpen: true })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const accepted = once(server, 'connection') as Promise<[net.Socket]>
      const one = await connect((server.address() as net.AddressInfo).port)
      const [socket] = await accepted
      await using peer = new FramePeer(socket, PREFACE.length)
      peer.write(frame(SETTINGS, 0, 0))
      await one.ready
      if (end === 'idle') tick(30_000)
      if (end === 'close') one.connection.close()
      if (end === 'GOAWAY') {
        peer.write(frame(GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0)])))
      }
      await once(socket, 'end')
      tick(3000)
      await one.closed
      server.close()
    }
  })

  it('is cut at once where an endpoint takes nothing any more', async () => {
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    const stream = new TestStream(one.connection, WEBSOCKET)
    const { stream: id } = await requestOn(peer)
    const window = uint32(0x3fff_ffff)
    peer.write(frame(WINDOW_UPDATE, 0, 0, window), frame(WINDOW_UPDATE, 0, id, window))
    peer.write(answer(id, [[':status', '200']]))
    await stream.until('\r\n\r\n')
    peer.socket.pause()
    let taken = 0
    const write = (): void => {
      stream.stream.write(Buffer.alloc(65_536), () => {
        taken += 65_536
        write()
      })
    }
    write()
    await settled(() => taken)
    one.connection.destroy()
    await one.closed
  })

  it('is over at its close when it was never ready', async () => {
    await using endpoint = await frameEndpoint('silent')
    await using one = await connect(endpoint.port)
    one.connection.close()
    assert.equal(await one.closed, 'it was closed')
  })

  it('says what ended it', async () => {
    for (const [what, cause] of [
      ['garbage', /ERR_HTTP2|Protocol|preface|bad client magic|frame/i],
      ['GOAWAY', /11/],
    ] as const) {
      await using endpoint = await frameEndpoint()
      await using one = await ready(endpoint.port)
      const peer = await endpoint.next()
      if (what === 'garbage') peer.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
      if (what === 'GOAWAY') {
        peer.write(frame(GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(11)])))
      }
      assert.match(await one.closed, cause)
    }
  })

  it('ends in peace over a socket that is dead already', async () => {
    await using endpoint = await frameEndpoint('silent')
    const socket = net.connect({ host: '127.0.0.1', port: endpoint.port })
    await once(socket, 'connect')
    socket.destroy()
    const one = new TestConnection(socket, 100, () => {})
    await one.closed
  })

  it('ends in peace when it is cut before it has begun', async () => {
    await using endpoint = await frameEndpoint('silent')
    const socket = net.connect({ host: '127.0.0.1', port: endpoint.port })
    await once(socket, 'connect')
    const one = new TestConnection(socket, 100, () => {})
    one.connection.destroy('too early')
    assert.equal(await one.closed, 'too early')
  })

  it('leaves no listeners of 1,000 streams', async (context) => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): number => warnings.push(warning)
    process.on('warning', onWarning)
    context.after(() => process.off('warning', onWarning))
    await using endpoint = await http2Endpoint({ settings: { maxConcurrentStreams: 1000 } })
    await using one = await ready(Number(new URL(endpoint.url).port), 1000)
    const { transport } = one.connection
    const before = transport.eventNames().map((name) => transport.listenerCount(name))
    const streams = Array.from({ length: 1000 }, () => new TestStream(one.connection, GET))
    await Promise.all(streams.map((stream) => stream.whole()))
    for (const { stream } of streams) stream.end()
    await Promise.all(streams.map(({ closed }) => closed))
    assert.equal(one.connection.isUnused, true)
    assert.deepEqual(
      transport.eventNames().map((name) => transport.listenerCount(name)),
      before,
    )
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(warnings, [])
  })
})

describe('doubt', () => {
  it('asks by a PING when nothing was answered for a second, and ends the connection without a PONG', async (context) => {
    const { tick } = ownTime(context)
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    const other = new TestStream(one.connection, GET)
    const stream = new TestStream(one.connection, GET)
    await requestOn(peer, 1)
    tick(1000)
    stream.stream.destroy()
    await peer.find(isPing)
    tick(2999)
    assert.equal(one.connection.room, 99)
    tick(1)
    assert.equal(await one.closed, 'no answer to a PING within 3000 ms')
    assert.match(String(await other.closed), /no answer to a PING/)
  })

  it('is gone with the PONG', async (context) => {
    const { tick } = ownTime(context)
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    for (let round = 1; round <= 2; round += 1) {
      const stream = new TestStream(one.connection, GET)
      await requestOn(peer, (round - 1) * 2)
      tick(1000)
      stream.stream.destroy()
      await peer.count(isPing, round)
      const { payload } = peer.frames.findLast(isPing) as Frame
      peer.write(frame(PING, ACK, 0, payload))
      // What comes behind the PONG tells that it was read.
      const next = new TestStream(one.connection, GET)
      const { stream: id } = await requestOn(peer, round * 2 - 1)
      peer.write(wholeAnswer(id, [[':status', '204']]))
      await next.whole()
      next.stream.end()
      await next.closed
      tick(3000)
      assert.equal(one.connection.room, 100)
    }
  })

  it('does not come again for a second behind a PONG', async (context) => {
    const { tick } = ownTime(context)
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    const [first, second] = [
      new TestStream(one.connection, GET),
      new TestStream(one.connection, GET),
    ]
    await requestOn(peer, 1)
    tick(1000)
    first.stream.destroy()
    const { payload } = (await peer.find(isPing)) as Frame
    // The answer to a PING behind the PONG tells that it was read.
    peer.write(frame(PING, ACK, 0, payload), frame(PING, 0, 0, Buffer.alloc(8)))
    await peer.find(({ type, flags }) => type === PING && flags === ACK)
    second.stream.destroy()
    const last = new TestStream(one.connection, GET)
    await requestOn(peer, 2)
    assert.equal(pings(peer), 1)
    last.stream.destroy()
  })

  it('is none when a request was just sent, or another one just answered', async (context) => {
    const { tick } = ownTime(context)
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    const slow = new TestStream(one.connection, GET)
    tick(5000)
    const young = new TestStream(one.connection, GET)
    const answered = new TestStream(one.connection, GET)
    await requestOn(peer, 2)
    tick(999)
    young.stream.destroy()
    const third = peer.frames.filter(({ type }) => type === 1)[2] as Frame
    peer.write(wholeAnswer(third.stream, [[':status', '204']]))
    await answered.whole()
    tick(999)
    slow.stream.destroy()
    // A PING would be there before it.
    const last = new TestStream(one.connection, GET)
    await requestOn(peer, 3)
    assert.equal(pings(peer), 0)
    last.stream.destroy()
  })

  it('comes of no request that was answered, or never sent', async (context) => {
    const { tick } = ownTime(context)
    await using endpoint = await frameEndpoint()
    await using one = await ready(endpoint.port)
    const peer = await endpoint.next()
    const answered = new TestStream(one.connection, GET)
    const unsent = new TestStream(one.connection)
    const { stream: id } = await requestOn(peer)
    peer.write(wholeAnswer(id, [[':status', '204']]))
    await answered.whole()
    tick(10_000)
    answered.stream.destroy()
    unsent.stream.destroy()
    const last = new TestStream(one.connection, GET)
    await requestOn(peer, 1)
    assert.equal(pings(peer), 0)
    last.stream.destroy()
  })

  it('sends one PING at a time, and one a second, however many clients give up', async (context) => {
    const { tick } = ownTime(context)
    await using endpoint = await frameEndpoint(setting(MAX_CONCURRENT_STREAMS, 1000))
    await using one = await ready(endpoint.port, 1000)
    const peer = await endpoint.next()
    let sent = 0
    for (let second = 1; second <= 3; second += 1) {
      const streams = Array.from({ length: 100 }, () => new TestStream(one.connection, GET))
      sent += streams.length
      await requestOn(peer, sent - 1)
      tick(1000)
      for (const { stream } of streams) stream.destroy()
      await peer.count(isPing, second)
      const { payload } = peer.frames.findLast(isPing) as Frame
      peer.write(frame(PING, ACK, 0, payload))
      const after = new TestStream(one.connection, GET)
      sent += 1
      const { stream: id } = await requestOn(peer, sent - 1)
      peer.write(wholeAnswer(id, [[':status', '204']]))
      await after.whole()
      assert.equal(pings(peer), second)
    }
  })
})
