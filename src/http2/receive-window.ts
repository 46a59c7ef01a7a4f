/**
 * How much the other end of a connection may send on each stream before it is read. Node can set that for all streams of a
 * connection alone, by SETTINGS, and reads on from the connection whatever its streams do: so it is the streams' windows
 * together that bound what one connection leaves with us. They grow while half of one is read within the time that a PING took to
 * come back.
 */

import type { Http2Session } from 'node:http2'

const KIBIBYTE = 1024
const MEBIBYTE = 1024 * KIBIBYTE

/** What a stream begins with. */
export const STREAM_WINDOW = 256 * KIBIBYTE
/** What any stream keeps, however many there are. */
const STREAM_WINDOW_MIN = 64 * KIBIBYTE
const STREAM_WINDOW_MAX = 4 * MEBIBYTE
/** Of all streams of a connection together. */
export const CONNECTION_WINDOW = 16 * MEBIBYTE
/** The same until the other end has acknowledged that its windows are smaller. */
const UNACKNOWLEDGED_WINDOW = 4 * CONNECTION_WINDOW
/** Of all windows that have grown. */
const PROCESS_WINDOW = 256 * MEBIBYTE

/** Bytes that connections have beyond the windows that they began with. */
let granted = 0

export class ReceiveWindow {
  readonly #session: Http2Session
  #size = STREAM_WINDOW
  /** The largest that the other end may still go by. */
  #sizeInUse = STREAM_WINDOW
  #streams = 0
  #granted = 0
  /** Read since then. */
  #read = 0
  #sinceMs = 0
  #isMeasuring = false
  /** Once a PING has told. */
  #roundTripMs: number | undefined

  constructor(session: Http2Session) {
    this.#session = session
    session.once('close', () => this.#account(0))
  }

  /** What a stream of the connection may be sent before it is read, in bytes. */
  get size(): number {
    return this.#size
  }

  /** A stream that may be sent something. False where its window would be too much: it is to be refused. */
  open(): boolean {
    this.#streams += 1
    this.#resize(this.#size)
    return (
      this.#sizeInUse === this.#size || this.#sizeInUse * this.#streams <= UNACKNOWLEDGED_WINDOW
    )
  }

  /** One that was opened is over. */
  leave(): void {
    this.#streams -= 1
    this.#resize(Math.max(this.#size, STREAM_WINDOW))
  }

  /** So much was read from a stream. It grows as soon as half a window is read within a round trip. */
  onRead(bytes: number): void {
    if (this.#size >= STREAM_WINDOW_MAX || this.#isOver) return
    const nowMs = performance.now()
    if (nowMs - this.#sinceMs > (this.#roundTripMs ?? Infinity)) {
      this.#read = 0
      this.#sinceMs = nowMs
    }
    this.#read += bytes
    // A message now and then needs no larger window, and nobody asks for it.
    if (this.#read < this.#size / 2) return
    this.#read = 0
    if (this.#roundTripMs === undefined) this.#measure(nowMs)
    else {
      this.#sinceMs = nowMs
      this.#resize(this.#size * 2)
    }
  }

  #measure(startMs: number): void {
    if (this.#isMeasuring) return
    this.#isMeasuring = this.#session.ping((error) => {
      this.#isMeasuring = false
      if (error === null) this.#roundTripMs = performance.now() - startMs
      this.#sinceMs = performance.now()
      this.#read = 0
    })
  }

  get #isOver(): boolean {
    return this.#session.destroyed || this.#session.closed
  }

  /** To `wanted` bytes, or to what there is room for. */
  #resize(wanted: number): void {
    if (this.#isOver) return
    let size = Math.min(wanted, STREAM_WINDOW_MAX)
    while (size > STREAM_WINDOW_MIN && !this.#hasRoom(size)) size /= 2
    this.#account(this.#beyond(size))
    if (size === this.#size) return
    this.#size = size
    this.#sizeInUse = Math.max(this.#sizeInUse, size)
    this.#session.settings({ initialWindowSize: size }, () => {
      if (this.#size === size) this.#sizeInUse = size
    })
  }

  #hasRoom(size: number): boolean {
    const others = granted - this.#granted
    return (
      size * this.#streams <= CONNECTION_WINDOW && others + this.#beyond(size) <= PROCESS_WINDOW
    )
  }

  #beyond(size: number): number {
    return Math.max(0, size - STREAM_WINDOW) * Math.max(1, this.#streams)
  }

  #account(bytes: number): void {
    granted += bytes - this.#granted
    this.#granted = bytes
  }
}
