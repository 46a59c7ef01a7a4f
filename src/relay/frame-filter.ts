/**
 * The slow path of one direction of a WebSocket, in use only while there is something to do between its frames: a frame
 * of the gateway's waits for a border, a pong to a ping of ours is expected, or the direction shall end. What a peer
 * sends goes in, what the other one gets comes out.
 *
 *     ping()   at the next border: our Ping frame, and all goes on
 *     close()  at the next border: our Close frame, unless one of the peer's has passed, and nothing behind it
 */

import { pingPayload } from './control-frames.ts'
import type { FrameScanner } from './frame-scanner.ts'

/** The second byte of a Pong frame with the payload of ours. */
const MASKED_PONG = 0x88
const BARE_PONG = 0x08

const NOTHING = Buffer.alloc(0)

export interface FrameSink {
  /** Bytes for the receiver: a part of what was pushed, or a frame of ours. */
  forward(bytes: Buffer): void
  /** The Ping frame was forwarded. */
  onPinged(): void
  /** A pong to our ping of so many bytes has come, and goes no further. */
  onOwnPong(bytes: number): void
  /** Nothing is forwarded any more. `isTold` is true right behind the Close frame of ours. */
  onShut(isTold: boolean): void
}

export class FrameFilter {
  readonly #scanner: FrameScanner
  readonly #sink: FrameSink
  readonly #payload: Uint8Array
  /** Pongs to pings of ours that may still come. */
  #awaited = 0
  /** The beginning of what may be such a pong; the scanner has not seen it. */
  #held: Buffer = NOTHING
  /** What waits for a border. */
  #ping: Buffer | undefined
  #close: Buffer | undefined
  #isShut = false

  /** `payload` is that of the pings of ours. */
  constructor(scanner: FrameScanner, sink: FrameSink, payload: Uint8Array = pingPayload) {
    this.#scanner = scanner
    this.#sink = sink
    this.#payload = payload
  }

  /** There is nothing to do: the scanner alone may follow until something is asked for. */
  get isIdle(): boolean {
    return this.#awaited === 0 && !this.isWaiting && !this.#isShut
  }

  /** A frame of ours waits for a border. */
  get isWaiting(): boolean {
    return this.#ping !== undefined || this.#close !== undefined
  }

  /** How many bytes are held back. */
  get heldBytes(): number {
    return this.#held.length
  }

  /** The sender of this direction was pinged. */
  awaitPong(): void {
    this.#awaited += 1
  }

  /** Puts a frame at the next border, which may be here. */
  ping(frame: Buffer): void {
    this.#ping = frame
    this.#settle()
  }

  /** Ends the direction at the next border, which may be here. */
  close(frame: Buffer): void {
    this.#ping = undefined
    this.#close = frame
    this.#settle()
  }

  /** Ends the direction here. */
  shut(isTold = false): void {
    if (this.#isShut) return
    this.#isShut = true
    this.#ping = undefined
    this.#close = undefined
    this.#sink.onShut(isTold)
  }

  push(chunk: Buffer): void {
    /** Where that begins which is neither forwarded nor swallowed yet. */
    let from = 0
    let at = 0
    while (at < chunk.length) {
      const next = this.#sift(chunk, from, at)
      if (next > at) {
        at = next
        from = next
        continue
      }
      at = this.#scanner.step(chunk, at)
      if (this.isWaiting && this.#isBorder) {
        this.#forward(chunk, from, at)
        from = at
        this.#settle()
      }
    }
    this.#forward(chunk, from, at)
  }

  /** The sender's FIN. */
  end(): void {
    this.#release()
  }

  /** Looks for a pong to our ping at `at`; returns where it ends, so far, or `at` where there is none. */
  #sift(chunk: Buffer, from: number, at: number): number {
    if (this.#awaited === 0 || !this.#scanner.isBetweenFrames) return at
    if (this.#held.length === 0 && !isPong(chunk[at] as number)) return at
    const missing = this.#pongBytes - this.#held.length
    const seen = Buffer.concat([this.#held, chunk.subarray(at, at + missing)])
    if (!this.#isOurs(seen)) {
      this.#release()
      return at
    }
    this.#forward(chunk, from, at)
    const next = at + seen.length - this.#held.length
    const isWhole = seen.length === this.#pongBytes
    this.#held = isWhole ? NOTHING : seen
    if (isWhole) {
      this.#awaited -= 1
      this.#sink.onOwnPong(seen.length)
    }
    return next
  }

  get #pongBytes(): number {
    return this.#payloadFrom + this.#payload.length
  }

  get #payloadFrom(): number {
    return this.#scanner.isMasked ? 6 : 2
  }

  /** Whether this is the beginning of a pong to our ping, or the whole of it. */
  #isOurs(seen: Buffer): boolean {
    const { isMasked } = this.#scanner
    if (!isPong(seen[0] as number)) return false
    if (seen.length > 1 && seen[1] !== (isMasked ? MASKED_PONG : BARE_PONG)) return false
    return seen.subarray(this.#payloadFrom).every((byte, index) => {
      const key = isMasked ? (seen[2 + (index % 4)] as number) : 0
      return (byte ^ key) === this.#payload[index]
    })
  }

  /** What was held back is another frame's. */
  #release(): void {
    const held = this.#held
    this.#held = NOTHING
    this.#scanner.push(held)
    this.#forward(held, 0, held.length)
  }

  get #isBorder(): boolean {
    return this.#scanner.isBetweenFrames || this.#scanner.isDone
  }

  /** Does what waits for a border, where this is one. */
  #settle(): void {
    const [ping, close] = [this.#ping, this.#close]
    if (!this.#isBorder || this.#isShut) return
    const canPut = this.#scanner.isBetweenFrames
    this.#ping = undefined
    if (close !== undefined) {
      if (canPut) this.#sink.forward(close)
      this.shut(canPut)
    } else if (ping !== undefined && canPut) {
      this.#sink.forward(ping)
      this.#sink.onPinged()
    }
  }

  #forward(chunk: Buffer, from: number, to: number): void {
    if (this.#isShut || from === to) return
    this.#sink.forward(to - from === chunk.length ? chunk : chunk.subarray(from, to))
  }
}

/** A whole Pong frame begins like this; RSV bits are not looked at. */
function isPong(first: number): boolean {
  return (first & 0x8f) === 0x8a
}
