/**
 * One listening address: accepts connections, lets node's strict parser read request heads, and hands each request on
 * as an upgrade (with the raw socket) or as plain HTTP (with a response object). It decides nothing about a request.
 */

import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Address, ListenerConfig } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import { lingeringClose } from '../handshake/lingering-close.ts'
import { methodDenied, type Connection, type RequestHead } from '../request/facts.ts'

/** TCP keepalive on client connections: finds peers that vanished without a word. */
const KEEPALIVE_DELAY_MS = 60_000
/** How often node looks for heads that are overdue. */
const HEAD_CHECK_MIN_MS = 20
const HEAD_CHECK_MAX_MS = 1000

/** What happens to requests. `D` is the decision, made once per request, when its head is there. */
export interface ListenHandlers<D extends { readonly upgrades: boolean }> {
  decide(head: RequestHead, connection: Connection): D
  /** The parser has let go of `socket`. */
  upgrade(decision: D, socket: Socket, leftover: Leftover): void
  plain(decision: D, request: http.IncomingMessage, response: http.ServerResponse): void
  /** What the parser refused; the bytes of the answer to send, or undefined for none. */
  broken(refusal: Refusal, peerAddress: string): string
}

/** What the parser leaves behind when it lets go of a socket. */
export interface Leftover {
  /** Bytes behind the request head. */
  readonly head: Buffer
  /** Returns the socket to the parser for its next request. */
  readonly giveBack: (socket: Socket) => void
  /** The connection goes on without its socket: it counts until the returned function is called. Undefined where nobody counts. */
  readonly lend: (() => () => void) | undefined
}

export interface Listener {
  /** As bound: the real port where the config says 0. */
  readonly address: Address
  /** Closes the listening socket and idle connections; each other one closes with its answer. Fulfilled when no request is in progress. */
  stopAccepting(): Promise<void>
  /** Cuts whatever is left. */
  destroy(): void
}

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
  highWaterMark: number,
  handlers: ListenHandlers<D>,
): Promise<Listener> {
  const listener = new HttpListener(config, highWaterMark, handlers)
  await listener.bind()
  return listener
}

class HttpListener<D extends { readonly upgrades: boolean }> implements Listener {
  readonly #config: ListenerConfig
  readonly #handlers: ListenHandlers<D>
  readonly #server: http.Server
  readonly #connectionEvent: 'connection' | 'secureConnection'
  /** Responses in progress by their socket. */
  readonly #inProgress = new Map<Duplex, http.ServerResponse>()
  /** Connections whose stripped handshake the parser has read and not let go of yet. */
  readonly #takenOver = new WeakSet<Duplex>()
  #lend: Leftover['lend']
  #port: number | undefined
  #whenIdle: (() => void) | undefined

  constructor(config: ListenerConfig, highWaterMark: number, handlers: ListenHandlers<D>) {
    this.#config = config
    this.#handlers = handlers
    const options = {
      highWaterMark,
      maxHeaderSize: config.headBytesMax,
      headersTimeout: config.headTimeoutMs,
      // A body may take its time; the route's idle limit watches over it.
      requestTimeout: 0,
      keepAliveTimeout: config.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(
        Math.max(config.headTimeoutMs / 8, HEAD_CHECK_MIN_MS),
        HEAD_CHECK_MAX_MS,
      ),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
      // Host is checked with the rest of the facts, so that its refusal looks like every other.
      requireHostHeader: false,
      insecureHTTPParser: false,
      shouldUpgradeCallback: (request: http.IncomingMessage) => this.#decide(request).upgrades,
    }
    if (config.tls === undefined) {
      this.#server = http.createServer(options)
      this.#connectionEvent = 'connection'
    } else {
      const server = https.createServer({
        ...options,
        cert: readFileSync(config.tls.cert),
        key: readFileSync(config.tls.key),
        allowHalfOpen: true,
        handshakeTimeout: config.headTimeoutMs,
        ALPNProtocols: ['http/1.1'],
      })
      this.#server = server
      this.#connectionEvent = 'secureConnection'
    }
    this.#listen()
  }

  #listen(): void {
    const server = this.#server
    // Beyond its default of 2000 node would drop fields silently; `headBytes` bounds them.
    server.maxHeadersCount = 0
    // A client that half-closes after its request still gets the answer.
    ;(server as http.Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true
    if (this.#config.connectionsMax !== Infinity) {
      server.maxConnections = this.#config.connectionsMax
      this.#lend = this.#lendPlace
    }
    server.on('request', this.#onRequest)
    server.on('checkContinue', this.#onRequest)
    server.on('checkExpectation', this.#onRequest)
    server.on('upgrade', this.#onUpgrade)
    server.on('connect', this.#onConnect)
    server.on('clientError', this.#onClientError)
  }

  get address(): Address {
    const { address } = this.#config
    return address.kind === 'tcp' && this.#port !== undefined
      ? { ...address, port: this.#port }
      : address
  }

  bind(): Promise<void> {
    const { address } = this.#config
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(
        address.kind === 'unix'
          ? { path: address.path }
          : { host: address.host, port: address.port },
        () => {
          this.#server.off('error', reject)
          if (address.kind === 'tcp') this.#port = (this.#server.address() as AddressInfo).port
          resolve()
        },
      )
    })
  }

  async stopAccepting(): Promise<void> {
    this.#server.close()
    if (this.#config.address.kind === 'unix') await rm(this.#config.address.path, { force: true })
    for (const response of this.#inProgress.values()) response.shouldKeepAlive = false
    if (this.#inProgress.size === 0) return
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve
    })
  }

  destroy(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #decide(request: Decided<D>): D {
    const { socket } = request
    const decision = this.#handlers.decide(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        httpVersion: request.httpVersionMinor === 0 ? '1.0' : '1.1',
        fields: request.rawHeaders,
      },
      {
        peerAddress: socket.remoteAddress ?? '',
        encrypted: this.#config.tls !== undefined,
        localPort: this.#port,
      },
    )
    request[kDecision] = decision
    return decision
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
    if (!this.#server.listening) response.shouldKeepAlive = false
    response.on('close', () => this.#onResponseClose(socket, response))
    this.#handlers.plain(decision, request, response)
  }

  #onResponseClose(socket: Duplex, response: http.ServerResponse): void {
    if (this.#inProgress.get(socket) === response) this.#inProgress.delete(socket)
    if (this.#server.listening) return
    // What kept its connection alive before the stop is idle now.
    this.#server.closeIdleConnections()
    if (this.#inProgress.size === 0) this.#whenIdle?.()
  }

  readonly #onUpgrade = (request: Decided<D>, socket: Duplex, head: Buffer): void => {
    // 'upgrade' comes only for what was decided to upgrade, be it in shouldUpgradeCallback or in #onRequest.
    const decision = request[kDecision] as D
    this.#takenOver.delete(socket)
    this.#handlers.upgrade(decision, socket as Socket, {
      head,
      giveBack: this.#giveBack,
      lend: this.#lend,
    })
  }

  readonly #giveBack = (socket: Socket): void => {
    if (!this.#server.listening) {
      socket.destroySoon()
      return
    }
    this.#server.emit(this.#connectionEvent, socket)
    socket.resume()
  }

  /** node counts sockets; one that goes on without its socket takes a place off the limit instead. */
  readonly #lendPlace = (): (() => void) => {
    this.#server.maxConnections -= 1
    return () => {
      this.#server.maxConnections += 1
    }
  }

  readonly #onConnect = (_request: http.IncomingMessage, socket: Duplex): void => {
    this.#answerBroken(methodDenied('CONNECT'), socket as Socket)
  }

  readonly #onClientError = (error: NodeJS.ErrnoException, duplex: Duplex): void => {
    const socket = duplex as Socket
    const response = this.#inProgress.get(socket)
    if (response !== undefined) Object.assign(response, { [kBroken]: true })
    const refusal = parserRefusal(error)
    const isSilent = refusal?.code === 'E_HEAD_TIMEOUT' && socket.bytesRead === 0
    if (refusal === undefined || isSilent || !socket.writable || response?.headersSent === true) {
      socket.destroy()
      return
    }
    this.#answerBroken(refusal, socket)
  }

  #answerBroken(refusal: Refusal, socket: Socket): void {
    // The parser would complain again of what still comes.
    socket.removeAllListeners('data')
    socket.write(this.#handlers.broken(refusal, socket.remoteAddress ?? ''), 'latin1')
    lingeringClose(socket)
  }
}

/** Maps the parser's errors; undefined for a connection that broke, where there is nobody to answer. */
function parserRefusal(error: NodeJS.ErrnoException): Refusal | undefined {
  const code = error.code ?? ''
  if (code === 'HPE_HEADER_OVERFLOW') return new Refusal('E_HEAD_TOO_LARGE', { cause: code })
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Refusal('E_HEAD_TIMEOUT', { cause: code })
  if (code.startsWith('HPE_')) return new Refusal('E_REQUEST_MALFORMED', { cause: code })
  return undefined
}
