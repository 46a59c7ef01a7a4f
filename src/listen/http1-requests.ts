/**
 * The requests of one listener, all of them in HTTP/1: streams of HTTP/2 are told as such. Each goes on with the client's
 * end of its exchange; what becomes of it is decided elsewhere.
 */

import type { Refusal } from '../errors.ts'
import type { Client } from '../http1/client.ts'
import { requestFraming } from '../http1/framing.ts'
import { HeldClient } from '../http1/held-client.ts'
import type { ReadRequest } from '../http1/request-head.ts'
import type { HeldConnection } from '../relay/acceptor.ts'
import type { RelaySocket } from '../relay/relay.ts'
import { brokenFraming, type Connection, type RequestHead } from '../request/facts.ts'
import type { ListenHandlers } from './handlers.ts'
import { Http1Connection, type ConnectionOwner, type Http1Limits } from './http1-connection.ts'
import { StreamSocket } from './stream-socket.ts'

export interface Http1Options {
  readonly handlers: Pick<ListenHandlers, 'request' | 'broken'>
  /** As of now. */
  readonly limits: () => Http1Limits
  /** What is known of a connection whose request is to be decided on. */
  readonly describe: (socket: RelaySocket) => Connection
  readonly describeHeld: (connection: HeldConnection) => Connection
  /** See `Side`. */
  readonly lend: (socket: RelaySocket) => (() => () => void) | undefined
  /** A client that was held until now is a socket. */
  readonly onSocket: (socket: RelaySocket) => void
}

export class Http1Requests implements ConnectionOwner {
  readonly #options: Http1Options
  readonly #connections = new Set<Http1Connection>()
  #exchanges = 0
  #isLast = false
  readonly #whenIdle: (() => void)[] = []

  constructor(options: Http1Options) {
    this.#options = options
  }

  get limits(): Http1Limits {
    return this.#options.limits()
  }

  get isLast(): boolean {
    return this.#isLast
  }

  /** A connection whose next bytes are those of a request. */
  accept(socket: RelaySocket): void {
    this.#add(socket).start()
  }

  /** A held connection whose first request was read. It becomes a socket where the request, or its response, needs one. */
  acceptHeld(connection: HeldConnection, request: ReadRequest, ended: boolean): void {
    const { handlers, describeHeld, onSocket } = this.#options
    const { head } = request
    if (hasBody(head)) {
      const socket = connection.toSocket()
      onSocket(socket)
      this.#add(socket).startRead(request, ended)
      return
    }
    this.#exchanges += 1
    const client = new HeldClient({
      connection,
      head,
      rest: request.rest,
      ended,
      endMeansGone: !this.limits.halfClose,
      toSocketClient: ({ socket, endMeansGone }) => {
        onSocket(socket)
        return this.#add(socket).takeExchange(request, ended, endMeansGone)
      },
      onOver: () => this.onExchangeOver(),
    })
    handlers.request(head, describeHeld(connection), client)
  }

  /** Likewise, of a held connection. */
  refuseHeld(connection: HeldConnection, refusal: Refusal): void {
    const socket = connection.toSocket()
    this.#options.onSocket(socket)
    this.refuse(refusal, socket)
  }

  /** Answers in place of a request's response, and closes. */
  refuse(refusal: Refusal, socket: RelaySocket): void {
    this.#add(socket).refuse(refusal)
  }

  /** Closes idle connections; each other one closes behind its response. Fulfilled when no exchange is in progress. */
  async stop(): Promise<void> {
    this.#isLast = true
    for (const connection of this.#connections) if (connection.isIdle) connection.destroy()
    if (this.#exchanges > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }

  /** Cuts every connection that is a socket and no tunnel. */
  destroy(): void {
    this.#isLast = true
    for (const connection of this.#connections) connection.destroy()
  }

  onRequest(head: RequestHead, { socket }: Http1Connection, client: Client): void {
    this.#exchanges += 1
    const { handlers, describe } = this.#options
    handlers.request(head, describe(socket), client)
  }

  onBroken(refusal: Refusal, socket: RelaySocket & { readonly remoteAddress?: string }): string {
    return this.#options.handlers.broken(refusal, socket.remoteAddress ?? '')
  }

  onExchangeOver(): void {
    this.#exchanges -= 1
    if (this.#exchanges > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  onGone(connection: Http1Connection): void {
    this.#connections.delete(connection)
  }

  lend(socket: RelaySocket): (() => () => void) | undefined {
    return this.#options.lend(socket)
  }

  #add(socket: RelaySocket): Http1Connection {
    const isStream = socket instanceof StreamSocket
    const connection = new Http1Connection(this, { socket, isStream })
    this.#connections.add(connection)
    return connection
  }
}

/** It has, or nobody can tell. */
function hasBody(head: RequestHead): boolean {
  return brokenFraming(head) !== undefined || requestFraming(head.fields).kind !== 'none'
}
