/** Moves the client's body to the upstream, with back-pressure. Until it is started nothing of the body is read. */

import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Fields } from '../errors.ts'
import { pairsOf } from './field-list.ts'

/** Writes a head that waits for its first byte of body, in latin1 as it must be. */
export const NOTHING: Buffer = Buffer.alloc(0)

/** How long, after the end of an exchange, the rest of a body that nobody wants is read, so that the client reads the answer. */
const DISCARD_MS = 10_000

export interface UploadWatcher {
  /** Bytes went to the upstream. */
  onUploaded(): void
  /** The side that is waited for has changed: `isBlocked` or `isDone`. */
  onUploadTurn(): void
  /** Those of the client that go on. */
  passUp(trailers: Fields): Fields
}

export class Upload {
  readonly #req: IncomingMessage
  readonly #request: ClientRequest
  readonly #isChunked: boolean
  readonly #watcher: UploadWatcher
  #socket: Socket | null = null
  #isStarted = false
  bytes = 0
  /** The upstream takes no more at the moment. */
  isBlocked = false
  /** All of the body is on its way. */
  isDone = false

  constructor(
    req: IncomingMessage,
    request: ClientRequest,
    isChunked: boolean,
    watcher: UploadWatcher,
  ) {
    this.#req = req
    this.#request = request
    this.#isChunked = isChunked
    this.#watcher = watcher
  }

  start(): void {
    this.#isStarted = true
    // Once the whole answer is there, node's request does not hear any more that its connection takes more.
    this.#socket = this.#request.socket
    this.#socket?.on('drain', this.#onDrain)
    this.#request.on('drain', this.#onDrain)
    this.#req.on('data', this.#onData)
    this.#req.on('end', this.#onEnd)
    // The upstream gets the head now, and not with a first byte that may be long in coming.
    this.#request.write(NOTHING)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length
    const hasRoom = this.#request.write(chunk)
    this.#watcher.onUploaded()
    if (hasRoom) return
    this.#req.pause()
    this.isBlocked = true
    this.#watcher.onUploadTurn()
  }

  readonly #onDrain = (): void => {
    if (!this.isBlocked) return
    this.isBlocked = false
    this.#req.resume()
    this.#watcher.onUploadTurn()
  }

  readonly #onEnd = (): void => {
    this.isDone = true
    this.isBlocked = false
    this.#unlisten()
    if (this.#isChunked)
      this.#request.addTrailers(pairsOf(this.#watcher.passUp(this.#req.rawTrailers)))
    this.#request.end()
    this.#watcher.onUploadTurn()
  }

  /** Moves no more. What of the body is left is read and dropped, for a limited time. */
  stop(): void {
    if (!this.#isStarted || this.isDone) return
    this.isDone = true
    this.#unlisten()
    discard(this.#req)
  }

  #unlisten(): void {
    this.#socket?.off('drain', this.#onDrain)
    this.#request.off('drain', this.#onDrain)
    this.#req.off('data', this.#onData)
    this.#req.off('end', this.#onEnd)
  }
}

/** A close with unread input would reset the connection, and a reset overtakes the answer (RFC 9112 9.6). */
function discard(req: IncomingMessage): void {
  const { socket } = req
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), DISCARD_MS)
  const onOver = (): void => {
    clearTimeout(timer)
    socket.off('close', onOver)
    req.off('end', onOver)
  }
  socket.on('close', onOver)
  req.on('end', onOver)
  req.resume()
}
