/**
 * Joins small chunks of a stream before they are stored: each DATA frame is a buffer of its own, which takes over a hundred
 * bytes beside its content. A peer that sends byte by byte must not fill memory that way.
 */

import { Readable } from 'node:stream'

/** Longer chunks pass as they are. */
const SMALL_BYTES = 512
const BLOCK_BYTES = 16_384

const kJoined = Symbol('upgate.joined')

/** Of a stream in whose turn of the event loop a small chunk has come. */
interface Joined {
  block: Buffer | undefined
  used: number
}

type JoinedStream = Readable & { [kJoined]?: Joined | undefined }

/**
 * From now on the first small chunk of a turn of the event loop passes at once; those behind it share a block, which goes on
 * when it is full, at the end of the turn, or, while the stream is paused, when it resumes. Before the stream is given up,
 * `flushJoined` gets what waits. There are as many of these as streams: nothing is made for one that is idle.
 */
export function joinSmallChunks(stream: Readable): void {
  stream.push = pushJoined
}

/** What waits goes on now. */
export function flushJoined(stream: Readable): void {
  const joined = (stream as JoinedStream)[kJoined]
  if (joined?.block === undefined) return
  const bytes = joined.block.subarray(0, joined.used)
  joined.block = undefined
  joined.used = 0
  Readable.prototype.push.call(stream, bytes)
}

function pushJoined(this: JoinedStream, chunk: Buffer | null): boolean {
  if (chunk === null || chunk.length >= SMALL_BYTES) {
    flushJoined(this)
    return Readable.prototype.push.call(this, chunk)
  }
  const joined = this[kJoined]
  if (joined !== undefined) return join(this, joined, chunk)
  const first: Joined = { block: undefined, used: 0 }
  this[kJoined] = first
  setImmediate(endTurn, this)
  return this.isPaused() ? join(this, first, chunk) : Readable.prototype.push.call(this, chunk)
}

function join(stream: JoinedStream, joined: Joined, chunk: Buffer): boolean {
  if (joined.used + chunk.length > BLOCK_BYTES) flushJoined(stream)
  joined.block ??= Buffer.allocUnsafeSlow(BLOCK_BYTES)
  joined.used += chunk.copy(joined.block, joined.used)
  return !stream.isPaused()
}

function endTurn(stream: JoinedStream): void {
  if (stream[kJoined]?.block !== undefined && stream.isPaused()) {
    // It may be long until somebody reads it.
    stream.once('resume', onResume)
    return
  }
  flushJoined(stream)
  stream[kJoined] = undefined
}

function onResume(this: JoinedStream): void {
  flushJoined(this)
  this[kJoined] = undefined
}
