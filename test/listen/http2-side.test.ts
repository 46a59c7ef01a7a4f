import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Http2Side } from '../../src/listen/http2-side.ts'
import { ACK, frame, FramePeer, GOAWAY, PING, PREFACE, SETTINGS } from '../support/http2-frames.ts'
import { socketPair } from '../support/socket-pair.ts'

function createSide(): Http2Side {
  return new Http2Side(65_536, {
    limits: () => ({ headBytesMax: 16_384, headTimeoutMs: 60_000, keepAliveTimeoutMs: 60_000 }),
    servesWebSocket: () => false,
    onRequest: () => assert.fail('nobody asks'),
    onRefused: () => assert.fail('nobody asks'),
    onBroken: () => assert.fail('nobody breaks anything'),
  })
}

/** Takes part in the end of its connection. */
async function leave(peer: FramePeer): Promise<void> {
  const ping = await peer.find(({ type, flags }) => type === PING && flags !== ACK)
  peer.write(frame(PING, ACK, 0, ping?.payload))
  await peer.count(({ type }) => type === GOAWAY, 2)
  await once(peer.socket, 'end')
  peer.socket.end()
  await peer.closed
}

describe('the HTTP/2 side of a listener', () => {
  it('says good-bye to all that are there, and to those that still come', async () => {
    const side = createSide()
    await using one = await socketPair()
    await using two = await socketPair()
    await using late = await socketPair()
    const peers = [one, two].map(({ peer, socket }) => {
      side.accept(socket)
      return new FramePeer(peer)
    })
    for (const peer of peers) peer.write(PREFACE, frame(SETTINGS, 0, 0))
    const gone = side.goAway()
    await leave(peers[0] as FramePeer)
    const first = await Promise.race([
      gone,
      new Promise((resolve) => setImmediate(resolve, 'waits')),
    ])
    assert.equal(first, 'waits')
    await leave(peers[1] as FramePeer)
    await gone
    side.accept(late.socket)
    const peer = new FramePeer(late.peer)
    peer.write(PREFACE, frame(SETTINGS, 0, 0))
    await leave(peer)
  })

  it('cuts what is left', async () => {
    const side = createSide()
    await using one = await socketPair()
    one.peer.allowHalfOpen = false
    side.accept(one.socket)
    const closed = once(one.socket, 'close')
    side.destroy()
    one.peer.resume()
    await closed
  })
})
