/**
 * One direction of a tunnel: what one socket sends goes to the other. Where the frames are followed a scanner sees all of
 * it, and while there is something to do between them a filter decides what goes on.
 */

import { pingFrame } from './control-frames.ts'
import { FrameFilter, type FrameSink } from './frame-filter.ts'
import { FrameScanner } from './frame-scanner.ts'
import type { RelaySocket } from './relay.ts'

/** Is told what the filter does. */
export interface FlowOwner {
  /** A Close frame has come; said again with each chunk behind it. */
  onCloseCode(by: Flow['by'], code: number): void
  /** Our ping is in the stream. */
  onPinged(flow: Flow): void
  /** Nothing is forwarded any more; `isTold` is true right behind a Close frame of ours. */
  onShut(flow: Flow, isTold: boolean): void
  /** The filter has seen a chunk. */
  onFiltered(flow: Flow): void
}

export class Flow implements FrameSink {
  readonly by: 'client' | 'upstream'
  readonly from: RelaySocket
  readonly to: RelaySocket
  /** Undefined where frames are not followed. */
  readonly scanner: FrameScanner | undefined
  readonly #owner: FlowOwner
  /** All that was read. */
  bytes = 0
  /** The FIN was read, or nothing can be read any more. */
  ended = false
  /** Nothing more goes to `to`; what still comes is followed and dropped. */
  isShut = false
  /** Times of `performance.now()`, those behind the first one as of the last look. */
  firstAtMs: number | undefined
  movedAtMs: number
  /** The last sign of life of `from`, and of `to` by taking what was held for it. */
  heardAtMs: number
  takenAtMs: number
  /** When `to` was pinged. */
  pingedAtMs = -Infinity
  #filter: FrameFilter | undefined
  /** Of `bytes`, those of pongs to our pings. */
  #pongBytes = 0
  #sentBytes = 0
  /** As of the last look. */
  #bytesSeen = 0
  #activeSeen = 0
  #takenSeen = 0
  #isPending = false

  constructor(
    owner: FlowOwner,
    by: Flow['by'],
    { from, to, hasFrames }: { from: RelaySocket; to: RelaySocket; hasFrames: boolean },
  ) {
    this.by = by
    this.from = from
    this.to = to
    this.scanner = hasFrames ? new FrameScanner(by === 'client') : undefined
    this.#owner = owner
    this.movedAtMs = performance.now()
    this.heardAtMs = this.movedAtMs
    this.takenAtMs = this.movedAtMs
  }

  /** What goes to an upstream is masked. */
  get isMasked(): boolean {
    return this.by === 'client'
  }

  /** Passes a chunk on; false when `to` has to drain before the next one. */
  pass(chunk: Buffer): boolean {
    if (this.bytes === 0) this.firstAtMs = performance.now()
    this.bytes += chunk.length
    const { scanner } = this
    if (this.#filter !== undefined) return this.#filtered(this.#filter, chunk)
    scanner?.push(chunk)
    if (scanner?.closeCode !== undefined) this.#owner.onCloseCode(this.by, scanner.closeCode)
    this.#sentBytes += chunk.length
    return this.to.write(chunk)
  }

  #filtered(filter: FrameFilter, chunk: Buffer): boolean {
    filter.push(chunk)
    const code = this.scanner?.closeCode
    if (code !== undefined) this.#owner.onCloseCode(this.by, code)
    if (filter.isIdle) this.#filter = undefined
    this.#owner.onFiltered(this)
    return this.isShut || !this.to.writableNeedDrain
  }

  /** After the FIN of `from`. */
  end(): void {
    this.ended = true
    this.#filter?.end()
    if (this.isShut) return
    this.isShut = true
    this.to.end()
  }

  /** A ping goes to `to` at the next border, where there may be one. */
  ping(): void {
    if (this.#filter?.isWaiting !== true) this.#useFilter()?.ping(pingFrame(this.isMasked))
  }

  /** `from` was pinged. */
  awaitPong(): void {
    this.#useFilter()?.awaitPong()
  }

  /** `frame` goes to `to` at the next border, and nothing behind it. */
  close(frame: Buffer): void {
    this.#useFilter()?.close(frame)
  }

  /** Nothing more goes to `to`. */
  shut(): void {
    this.#useFilter()?.shut()
  }

  forward(bytes: Buffer): void {
    this.#sentBytes += bytes.length
    this.to.write(bytes)
  }

  onPinged(): void {
    this.pingedAtMs = performance.now()
    this.#owner.onPinged(this)
  }

  onOwnPong(bytes: number): void {
    this.#pongBytes += bytes
  }

  onShut(isTold: boolean): void {
    this.isShut = true
    this.from.resume()
    this.#owner.onShut(this, isTold)
  }

  /** Notices what has moved since the last look. */
  look(nowMs: number): void {
    const active = this.#activeBytes
    if (active !== this.#activeSeen) this.movedAtMs = nowMs
    // Who is not read, because the other one stalls, cannot be heard.
    if (this.bytes !== this.#bytesSeen || this.from.isPaused()) this.heardAtMs = nowMs
    const pendingBytes = this.to.writableLength
    const taken = this.#sentBytes - pendingBytes
    // What the kernel takes at once says nothing of the peer; that it takes more again does.
    if (this.#isPending && taken > this.#takenSeen) this.takenAtMs = nowMs
    this.#activeSeen = active
    this.#bytesSeen = this.bytes
    this.#takenSeen = taken
    this.#isPending = pendingBytes > 0
  }

  /** Milliseconds since the last byte, to within a period of the sweep. */
  silentMs(nowMs: number): number {
    return this.#activeBytes === this.#activeSeen ? nowMs - this.movedAtMs : 0
  }

  get #activeBytes(): number {
    return this.bytes - this.#pongBytes - (this.#filter?.heldBytes ?? 0)
  }

  #useFilter(): FrameFilter | undefined {
    if (this.scanner === undefined) return undefined
    this.#filter ??= new FrameFilter(this.scanner, this)
    return this.#filter
  }
}
