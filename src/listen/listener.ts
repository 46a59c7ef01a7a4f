/**
 * One listening address, from the first byte of a client to its requests:
 *
 *     door ----------------------> first request, heard by the relay's engine ---\
 *       \--> entrance --> HTTP/1 ------------------------> one exchange at a time --> requests out
 *                    \--> HTTP/2 ------- streams --------/
 *
 * Here is how the parts are joined, and how they start, change and stop. Nothing is decided about a request.
 */

import type { Socket } from 'node:net'
import type { Address, ListenerConfig } from '../config/config.ts'
import { clientKey } from '../request/client-key.ts'
import type { Refusal } from '../errors.ts'
import type { Acceptor } from '../relay/acceptor.ts'
import { plainAddress } from '../request/address-set.ts'
import { shareOf, type Refused } from '../share.ts'
import { bind, type Bound } from './bind.ts'
import { ConnectionPlaces } from './connection-places.ts'
import { connectionOf, heldConnectionOf, type Place } from './connection.ts'
import { openDoor, type Door, type DoorHandlers } from './door.ts'
import { Entrance } from './entrance.ts'
import type { ListenHandlers } from './handlers.ts'
import { Http1Requests } from './http1-requests.ts'
import { isPrefaceStart } from './http2-preface.ts'
import { Http2Side } from './http2-side.ts'
import { openNodeDoor, portOf } from './node-door.ts'
import { OpenSockets } from './open-sockets.ts'
import type { TlsSide } from './tls-side.ts'

export interface Listener {
  /** As bound: the real port where the config says 0. */
  readonly address: Address
  readonly config: ListenerConfig
  readonly tls: TlsSide
  /** Clients that found no place for their connection. */
  readonly refused: Refused
  /** How often clients could not be accepted for want of descriptors or memory, as far as that is known. */
  readonly starved: number
  /**
   * Reads what `config`, of the same address, needs, and changes nothing yet. Throws when a certificate cannot be read.
   * Connections that stand do not notice the change, save that their next request has the new limits.
   */
  prepare(config: ListenerConfig): ListenerChange
  /** Other proxies may be trusted than before. */
  followTrust(): void
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

export interface ListenOptions {
  readonly highWaterMark: number
  /** Where there is one, it accepts the clients of plain TCP listeners. */
  readonly acceptor: Acceptor | undefined
}

/** Binds. Rejects with node's error (EADDRINUSE, EACCES, ...) when that fails. */
export async function startListener(
  config: ListenerConfig,
  options: ListenOptions,
  handlers: ListenHandlers,
): Promise<Listener> {
  const listener = new HttpListener(config, options, handlers)
  await listener.bind()
  return listener
}

class HttpListener implements Listener {
  readonly #options: ListenOptions
  readonly #handlers: ListenHandlers
  readonly #sockets = new OpenSockets()
  readonly #places: ConnectionPlaces
  readonly #http1: Http1Requests
  readonly #http2: Http2Side
  readonly #entrance: Entrance
  #config: ListenerConfig
  #bound: Bound | undefined
  #door: Door | undefined
  #isAccepting = false

  constructor(config: ListenerConfig, options: ListenOptions, handlers: ListenHandlers) {
    this.#config = config
    this.#options = options
    this.#handlers = handlers
    this.#places = new ConnectionPlaces(config.connectionsMax, this.#keyOf)
    this.#http1 = this.#createHttp1()
    this.#http2 = this.#createHttp2()
    this.#entrance = this.#createEntrance()
  }

  #createEntrance(): Entrance {
    return new Entrance({
      rules: () => this.#config,
      isTrusted: ({ remoteAddress: peer = '' }) =>
        // A TCP peer that is already gone has no address either: it must not pass for a unix socket's.
        (peer !== '' || this.address.kind === 'unix') && this.#handlers.trusts(peer),
      keyOf: this.#keyOf,
      onAnnounced: (socket) => this.#places.announced(socket),
      onHttp1: (socket) => this.#http1.accept(socket),
      onHttp2: (socket) => this.#http2.accept(socket),
      onRefused: this.#onRefused,
    })
  }

  /** A proxy that is trusted has no share: its connections are those of many clients. */
  readonly #keyOf = ({ remoteAddress: peer = '' }: Socket): string | undefined =>
    peer === '' || this.#handlers.trusts(peer) ? undefined : clientKey(plainAddress(peer) ?? peer)

  #createHttp2(): Http2Side {
    return new Http2Side(this.#options.highWaterMark, {
      limits: () => this.#config,
      servesWebSocket: () => this.#handlers.servesWebSocket(),
      onRequest: (stream) => this.#http1.accept(stream),
      onRefused: (refusal, stream) => this.#http1.refuse(refusal, stream),
      onBroken: this.#onRefused,
    })
  }

  #createHttp1(): Http1Requests {
    return new Http1Requests({
      limits: () => this.#config,
      handlers: this.#handlers,
      describe: (socket) =>
        connectionOf(socket as Socket, this.#place, (secure) => this.tls.certificateOf(secure)),
      describeHeld: (connection) => heldConnectionOf(connection, this.#place),
      lend: (socket) => {
        const lend = this.#door?.lend
        return lend === undefined ? undefined : () => lend(socket)
      },
      onSocket: (socket) => this.#sockets.add(socket),
    })
  }

  /** Of whoever is closed without an answer. */
  readonly #onRefused = (refusal: Refusal, peerAddress: string): void => {
    this.#handlers.broken(refusal, peerAddress)
  }

  get #place(): Place {
    return { localPort: this.#door?.port, redirect: this.#config.redirect }
  }

  get address(): Address {
    return (this.#bound as Bound).address
  }

  get config(): ListenerConfig {
    return this.#config
  }

  get tls(): TlsSide {
    return this.#entrance.tls
  }

  get refused(): Refused {
    const { full, share, address } = this.#places.refused
    const engine = this.#door?.refused
    if (engine === undefined) return this.#places.refused
    const last = engine.address === '' ? address : engine.address
    return { full: full + engine.full, share: share + engine.share, address: last }
  }

  get starved(): number {
    return this.#door?.refused.starved ?? 0
  }

  async bind(): Promise<void> {
    const { acceptor, highWaterMark } = this.#options
    this.#bound = await bind(this.#config, highWaterMark)
    const { server } = this.#bound
    this.#door =
      acceptor !== undefined && portOf(server) !== undefined && this.#entrance.isPlain
        ? openDoor(server, acceptor, { ...this.#doorLimits, highWaterMark }, this.#atDoor)
        : openNodeDoor(server, this.#places, this.#onSocket)
    this.#isAccepting = true
  }

  /** At the door of node. */
  readonly #onSocket = (socket: Socket): void => {
    this.#sockets.add(socket)
    this.#entrance.accept(socket)
  }

  /** At the door of the relay's engine. */
  readonly #atDoor: DoorHandlers = {
    isForNode: (text) => !this.#entrance.isPlain || (this.#config.h2c && isPrefaceStart(text)),
    onSocket: (socket) => {
      this.#sockets.add(socket)
      this.#entrance.acceptBegun(socket)
    },
    onRequest: (...heard) => this.#http1.acceptHeld(...heard),
    onRefused: (connection, refusal) => {
      // Clients that have not begun with TLS could not read a response; and a proxy does not.
      if (!this.#entrance.isPlain) connection.close()
      else this.#http1.refuseHeld(connection, refusal)
    },
  }

  prepare(config: ListenerConfig): ListenerChange {
    const { tls } = this
    const next = tls.prepare(config.tls)
    return {
      newCertificate: tls.isNew(next),
      apply: () => {
        this.#config = config
        // The socket is the same for both, and so are the connections that stand.
        tls.use(next)
        this.#places.adjust(config.connectionsMax)
        this.#door?.adjust(this.#doorLimits)
      },
    }
  }

  followTrust(): void {
    this.#door?.adjust(this.#doorLimits)
  }

  get #doorLimits() {
    const shareMax = shareOf(this.#config.connectionsMax)
    return { ...this.#config, shareMax, exempt: this.#handlers.trustedBlocks() }
  }

  async stopAccepting(): Promise<void> {
    this.#stopListening()
    await Promise.all([this.#http1.stop(), this.#http2.goAway()])
  }

  empty(): Promise<void> {
    return this.#sockets.none()
  }

  destroy(): void {
    this.#stopListening()
    this.#door?.forget()
    this.#entrance.destroy()
    this.#http1.destroy()
    this.#http2.destroy()
  }

  #stopListening(): void {
    if (this.#isAccepting) this.#door?.close()
    this.#isAccepting = false
  }
}
