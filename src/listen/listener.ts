/**
 * One listening address: accepts connections, or has the relay's engine accept them; lets node's strict parser read the
 * heads of requests, save those of ordinary handshakes that the engine has heard; and hands each request on as an upgrade
 * (with its connection) or as plain HTTP (with a response object). It decides nothing about a request.
 */

import type http from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Address, ListenerConfig } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import { lingeringClose } from '../handshake/lingering-close.ts'
import type { Acceptor, HeldConnection } from '../relay/acceptor.ts'
import type { RelaySocket } from '../relay/relay.ts'
import { methodDenied, type Connection, type RequestHead } from '../request/facts.ts'
import { bind, type Bound } from './bind.ts'
import { openDoor, type Door, type DoorHandlers } from './door.ts'
import { adjustHttpServer, createHttpServer } from './http-server.ts'
import { readPreface } from './http2-preface.ts'
import { Http2Side } from './http2-side.ts'
import { openNodeDoor, portOf } from './node-door.ts'
import { tellSecure, toldOf } from './proxy-protocol-ends.ts'
import { ProxySide } from './proxy-protocol-side.ts'
import { StreamSocket } from './stream-socket.ts'
import { certificateRefusal, peerAddressOf } from './tls-refusal.ts'
import { TlsSide } from './tls-side.ts'

/** What happens to requests. `D` is the decision, made once per request, when its head is there. */
export interface ListenHandlers<D extends { readonly upgrades: boolean }> {
  decide(head: RequestHead, connection: Connection): D
  upgrade(decision: D, arrival: Arrival): void
  plain(decision: D, request: http.IncomingMessage, response: http.ServerResponse): void
  /** What the parser refused; the bytes of the answer to send, or undefined for none. */
  broken(refusal: Refusal, peerAddress: string): string
  /** Whether some route takes WebSockets now. */
  servesWebSocket(): boolean
  /** Whether a peer may say by the PROXY protocol whose connection it passes on; empty for one on a unix socket. */
  trusts(peerAddress: string): boolean
}

/** A request to upgrade, and the connection that it came over: a socket that the parser has let go of, or a held one. */
export type Arrival = {
  /** Returns a socket to the parser for its next request. */
  readonly giveBack: (socket: RelaySocket) => void
  /** A socket's connection goes on without it: it counts until the returned function is called. Undefined where nobody counts. */
  readonly lend: ((socket: RelaySocket) => () => void) | undefined
} & (
  | {
      readonly socket: RelaySocket
      /** Bytes behind the request head. */
      readonly head: Buffer
    }
  | {
      readonly connection: HeldConnection
      /** Latin1 behind the request head, and whether the client's FIN came with it. */
      readonly rest: string
      readonly ended: boolean
    }
)

export interface Listener {
  /** As bound: the real port where the config says 0. */
  readonly address: Address
  readonly config: ListenerConfig
  readonly tls: TlsSide
  /**
   * Reads what `config`, of the same address, needs, and changes nothing yet. Throws when a certificate cannot be read.
   * Connections that stand do not notice the change, save that their next request has the new limits.
   */
  prepare(config: ListenerConfig): ListenerChange
  /** Closes the listening socket and idle connections; each other one closes with its answer. Fulfilled when no request is in progress. */
  stopAccepting(): Promise<void>
  /** Fulfilled when none of its connections is open, tunnels that node relays included. It must not accept any more. */
  empty(): Promise<void>
  /** Cuts whatever is left. */
  destroy(): void
}

export interface ListenerChange {
  /** Clients will be shown another certificate, be it by another file or by another content of the same one. */
  readonly newCertificate: boolean
  /** Makes the change. It cannot fail. */
  apply(): void
}

/** What clients may speak over TLS, by its names in ALPN. */
const PROTOCOLS: readonly string[] = ['http/1.1']

const kDecision = Symbol('upgate.decision')
const kBroken = Symbol('upgate.broken')

/** `upgrade` is node's own mark of a request at which the parser stops; its types do not have it. */
type Decided<D> = http.IncomingMessage & { [kDecision]?: D; upgrade?: boolean }

/** Whether the parser refused the rest of this request after its head: `res` closed, but not because the client left. */
export function brokeOff(response: http.ServerResponse): boolean {
  return kBroken in response
}

/** Binds. Rejects with node's error (EADDRINUSE, EACCES, ...) when that fails. */
export async function startListener<D extends { readonly upgrades: boolean }>(
  config: ListenerConfig,
  options: ListenOptions,
  handlers: ListenHandlers<D>,
): Promise<Listener> {
  const listener = new HttpListener(config, options, handlers)
  await listener.bind()
  return listener
}

export interface ListenOptions {
  readonly highWaterMark: number
  /** Where there is one, it accepts the clients of plain TCP listeners. */
  readonly acceptor: Acceptor | undefined
}

class HttpListener<D extends { readonly upgrades: boolean }> implements Listener {
  readonly #handlers: ListenHandlers<D>
  readonly #options: ListenOptions
  readonly #server: http.Server
  /** Responses in progress by their socket. */
  readonly #inProgress = new Map<Duplex, http.ServerResponse>()
  /** Connections whose stripped handshake the parser has read and not let go of yet. */
  readonly #takenOver = new WeakSet<Duplex>()
  /** Sockets whose first bytes came before they were sockets: node does not count those. */
  readonly #begun = new WeakSet<Duplex>()
  readonly tls: TlsSide
  readonly #http2: Http2Side
  readonly #proxies: ProxySide
  #config: ListenerConfig
  #bound: Bound | undefined
  #door: Door | undefined
  #isAccepting = false
  #sockets = 0
  readonly #whenIdle: (() => void)[] = []
  readonly #whenEmpty: (() => void)[] = []

  constructor(config: ListenerConfig, options: ListenOptions, handlers: ListenHandlers<D>) {
    this.#config = config
    this.#options = options
    this.#handlers = handlers
    this.#server = createHttpServer(config, (request) => this.#decide(request).upgrades)
    this.tls = new TlsSide({
      protocols: PROTOCOLS,
      onSecure: this.#onSecure,
      onFailed: this.#onTlsFailed,
    })
    this.tls.use(this.tls.prepare(config.tls))
    this.#http2 = new Http2Side(options.highWaterMark, {
      limits: () => this.#config,
      servesWebSocket: () => handlers.servesWebSocket(),
      onRequest: this.#toParser,
      onRefused: this.#answerBroken,
      onBroken: (refusal, peerAddress) => void handlers.broken(refusal, peerAddress),
    })
    this.#proxies = new ProxySide({
      isTrusted: ({ remoteAddress: peer = '' }) =>
        // A TCP peer that is already gone has no address either: it must not pass for a unix socket's.
        (peer !== '' || this.address.kind === 'unix') && handlers.trusts(peer),
      onRefused: (refusal, peerAddress) => void handlers.broken(refusal, peerAddress),
    })
    this.#listen()
  }

  #listen(): void {
    const server = this.#server
    server.on('request', this.#onRequest)
    server.on('checkContinue', this.#onRequest)
    server.on('checkExpectation', this.#onRequest)
    server.on('upgrade', this.#onUpgrade)
    server.on('connect', this.#onConnect)
    server.on('clientError', this.#onClientError)
  }

  get address(): Address {
    return (this.#bound as Bound).address
  }

  get config(): ListenerConfig {
    return this.#config
  }

  async bind(): Promise<void> {
    const { connectionsMax } = this.#config
    const { acceptor, highWaterMark } = this.#options
    this.#bound = await bind(this.#config, highWaterMark)
    const { server } = this.#bound
    this.#door =
      acceptor !== undefined && portOf(server) !== undefined && !this.#isForNode
        ? openDoor(server, acceptor, { ...this.#config, highWaterMark }, this.#atDoor)
        : openNodeDoor(server, connectionsMax, this.#onSocket)
    this.#isAccepting = true
  }

  /** Whether the first bytes of clients are no HTTP. */
  get #isForNode(): boolean {
    return this.tls.isOn || this.#config.proxyProtocol !== 'off'
  }

  prepare(config: ListenerConfig): ListenerChange {
    const next = this.tls.prepare(config.tls)
    return {
      newCertificate: this.tls.isNew(next),
      apply: () => {
        this.#config = config
        // The socket is the same for both, and so are the connections that stand.
        this.tls.use(next)
        adjustHttpServer(this.#server, config)
        this.#door?.adjust(config)
      },
    }
  }

  async stopAccepting(): Promise<void> {
    this.#stopListening()
    this.#http2.goAway()
    this.#server.closeIdleConnections()
    for (const response of this.#inProgress.values()) response.shouldKeepAlive = false
    if (this.#inProgress.size === 0) return
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }

  empty(): Promise<void> {
    if (this.#sockets === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenEmpty.push(resolve))
  }

  destroy(): void {
    this.#stopListening()
    this.#door?.forget()
    this.#proxies.destroy()
    this.tls.close()
    this.#server.close()
    this.#server.closeAllConnections()
    this.#http2.destroy()
  }

  #stopListening(): void {
    if (this.#isAccepting) this.#door?.close()
    this.#isAccepting = false
  }

  readonly #onHandshake: DoorHandlers['handshake'] = (connection, { head, rest }, ended) => {
    const decision = this.#handlers.decide(head, {
      peerAddress: connection.peerAddress,
      encrypted: false,
      ...this.#place(),
    })
    if (!decision.upgrades) return false
    const giveBack = this.#giveBackHeld
    this.#handlers.upgrade(decision, { connection, rest, ended, giveBack, lend: this.#door?.lend })
    return true
  }

  /** A socket that was held until now: its first request is answered, also when no other one is accepted any more. */
  readonly #onParse = (socket: Socket): void => {
    this.#begun.add(socket)
    this.#onSocket(socket)
    if (!this.#isForNode) socket.resume()
  }

  readonly #onLate = (socket: Socket): void => {
    // Whoever has not begun with TLS could not read an answer; and a proxy does not.
    if (this.#isForNode) socket.destroy()
    else this.#answerBroken(new Refusal('E_HEAD_TIMEOUT', { cause: 'no whole head' }), socket)
  }

  readonly #atDoor: DoorHandlers = {
    isForNode: () => this.#isForNode,
    handshake: this.#onHandshake,
    parse: this.#onParse,
    late: this.#onLate,
  }

  /** A client's first bytes come next, or have come. */
  readonly #onSocket = (socket: Socket): void => {
    this.#count(socket)
    if (this.#config.proxyProtocol === 'off') {
      this.#begin(socket)
      return
    }
    this.#proxies.accept(socket, this.#config, () => {
      this.#begin(socket)
      if (!this.tls.isOn) socket.resume()
    })
  }

  #begin(socket: Socket): void {
    if (this.tls.isOn) this.tls.accept(socket)
    else if (this.#config.h2c) this.#awaitPreface(socket)
    else this.#toParser(socket)
  }

  readonly #onSecure = (socket: TLSSocket): void => {
    tellSecure(socket)
    if (socket.alpnProtocol === 'h2') this.#http2.accept(socket)
    else this.#toParser(socket)
  }

  #awaitPreface(socket: Socket): void {
    readPreface(socket, this.#config.headTimeoutMs, (isHttp2) => {
      if (isHttp2) {
        this.#http2.accept(socket)
        return
      }
      this.#begun.add(socket)
      this.#toParser(socket)
      socket.resume()
    })
  }

  #count(socket: RelaySocket): void {
    this.#sockets += 1
    socket.once('close', this.#onSocketClose)
  }

  readonly #onSocketClose = (): void => {
    this.#sockets -= 1
    if (this.#sockets > 0) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  readonly #toParser = (socket: RelaySocket): void => {
    this.#server.emit('connection', socket)
  }

  #decide(request: Decided<D>): D {
    const socket: Socket | StreamSocket = request.socket
    const stream = socket instanceof StreamSocket ? socket : undefined
    const connection = stream?.transport ?? request.socket
    const decision = this.#handlers.decide(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        httpVersion: request.httpVersionMinor === 0 ? '1.0' : '1.1',
        fields: request.rawHeaders,
      },
      {
        peerAddress: socket.remoteAddress ?? '',
        encrypted: 'encrypted' in connection,
        ...this.#place(),
        ...this.#toldBy(connection),
        ...(stream && { http2: { connects: stream.connects } }),
      },
    )
    request[kDecision] = decision
    return decision
  }

  #place(): Pick<Connection, 'localPort' | 'httpsPort'> {
    const { redirect } = this.#config
    return { localPort: this.#door?.port, ...(redirect && { httpsPort: redirect.port }) }
  }

  #toldBy(socket: Duplex): Partial<Connection> {
    const client = toldOf(socket)?.client
    const certificate = this.tls.certificateOf(socket)
    const shown = certificate && { certificate }
    if (client === 'unknown') return { ...shown, isAnonymous: true }
    return typeof client === 'object' ? { ...shown, localPort: client.localPort } : { ...shown }
  }

  readonly #onRequest = (request: Decided<D>, response: http.ServerResponse): void => {
    const decision = request[kDecision] ?? this.#decide(request)
    if (this.#takenOver.has(request.socket)) {
      const cause = 'a request pipelined behind a handshake'
      this.#answerBroken(new Refusal('E_REQUEST_MALFORMED', { cause }), request.socket)
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
    if (!this.#isAccepting) response.shouldKeepAlive = false
    response.on('close', () => this.#onResponseClose(socket, response))
    this.#handlers.plain(decision, request, response)
  }

  #onResponseClose(socket: Duplex, response: http.ServerResponse): void {
    if (this.#inProgress.get(socket) === response) this.#inProgress.delete(socket)
    if (this.#isAccepting) return
    // What kept its connection alive before the stop is idle now.
    this.#server.closeIdleConnections()
    if (this.#inProgress.size > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  readonly #onUpgrade = (request: Decided<D>, socket: Duplex, head: Buffer): void => {
    // 'upgrade' comes only for what was decided to upgrade, be it in shouldUpgradeCallback or in #onRequest.
    const decision = request[kDecision] as D
    this.#takenOver.delete(socket)
    this.#handlers.upgrade(decision, {
      socket: socket as RelaySocket,
      head,
      giveBack: this.#giveBack,
      lend: this.#door?.lend,
    })
  }

  readonly #giveBack = (socket: RelaySocket): void => {
    if (!this.#isAccepting) {
      // A stream of HTTP/2 has one request, and is never given back.
      ;(socket as Socket).destroySoon()
      return
    }
    this.#toParser(socket)
    socket.resume()
  }

  /** The first time that its connection is a socket. */
  readonly #giveBackHeld = (socket: RelaySocket): void => {
    this.#count(socket)
    this.#giveBack(socket)
  }

  readonly #onConnect = (_request: http.IncomingMessage, socket: Duplex): void => {
    this.#answerBroken(methodDenied('CONNECT'), socket as Socket)
  }

  readonly #onTlsFailed = (error: NodeJS.ErrnoException, socket: TLSSocket): void => {
    const refusal = certificateRefusal(error, socket)
    // There is nobody who could read an answer; but it is told.
    if (refusal !== undefined) this.#handlers.broken(refusal, peerAddressOf(socket))
    this.#onClientError(error, socket)
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
    this.#answerBroken(refusal, socket)
  }

  readonly #answerBroken = (refusal: Refusal, socket: Socket | StreamSocket): void => {
    // The parser would complain again of what still comes.
    socket.removeAllListeners('data')
    const answer = this.#handlers.broken(refusal, socket.remoteAddress ?? '')
    socket.write(Buffer.from(answer, 'latin1'))
    lingeringClose(socket)
  }
}

/** Maps the parser's errors; undefined for a connection that broke, where there is nobody to answer. */
function parserRefusal(error: NodeJS.ErrnoException): Refusal | undefined {
  const code = error.code ?? ''
  if (code === 'HPE_HEADER_OVERFLOW') return new Refusal('E_HEAD_TOO_LARGE', { cause: code })
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Refusal('E_HEAD_TIMEOUT', { cause: code })
  if (code.startsWith('HPE_')) {
    const cause = code === 'HPE_PAUSED_H2_UPGRADE' ? 'HTTP/2 with prior knowledge' : code
    return new Refusal('E_REQUEST_MALFORMED', { cause })
  }
  return undefined
}
