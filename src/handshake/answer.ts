/** Gives a client its response: one of our own or an auth server's, or an upstream's other answer to a handshake. */

import type { Answer } from '../errors.ts'
import type { Client, ResponseStart } from '../http1/client.ts'
import { bodyScanner, type BodyScanner, type Framing } from '../http1/framing.ts'
import type { ResponseWriter } from '../http1/response-writer.ts'
import { trailerFields } from '../http1/trailers.ts'
import { passedTrailers, type LostFields } from '../outgoing/trailers.ts'
import type { Side } from '../relay/relay.ts'
import { Silence } from './silence.ts'

/** How the relay of an answer went. */
export interface AnswerEnd {
  /** Bytes of the body that went to the client. */
  readonly bytesDown: number
  /** What broke it off; undefined when the answer arrived whole. */
  readonly cause: string | undefined
}

/**
 * Sends an answer that is ours or an auth server's. `fields` hold no framing but Content-Length. A body that the client still
 * owes is not waited for: the connection closes behind the answer. Throws, before anything is written, for what cannot be.
 */
export function sendAnswer(client: Client, { body, status, reason, fields }: Answer): void {
  const isBodyless = client.method === 'HEAD' || status === 204 || status === 304
  const framing = isBodyless ? 'none' : 'length'
  const writer = client.respond({ status, reason, fields, framing, closes: !client.bodyDone })
  if (!isBodyless) writer.write(body)
  writer.end()
}

/** An upstream's answer on its way to a client. */
export interface RelayedAnswer extends ResponseStart {
  /** Where the upstream's body ends. */
  readonly bodyFraming: Framing
  /** What its trailers lose. */
  readonly lost: LostFields
}

/**
 * Relays an upstream's answer whole, with back-pressure. `idleMs` is how long no byte may move. Never rejects. An answer that
 * breaks off is cut off for the client as well.
 */
export function relayAnswer(
  client: Client,
  upstream: Side,
  answer: RelayedAnswer,
  idleMs: number,
): Promise<AnswerEnd> {
  return new Promise((resolve) => {
    new AnswerRelay(client, upstream, answer, resolve).start(idleMs)
  })
}

class AnswerRelay {
  readonly #client: Client
  readonly #upstream: Side
  readonly #answer: RelayedAnswer
  readonly #resolve: (end: AnswerEnd) => void
  readonly #scanner: BodyScanner
  readonly #silence = new Silence()
  readonly #writer: ResponseWriter
  #isOver = false

  constructor(
    client: Client,
    upstream: Side,
    answer: RelayedAnswer,
    resolve: (end: AnswerEnd) => void,
  ) {
    this.#client = client
    this.#upstream = upstream
    this.#answer = answer
    this.#resolve = resolve
    this.#scanner = bodyScanner(answer.bodyFraming)
    this.#writer = client.respond(answer)
  }

  start(idleMs: number): void {
    const { socket, unread, ended } = this.#upstream
    this.#silence.watch(idleMs, this.#onIdle)
    this.#client.onGone = this.#onClientGone
    if (this.#isOver) return
    this.#writer.onDone = this.#onOut
    if (this.#scanner.done) return this.#onWhole()
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    this.#writer.onDrain = this.#onDrain
    for (const chunk of unread) this.#onData(chunk)
    if (ended) this.#onEnd()
    else if (!this.#isOver && !this.#client.socket.writableNeedDrain) socket.resume()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isOver || this.#writer.hasEnded) return
    this.#silence.touch()
    const scanned = this.#scanner.scan(chunk, this.#write)
    if (scanned === undefined) this.#end('the chunked body is broken')
    else if (scanned.done) this.#onWhole()
  }

  readonly #write = (content: Buffer): void => {
    if (!this.#writer.write(content)) this.#upstream.socket.pause()
  }

  readonly #onDrain = (): void => {
    this.#silence.touch()
    this.#upstream.socket.resume()
  }

  readonly #onEnd = (): void => {
    if (this.#isOver || this.#writer.hasEnded) return
    if (this.#answer.bodyFraming.kind === 'close') this.#onWhole()
    else this.#end('the upstream ended in the middle of its answer')
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    if (!this.#writer.hasEnded) this.#end(error.code ?? error.message)
  }

  readonly #onIdle = (): void => {
    this.#end('idle')
  }

  readonly #onClientGone = (): void => {
    this.#end('the client left')
  }

  /** Nothing more comes from the upstream. */
  #onWhole(): void {
    const trailers = trailerFields(this.#scanner.trailers)
    if (typeof trailers === 'string') {
      this.#end(`a trailer: ${trailers}`)
      return
    }
    const { framing, lost } = this.#answer
    this.#writer.end(framing === 'chunked' ? passedTrailers(trailers, lost) : [])
    this.#leaveUpstream()
  }

  readonly #onOut = (): void => {
    this.#end(undefined)
  }

  #leaveUpstream(): void {
    const { socket } = this.#upstream
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    socket.destroy()
  }

  #end(cause: string | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#silence.end()
    this.#leaveUpstream()
    this.#writer.onDrain = undefined
    this.#client.onGone = undefined
    // A truncated answer must look truncated: never a clean end.
    if (cause !== undefined) this.#client.destroy(this.#answer.framing === 'close')
    this.#resolve({ bytesDown: this.#writer.bytes, cause })
  }
}
