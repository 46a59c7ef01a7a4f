/** A WebSocket by the frame, over whatever carries it: a socket behind its handshake, or a stream of HTTP/2. */

import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { downFrame, TEXT, upFrame } from '../relay/made-frames.ts'

export class FrameTalk {
  readonly #carrier: Duplex
  readonly #chunks: AsyncIterator<Buffer, undefined>
  #received = Buffer.alloc(0)

  /** Reads nothing before it is asked to, so that the carrier's window closes. */
  constructor(carrier: Duplex) {
    this.#carrier = carrier
    this.#chunks = carrier[Symbol.asyncIterator]()
  }

  /** The next so many; fails when the peer ends before them. */
  async bytes(count: number): Promise<Buffer> {
    while (this.#received.length < count) {
      const { value } = await this.#chunks.next()
      assert.ok(value !== undefined, 'the peer has ended')
      this.#received = Buffer.concat([this.#received, value])
    }
    const bytes = this.#received.subarray(0, count)
    this.#received = this.#received.subarray(count)
    return bytes
  }

  /** A message to the endpoint, which echoes it; fails when something else comes back. */
  async exchange(text: string): Promise<void> {
    this.#carrier.write(upFrame(TEXT, text))
    const echo = downFrame(TEXT, text)
    assert.deepEqual(await this.bytes(echo.length), echo)
  }
}
