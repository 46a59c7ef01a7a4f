/** Sends the body of a request to upgrade to an endpoint, with back-pressure, in the framing of the client. */

import type { Fields } from '../errors.ts'
import type { BodyReader, Client } from '../http1/client.ts'
import { serializeFields } from '../http1/response-writer.ts'
import { passedTrailers, type LostFields } from '../outgoing/trailers.ts'
import type { RelaySocket } from '../relay/relay.ts'

export interface BodyWatcher {
  /** A part of it has gone on. */
  onBodyProgress(): void
  /** All of it has gone on. */
  onBodyDone(): void
  onBodyBroken(): void
}

export interface RequestBodyOptions {
  readonly client: Client
  /** To the endpoint. */
  readonly socket: RelaySocket
  /** What trailers lose. */
  readonly lost: LostFields
}

export class RequestBody implements BodyReader {
  readonly #client: Client
  readonly #sink: RelaySocket
  readonly #watcher: BodyWatcher
  readonly #lost: LostFields
  readonly #isChunked: boolean

  constructor({ client, socket, lost }: RequestBodyOptions, watcher: BodyWatcher) {
    this.#client = client
    this.#sink = socket
    this.#lost = lost
    this.#watcher = watcher
    this.#isChunked = client.framing.kind === 'chunked'
  }

  /** More of the body is due from the client, and the endpoint would take it. */
  get isOwed(): boolean {
    return !this.#client.bodyDone && !this.#sink.writableNeedDrain
  }

  start(): void {
    if (this.#client.bodyDone) return
    this.#sink.on('drain', this.#onDrain)
    this.#client.readBody(this)
  }

  /** Moves no more. */
  stop(): void {
    this.#sink.off('drain', this.#onDrain)
    this.#client.dropBody()
  }

  onContent(content: Buffer): void {
    const sink = this.#sink
    if (this.#isChunked) {
      sink.cork()
      sink.write(`${content.length.toString(16)}\r\n`, 'latin1')
      sink.write(content)
      sink.write('\r\n', 'latin1')
      sink.uncork()
    } else sink.write(content)
    if (sink.writableNeedDrain) this.#client.pauseBody()
    this.#watcher.onBodyProgress()
  }

  onBodyEnd(trailers: Fields): void {
    if (this.#isChunked) {
      this.#sink.write(
        `0\r\n${serializeFields(passedTrailers(trailers, this.#lost))}\r\n`,
        'latin1',
      )
    }
    this.#watcher.onBodyDone()
  }

  onBodyBroken(): void {
    this.#watcher.onBodyBroken()
  }

  readonly #onDrain = (): void => {
    this.#client.resumeBody()
  }
}
