/** Moves the upstream's answer to the client, with back-pressure, from the head to the trailers. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { writeAnswerHead, type AnswerHead } from './answer-head.ts'
import type { Fields } from '../errors.ts'
import { pairsOf } from './field-list.ts'
import { NOTHING } from './upload.ts'

export interface DownloadWatcher {
  /** Bytes came from the upstream or went to the client. */
  onDownloaded(): void
  /** The client's socket has taken all of the answer. */
  onDownloadDone(): void
  /** The upstream's answer ended too early. */
  onDownloadBroken(error: NodeJS.ErrnoException): void
  /** Those of the upstream that go on. */
  passDown(trailers: Fields): Fields
}

export class Download {
  readonly #answer: IncomingMessage
  readonly #res: ServerResponse
  readonly #watcher: DownloadWatcher
  readonly head: AnswerHead
  bytes = 0
  isDone = false

  constructor(
    head: AnswerHead,
    answer: IncomingMessage,
    res: ServerResponse,
    watcher: DownloadWatcher,
  ) {
    this.head = head
    this.#answer = answer
    this.#res = res
    this.#watcher = watcher
  }

  /** Whether all of the answer has come from the upstream. */
  get isReceived(): boolean {
    return this.#answer.complete
  }

  /** Throws node's error, before anything is sent, for a head that cannot be written. */
  start(): void {
    const res = this.#res
    writeAnswerHead(res, this.head)
    res.on('drain', this.#onDrain)
    res.on('finish', this.#onFinish)
    this.#answer.on('data', this.#onData)
    this.#answer.on('end', this.#onEnd)
    this.#answer.on('error', this.#onError)
    // The client gets the head now, as the first event of a stream may be long in coming.
    if (this.head.framing !== 'none') res.write(NOTHING)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length
    if (!this.#res.write(chunk)) this.#answer.pause()
    this.#watcher.onDownloaded()
  }

  readonly #onDrain = (): void => {
    this.#answer.resume()
    this.#watcher.onDownloaded()
  }

  readonly #onEnd = (): void => {
    if (this.head.framing === 'chunked') {
      this.#res.addTrailers(pairsOf(this.#watcher.passDown(this.#answer.rawTrailers)))
    }
    this.#res.end()
  }

  readonly #onFinish = (): void => {
    this.isDone = true
    this.#watcher.onDownloadDone()
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#watcher.onDownloadBroken(error)
  }

  /** Moves no more. */
  stop(): void {
    this.#res.off('drain', this.#onDrain)
    this.#res.off('finish', this.#onFinish)
    this.#answer.off('data', this.#onData)
    this.#answer.off('end', this.#onEnd)
  }
}
