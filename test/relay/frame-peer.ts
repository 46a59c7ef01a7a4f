/** A peer of a WebSocket that a test plays frame by frame. */

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { readBytes, readToEnd } from '../support/socket-pair.ts'
import { CLOSE, PING, PONG, closePayload, downFrame, masked, upFrame } from './made-frames.ts'

export interface ReadFrame {
  readonly opcode: number
  readonly payload: Buffer
}

export class FramePeer {
  readonly socket: Socket
  readonly #isClient: boolean

  constructor(who: 'client' | 'upstream', socket: Socket) {
    this.#isClient = who === 'client'
    this.socket = socket
  }

  /** As this peer sends it. */
  frame(...[opcode, payload, made]: Parameters<typeof upFrame>): Buffer {
    return (this.#isClient ? upFrame : downFrame)(opcode, payload, made)
  }

  send(...frame: Parameters<typeof upFrame>): void {
    this.socket.write(this.frame(...frame))
  }

  /** The next frame, whose mask has to be right for this peer. At most 125 bytes of payload. */
  async read(): Promise<ReadFrame> {
    const [first, second] = (await readBytes(this.socket, 2)) as unknown as [number, number]
    assert.equal(second >= 0x80, !this.#isClient, 'the mask of what a peer gets')
    assert.ok(first >= 0x80 && (second & 0x7f) < 126)
    const key = this.#isClient ? undefined : await readBytes(this.socket, 4)
    const length = second & 0x7f
    const payload = length === 0 ? Buffer.alloc(0) : await readBytes(this.socket, length)
    return { opcode: first & 0x0f, payload: masked(payload, key) }
  }

  /** Reads as many bytes as `bytes` has, which have to be these. */
  async gets(bytes: Buffer): Promise<void> {
    assert.deepEqual(await readBytes(this.socket, bytes.length), bytes)
  }

  async getsClose(code: number, text: string): Promise<void> {
    assert.deepEqual(await this.read(), { opcode: CLOSE, payload: closePayload(code, text) })
  }

  /** Answers each ping until it is told to close; returns the code that it is told. */
  async isTold(): Promise<number> {
    for (;;) {
      const { opcode, payload } = await this.read()
      if (opcode === CLOSE) return payload.readUInt16BE()
      assert.equal(opcode, PING)
      this.send(PONG, payload)
    }
  }

  /** Returns the payload. */
  async getsPing(): Promise<Buffer> {
    const { opcode, payload } = await this.read()
    assert.equal(opcode, PING)
    assert.equal(payload.length, 8)
    return payload
  }

  /** The FIN, with nothing before it, and closes. */
  async getsFin(): Promise<void> {
    assert.equal((await readToEnd(this.socket)).toString('hex'), '')
    this.socket.end()
  }
}
