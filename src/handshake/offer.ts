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
import { Silence } from './silence.ts'

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
  /** Milliseconds from the last part of the request to the head of the answer; `Infinity` for no limit. */
  readonly timeoutMs: number
  /** Milliseconds that the client may be silent in the middle of its body; `Infinity` for no limit. */
  readonly bodyTimeoutMs: number
}

/**
 * Never rejects. With a Refusal the socket is destroyed: E_CLIENT_GONE, E_BODY_MALFORMED, E_UPSTREAM_RESET,
 * E_UPSTREAM_TLS, E_UPSTREAM_PROTOCOL, E_UPSTREAM_SWITCH, E_HANDSHAKE_TIMEOUT, and E_HEAD_TIMEOUT when the client owes its body.
 */
export function offer(options: OfferOptions): Promise<Granted | Answered | Refusal> {
  return new Promise((resolve) => new Offer(options, resolve).start())
}

/** No head of an answer within the time for it. */
export function handshakeTimeout(timeoutMs: number): Refusal {
  const cause = `no answer head within ${timeoutMs} ms (timeouts.handshake)`
  return new Refusal('E_HANDSHAKE_TIMEOUT', { cause })
}

class Offer implements BodyWatcher {
  readonly #options: OfferOptions
  readonly #resolve: (outcome: Granted | Answered | Refusal) => void
  readonly #reader: ResponseReader
  readonly #body: RequestBody
  readonly #silence = new Silence()
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
    const { client, socket, head } = this.#options
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('drain', this.onBodyProgress)
    // Stays for good: between our last event and the next listener's first one an error must find somebody.
    socket.on('error', ignore)
    socket.resume()
    socket.write(head, 'latin1')
    client.onGone = this.#onClientGone
    if (!this.#isOver) this.#body.start()
    this.onBodyProgress()
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
    if (this.#reader.informational > informational) this.#silence.touch()
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

  readonly #onClientSilent = (): void => {
    const { bodyTimeoutMs } = this.#options
    const cause = `no byte of the body for ${bodyTimeoutMs} ms (timeouts.body)`
    this.#refuse(new Refusal('E_HEAD_TIMEOUT', { cause }))
  }

  readonly #onEndpointSilent = (): void => {
    this.#refuse(handshakeTimeout(this.#options.timeoutMs))
  }

  readonly #onClientGone = (): void => {
    this.#refuse(new Refusal('E_CLIENT_GONE'))
  }

  onBodyBroken(): void {
    this.#refuse(new Refusal('E_BODY_MALFORMED', { cause: 'the chunked body is broken' }))
  }

  onBodyDone(): void {
    if (this.#granted !== undefined) this.#settle(this.#granted)
    else this.onBodyProgress()
  }

  /** Also when the endpoint takes more of it again: it is the client's turn then. */
  readonly onBodyProgress = (): void => {
    const { timeoutMs, bodyTimeoutMs } = this.#options
    if (this.#isOver) return
    if (this.#body.isOwed) this.#silence.watch(bodyTimeoutMs, this.#onClientSilent)
    else this.#silence.watch(timeoutMs, this.#onEndpointSilent)
  }

  #refuse(refusal: Refusal): void {
    this.#settle(refusal)
    this.#options.socket.destroy()
  }

  #settle(outcome: Granted | Answered | Refusal): void {
    const { client, socket } = this.#options
    if (this.#isOver) return
    this.#isOver = true
    this.#silence.end()
    client.onGone = undefined
    this.#body.stop()
    socket.pause()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    socket.off('drain', this.onBodyProgress)
    this.#resolve(outcome)
  }
}

function ignore(): void {}
