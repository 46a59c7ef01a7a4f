/**
 * Follows the frames of one direction of a WebSocket (RFC 6455 5.2) from their headers alone: where they begin and end,
 * what they are, and the code of a Close frame. It holds no byte and changes none.
 *
 *     header --complete--> payload --over--> header ...      behind a Close frame, and where the peer breaks the
 *        \______no payload______/                            protocol, it follows no further
 */

import type { FrameCounts } from './tunnel-end.ts'

const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10

const FIN_BIT = 0x80
const MASK_BIT = 0x80
const CONTROL_BIT = 0x08
const CONTROL_BYTES_MAX = 125

/** RFC 6455 7.1.5: there was no code. */
const NO_CODE = 1005

export class FrameScanner implements FrameCounts {
  text = 0
  binary = 0
  ping = 0
  pong = 0
  close = 0
  other = 0
  blind = false
  /** Of the Close frame, once it is known. */
  closeCode: number | undefined
  /** Clients mask what they send, upstreams do not. */
  readonly isMasked: boolean
  /** Behind the Close frame. */
  #isOver = false
  /** Bytes of the header that were seen; 0 between frames and in a payload. */
  #seen = 0
  #opcode = 0
  #isFinal = false
  #lengthEnd = 0
  #headerEnd = 0
  #length = 0
  #mask = 0
  /** Bytes of the payload that are still to come. */
  #left = 0
  /** TEXT or BINARY while a message is not whole, else CONTINUATION. */
  #message = CONTINUATION
  #codeHigh = 0

  constructor(isMasked: boolean) {
    this.isMasked = isMasked
  }

  /** It follows no further: blind, or behind a Close frame. */
  get isDone(): boolean {
    return this.#isOver || this.blind
  }

  /** A control frame may be put here (RFC 6455 5.4: even between the frames of one message). */
  get isBetweenFrames(): boolean {
    return this.#seen === 0 && this.#left === 0 && !this.isDone
  }

  counts(): FrameCounts {
    const { text, binary, ping, pong, close, other, blind } = this
    return { text, binary, ping, pong, close, other, blind }
  }

  /** Follows a whole chunk. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) at = this.step(chunk, at)
  }

  /** Follows a chunk from `at` to the next end of a header or a frame, or to the end of the chunk; returns where that is. */
  step(chunk: Uint8Array, at: number): number {
    if (this.isDone) return chunk.length
    if (this.#left === 0) return this.#readHeader(chunk, at)
    const end = Math.min(at + this.#left, chunk.length)
    if (this.#opcode === CLOSE) this.#readCode(chunk, at, end)
    this.#left -= end - at
    if (this.#left === 0) this.#endFrame()
    return end
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      this.#readHeaderByte(chunk[at] as number)
      this.#seen += 1
      if (this.blind) return at + 1
      if (this.#seen > 1 && this.#seen === this.#headerEnd) {
        this.#beginFrame()
        return at + 1
      }
    }
    return chunk.length
  }

  #readHeaderByte(byte: number): void {
    if (this.#seen === 0) {
      this.#isFinal = (byte & FIN_BIT) !== 0
      this.#opcode = byte & 0x0f
    } else if (this.#seen === 1) {
      this.#readLength(byte)
    } else if (this.#seen < this.#lengthEnd) {
      // RFC 6455 5.2: the most significant bit of a 64-bit length is 0. Only such a length has a third byte that is its first.
      if (this.#seen === 2 && this.#lengthEnd === 10 && byte > 0x7f) this.blind = true
      // Beyond 2^53 it is not exact any more, and no connection lives that long.
      this.#length = this.#length * 256 + byte
    } else {
      this.#mask = (this.#mask << 8) | byte
    }
  }

  #readLength(byte: number): void {
    const length = byte & 0x7f
    const isMasked = (byte & MASK_BIT) !== 0
    this.blind = isMasked !== this.isMasked || !this.#isAllowed(length)
    const extended = length < 126 ? 0 : length === 126 ? 2 : 8
    this.#length = extended === 0 ? length : 0
    this.#lengthEnd = 2 + extended
    this.#headerEnd = this.#lengthEnd + (isMasked ? 4 : 0)
  }

  /** RFC 6455 5.4 and 5.5: messages do not overlap, and control frames are short and whole. */
  #isAllowed(length: number): boolean {
    if ((this.#opcode & CONTROL_BIT) !== 0) return this.#isFinal && length <= CONTROL_BYTES_MAX
    if (this.#opcode === CONTINUATION) return this.#message !== CONTINUATION
    return this.#opcode > BINARY || this.#message === CONTINUATION
  }

  #beginFrame(): void {
    this.#seen = 0
    this.#left = this.#length
    this.#count()
    if (this.#opcode === CLOSE && this.#length < 2) this.closeCode = NO_CODE
    if (this.#left === 0) this.#endFrame()
  }

  #count(): void {
    switch (this.#opcode) {
      case CONTINUATION:
        this.#countMessage(this.#message)
        break
      case TEXT:
      case BINARY:
        this.#countMessage(this.#opcode)
        break
      case CLOSE:
        this.close += 1
        break
      case PING:
        this.ping += 1
        break
      case PONG:
        this.pong += 1
        break
      default:
        this.other += 1
    }
  }

  #countMessage(type: number): void {
    this.#message = this.#isFinal ? CONTINUATION : type
    if (!this.#isFinal) return
    if (type === TEXT) this.text += 1
    else this.binary += 1
  }

  /** The first two bytes of the payload. */
  #readCode(chunk: Uint8Array, from: number, to: number): void {
    const payloadFrom = from - (this.#length - this.#left)
    for (let at = from; at < Math.min(to, payloadFrom + 2); at += 1) {
      const index = at - payloadFrom
      const key = this.isMasked ? (this.#mask >>> (24 - 8 * index)) & 0xff : 0
      const byte = (chunk[at] as number) ^ key
      if (index === 0) this.#codeHigh = byte
      else if (this.#length >= 2) this.closeCode = this.#codeHigh * 256 + byte
    }
  }

  #endFrame(): void {
    if (this.#opcode === CLOSE) this.#isOver = true
  }
}
