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
import type { ResponseReader } from '../http1/response-reader.ts'
import type { RelaySocket, Side } from '../relay/relay.ts'
import { answerReader, judge, type Answered, type Granted } from './answer-reader.ts'
import type { Client } from './client.ts'
import { brokenRefusal } from './dial.ts'

export interface OfferOptions {
  readonly client: Client
  /** Connected, with nobody listening to it. */
  readonly socket: RelaySocket
  /** The whole request head. */
  readonly head: string
  /** The tokens in it. */
  readonly tokens: readonly string[]
  readonly websocketKey: string | undefined
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

class Offer {
  readonly #options: OfferOptions
  readonly #resolve: (outcome: Granted | Answered | Refusal) => void
  readonly #reader: ResponseReader
  #deadline: NodeJS.Timeout | undefined

  constructor(options: OfferOptions, resolve: (outcome: Granted | Answered | Refusal) => void) {
    this.#options = options
    this.#resolve = resolve
    this.#reader = answerReader(options.client)
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
    client.sendBody(socket, this.#onBrokenBody, this.#onBodyProgress)
    client.onGone = this.#onClientGone
  }

  readonly #onData = (chunk: Buffer): void => {
    const { informational } = this.#reader
    const read = this.#reader.read(chunk.toString('latin1'))
    if (read instanceof Refusal) return this.#refuse(read)
    if (read !== undefined) {
      const unread = read.rest === '' ? [] : [Buffer.from(read.rest, 'latin1')]
      const upstream: Side = { socket: this.#options.socket, unread, ended: false }
      const outcome = judge(read.head, upstream, this.#options)
      return outcome instanceof Refusal ? this.#refuse(outcome) : this.#settle(outcome)
    }
    if (this.#reader.informational > informational) this.#deadline?.refresh()
  }

  readonly #onEnd = (): void => this.#refuse(this.#reader.cutOff())

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#refuse(brokenRefusal(error))
  }

  readonly #onTimeout = (): void => {
    const { client, timeoutMs } = this.#options
    this.#refuse(
      client.owesBody
        ? new Refusal('E_HEAD_TIMEOUT', { cause: `no byte of the body for ${timeoutMs} ms` })
        : new Refusal('E_HANDSHAKE_TIMEOUT', { cause: `no answer head within ${timeoutMs} ms` }),
    )
  }

  readonly #onClientGone = (): void => {
    this.#refuse(new Refusal('E_CLIENT_GONE'))
  }

  readonly #onBrokenBody = (): void => {
    this.#refuse(new Refusal('E_BODY_MALFORMED', { cause: 'the chunked body is broken' }))
  }

  readonly #onBodyProgress = (): void => {
    this.#deadline?.refresh()
  }

  #refuse(refusal: Refusal): void {
    this.#settle(refusal)
    this.#options.socket.destroy()
  }

  #settle(outcome: Granted | Answered | Refusal): void {
    const { client, socket } = this.#options
    clearTimeout(this.#deadline)
    client.onGone = undefined
    socket.pause()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    this.#resolve(outcome)
  }
}

function ignore(): void {}
