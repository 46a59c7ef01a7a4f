/** What an endpoint that means no good can do to the gateway: end its own connection, and no more. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import v8 from 'node:v8'
import vm from 'node:vm'
import { MALFORMED_CODE } from '../../src/handshake/dial.ts'
import { answer, requestOn, setting } from '../support/frame-endpoint.ts'
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  type FramePeer,
  HEADERS,
  keptField,
  PING,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  uint32,
  WINDOW_UPDATE,
} from '../support/http2-frames.ts'
import { framePair, GET, TestStream } from './harness.ts'

v8.setFlagsFromString('--expose-gc')
const collect = vm.runInNewContext('gc') as () => void

const MEBIBYTE = 1_048_576
const OK = [':status', '200'] as const

/** Writes as long as the connection takes it, at most so many times. Returns how often. */
async function flood(peer: FramePeer, chunk: Buffer, times: number): Promise<number> {
  let written = 0
  while (written < times && peer.socket.writable) {
    await new Promise<void>((resolve) => {
      const onOver = (): void => resolve()
      peer.socket.once('close', onOver)
      peer.socket.write(chunk, () => {
        peer.socket.off('close', onOver)
        resolve()
      })
    })
    written += 1
  }
  return written
}

/** The most memory that was held above what there was before. */
async function grown(act: () => Promise<unknown>): Promise<number> {
  const held = (): number => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  collect()
  const before = held()
  let most = 0
  const timer = setInterval(() => {
    most = Math.max(most, held() - before)
  }, 5)
  await act()
  clearInterval(timer)
  return Math.max(most, held() - before)
}

function repeated(one: Buffer, times: number): Buffer {
  return Buffer.concat(Array.from({ length: times }, () => one))
}

/** Has node collect by itself, at any time, which `collect` does not stand for. */
function litter(): number {
  return Array.from({ length: 20_000 }, (_, index) => ({ index })).length
}

describe('an endpoint', () => {
  it('that floods with SETTINGS holds nothing, or is cut off', async () => {
    await using one = await framePair(GET)
    const chunk = repeated(frame(SETTINGS, 0, 0, setting(3, 100)), 500)
    const bytes = await grown(() => flood(one.peer, chunk, 100))
    assert.ok(bytes < 32 * MEBIBYTE, String(bytes))
    one.peer.socket.destroy()
    assert.match(await one.connection.closed, /closed|flood|reset/i)
  })

  it('that floods with PING and reads no PONG is cut off', async () => {
    await using one = await framePair(GET)
    one.peer.socket.pause()
    const chunk = repeated(frame(PING, 0, 0, Buffer.alloc(8)), 1000)
    const bytes = await grown(async () => {
      const written = await flood(one.peer, chunk, 3000)
      assert.ok(written < 3000, 'is not cut off')
    })
    assert.ok(bytes < 32 * MEBIBYTE, String(bytes))
    await one.stream.closed
    await one.connection.closed
  })

  it('that pushes what nobody asked for is cut off', async () => {
    await using one = await framePair(GET)
    const promised = Buffer.concat([
      uint32(2),
      fieldBlock([
        [':method', 'GET'],
        [':scheme', 'http'],
        [':authority', 'a'],
        [':path', '/'],
      ]),
    ])
    one.peer.write(frame(PUSH_PROMISE, END_HEADERS, one.id, promised))
    await one.stream.closed
    assert.equal(one.stream.received, '')
    assert.match(await one.connection.closed, /protocol/i)
  })

  it('that opens streams of its own is cut off', async () => {
    await using one = await framePair(GET)
    one.peer.write(answer(2, [OK]))
    await one.stream.closed
    assert.match(await one.connection.closed, /protocol|stream/i)
  })

  it('whose fields never end is cut off', async () => {
    await using one = await framePair(GET)
    one.peer.write(frame(HEADERS, 0, one.id, fieldBlock([OK])))
    const part = frame(CONTINUATION, 0, one.id, fieldBlock([['x', 'y'.repeat(1000)]]))
    const bytes = await grown(async () => {
      const written = await flood(one.peer, repeated(part, 20), 2000)
      assert.ok(written < 2000, 'is not cut off')
    })
    assert.ok(bytes < 32 * MEBIBYTE, String(bytes))
    await one.stream.closed
    assert.equal(one.stream.received, '')
  })

  it('whose fields are in too many frames does not end the process', async () => {
    for (let round = 0; round < 300; round += 1) {
      await using one = await framePair(GET)
      const many = repeated(frame(CONTINUATION, 0, one.id, fieldBlock([['x', 'y']])), 9)
      one.peer.write(frame(HEADERS, 0, one.id, fieldBlock([OK, ['z', 'y'.repeat(300)]])), many)
      assert.equal((await one.stream.closed)?.code, MALFORMED_CODE)
      assert.match(await one.connection.closed, /CONTINUATION/)
      // Node looks at what is left of a session when it is collected.
      litter()
    }
  })

  it('whose fields are more than 2,000 gets a reset', async () => {
    await using one = await framePair(GET)
    const fields = Array.from({ length: 2000 }, () => ['x', ''] as const)
    one.peer.write(answer(one.id, [OK, ...fields]))
    assert.equal((await one.stream.closed)?.code, 'ECONNRESET')
    assert.equal(one.stream.received, '')
    assert.notEqual(await one.peer.resetOf(one.id), undefined)
  })

  it('whose few bytes unpack to many fields gets a reset', async () => {
    await using one = await framePair(GET)
    // 4 KB that the table keeps, and then a byte for each time.
    const bomb = Buffer.concat([
      fieldBlock([OK]),
      keptField('x', 'y'.repeat(3900)),
      Buffer.alloc(10_000, 0xbe),
    ])
    const bytes = await grown(async () => {
      one.peer.write(frame(HEADERS, END_HEADERS, one.id, bomb))
      await one.stream.closed
    })
    assert.ok(bytes < 16 * MEBIBYTE, String(bytes))
    assert.equal(one.stream.received, '')
  })

  it('that never ends its informational answers is told to stop, also where nobody reads them', async () => {
    await using one = await framePair(GET)
    one.stream.stream.pause()
    const chunk = repeated(
      answer(one.id, [
        [':status', '103'],
        ['x', 'y'.repeat(1000)],
      ]),
      20,
    )
    const bytes = await grown(async () => {
      await flood(one.peer, chunk, 500)
      assert.equal((await one.stream.closed)?.code, MALFORMED_CODE)
    })
    assert.ok(bytes < 32 * MEBIBYTE, String(bytes))
    assert.notEqual(await one.peer.resetOf(one.id), undefined)
  })

  it('that resets every stream takes its own requests away, and holds nothing', async () => {
    await using one = await framePair(GET)
    const bytes = await grown(async () => {
      one.peer.write(frame(RST_STREAM, 0, one.id, uint32(2)))
      await one.stream.closed
      for (let round = 1; round <= 500; round += 1) {
        const stream = new TestStream(one.connection.connection, GET)
        const { stream: id } = await requestOn(one.peer, round)
        one.peer.write(frame(RST_STREAM, 0, id, uint32(2)))
        assert.equal((await stream.closed)?.code, 'ECONNRESET')
      }
    })
    assert.ok(bytes < 32 * MEBIBYTE, String(bytes))
    assert.equal(one.connection.connection.isUnused, true)
  })

  it('that resets streams that nobody has opened is cut off', async () => {
    await using one = await framePair(GET)
    one.peer.write(frame(RST_STREAM, 0, 99, uint32(8)))
    await one.stream.closed
    await one.connection.closed
  })

  it('whose window is larger than a window can be is cut off, or its stream reset', async () => {
    const most = uint32(0x7fff_ffff)
    for (const id of [0, 1]) {
      await using one = await framePair(GET)
      one.peer.write(frame(WINDOW_UPDATE, 0, id, most), frame(WINDOW_UPDATE, 0, id, most))
      await one.stream.closed
      if (id === 0) await one.connection.closed
    }
  })

  it('that sends more than the window of a stream is cut off, or its stream reset', async () => {
    await using one = await framePair(GET)
    one.stream.stream.pause()
    one.peer.write(answer(one.id, [OK]))
    const chunk = repeated(frame(DATA, 0, one.id, Buffer.alloc(16_384)), 10)
    const bytes = await grown(async () => {
      const written = await flood(one.peer, chunk, 500)
      assert.ok(written <= 500)
      await one.stream.closed
    })
    assert.ok(bytes < 16 * MEBIBYTE, String(bytes))
  })

  it('that sends DATA without bytes holds nothing', async () => {
    await using one = await framePair(GET)
    one.peer.write(answer(one.id, [OK]))
    const bytes = await grown(() => flood(one.peer, repeated(frame(DATA, 0, one.id), 1000), 100))
    assert.ok(bytes < 32 * MEBIBYTE, String(bytes))
    assert.doesNotMatch(one.stream.received, /\r\n0\r\n/)
  })

  it('that acknowledges what nobody sent does no harm', async () => {
    await using one = await framePair(GET)
    one.peer.write(frame(SETTINGS, ACK, 0), frame(PING, ACK, 0, Buffer.alloc(8)))
    one.peer.write(answer(one.id, [OK]), frame(DATA, END_STREAM, one.id))
    await Promise.race([one.stream.whole().catch(() => {}), one.connection.closed])
  })
})
