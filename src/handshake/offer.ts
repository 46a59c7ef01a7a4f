/**
 * Offers the upgrade to one endpoint: sends the request and its body over a connected socket, and reads the head of the
 * answer. What comes out is a checked 101, another answer, or a refusal; it decides nothing beyond that.
 *
 *     head, body ->            deadline runs; each part of the body sets it back
 *            <- 1xx            goes to the client at once
 *            <- 101            checked: granted, or E_UPSTREAM_SWITCH
 *            <- anything else  answered
 */

import type { Socket } from 'node:net'
import { Refusal } from '../errors.ts'
import type { Side } from '../relay/relay.ts'
import { serializeHead } from './answer.ts'
import type { RawClient } from './raw-client.ts'
import { parseResponseHead, type ResponseHead } from './response-head.ts'
import { checkSwitch } from './switch.ts'

const HEAD_BYTES_MAX = 65_536
/** Informational answers of one handshake; more is an upstream that has lost its mind. */
const INFORMATIONAL_MAX = 32

export interface OfferOptions {
  readonly client: RawClient
  /** Connected, with nobody listening to it. */
  readonly socket: Socket
  /** The whole request head. */
  readonly head: string
  /** The tokens in it. */
  readonly tokens: readonly string[]
  readonly websocketKey: string | undefined
  /** Milliseconds from the last part of the request to the head of the answer. */
  readonly timeoutMs: number
}

/** The upstream switched protocols, rightly. */
export interface Granted {
  readonly kind: 'granted'
  readonly head: ResponseHead
  /** Lower-case token. */
  readonly protocol: string
  readonly upstream: Side
}

/** The upstream gave another final answer; `rest` came behind its head. */
export interface Answered {
  readonly kind: 'answered'
  readonly head: ResponseHead
  readonly upstream: Side
}

/**
 * Never rejects. With a Refusal the socket is destroyed: E_CLIENT_GONE, E_BODY_MALFORMED, E_UPSTREAM_RESET,
 * E_UPSTREAM_PROTOCOL, E_UPSTREAM_SWITCH, E_HANDSHAKE_TIMEOUT, and E_HEAD_TIMEOUT when the client owes its body.
 */
export function offer(options: OfferOptions): Promise<Granted | Answered | Refusal> {
  return new Promise((resolve) => new Offer(options, resolve).start())
}

class Offer {
  readonly #options: OfferOptions
  readonly #resolve: (outcome: Granted | Answered | Refusal) => void
  #deadline: NodeJS.Timeout | undefined
  #received: Buffer | undefined
  #informational = 0
  #ended = false

  constructor(options: OfferOptions, resolve: (outcome: Granted | Answered | Refusal) => void) {
    this.#options = options
    this.#resolve = resolve
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
    let bytes = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk])
    for (;;) {
      const parsed = parseResponseHead(bytes, HEAD_BYTES_MAX)
      if (parsed === undefined) {
        this.#received = bytes
        return
      }
      if ('wrong' in parsed)
        return this.#refuse(new Refusal('E_UPSTREAM_PROTOCOL', { cause: parsed.wrong }))
      const { head } = parsed
      bytes = bytes.subarray(parsed.bytes)
      if (head.status >= 200 || head.status === 101) return this.#conclude(head, bytes)
      if (!this.#relayInformational(head)) return
    }
  }

  /** RFC 9110 15.2: a proxy forwards 1xx answers, though not to HTTP/1.0, which has none. */
  #relayInformational(head: ResponseHead): boolean {
    this.#informational += 1
    if (this.#informational > INFORMATIONAL_MAX) {
      this.#refuse(new Refusal('E_UPSTREAM_PROTOCOL', { cause: 'too many informational answers' }))
      return false
    }
    const { client } = this.#options
    if (client.httpVersion === '1.1') client.socket.write(serializeHead(head), 'latin1')
    this.#deadline?.refresh()
    return true
  }

  #conclude(head: ResponseHead, rest: Buffer): void {
    const { socket, tokens, websocketKey } = this.#options
    const upstream: Side = { socket, unread: rest.length > 0 ? [rest] : [], ended: this.#ended }
    if (head.status !== 101) {
      this.#settle({ kind: 'answered', head, upstream })
      return
    }
    const switched = checkSwitch(head, tokens, websocketKey)
    if ('wrong' in switched)
      this.#refuse(new Refusal('E_UPSTREAM_SWITCH', { cause: switched.wrong }))
    else this.#settle({ kind: 'granted', head, protocol: switched.protocol, upstream })
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#refuse(
      this.#received === undefined
        ? new Refusal('E_UPSTREAM_RESET', { cause: 'FIN before an answer' })
        : new Refusal('E_UPSTREAM_PROTOCOL', { cause: 'FIN in the middle of the answer head' }),
    )
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#refuse(new Refusal('E_UPSTREAM_RESET', { cause: error.code ?? error.message }))
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
