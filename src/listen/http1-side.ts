/**
 * The requests of one listener, all of them in HTTP/1.1: streams of HTTP/2 are told as such. Node's strict parser reads
 * their heads, save those of ordinary handshakes that the door has heard; each request goes on as an upgrade (with its
 * connection) or as plain HTTP (with a response object), by a decision that is made elsewhere.
 */

import type http from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Refusal } from '../errors.ts'
import { lingeringClose } from '../http1/lingering-close.ts'
import type { HeldConnection } from '../relay/acceptor.ts'
import type { RelaySocket } from '../relay/relay.ts'
import { methodDenied, type Connection } from '../request/facts.ts'
import type { Arrival, ListenHandlers } from './arrival.ts'
import type { HandshakeHead } from './handshake-head.ts'
import { adjustHttpServer, createHttpServer, type HttpLimits } from './http-server.ts'
import { parserRefusal } from './parser-refusal.ts'
import { toldOf } from './proxy-protocol-ends.ts'
import type { StreamSocket } from './stream-socket.ts'

export interface Http1Options<D extends { readonly upgrades: boolean }> {
  readonly limits: HttpLimits
  readonly handlers: Pick<ListenHandlers<D>, 'decide' | 'upgrade' | 'plain' | 'broken'>
  /** What is known of a connection whose request is to be decided on. */
  readonly describe: (socket: Socket | StreamSocket) => Connection
  readonly describeHeld: (connection: HeldConnection) => Connection
  /** See `Arrival`, as of now. */
  readonly lend: () => Arrival['lend']
  /** A client that was held until now is a socket. */
  readonly onSocket: (socket: RelaySocket) => void
}

const kDecision = Symbol('upgate.decision')
const kBroken = Symbol('upgate.broken')

/** `upgrade` is node's own mark of a request at which the parser stops; its types do not have it. */
type Decided<D> = http.IncomingMessage & { [kDecision]?: D; upgrade?: boolean }

/** Whether the parser refused the rest of this request after its head: `res` closed, but not because the client left. */
export function brokeOff(response: http.ServerResponse): boolean {
  return kBroken in response
}

export class Http1Side<D extends { readonly upgrades: boolean }> {
  readonly #options: Http1Options<D>
  readonly #server: http.Server
  /** Responses in progress by their socket. */
  readonly #inProgress = new Map<Duplex, http.ServerResponse>()
  /** Connections whose stripped handshake the parser has read and not let go of yet. */
  readonly #takenOver = new WeakSet<Duplex>()
  /** Sockets whose first bytes came before they were sockets: node does not count those. */
  readonly #begun = new WeakSet<Duplex>()
  /** No request comes behind those in progress. */
  #isLast = false
  readonly #whenIdle: (() => void)[] = []

  constructor(options: Http1Options<D>) {
    this.#options = options
    const server = createHttpServer(options.limits, (request) => this.#decide(request).upgrades)
    this.#server = server
    server.on('request', this.#onRequest)
    server.on('checkContinue', this.#onRequest)
    server.on('checkExpectation', this.#onRequest)
    server.on('upgrade', this.#onUpgrade)
    server.on('connect', this.#onConnect)
    server.on('clientError', this.#onClientError)
  }

  /** The next requests of connections that stand have these limits. */
  adjust(limits: HttpLimits): void {
    adjustHttpServer(this.#server, limits)
  }

  /** A connection whose next bytes are those of a request. `hasBegun`: some of them came before it was a socket. */
  accept(socket: RelaySocket, hasBegun = false): void {
    if (hasBegun) this.#begun.add(socket)
    this.#server.emit('connection', socket)
  }

  /** A handshake that was heard on a connection without a socket; false when the decision is that it is none. */
  handshake(connection: HeldConnection, { head, rest }: HandshakeHead, ended: boolean): boolean {
    const { handlers, describeHeld, lend } = this.#options
    const decision = handlers.decide(head, describeHeld(connection))
    if (!decision.upgrades) return false
    const giveBack = this.#giveBackHeld
    handlers.upgrade(decision, { connection, rest, ended, giveBack, lend: lend() })
    return true
  }

  /** Answers in place of a request's answer, and closes. */
  refuse(refusal: Refusal, socket: Socket | StreamSocket): void {
    // The parser would complain again of what still comes.
    socket.removeAllListeners('data')
    const answer = this.#options.handlers.broken(refusal, socket.remoteAddress ?? '')
    socket.write(Buffer.from(answer, 'latin1'))
    lingeringClose(socket)
  }

  /** Closes idle connections; each other one closes with its answer. Fulfilled when no request is in progress. */
  async stop(): Promise<void> {
    this.#isLast = true
    this.#server.closeIdleConnections()
    for (const response of this.#inProgress.values()) response.shouldKeepAlive = false
    if (this.#inProgress.size === 0) return
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }

  /** Cuts what the parser has; what it has let go of goes on. */
  destroy(): void {
    this.#isLast = true
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #decide(request: Decided<D>): D {
    const { handlers, describe } = this.#options
    const decision = handlers.decide(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        httpVersion: request.httpVersionMinor === 0 ? '1.0' : '1.1',
        fields: request.rawHeaders,
      },
      describe(request.socket),
    )
    request[kDecision] = decision
    return decision
  }

  readonly #onRequest = (request: Decided<D>, response: http.ServerResponse): void => {
    const decision = request[kDecision] ?? this.#decide(request)
    if (this.#takenOver.has(request.socket)) {
      const cause = 'a request pipelined behind a handshake'
      this.refuse(new Refusal('E_REQUEST_MALFORMED', { cause }), request.socket)
      return
    }
    if (decision.upgrades) {
      this.#takenOver.add(request.socket)
      // The head asks for no upgrade by itself (a proxy stripped it), so the parser did not stop. Set like this, it lets
      // go of the socket as soon as it has read this request, and 'upgrade' follows.
      request.upgrade = true
      response.detachSocket(request.socket)
      return
    }
    const { socket } = request
    this.#inProgress.set(socket, response)
    if (this.#isLast) response.shouldKeepAlive = false
    response.on('close', () => this.#onResponseClose(socket, response))
    this.#options.handlers.plain(decision, request, response)
  }

  #onResponseClose(socket: Duplex, response: http.ServerResponse): void {
    if (this.#inProgress.get(socket) === response) this.#inProgress.delete(socket)
    if (!this.#isLast) return
    // What kept its connection alive before the stop is idle now.
    this.#server.closeIdleConnections()
    if (this.#inProgress.size > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  readonly #onUpgrade = (request: Decided<D>, socket: Duplex, head: Buffer): void => {
    const { handlers, lend } = this.#options
    // 'upgrade' comes only for what was decided to upgrade, be it in shouldUpgradeCallback or in #onRequest.
    const decision = request[kDecision] as D
    this.#takenOver.delete(socket)
    handlers.upgrade(decision, {
      socket: socket as RelaySocket,
      head,
      giveBack: this.#giveBack,
      lend: lend(),
    })
  }

  readonly #giveBack = (socket: RelaySocket): void => {
    if (this.#isLast) {
      // A stream of HTTP/2 has one request, and is never given back.
      ;(socket as Socket).destroySoon()
      return
    }
    this.accept(socket)
    socket.resume()
  }

  /** The first time that its connection is a socket. */
  readonly #giveBackHeld = (socket: RelaySocket): void => {
    this.#options.onSocket(socket)
    this.#giveBack(socket)
  }

  readonly #onConnect = (_request: http.IncomingMessage, socket: Duplex): void => {
    this.refuse(methodDenied('CONNECT'), socket as Socket)
  }

  readonly #onClientError = (error: NodeJS.ErrnoException, duplex: Duplex): void => {
    const socket = duplex as Socket
    const response = this.#inProgress.get(socket)
    const refusal = parserRefusal(error)
    if (response !== undefined && refusal !== undefined)
      Object.assign(response, { [kBroken]: true })
    const hasSaidNothing = socket.bytesRead <= (toldOf(socket)?.bytes ?? 0)
    const isSilent =
      refusal?.code === 'E_HEAD_TIMEOUT' && hasSaidNothing && !this.#begun.has(socket)
    if (refusal === undefined || isSilent || !socket.writable || response?.headersSent === true) {
      socket.destroy()
      return
    }
    this.refuse(refusal, socket)
  }
}
