/**
 * One listening address: accepts connections, or has the relay's engine accept them; lets node's strict parser read the
 * heads of requests, save those of ordinary handshakes that the engine has heard; and hands each request on as an upgrade
 * (with its connection) or as plain HTTP (with a response object). It decides nothing about a request.
 */

import { rm } from 'node:fs/promises'
import type http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Address, ListenerConfig } from '../config/config.ts'
import { Refusal } from '../errors.ts'
import { lingeringClose } from '../handshake/lingering-close.ts'
import type { Acceptor, HeldConnection } from '../relay/acceptor.ts'
import { methodDenied, type Connection, type RequestHead } from '../request/facts.ts'
import { openDoor, type Door, type DoorHandlers } from './door.ts'
import { createHttpServer } from './http-server.ts'

/** What happens to requests. `D` is the decision, made once per request, when its head is there. */
export interface ListenHandlers<D extends { readonly upgrades: boolean }> {
  decide(head: RequestHead, connection: Connection): D
  upgrade(decision: D, arrival: Arrival): void
  plain(decision: D, request: http.IncomingMessage, response: http.ServerResponse): void
  /** What the parser refused; the bytes of the answer to send, or undefined for none. */
  broken(refusal: Refusal, peerAddress: string): string
}

/** A request to upgrade, and the connection that it came over: a socket that the parser has let go of, or a held one. */
export type Arrival = {
  /** Returns a socket to the parser for its next request. */
  readonly giveBack: (socket: Socket) => void
  /** A socket's connection goes on without it: it counts until the returned function is called. Undefined where nobody counts. */
  readonly lend: ((socket: Socket) => () => void) | undefined
} & (
  | {
      readonly socket: Socket
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
  readonly #config: ListenerConfig
  readonly #handlers: ListenHandlers<D>
  readonly #server: http.Server
  readonly #connectionEvent: 'connection' | 'secureConnection'
  /** Responses in progress by their socket. */
  readonly #inProgress = new Map<Duplex, http.ServerResponse>()
  /** Connections whose stripped handshake the parser has read and not let go of yet. */
  readonly #takenOver = new WeakSet<Duplex>()
  readonly #options: ListenOptions
  readonly #lend: Arrival['lend']
  #door: Door | undefined
  #isAccepting = false
  #port: number | undefined
  #whenIdle: (() => void) | undefined

  constructor(config: ListenerConfig, listenOptions: ListenOptions, handlers: ListenHandlers<D>) {
    this.#config = config
    this.#options = listenOptions
    this.#lend = config.connectionsMax === Infinity ? undefined : this.#lendPlace
    this.#handlers = handlers
    this.#server = createHttpServer(config, {
      highWaterMark: listenOptions.highWaterMark,
      shouldUpgrade: (request) => this.#decide(request).upgrades,
    })
    this.#connectionEvent = config.tls === undefined ? 'connection' : 'secureConnection'
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
    const { address } = this.#config
    return address.kind === 'tcp' && this.#port !== undefined
      ? { ...address, port: this.#port }
      : address
  }

  async bind(): Promise<void> {
    const { address, tls } = this.#config
    const { acceptor } = this.#options
    if (acceptor !== undefined && address.kind === 'tcp' && tls === undefined) {
      await this.#openDoor(acceptor, address)
    } else {
      await this.#bindServer(address)
    }
    this.#isAccepting = true
  }

  async #openDoor(
    acceptor: Acceptor,
    { host, port }: { host: string; port: number },
  ): Promise<void> {
    const { highWaterMark } = this.#options
    const { headTimeoutMs, headBytesMax, connectionsMax } = this.#config
    this.#door = await openDoor(
      acceptor,
      { host, port, headTimeoutMs, headBytesMax, connectionsMax, highWaterMark },
      {
        handshake: this.#onHandshake,
        parse: this.#onParse,
        late: (socket) =>
          this.#answerBroken(new Refusal('E_HEAD_TIMEOUT', { cause: 'no whole head' }), socket),
      },
    )
    this.#port = this.#door.port
    // With it node starts to look for heads that are overdue.
    this.#server.emit('listening')
  }

  #bindServer(address: Address): Promise<void> {
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
    this.#stopListening()
    if (this.#config.address.kind === 'unix') await rm(this.#config.address.path, { force: true })
    for (const response of this.#inProgress.values()) response.shouldKeepAlive = false
    if (this.#inProgress.size === 0) return
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve
    })
  }

  destroy(): void {
    this.#stopListening()
    this.#server.closeAllConnections()
  }

  #stopListening(): void {
    if (this.#isAccepting) this.#door?.close()
    this.#isAccepting = false
    this.#server.close()
  }

  readonly #onHandshake: DoorHandlers['handshake'] = (connection, { head, rest }, ended) => {
    const decision = this.#handlers.decide(head, {
      peerAddress: connection.peerAddress,
      encrypted: false,
      localPort: this.#port,
    })
    if (!decision.upgrades) return false
    const giveBack = this.#giveBack
    this.#handlers.upgrade(decision, { connection, rest, ended, giveBack, lend: this.#lend })
    return true
  }

  /** A socket that was held until now: its first request is answered, also when no other one is accepted any more. */
  readonly #onParse = (socket: Socket): void => {
    this.#server.emit(this.#connectionEvent, socket)
    socket.resume()
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
    if (!this.#isAccepting) response.shouldKeepAlive = false
    response.on('close', () => this.#onResponseClose(socket, response))
    this.#handlers.plain(decision, request, response)
  }

  #onResponseClose(socket: Duplex, response: http.ServerResponse): void {
    if (this.#inProgress.get(socket) === response) this.#inProgress.delete(socket)
    if (this.#isAccepting) return
    // What kept its connection alive before the stop is idle now.
    this.#server.closeIdleConnections()
    if (this.#inProgress.size === 0) this.#whenIdle?.()
  }

  readonly #onUpgrade = (request: Decided<D>, socket: Duplex, head: Buffer): void => {
    // 'upgrade' comes only for what was decided to upgrade, be it in shouldUpgradeCallback or in #onRequest.
    const decision = request[kDecision] as D
    this.#takenOver.delete(socket)
    this.#handlers.upgrade(decision, {
      socket: socket as Socket,
      head,
      giveBack: this.#giveBack,
      lend: this.#lend,
    })
  }

  readonly #giveBack = (socket: Socket): void => {
    if (!this.#isAccepting) {
      socket.destroySoon()
      return
    }
    this.#server.emit(this.#connectionEvent, socket)
    socket.resume()
  }

  /** node counts sockets; a connection that goes on without its socket takes a place off the limit instead. */
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
