import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FrameScanner } from '../../src/relay/frame-scanner.ts'
import type { FrameCounts } from '../../src/relay/tunnel-end.ts'
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

const NONE: FrameCounts = {
  text: 0,
  binary: 0,
  ping: 0,
  pong: 0,
  close: 0,
  other: 0,
  blind: false,
}

interface Case {
  readonly name: string
  readonly frames: readonly Buffer[]
  readonly seen: Partial<FrameCounts>
  readonly code?: number
  readonly isMasked?: boolean
  /** Whether a frame of ours could be put behind it. */
  readonly isBorder?: boolean
}

const cases: readonly Case[] = [
  { name: 'no bytes', frames: [], seen: {} },
  { name: 'a text', frames: [downFrame(TEXT, 'hello')], seen: { text: 1 } },
  { name: 'an empty message', frames: [downFrame(BINARY)], seen: { binary: 1 } },
  { name: 'a masked text', frames: [upFrame(TEXT, 'hello')], seen: { text: 1 }, isMasked: true },
  {
    name: 'lengths of 7, 16 and 64 bits',
    frames: [125, 126, 65_535, 65_536].map((bytes) => downFrame(BINARY, Buffer.alloc(bytes, 0x81))),
    seen: { binary: 4 },
  },
  {
    name: 'lengths in a longer form than they need',
    frames: [
      downFrame(TEXT, 'five!', { lengthBytes: 2 }),
      downFrame(TEXT, 'five!', { lengthBytes: 8 }),
    ],
    seen: { text: 2 },
  },
  {
    name: 'a message in three frames, as one of the type of the first',
    frames: [
      downFrame(BINARY, 'a', { isFinal: false }),
      downFrame(CONTINUATION, 'b', { isFinal: false }),
      downFrame(CONTINUATION, 'c'),
    ],
    seen: { binary: 1 },
  },
  {
    name: 'a message that is not whole',
    frames: [downFrame(TEXT, 'a', { isFinal: false })],
    seen: {},
  },
  {
    name: 'control frames within a message',
    frames: [
      downFrame(TEXT, 'a', { isFinal: false }),
      downFrame(PING, 'x'),
      downFrame(PONG),
      downFrame(CONTINUATION, 'c'),
      downFrame(PING, Buffer.alloc(125)),
    ],
    seen: { text: 1, ping: 2, pong: 1 },
  },
  {
    name: 'opcodes that have no meaning yet, also within a message',
    frames: [
      downFrame(3, 'x'),
      downFrame(TEXT, 'a', { isFinal: false }),
      downFrame(7, 'x', { isFinal: false }),
      downFrame(11, 'x'),
      downFrame(15),
      downFrame(CONTINUATION, 'c'),
    ],
    seen: { text: 1, other: 4 },
  },
  {
    name: 'frames with reserved bits',
    frames: [downFrame(TEXT, 'deflated', { rsv: 4 }), downFrame(PONG, 'x', { rsv: 7 })],
    seen: { text: 1, pong: 1 },
  },
  {
    name: 'a message before its payload is whole',
    frames: [downFrame(TEXT, 'hello').subarray(0, 2)],
    seen: { text: 1 },
    isBorder: false,
  },
  {
    name: 'half a header as nothing',
    frames: [downFrame(TEXT, Buffer.alloc(300)).subarray(0, 3)],
    seen: {},
    isBorder: false,
  },
  {
    name: 'a frame that never ends',
    frames: [downFrame(BINARY, 'x', { length: 2n ** 63n - 1n }), Buffer.alloc(1000, 0x89)],
    seen: { binary: 1 },
    isBorder: false,
  },
  {
    name: 'a close code',
    frames: [downFrame(CLOSE, closePayload(1001, 'away'))],
    seen: { close: 1 },
    code: 1001,
    isBorder: false,
  },
  {
    name: 'a masked close code',
    frames: [upFrame(CLOSE, closePayload(4321))],
    seen: { close: 1 },
    code: 4321,
    isMasked: true,
    isBorder: false,
  },
  {
    name: '1005 for a Close frame without a code',
    frames: [downFrame(CLOSE)],
    seen: { close: 1 },
    code: 1005,
    isBorder: false,
  },
  {
    name: '1005 for a Close frame with half a code',
    frames: [upFrame(CLOSE, 'x')],
    seen: { close: 1 },
    code: 1005,
    isMasked: true,
    isBorder: false,
  },
  {
    name: 'nothing behind a Close frame, be it right or wrong',
    frames: [
      downFrame(CLOSE, closePayload(1000)),
      downFrame(TEXT, 'late'),
      downFrame(CLOSE, closePayload(1002)),
      upFrame(PING),
      Buffer.alloc(100, 0xff),
    ],
    seen: { close: 1 },
    code: 1000,
    isBorder: false,
  },
  ...(
    [
      ['a length with its top bit set', downFrame(BINARY, '', { length: 2n ** 63n })],
      ['a control frame of 126 bytes', downFrame(PING, Buffer.alloc(126))],
      ['a control frame of 64-bit length', downFrame(PONG, Buffer.alloc(65_536))],
      ['a ping that is not final', downFrame(PING, '', { isFinal: false })],
      ['a Close frame that is not final', downFrame(CLOSE, '', { isFinal: false })],
      ['a masked frame of an upstream', upFrame(TEXT, 'hello')],
      ['a continuation of nothing', downFrame(CONTINUATION, 'c')],
    ] as const
  ).map(([name, frame]) => ({
    name: `${name} as the last that can be followed`,
    frames: [downFrame(TEXT, 'before'), frame, downFrame(TEXT, 'behind'), downFrame(CLOSE)],
    seen: { text: 1, blind: true },
    isBorder: false,
  })),
  {
    name: 'a bare frame of a client as the last that can be followed',
    frames: [upFrame(TEXT, 'before'), downFrame(TEXT, 'hello'), upFrame(TEXT, 'behind')],
    seen: { text: 1, blind: true },
    isMasked: true,
    isBorder: false,
  },
  {
    name: 'a message within a message as the last that can be followed',
    frames: [downFrame(TEXT, 'a', { isFinal: false }), downFrame(BINARY, 'b'), downFrame(PING)],
    seen: { blind: true },
    isBorder: false,
  },
]

function scan(
  { isMasked = false, isBorder = true }: Case,
  chunks: Iterable<Buffer>,
): Record<string, unknown> {
  const scanner = new FrameScanner(isMasked)
  for (const chunk of chunks) scanner.push(chunk)
  assert.equal(scanner.isBetweenFrames, isBorder)
  return { ...scanner.counts(), code: scanner.closeCode }
}

function* inPieces(bytes: Buffer, size: number): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('FrameScanner', () => {
  for (const one of cases) {
    it(`sees ${one.name}, however it is cut`, () => {
      const bytes = Buffer.concat(one.frames)
      const expected = { ...NONE, ...one.seen, code: one.code }
      for (const size of [1, 2, 3, 7, 100, 100_000]) {
        assert.deepEqual(scan(one, inPieces(bytes, size)), expected, `by ${size} bytes`)
      }
    })
  }

  it('knows a close code as soon as its second byte is there', () => {
    const scanner = new FrameScanner(false)
    const frame = downFrame(CLOSE, closePayload(1008, 'go'))
    scanner.push(frame.subarray(0, 3))
    assert.deepEqual([scanner.close, scanner.closeCode], [1, undefined])
    scanner.push(frame.subarray(3, 4))
    assert.equal(scanner.closeCode, 1008)
    assert.equal(scanner.isDone, false, 'the frame is not over')
    scanner.push(frame.subarray(4))
    assert.equal(scanner.isDone, true)
  })

  it('hands out counts that do not move any more', () => {
    const scanner = new FrameScanner(false)
    const counts = scanner.counts()
    scanner.push(downFrame(TEXT))
    assert.deepEqual(counts, NONE)
  })
})
