import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http2 from 'node:http2'
import { describe, it } from 'node:test'
import { Http2Transport } from '../../src/listen/http2-transport.ts'
import {
  DATA,
  frame,
  FramePeer,
  get,
  HEADERS,
  PREFACE,
  SETTINGS,
  uint32,
  WINDOW_UPDATE,
} from '../support/http2-frames.ts'
import { settled } from '../support/settled.ts'
import { readToEnd, socketPair } from '../support/socket-pair.ts'

/** Of no type that there is, so that none of the session's looks like it. */
const OURS = frame(0xee, 0, 0, Buffer.from('ours'))

describe('what lies between a session and its connection', () => {
  it('puts frames between those of the session, also while its client does not read', async () => {
    await using pair = await socketPair()
    pair.socket.allowHalfOpen = false
    pair.peer.allowHalfOpen = false
    const transport = new Http2Transport(pair.socket)
    assert.equal(transport.hasBegun, false)
    const session = http2.performServerHandshake(transport)
    const body = randomBytes(8 * 1024 ** 2)
    session.on('stream', (stream) => {
      stream.respond({ ':status': 200 })
      stream.end(body)
    })
    pair.peer.pause()
    const peer = new FramePeer(pair.peer)
    pair.peer.pause()
    peer.write(
      PREFACE,
      // SETTINGS_INITIAL_WINDOW_SIZE
      frame(SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(2 ** 30)])),
      frame(WINDOW_UPDATE, 0, 0, uint32(2 ** 30)),
      frame(HEADERS, 5, 1, get('/')),
    )
    const [stream] = (await once(session, 'stream')) as [http2.ServerHttp2Stream]
    let inserted = 0
    const insert = (): void => {
      transport.write(OURS)
      inserted += 1
    }
    while (!transport.writableNeedDrain && transport.writableLength === 0) {
      insert()
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(transport.hasBegun, true)
    insert()
    pair.peer.resume()
    while (!stream.closed) {
      insert()
      await new Promise((resolve) => setImmediate(resolve))
    }
    insert()
    session.close()
    await peer.closed
    const hash = createHash('sha256')
    for (const { type, payload } of peer.frames) if (type === DATA) hash.update(payload)
    assert.equal(hash.digest('hex'), createHash('sha256').update(body).digest('hex'))
    const ours = peer.frames.filter(({ type }) => type === 0xee)
    assert.deepEqual(new Set(ours.map(({ payload }) => String(payload))), new Set(['ours']))
    assert.equal(ours.length, inserted)
    assert.equal(peer.frames[0]?.type, SETTINGS)
  })

  it('begins with what is unread in the connection', async () => {
    await using pair = await socketPair()
    pair.socket.unshift(Buffer.from('first, '))
    const transport = new Http2Transport(pair.socket)
    pair.peer.write('second')
    let text = ''
    for await (const chunk of transport.iterator({ destroyOnReturn: false })) {
      text += String(chunk)
      if (text.length === 13) break
    }
    assert.equal(text, 'first, second')
    transport.destroy()
  })

  it('holds no more than a buffer each way', async () => {
    await using pair = await socketPair()
    const transport = new Http2Transport(pair.socket)
    const held = (): number => transport.writableLength + pair.socket.writableLength
    let written = 0
    const write = (error?: Error | null): void => {
      if (error) return
      written += 65_536
      transport.write(Buffer.alloc(65_536), write)
    }
    write()
    await settled(() => written)
    assert.ok(held() < 512 * 1024, `${held()} of ${written} bytes`)
    let sent = 0
    const send = (error?: Error | null): void => {
      if (error) return
      sent += 65_536
      pair.peer.write(Buffer.alloc(65_536), send)
    }
    send()
    transport.read(0)
    await settled(() => sent)
    assert.equal(pair.socket.isPaused(), true)
    assert.ok(transport.readableLength + pair.socket.readableLength < 512 * 1024)
  })

  it('has ended when the kernel has all that was written', async () => {
    await using pair = await socketPair()
    const transport = new Http2Transport(pair.socket)
    const bytes = randomBytes(4 * 1024 ** 2)
    transport.end(bytes)
    const early = await Promise.race([
      transport.ended.then(() => 'ended'),
      new Promise((resolve) => setImmediate(resolve)),
    ])
    assert.equal(early, undefined)
    assert.ok((await readToEnd(pair.peer)).equals(bytes))
    await transport.ended
  })

  it('goes with its connection, and takes it with itself', async () => {
    await using one = await socketPair()
    const transport = new Http2Transport(one.socket)
    const failed = once(transport.resume(), 'error')
    one.peer.resetAndDestroy()
    const [error] = (await failed) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNRESET')
    await transport.ended
    await using other = await socketPair()
    new Http2Transport(other.socket).destroy()
    await once(other.peer.resume(), 'end')
    assert.equal(other.socket.destroyed, true)
  })
})
