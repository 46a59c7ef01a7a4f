/**
 * Offers the upgrade to one endpoint: sends the request and its body over a connected socket, and reads the head of the
 * answer. What comes out is a checked 101, another answer, or a refusal; it decides nothing beyond that.
 *
 *     head, body ->            deadline runs; each part of the body sets it back
 *            <- 1xx            goes to the client at once
 *            <- 101            checked: granted, or E_UPSTREAM_SWITCH
 *            <- anything else  answered
 */

import { Refusal } from '../errors.ts'
import type { Client } from '../http1/client.ts'
import type { ResponseReader } from '../http1/response-reader.ts'
import type { LostFields } from '../outgoing/trailers.ts'
import type { RelaySocket, Side } from '../relay/relay.ts'
import { answerReader, judge, type Answered, type Granted } from './answer-reader.ts'
import { brokenRefusal } from './dial.ts'
import { RequestBody, type BodyWatcher } from './request-body.ts'

export interface OfferOptions {
  readonly client: Client
  /** Connected, with nobody listening to it. */
  readonly socket: RelaySocket
  /** The whole request head. */
  readonly head: string
  /** The tokens in it. */
  readonly tokens: readonly string[]
  readonly websocketKey: string | undefined
  /** What trailers of the request lose. */
  readonly lost: LostFields
  /** Milliseconds from the last part of the request to the head of the answer. */
  readonly timeoutMs: number
}

/**
 * Never rejects. With a Refusal the socket is destroyed: E_CLIENT_GONE, E_BODY_MALFORMED, E_UPSTREAM_RESET,
 * E_UPSTREAM_TLS, E_UPSTREAM_PROTOCOL, E_UPSTREAM_SWITCH, E_HANDSHAKE_TIMEOUT, and E_HEAD_TIMEOUT when the client owes its body.
 */
export function offer(options: OfferOptions): Promise<Granted | Answered | Refusal> {
  return new Promise((resolve) => new Offer(options, resolve).start())
}

class Offer implements BodyWatcher {
  readonly #options: OfferOptions
  readonly #resolve: (outcome: Granted | Answered | Refusal) => void
  readonly #reader: ResponseReader
  readonly #body: RequestBody
  #deadline: NodeJS.Timeout | undefined
  /** A 101 that came before the end of the request's body. */
  #granted: Granted | undefined
  #isOver = false

  constructor(options: OfferOptions, resolve: (outcome: Granted | Answered | Refusal) => void) {
    this.#options = options
    this.#resolve = resolve
    this.#reader = answerReader(options.client)
    this.#body = new RequestBody(options, this)
  }

  start(): void {
    const { client, socket, head, timeoutMs } = this.#options
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    // Stays for good: between our last event and the next listener's first one an error must find somebody.
    socket.on('error', ignore)
    this.#deadline = setTimeout(this.#onTimeout, timeoutMs)
    socket.resume()
    socket.write(head, 'latin1')
    client.onGone = this.#onClientGone
    if (!this.#isOver) this.#body.start()
  }

  readonly #onData = (chunk: Buffer): void => {
    const { informational } = this.#reader
    const read = this.#reader.read(chunk.toString('latin1'))
    if (read instanceof Refusal) return this.#refuse(read)
    if (read !== undefined) {
      const unread = read.rest === '' ? [] : [Buffer.from(read.rest, 'latin1')]
      const upstream: Side = { socket: this.#options.socket, unread, ended: false }
      const outcome = judge(read.head, upstream, this.#options)
      if (outcome instanceof Refusal) this.#refuse(outcome)
      else if (outcome.kind === 'granted' && !this.#options.client.bodyDone) this.#await(outcome)
      else this.#settle(outcome)
      return
    }
    if (this.#reader.informational > informational) this.#deadline?.refresh()
  }

  /** RFC 9110 7.8: the new protocol begins behind the whole request. */
  #await(granted: Granted): void {
    this.#granted = granted
    this.#options.socket.pause()
    this.#options.socket.off('data', this.#onData)
  }

  readonly #onEnd = (): void => this.#refuse(this.#reader.cutOff())

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#refuse(brokenRefusal(error))
  }

  readonly #onTimeout = (): void => {
    const { timeoutMs } = this.#options
    this.#refuse(
      this.#body.isOwed
        ? new Refusal('E_HEAD_TIMEOUT', { cause: `no byte of the body for ${timeoutMs} ms` })
        : new Refusal('E_HANDSHAKE_TIMEOUT', { cause: `no answer head within ${timeoutMs} ms` }),
    )
  }

  readonly #onClientGone = (): void => {
    this.#refuse(new Refusal('E_CLIENT_GONE'))
  }

  onBodyBroken(): void {
    this.#refuse(new Refusal('E_BODY_MALFORMED', { cause: 'the chunked body is broken' }))
  }

  onBodyDone(): void {
    if (this.#granted !== undefined) this.#settle(this.#granted)
  }

  onBodyProgress(): void {
    this.#deadline?.refresh()
  }

  #refuse(refusal: Refusal): void {
    this.#settle(refusal)
    this.#options.socket.destroy()
  }

  #settle(outcome: Granted | Answered | Refusal): void {
    const { client, socket } = this.#options
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#deadline)
    client.onGone = undefined
    this.#body.stop()
    socket.pause()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    this.#resolve(outcome)
  }
}

function ignore(): void {}
