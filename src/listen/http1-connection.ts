/**
 * One connection of a client that speaks HTTP/1: it reads a head, hands on the exchange, and reads the next head when that
 * one is over.
 *
 *     reading a head --whole--> exchange --over--> reading a head ...
 *           |                      |  \--> closing, lingering
 *           \--> refused, closing  \-----> a tunnel's
 */

import { Refusal } from '../errors.ts'
import { Silence } from '../handshake/silence.ts'
import type { Client } from '../http1/client.ts'
import { requestFraming } from '../http1/framing.ts'
import { lingeringClose, WITHIN_BODY } from '../http1/lingering-close.ts'
import { RequestHeadReader, type ReadRequest } from '../http1/request-head.ts'
import { SocketClient, type ExchangeOwner } from '../http1/socket-client.ts'
import type { RelaySocket } from '../relay/relay.ts'
import { brokenFraming, type RequestHead } from '../request/facts.ts'

export interface Http1Limits {
  readonly headBytesMax: number
  readonly headTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  /** Clients may end their side and still read. */
  readonly halfClose: boolean
}

/** Whose connections these are. */
export interface ConnectionOwner {
  readonly limits: Http1Limits
  /** No request is taken in any more. */
  readonly isLast: boolean
  /** A request; `client` is told when its exchange is over. */
  onRequest(head: RequestHead, connection: Http1Connection, client: Client): void
  /** Tells of a request that cannot be read, and gives the bytes of the response. */
  onBroken(refusal: Refusal, socket: RelaySocket): string
  /** An exchange ended, whichever way. */
  onExchangeOver(): void
  /** The connection is closed, or not ours any more. */
  onGone(connection: Http1Connection): void
  lend(socket: RelaySocket): (() => () => void) | undefined
}

export interface ConnectionOptions {
  readonly socket: RelaySocket
  /** FIN of the client's side says nothing about its being there: a stream of HTTP/2 ends with each request. */
  readonly isStream: boolean
}

type State = 'head' | 'exchange' | 'closing' | 'released'

export class Http1Connection implements ExchangeOwner {
  readonly socket: RelaySocket
  readonly #owner: ConnectionOwner
  readonly #isStream: boolean
  readonly #reader = new RequestHeadReader()
  readonly #timer = new Silence()
  #client: SocketClient | undefined
  #state: State = 'head'
  /** The client's FIN has come. */
  #ended = false
  #failed = false
  #hasServed = false

  constructor(owner: ConnectionOwner, { socket, isStream }: ConnectionOptions) {
    this.socket = socket
    this.#owner = owner
    this.#isStream = isStream
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.on('drain', this.#onDrain)
  }

  get aheadMax(): number {
    return this.#owner.limits.headBytesMax
  }

  get mayGoOn(): boolean {
    return !this.#owner.isLast && !this.#isStream
  }

  /** Whether it waits for the first byte of another request. Its first one may be on its way. */
  get isIdle(): boolean {
    return this.#hasServed && this.#state === 'head' && this.#reader.isEmpty
  }

  /** Reads a head. */
  start(): void {
    this.#timer.watch(this.#owner.limits.headTimeoutMs, this.#onHeadLate)
  }

  /** Its first request was read before it was a socket, and perhaps the client's FIN behind it. */
  startRead(request: ReadRequest, ended: boolean): void {
    this.#ended = ended
    this.#onHead(request)
  }

  /** Likewise, and the exchange has begun. */
  takeExchange(request: ReadRequest, ended: boolean, endMeansGone: boolean): Client {
    this.#ended = ended
    this.#state = 'exchange'
    this.#client = this.#clientOf(request, endMeansGone)
    return this.#client
  }

  /** Answers with a refusal, and closes. */
  refuse(refusal: Refusal): void {
    if (this.socket.destroyed) return
    this.socket.write(this.#owner.onBroken(refusal, this.socket), 'latin1')
    this.close(false)
  }

  next(ahead: readonly Buffer[], ended: boolean): void {
    this.#owner.onExchangeOver()
    this.#client = undefined
    this.#hasServed = true
    this.#ended = ended
    this.#state = 'head'
    const { limits, isLast } = this.#owner
    if (isLast || (ended && (ahead.length === 0 || !limits.halfClose))) {
      this.close(false)
      return
    }
    if (ahead.length === 0) this.#timer.watch(limits.keepAliveTimeoutMs, this.#onUnused)
    else this.#read(Buffer.concat(ahead).toString('latin1'))
    if (this.#state === 'head') this.socket.resume()
  }

  close(owesBody: boolean): void {
    this.#endExchange()
    this.#state = 'closing'
    this.#timer.end()
    this.socket.off('data', this.#onData)
    if (this.#isStream && owesBody) {
      // RFC 9113 8.1: the stream is reset with NO_ERROR behind a whole response, which ends a body that nobody wants.
      this.socket.end(() => this.socket.destroy())
    } else lingeringClose(this.socket, owesBody ? WITHIN_BODY : undefined)
  }

  release(): void {
    this.#endExchange()
    this.#state = 'released'
    this.#unlisten()
    this.#owner.onGone(this)
  }

  lend(): (() => () => void) | undefined {
    return this.#owner.lend(this.socket)
  }

  /** Cuts it. */
  destroy(): void {
    this.socket.destroy()
  }

  #read(text: string): void {
    const { headBytesMax, headTimeoutMs } = this.#owner.limits
    const isFirst = this.#reader.isEmpty
    const read = this.#reader.push(text, headBytesMax)
    if (read instanceof Refusal) this.refuse(read)
    else if (read !== 'more') this.#onHead(read)
    else if (this.#ended) this.refuse(endedEarly())
    else if (isFirst) this.#timer.watch(headTimeoutMs, this.#onHeadLate)
  }

  #onHead(read: ReadRequest): void {
    this.#timer.end()
    this.#state = 'exchange'
    const client = this.#clientOf(read, !this.#isStream && !this.#owner.limits.halfClose)
    this.#client = client
    this.#owner.onRequest(read.head, this, client)
  }

  #clientOf({ head, rest }: ReadRequest, endMeansGone: boolean): SocketClient {
    return new SocketClient(this, {
      head,
      // A body whose end nobody can know is refused with its request, and the connection closes behind that.
      framing: brokenFraming(head) === undefined ? requestFraming(head.fields) : { kind: 'close' },
      ahead: Buffer.from(rest, 'latin1'),
      ended: this.#ended,
      endMeansGone,
    })
  }

  #endExchange(): void {
    if (this.#client === undefined) return
    this.#client = undefined
    this.#owner.onExchangeOver()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state === 'exchange') this.#client?.onData(chunk)
    else if (this.#state === 'head') this.#read(chunk.toString('latin1'))
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    if (this.#state === 'exchange') this.#client?.onEnd()
    else if (this.#state === 'head') {
      if (this.#reader.isEmpty) this.close(false)
      else this.refuse(endedEarly())
    }
  }

  readonly #onError = (): void => {
    this.#failed = true
  }

  readonly #onClose = (): void => {
    const client = this.#client
    this.#endExchange()
    this.#timer.end()
    this.#owner.onGone(this)
    client?.onClose(this.#failed)
  }

  readonly #onDrain = (): void => {
    this.#client?.onDrain()
  }

  /** Clients that have said nothing are closed without a word: many connect ahead of need. */
  readonly #onHeadLate = (): void => {
    if (this.#reader.isEmpty) this.socket.destroy()
    else this.refuse(new Refusal('E_HEAD_TIMEOUT', { cause: 'no whole head' }))
  }

  readonly #onUnused = (): void => {
    this.close(false)
  }

  #unlisten(): void {
    this.socket.off('data', this.#onData)
    this.socket.off('end', this.#onEnd)
    this.socket.off('error', this.#onError)
    this.socket.off('close', this.#onClose)
    this.socket.off('drain', this.#onDrain)
  }
}

/** A FIN in the middle of a head: the client may still read why it gets nothing else. */
export function endedEarly(): Refusal {
  return new Refusal('E_REQUEST_MALFORMED', { cause: 'the client ended in the middle of the head' })
}
