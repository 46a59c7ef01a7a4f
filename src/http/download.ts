/** Moves the upstream's answer to the client, with back-pressure, from the head to the trailers. */

import type { IncomingMessage } from 'node:http'
import type { Fields } from '../errors.ts'
import type { Client } from '../http1/client.ts'
import type { ResponseWriter } from '../http1/response-writer.ts'
import type { AnswerHead } from './answer-head.ts'

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
  readonly #client: Client
  readonly #watcher: DownloadWatcher
  readonly head: AnswerHead
  #writer: ResponseWriter | undefined
  isDone = false

  constructor(head: AnswerHead, answer: IncomingMessage, client: Client, watcher: DownloadWatcher) {
    this.head = head
    this.#answer = answer
    this.#client = client
    this.#watcher = watcher
  }

  /** Of the body, to the client. */
  get bytes(): number {
    return this.#writer?.bytes ?? 0
  }

  /** Whether all of the answer has come from the upstream. */
  get isReceived(): boolean {
    return this.#answer.complete
  }

  /** Throws, before anything is sent, for a head that cannot be written. */
  start(): void {
    const writer = this.#client.respond(this.head)
    this.#writer = writer
    writer.onDrain = this.#onDrain
    writer.onDone = this.#onDone
    this.#answer.on('data', this.#onData)
    this.#answer.on('end', this.#onEnd)
    this.#answer.on('error', this.#onError)
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#writer?.write(chunk) === false) this.#answer.pause()
    this.#watcher.onDownloaded()
  }

  readonly #onDrain = (): void => {
    this.#answer.resume()
    this.#watcher.onDownloaded()
  }

  readonly #onEnd = (): void => {
    const isChunked = this.head.framing === 'chunked'
    this.#writer?.end(isChunked ? this.#watcher.passDown(this.#answer.rawTrailers) : [])
  }

  readonly #onDone = (): void => {
    this.isDone = true
    this.#watcher.onDownloadDone()
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#watcher.onDownloadBroken(error)
  }

  /** Moves no more. */
  stop(): void {
    if (this.#writer !== undefined) {
      this.#writer.onDrain = undefined
      this.#writer.onDone = undefined
    }
    this.#answer.off('data', this.#onData)
    this.#answer.off('end', this.#onEnd)
  }
}
