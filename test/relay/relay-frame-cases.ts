/** What every relay does with the frames of a WebSocket. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import type { Relay } from '../../src/relay/relay.ts'
import type { FrameCounts, WebSocketReading } from '../../src/relay/tunnel-end.ts'
import type { KeepalivePolicy, TunnelPolicy } from '../../src/relay/tunnel-policy.ts'
import { settled } from '../support/settled.ts'
import { readBytes } from '../support/socket-pair.ts'
import { CLOSE_FRAMES, tunnelPolicy } from '../support/tunnel-policy.ts'
import { FramePeer } from './frame-peer.ts'
import {
  closePayload,
  downFrame,
  upFrame,
  BINARY,
  CLOSE,
  CONTINUATION,
  PING,
  PONG,
  TEXT,
} from './made-frames.ts'
import { join, type Joined, type JoinOptions } from './joined.ts'

type Peers = Readonly<Record<'client' | 'upstream', FramePeer>>
type Framed = Pick<Joined, 'tunnel'> & Peers & AsyncDisposable

const NONE: FrameCounts = { text: 0, binary: 0, ping: 0, pong: 0, close: 0, other: 0, blind: false }
const SIDES = ['client', 'upstream'] as const
const KEEPALIVE: KeepalivePolicy = { pingMs: 30, timeoutMs: 5000, upstream: false }
const LONG_MS = 600_000
/** More than what is held between two sockets that do not read. */
const FLOOD_BYTES = 40_000_000
const DRAIN = CLOSE_FRAMES.drain

function other(who: 'client' | 'upstream'): 'client' | 'upstream' {
  return who === 'client' ? 'upstream' : 'client'
}

/** A WebSocket tunnel between two peers that the test plays. */
async function joinFrames(
  relay: Relay,
  changes: Partial<TunnelPolicy> = {},
  sides: Pick<JoinOptions, 'clientSide' | 'upstreamSide'> = {},
): Promise<Framed> {
  const policy = tunnelPolicy({ frames: true, ...changes })
  const joined = await join(relay, { limits: { head: '', policy }, ...sides })
  return {
    tunnel: joined.tunnel,
    client: new FramePeer('client', joined.client),
    upstream: new FramePeer('upstream', joined.upstream),
    [Symbol.asyncDispose]: () => joined[Symbol.asyncDispose](),
  }
}

/** What `who` sends reaches the other one as it is. */
async function passes(framed: Framed, who: 'client' | 'upstream', bytes: Buffer): Promise<void> {
  framed[who].socket.write(bytes)
  await framed[other(who)].gets(bytes)
}

function counted(framed: Framed): WebSocketReading {
  const { webSocket } = framed.tunnel.read()
  assert.ok(webSocket !== undefined)
  return webSocket
}

/** The bytes of one side, that goes `up` or `down`. */
const wayOf = { client: 'up', upstream: 'down' } as const

function close(framed: Framed, timeoutMs = LONG_MS): void {
  framed.tunnel.close('admin', 'drain', { frame: DRAIN, timeoutMs })
}

/** Is told of the drain, says the same and closes. */
async function agrees(peer: FramePeer): Promise<void> {
  await peer.getsClose(DRAIN.code, DRAIN.text)
  peer.send(CLOSE, closePayload(DRAIN.code))
  await peer.getsFin()
}

async function getsReset(peer: FramePeer): Promise<void> {
  const failed = once(peer.socket, 'error')
  peer.socket.resume()
  const [error] = (await failed) as [NodeJS.ErrnoException]
  assert.equal(error.code, 'ECONNRESET')
}

/** `relay` is asked for within the tests. */
export function relayFrameCases(relay: Relay): void {
  describe('counts frames', () => countingCases(relay))
  describe('closes a WebSocket', () => closingCases(relay))
  describe('pings', () => pingCases(relay))
}

function countingCases(relay: Relay): void {
  it('each way, with those that came with the handshake', async () => {
    const [early, late] = [upFrame(TEXT, 'early'), upFrame(BINARY, 'late')]
    const answer = downFrame(TEXT, 'answer')
    await using framed = await joinFrames(
      relay,
      {},
      {
        clientSide: { unread: [early.subarray(0, 4), early.subarray(4), late.subarray(0, 1)] },
        upstreamSide: { unread: [answer] },
      },
    )
    framed.client.socket.write(late.subarray(1))
    await framed.upstream.gets(Buffer.concat([early, late]))
    await framed.client.gets(answer)
    await passes(framed, 'upstream', downFrame(BINARY, Buffer.alloc(70_000)))
    const expected = {
      up: { ...NONE, text: 1, binary: 1 },
      down: { ...NONE, text: 1, binary: 1 },
      close: undefined,
    }
    assert.deepEqual(counted(framed), expected)
    framed.client.socket.end()
    framed.upstream.socket.end()
    assert.deepEqual((await framed.tunnel.ended).webSocket, expected)
    assert.deepEqual(counted(framed), expected)
  })

  for (const who of SIDES) {
    it(`of messages in parts, with control frames between them (${who})`, async () => {
      await using framed = await joinFrames(relay)
      const peer = framed[who]
      const frames = [
        peer.frame(BINARY, 'one', { isFinal: false }),
        peer.frame(PING, 'within'),
        peer.frame(CONTINUATION, 'two', { isFinal: false }),
        peer.frame(PONG),
        peer.frame(3, 'reserved'),
        peer.frame(CONTINUATION, 'three'),
        peer.frame(TEXT, 'deflated', { rsv: 4 }),
        peer.frame(TEXT, 'long form', { lengthBytes: 8 }),
        peer.frame(TEXT, 'not whole', { isFinal: false }),
      ]
      for (const frame of frames) {
        await passes(framed, who, frame.subarray(0, 1))
        await passes(framed, who, frame.subarray(1))
      }
      const expected = { ...NONE, text: 2, binary: 1, ping: 1, pong: 1, other: 1 }
      assert.deepEqual(counted(framed)[wayOf[who]], expected)
      assert.deepEqual(counted(framed)[wayOf[other(who)]], NONE)
    })

    for (const [cause, broken] of [
      ['a length with its top bit', (peer) => peer.frame(BINARY, '', { length: 2n ** 63n })],
      ['a long control frame', (peer) => peer.frame(PING, Buffer.alloc(126))],
      ['a control frame in parts', (peer) => peer.frame(PONG, '', { isFinal: false })],
      ['the wrong mask', () => (who === 'client' ? downFrame : upFrame)(TEXT, 'x')],
      ['a continuation of nothing', (peer) => peer.frame(CONTINUATION, 'x')],
      [
        'a message within a message',
        (peer) => Buffer.concat([peer.frame(TEXT, '', { isFinal: false }), peer.frame(TEXT)]),
      ],
    ] as readonly (readonly [string, (peer: FramePeer) => Buffer])[]) {
      it(`no further behind ${cause}, and passes on what comes (${who})`, async () => {
        await using framed = await joinFrames(relay)
        const peer = framed[who]
        await passes(framed, who, Buffer.concat([peer.frame(TEXT, 'before'), broken(peer)]))
        await passes(framed, who, Buffer.concat([peer.frame(TEXT), peer.frame(CLOSE)]))
        const { close: seen, ...counts } = counted(framed)
        assert.deepEqual(counts[wayOf[who]], { ...NONE, text: 1, blind: true })
        assert.deepEqual(counts[wayOf[other(who)]], NONE)
        assert.equal(seen, undefined)
      })
    }

    it(`and tells the first close code, and that it is the ${who}'s`, async () => {
      await using framed = await joinFrames(relay)
      const [first, second] = [framed[who], framed[other(who)]]
      await passes(framed, who, first.frame(CLOSE, closePayload(4711, 'enough')))
      await passes(framed, other(who), second.frame(CLOSE, closePayload(1000)))
      await passes(framed, who, first.frame(TEXT, 'behind its Close frame'))
      const expected = {
        up: { ...NONE, close: 1 },
        down: { ...NONE, close: 1 },
        close: { by: who, code: 4711 },
      }
      assert.deepEqual(counted(framed), expected)
      first.socket.end()
      second.socket.end()
      const end = await framed.tunnel.ended
      assert.deepEqual(end.webSocket, expected)
      assert.equal(end.reason, 'eof')
    })

    it(`and tells 1005 where the ${who} gives no close code`, async () => {
      await using framed = await joinFrames(relay)
      await passes(framed, who, framed[who].frame(CLOSE))
      assert.deepEqual(counted(framed).close, { by: who, code: 1005 })
    })
  }

  it('of nobody where the policy says so, and closes with a bare FIN', async () => {
    await using framed = await joinFrames(relay, { frames: false, keepalive: KEEPALIVE })
    await passes(framed, 'client', upFrame(TEXT, 'x'))
    assert.equal(framed.tunnel.read().webSocket, undefined)
    close(framed)
    await framed.client.getsFin()
    await framed.upstream.getsFin()
    assert.equal((await framed.tunnel.ended).webSocket, undefined)
  })

  it('and tells when the first byte of each side came, and how long it has been silent', async () => {
    await using framed = await joinFrames(relay)
    const before = framed.tunnel.read()
    assert.deepEqual([before.firstUpMs, before.firstDownMs], [undefined, undefined])
    await passes(framed, 'client', upFrame(TEXT, 'x'))
    const { firstUpMs = NaN, firstDownMs } = framed.tunnel.read()
    assert.ok(firstUpMs >= 0)
    assert.equal(firstDownMs, undefined)
    framed.client.socket.end()
    framed.upstream.socket.end()
    const end = await framed.tunnel.ended
    assert.equal(end.firstUpMs, firstUpMs)
    // All are of the clock of the relay, whose steps are a millisecond.
    assert.ok(firstUpMs <= end.durationMs + 1)
    assert.ok(end.silentUpMs <= end.silentDownMs + 1)
    assert.ok(end.silentDownMs <= end.durationMs + 1)
  })
}

function closingCases(relay: Relay): void {
  it('by Close frames to both peers, whose answers it waits for before its FINs', async () => {
    await using framed = await joinFrames(relay)
    await passes(framed, 'client', upFrame(TEXT, 'x'))
    close(framed)
    await Promise.all([agrees(framed.client), agrees(framed.upstream)])
    const { by, reason, cause, webSocket } = await framed.tunnel.ended
    assert.deepEqual([by, reason, cause], ['admin', 'drain', undefined])
    assert.deepEqual(webSocket, {
      up: { ...NONE, text: 1, close: 1 },
      down: { ...NONE, close: 1 },
      close: { by: 'admin', code: DRAIN.code },
    })
  })

  it('with the frame of its policy at a limit', async () => {
    await using framed = await joinFrames(relay, { lifetimeMs: 40 })
    for (const who of SIDES) {
      await framed[who].getsClose(CLOSE_FRAMES.lifetime.code, 'lifetime')
      framed[who].send(CLOSE, closePayload(1000))
    }
    for (const who of SIDES) await framed[who].getsFin()
    const { by, reason, webSocket } = await framed.tunnel.ended
    assert.deepEqual([by, reason], ['gateway', 'lifetime'])
    assert.deepEqual(webSocket?.close, { by: 'gateway', code: CLOSE_FRAMES.lifetime.code })
  })

  for (const who of SIDES) {
    it(`behind the frame that the ${who} is sending, and drops what is behind it`, async () => {
      await using framed = await joinFrames(relay)
      const [sender, receiver] = [framed[who], framed[other(who)]]
      const frame = sender.frame(BINARY, Buffer.alloc(100, 'x'))
      await passes(framed, who, frame.subarray(0, 50))
      close(framed)
      await sender.getsClose(DRAIN.code, DRAIN.text)
      await passes(framed, who, frame.subarray(50, 99))
      sender.socket.write(
        Buffer.concat([
          frame.subarray(99),
          sender.frame(TEXT, 'too late'),
          sender.frame(CLOSE, closePayload(DRAIN.code)),
        ]),
      )
      await sender.getsFin()
      await receiver.gets(frame.subarray(99))
      await agrees(receiver)
      const end = await framed.tunnel.ended
      assert.equal(end.reason, 'drain')
      assert.deepEqual(end.webSocket?.[wayOf[who]], { ...NONE, text: 1, binary: 1, close: 1 })
      assert.deepEqual(end.webSocket?.close, { by: 'admin', code: DRAIN.code })
    })

    it(`between the frames of a message that the ${who} is sending`, async () => {
      await using framed = await joinFrames(relay)
      const [sender, receiver] = [framed[who], framed[other(who)]]
      await passes(framed, who, sender.frame(TEXT, 'a', { isFinal: false }))
      close(framed)
      await Promise.all([agrees(receiver), agrees(sender)])
      assert.equal((await framed.tunnel.ended).reason, 'drain')
    })

    it(`whose ${who} does not answer by a reset when the time is over`, async () => {
      await using framed = await joinFrames(relay)
      close(framed, 60)
      await agrees(framed[other(who)])
      await framed[who].getsClose(DRAIN.code, DRAIN.text)
      await getsReset(framed[who])
      const { by, reason, durationMs } = await framed.tunnel.ended
      assert.deepEqual([by, reason], ['admin', 'drain'])
      assert.ok(durationMs >= 59, `${durationMs} ms`)
    })

    it(`by a reset when a frame of the ${who} does not end in time`, async () => {
      await using framed = await joinFrames(relay)
      await passes(framed, who, framed[who].frame(TEXT, 'unfinished').subarray(0, 9))
      close(framed, 60)
      await framed[who].getsClose(DRAIN.code, DRAIN.text)
      await Promise.all([getsReset(framed.client), getsReset(framed.upstream)])
      const { reason, webSocket } = await framed.tunnel.ended
      assert.equal(reason, 'drain')
      assert.deepEqual(webSocket?.close, { by: 'admin', code: DRAIN.code })
    })

    it(`by a FIN where the ${who} ends within a frame`, async () => {
      await using framed = await joinFrames(relay)
      await passes(framed, who, framed[who].frame(TEXT, 'unfinished').subarray(0, 9))
      close(framed)
      await framed[who].getsClose(DRAIN.code, DRAIN.text)
      framed[who].socket.end()
      await framed[who].getsFin()
      await framed[other(who)].getsFin()
      assert.equal((await framed.tunnel.ended).reason, 'drain')
    })

    it(`with a FIN to the ${who} that ends without a Close frame of its own`, async () => {
      await using framed = await joinFrames(relay)
      close(framed)
      await framed[who].getsClose(DRAIN.code, DRAIN.text)
      framed[who].socket.end()
      await framed[who].getsFin()
      await agrees(framed[other(who)])
      assert.equal((await framed.tunnel.ended).reason, 'drain')
    })

    it(`without a second Close frame where the ${who}'s has passed already`, async () => {
      await using framed = await joinFrames(relay)
      const [first, second] = [framed[who], framed[other(who)]]
      await passes(framed, who, first.frame(CLOSE, closePayload(1000, 'bye')))
      close(framed)
      // Its own last word was said, so there is nothing to wait for.
      await first.getsClose(DRAIN.code, DRAIN.text)
      await first.getsFin()
      second.send(CLOSE, closePayload(1000))
      await second.getsFin()
      const { by, reason, webSocket } = await framed.tunnel.ended
      assert.deepEqual([by, reason], ['admin', 'drain'])
      assert.deepEqual(webSocket?.close, { by: who, code: 1000 })
    })

    it(`with nothing but a FIN to whom a blind ${who} has sent`, async () => {
      await using framed = await joinFrames(relay)
      await passes(framed, who, framed[who].frame(CONTINUATION, 'of nothing'))
      close(framed)
      await framed[other(who)].getsFin()
      await framed[who].getsClose(DRAIN.code, DRAIN.text)
      framed[who].socket.end()
      await framed[who].getsFin()
      const { reason, webSocket } = await framed.tunnel.ended
      assert.equal(reason, 'drain')
      assert.equal(webSocket?.[wayOf[who]].blind, true)
    })
  }

  it('behind what is held for a client that stalls', async () => {
    await using framed = await joinFrames(relay)
    const frame = downFrame(BINARY, Buffer.alloc(60_000, 'x'))
    for (let left = FLOOD_BYTES; left > 0; left -= frame.length) framed.upstream.socket.write(frame)
    await framed.client.gets(frame)
    close(framed)
    const agreed = agrees(framed.upstream)
    // Whole frames come, as many as were on their way, and then the Close frame.
    let opcode: number
    do {
      const [first, second] = await readBytes(framed.client.socket, 2)
      opcode = (first as number) & 0x0f
      const rest = opcode === CLOSE ? second : frame.length - 2
      await readBytes(framed.client.socket, rest as number)
    } while (opcode !== CLOSE)
    framed.client.send(CLOSE)
    await framed.client.getsFin()
    await agreed
    const end = await framed.tunnel.ended
    assert.equal(end.webSocket?.down.binary, Math.ceil(FLOOD_BYTES / frame.length))
  })

  it('in peace with an upstream whose client does not read at all', async () => {
    await using framed = await joinFrames(relay)
    const { client, upstream, tunnel } = framed
    const frame = downFrame(BINARY, Buffer.alloc(16_000))
    let frames = 0
    // Each one is read whole, until the relay stalls between two of them.
    do {
      frames += 1
      upstream.socket.write(frame)
    } while (await reaches(relay, () => tunnel.bytesDown, frames * frame.length))
    close(framed)
    await agrees(upstream)
    for (const { socket } of [client, upstream]) socket.on('error', () => {}).resume()
    close(framed, 0)
    const end = await tunnel.ended
    assert.deepEqual([end.reason, end.webSocket?.down.binary], ['drain', frames])
  })

  it('in peace with an upstream whose client resets instead of an answer', async () => {
    await using framed = await joinFrames(relay)
    const { client, upstream, tunnel } = framed
    const flood = downFrame(BINARY, Buffer.alloc(FLOOD_BYTES))
    upstream.socket.write(flood)
    await readBytes(client.socket, 10)
    await stalled(relay, () => tunnel.bytesDown)
    close(framed)
    await upstream.getsClose(DRAIN.code, DRAIN.text)
    client.socket.resetAndDestroy()
    upstream.send(CLOSE)
    await upstream.getsFin()
    const { reason, bytesDown } = await tunnel.ended
    assert.deepEqual([reason, bytesDown], ['drain', flood.length + 2])
  })

  it('without Close frames where both are blind', async () => {
    await using framed = await joinFrames(relay)
    for (const who of SIDES) await passes(framed, who, framed[who].frame(CONTINUATION))
    close(framed)
    for (const who of SIDES) await framed[who].getsFin()
    const { reason, webSocket } = await framed.tunnel.ended
    assert.deepEqual([reason, webSocket?.close], ['drain', undefined])
  })

  it('at once when it is told so: without a Close frame, in the middle of a frame', async () => {
    await using framed = await joinFrames(relay)
    await passes(framed, 'client', upFrame(TEXT, 'unfinished').subarray(0, 9))
    framed.tunnel.close('admin', 'kill', { frame: undefined, timeoutMs: LONG_MS })
    await framed.upstream.getsFin()
    await framed.client.getsFin()
    const { by, reason, webSocket } = await framed.tunnel.ended
    assert.deepEqual([by, reason], ['admin', 'kill'])
    assert.equal(webSocket?.close, undefined)
  })

  it('once, and takes the time of the second call', async () => {
    await using framed = await joinFrames(relay)
    close(framed)
    await framed.client.getsClose(DRAIN.code, DRAIN.text)
    await framed.upstream.getsClose(DRAIN.code, DRAIN.text)
    const resets = Promise.all([getsReset(framed.client), getsReset(framed.upstream)])
    framed.tunnel.close('gateway', 'reload', { frame: CLOSE_FRAMES.reload, timeoutMs: 1 })
    await resets
    const { by, reason, webSocket } = await framed.tunnel.ended
    assert.deepEqual([by, reason], ['admin', 'drain'])
    assert.deepEqual(webSocket?.close, { by: 'admin', code: DRAIN.code })
  })
}

function pingCases(relay: Relay): void {
  it('the client that is silent, again and again, and not the upstream', async () => {
    await using framed = await joinFrames(relay, { keepalive: KEEPALIVE })
    const first = await framed.client.getsPing()
    framed.client.send(PONG, first)
    assert.deepEqual(await framed.client.getsPing(), first)
    await passes(framed, 'upstream', downFrame(TEXT, 'no other ping before the answer'))
    await passes(framed, 'client', upFrame(TEXT, 'the first that the upstream gets'))
  })

  it('both where the upstream is to be pinged, and keeps their pongs and the counts of them', async () => {
    await using framed = await joinFrames(relay, { keepalive: { ...KEEPALIVE, upstream: true } })
    const payloads = await Promise.all([framed.client.getsPing(), framed.upstream.getsPing()])
    for (const [index, who] of SIDES.entries()) {
      const peer = framed[who]
      const pong = peer.frame(PONG, payloads[index])
      peer.socket.write(pong.subarray(0, 1))
      peer.socket.write(pong.subarray(1, 9))
      peer.socket.write(Buffer.concat([pong.subarray(9), peer.frame(TEXT, 'behind')]))
    }
    for (const who of SIDES) await getsBehindPings(framed[who], TEXT)
    const { up, down } = counted(framed)
    assert.deepEqual(
      [up, down],
      [
        { ...NONE, text: 1 },
        { ...NONE, text: 1 },
      ],
    )
  })

  it('and lets the pongs of others pass', async () => {
    // With a second ping before the end there would be two pongs of ours.
    await using framed = await joinFrames(relay, { keepalive: { ...KEEPALIVE, pingMs: 500 } })
    const payload = await framed.client.getsPing()
    const near = Buffer.from(payload)
    near[7] = (near[7] as number) ^ 1
    await passes(framed, 'client', upFrame(PONG, near))
    await passes(framed, 'client', upFrame(PONG, payload.subarray(0, 7)))
    await passes(framed, 'client', upFrame(PONG))
    framed.client.send(PONG, payload)
    // It has answered: the next one is not ours.
    await passes(framed, 'client', upFrame(PONG, payload))
    assert.equal(counted(framed).up.pong, 4)
  })

  it('between the frames of what the client gets, at the next border', async () => {
    const [first, last] = [downFrame(TEXT, 'a', { isFinal: false }), downFrame(CONTINUATION, 'b')]
    const upstreamSide = { unread: [first.subarray(0, 2)] }
    await using framed = await joinFrames(relay, { keepalive: KEEPALIVE }, { upstreamSide })
    await framed.client.gets(first.subarray(0, 2))
    await pingTime(relay)
    await passes(framed, 'upstream', first.subarray(2))
    await framed.client.getsPing()
    await passes(framed, 'upstream', last)
    assert.equal(counted(framed).down.text, 1)
  })

  for (const [does, last] of [
    ['ended', undefined],
    ['said goodbye', upFrame(CLOSE)],
  ] as const) {
    it(`no client that has ${does}`, async () => {
      await using framed = await joinFrames(relay, { keepalive: KEEPALIVE })
      if (last === undefined) {
        framed.client.socket.end()
        await once(framed.upstream.socket.resume(), 'end')
      } else {
        await passes(framed, 'client', last)
      }
      await pingTime(relay)
      await passes(framed, 'upstream', downFrame(TEXT, 'the first that it gets'))
    })
  }

  for (const who of SIDES) {
    it(`and ends the tunnel of ${who === 'client' ? 'a' : 'an'} ${who} that does not answer`, async () => {
      const keepalive = { pingMs: 40, timeoutMs: 160, upstream: true }
      await using framed = await joinFrames(relay, { keepalive })
      framed[who].socket.on('error', () => {})
      const alive = framed[other(who)]
      const code = await alive.isTold()
      assert.equal(code, CLOSE_FRAMES.dead.code)
      alive.send(CLOSE, closePayload(code))
      await alive.getsFin()
      framed[who].socket.resume()
      const { by, reason, durationMs, webSocket } = await framed.tunnel.ended
      assert.deepEqual([by, reason], ['gateway', 'dead'])
      assert.deepEqual(webSocket?.close, { by: 'gateway', code })
      assert.equal(webSocket?.[wayOf[other(who)]].pong, 0)
      assert.ok(durationMs >= 198 && durationMs < 1000, `${durationMs} ms`)
    })
  }

  it('and takes whatever comes as a sign of life', async () => {
    await using framed = await joinFrames(relay, { keepalive: KEEPALIVE })
    // Who has not answered a ping gets no other one.
    for (let turn = 0; turn < 4; turn += 1) {
      await framed.client.getsPing()
      await passes(framed, 'client', upFrame(TEXT, 'busy').subarray(turn, turn + 1))
    }
  })

  it('and takes nobody for dead whom it does not read, because the other one stalls', async () => {
    const keepalive = { pingMs: 40, timeoutMs: 160, upstream: false }
    const flood = upFrame(BINARY, Buffer.alloc(FLOOD_BYTES))
    await using framed = await joinFrames(relay, { keepalive })
    framed.client.socket.write(flood)
    await stalled(relay, () => framed.tunnel.bytesUp)
    // In the meantime another client dies.
    await using clock = await joinFrames(relay, { keepalive })
    clock.client.socket.on('error', () => {}).resume()
    assert.equal(await clock.upstream.isTold(), CLOSE_FRAMES.dead.code)
    await readBytes(framed.upstream.socket, FLOOD_BYTES)
    framed.client.socket.end()
    framed.upstream.socket.resume().end()
    assert.equal((await framed.tunnel.ended).reason, 'eof')
  })

  it('without an end to the time that a tunnel is idle', async () => {
    const keepalive = { pingMs: 20, timeoutMs: 2000, upstream: true }
    await using framed = await joinFrames(relay, { keepalive, idleMs: 150 })
    const codes = await Promise.all(
      SIDES.map(async (who) => {
        const code = await framed[who].isTold()
        framed[who].send(CLOSE, closePayload(code))
        await framed[who].getsFin()
        return code
      }),
    )
    assert.deepEqual(codes, [CLOSE_FRAMES.idle.code, CLOSE_FRAMES.idle.code])
    const end = await framed.tunnel.ended
    assert.equal(end.reason, 'idle')
    assert.ok(end.bytesUp > 14, 'the client has sent pongs')
  })
}

/** Reads the number when it has stopped moving: nobody reads what the relay has to write. */
async function stalled(relay: Relay, bytes: () => number): Promise<number> {
  await using framed = await joinFrames(relay)
  return await settled(bytes, () => passes(framed, 'client', upFrame(TEXT)))
}

/** False when the number stops moving before. */
async function reaches(relay: Relay, bytes: () => number, goal: number): Promise<boolean> {
  for (let turns = 0; turns < 10; turns += 1) {
    if (bytes() >= goal) return true
    await new Promise((resolve) => setImmediate(resolve))
  }
  return (await stalled(relay, bytes)) >= goal
}

/** When a tunnel that begins now has been pinged twice, all others could have been once. */
async function pingTime(relay: Relay): Promise<void> {
  await using framed = await joinFrames(relay, { keepalive: KEEPALIVE })
  framed.client.send(PONG, await framed.client.getsPing())
  await framed.client.getsPing()
}

/** Reads pings until a frame of another kind comes. */
async function getsBehindPings(peer: FramePeer, opcode: number): Promise<void> {
  let read: number
  do read = (await peer.read()).opcode
  while (read === PING)
  assert.equal(read, opcode)
}
