/** Moves the client's body to the upstream, with back-pressure. Until it is started nothing of the body is read. */

import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Fields } from '../errors.ts'
import type { BodyReader, Client } from '../http1/client.ts'
import { pairsOf } from './field-list.ts'

/** Writes a head that waits for its first byte of body, in latin1 as it must be. */
const NOTHING: Buffer = Buffer.alloc(0)

export interface UploadWatcher {
  /** Bytes went to the upstream. */
  onUploaded(): void
  /** The side that is waited for has changed: `isBlocked` or `isDone`. */
  onUploadTurn(): void
  /** Those of the client that go on. */
  passUp(trailers: Fields): Fields
  /** The framing of the body is broken. */
  onUploadBroken(): void
}

export class Upload implements BodyReader {
  readonly #client: Client
  readonly #request: ClientRequest
  readonly #watcher: UploadWatcher
  #socket: Socket | null = null
  bytes = 0
  /** The upstream takes no more at the moment. */
  isBlocked = false
  /** All of the body is on its way. */
  isDone = false

  constructor(client: Client, request: ClientRequest, watcher: UploadWatcher) {
    this.#client = client
    this.#request = request
    this.#watcher = watcher
  }

  start(): void {
    // Once the whole answer is there, node's request does not hear any more that its connection takes more.
    this.#socket = this.#request.socket
    this.#socket?.on('drain', this.#onDrain)
    this.#request.on('drain', this.#onDrain)
    // The upstream gets the head now, and not with a first byte that may be long in coming.
    this.#request.write(NOTHING)
    this.#client.readBody(this)
  }

  onContent(content: Buffer): void {
    this.bytes += content.length
    const hasRoom = this.#request.write(content)
    this.#watcher.onUploaded()
    if (hasRoom || this.isDone) return
    this.#client.pauseBody()
    this.isBlocked = true
    this.#watcher.onUploadTurn()
  }

  readonly #onDrain = (): void => {
    if (!this.isBlocked) return
    this.isBlocked = false
    this.#client.resumeBody()
    this.#watcher.onUploadTurn()
  }

  onBodyEnd(trailers: Fields): void {
    this.isDone = true
    this.isBlocked = false
    this.#unlisten()
    if (this.#client.framing.kind === 'chunked') {
      this.#request.addTrailers(pairsOf(this.#watcher.passUp(trailers)))
    }
    this.#request.end()
    this.#watcher.onUploadTurn()
  }

  onBodyBroken(): void {
    this.#watcher.onUploadBroken()
  }

  /** Moves no more. */
  stop(): void {
    if (this.isDone) return
    this.isDone = true
    this.#unlisten()
    this.#client.dropBody()
  }

  #unlisten(): void {
    this.#socket?.off('drain', this.#onDrain)
    this.#request.off('drain', this.#onDrain)
  }
}
