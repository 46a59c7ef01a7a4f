/**
 * The way of a listener's client from its connection to the protocol of its requests:
 *
 *     accepted -> [PROXY header] -> [TLS] -> ALPN or preface -> HTTP/1.1 or HTTP/2
 *
 * Which steps there are is up to the config of now. Whoever fails one of them is closed without an answer.
 */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { ListenerConfig } from '../config/config.ts'
import type { Refusal } from '../errors.ts'
import type { KeyOf } from './connection-places.ts'
import { readPreface } from './http2-preface.ts'
import { tellSecure } from './proxy-protocol-ends.ts'
import { ProxySide, type HeaderRules } from './proxy-protocol-side.ts'
import { certificateRefusal, peerAddressOf } from './tls-refusal.ts'
import { TlsSide } from './tls-side.ts'

export type EntranceRules = HeaderRules & Pick<ListenerConfig, 'tls' | 'h2c'>

export interface EntranceHandlers {
  /** As of now. */
  rules(): EntranceRules
  /** Whether the PROXY header of this peer is believed. */
  isTrusted(socket: Socket): boolean
  /** For whom it counts where addresses have a share. */
  readonly keyOf: KeyOf
  /** A proxy has told whose connection it is; false where it was closed for that. */
  onAnnounced(socket: Socket): boolean
  /** It may be paused, with bytes that were looked at and put back. */
  onHttp1(socket: Socket): void
  /** Its preface comes next, or is unread in it. */
  onHttp2(socket: Socket): void
  /** The connection is closed. */
  onRefused(refusal: Refusal, peerAddress: string): void
}

/** What clients may speak over TLS beside HTTP/2, by its names in ALPN. */
const PROTOCOLS: readonly string[] = ['http/1.1']

export class Entrance {
  readonly tls: TlsSide
  readonly #proxies: ProxySide
  readonly #handlers: EntranceHandlers

  /** Throws when a certificate cannot be read. */
  constructor(handlers: EntranceHandlers) {
    this.#handlers = handlers
    this.#proxies = new ProxySide(handlers)
    this.tls = new TlsSide({
      protocols: PROTOCOLS,
      keyOf: handlers.keyOf,
      onSecure: this.#onSecure,
      onFailed: this.#onTlsFailed,
    })
    this.tls.use(this.tls.prepare(handlers.rules().tls))
  }

  /** Whether the first bytes of clients are those of requests. */
  get isPlain(): boolean {
    return !this.tls.isOn && this.#handlers.rules().proxyProtocol === 'off'
  }

  /** A client whose first bytes are still to come. */
  accept(socket: Socket): void {
    this.#accept(socket)
  }

  /** A client of which something was read before it was a socket. */
  acceptBegun(socket: Socket): void {
    this.#accept(socket)
    if (this.isPlain) socket.resume()
  }

  /** Cuts those who are still before TLS. */
  destroy(): void {
    this.#proxies.destroy()
    this.tls.close()
  }

  #accept(socket: Socket): void {
    const rules = this.#handlers.rules()
    if (rules.proxyProtocol === 'off') {
      this.#begin(socket)
      return
    }
    this.#proxies.accept(socket, rules, () => {
      if (!this.#handlers.onAnnounced(socket)) return
      this.#begin(socket)
      if (!this.tls.isOn) socket.resume()
    })
  }

  #begin(socket: Socket): void {
    if (this.tls.isOn) this.tls.accept(socket)
    else if (this.#handlers.rules().h2c) this.#awaitPreface(socket)
    else this.#handlers.onHttp1(socket)
  }

  readonly #onSecure = (socket: TLSSocket): void => {
    tellSecure(socket)
    if (socket.alpnProtocol === 'h2') this.#handlers.onHttp2(socket)
    else this.#handlers.onHttp1(socket)
  }

  readonly #onTlsFailed = (error: NodeJS.ErrnoException, socket: TLSSocket): void => {
    const refusal = certificateRefusal(error, socket)
    // There is nobody who could read an answer; but it is told.
    if (refusal !== undefined) this.#handlers.onRefused(refusal, peerAddressOf(socket))
    socket.destroy()
  }

  #awaitPreface(socket: Socket): void {
    readPreface(socket, this.#handlers.rules().headTimeoutMs, (isHttp2) => {
      if (isHttp2) {
        this.#handlers.onHttp2(socket)
        return
      }
      this.#handlers.onHttp1(socket)
      socket.resume()
    })
  }
}
